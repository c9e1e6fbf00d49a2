"""`python -m benchmarks`: everything that is promised in numbers, in one markdown table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import (
    contention,
    endpoints,
    load,
    memory,
    page,
    providers,
    scrolling,
    storage,
    workers,
    writer,
)
from benchmarks.endpoints import STEADY, Latency
from benchmarks.report import Row, at_most, both_at_most, markdown
from benchmarks.sources import Source, load_bitbrains, load_nab
from optiinfra_database import Store, connect, migrate

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
_PARTS = ("writer", "storage", "endpoints", "memory", "page", "scrolling", "providers", "load")

_VISITS = 7


def main() -> None:
    """Measure and print; `--output` keeps the table in a file too."""
    options = _options()
    if not options.data.is_dir():
        sys.exit(f"the recorded series are not at {options.data}; say where with --data")
    nab, bitbrains = load_nab(options.data / "nab"), load_bitbrains(options.data / "bitbrains")
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        store = connect(f"chdb://{folder}/store")
        migrate(store)
        if "writer" in options.parts:
            _say("writer")
            rows += writer.measure(store, bitbrains, rounds=options.rounds)
        if "storage" in options.parts:
            rows += _storage(store, nab, bitbrains)
        if "endpoints" in options.parts:
            rows += _endpoints(store, [*nab, *bitbrains], options.sizes, options.rounds)
        if "load" in options.parts:
            rows += _readers(store, [*nab, *bitbrains], options.sizes[0])
        store.close()
    if "load" in options.parts:
        _say("load: workers")
        rows += workers.measure()
    if "memory" in options.parts:
        _say("memory")
        rows += memory.measure()
    if "page" in options.parts:
        _say("page")
        rows += page.measure([*nab, *bitbrains], rounds=_VISITS)
    if "scrolling" in options.parts:
        _say("scrolling")
        rows += scrolling.measure()
    if "providers" in options.parts:
        rows += providers.measure(_say)
    text = markdown(rows)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def _readers(store: Store, sources: Sequence[Source], size: float) -> list[Row]:
    _say(f"load: readers over {size:g} M points")
    end = load.quarter_hour()
    load.fill(store, sources, int(size * 1e6), end=end)
    return contention.measure(store, end=end)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--sizes",
        type=lambda text: [float(size) for size in text.split(",")],
        default=[1.0, 10.0, 50.0],
        help="millions of points that the endpoints are measured over (default 1,10,50)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=40,
        help="repetitions of each figure, of an endpoint three times as many",
    )
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of nab and bitbrains")
    parser.add_argument("--output", type=Path, help="a file for the table")
    return parser.parse_args()


def _storage(store: Store, nab: Sequence[Source], bitbrains: Sequence[Source]) -> list[Row]:
    fleets = {
        "NAB, 500 series": [(nab, 500)],
        "Bitbrains, 1 200 series": [(bitbrains, 200)],
        "both fleets": [(nab, 500), (bitbrains, 200)],
    }
    rows = []
    for name, parts in fleets.items():
        _say(f"storage: {name}")
        found = storage.measure(store, name, parts)
        detail = f"{found.points / 1e6:.1f} M points, values alone {found.value:.2f}"
        rows.append(at_most(f"bytes per point, {name}", found.ours, 1.7, detail))
        ratio = found.ours / found.plain
        rows.append(
            at_most(
                f"beside the plain schema, {name}", ratio, 1 / 3, f"plain {found.plain:.2f} bytes"
            )
        )
    return rows


def _endpoints(
    store: Store, sources: Sequence[Source], sizes: Sequence[float], rounds: int
) -> list[Row]:
    by_size: list[tuple[float, list[Latency]]] = []
    for size in sizes:
        _say(f"endpoints: loading {size:g} M points")
        end = load.quarter_hour()
        started = time.perf_counter()
        stored = load.fill(store, sources, int(size * 1e6), end=end)
        _say(f"endpoints: {stored:,} points in {time.perf_counter() - started:.0f} s")
        by_size.append((size, endpoints.measure(store, end=end, rounds=rounds)))
    rows = [_latency_row(size, one) for size, found in by_size for one in found]
    if len(by_size) > 1:
        rows += _growth(*by_size[-2:])
    return rows


def _latency_row(size: float, one: Latency) -> Row:
    return both_at_most(
        f"{one.name} at {size:g} M / its {one.statements} bare statements",
        one.p50 / one.bare_p50,
        one.p95 / one.bare_p95,
        1.3,
        f"p50 {one.p50 * 1e3:.1f} / {one.bare_p50 * 1e3:.1f} ms, "
        f"p95 {one.p95 * 1e3:.1f} / {one.bare_p95 * 1e3:.1f} ms, "
        f"{one.answer_bytes / 1024:.0f} KiB",
    )


def _growth(before: tuple[float, list[Latency]], after: tuple[float, list[Latency]]) -> list[Row]:
    smaller = {one.name: one for one in before[1]}
    return [
        both_at_most(
            f"{one.name}, growth from {before[0]:g} M to {after[0]:g} M",
            one.p50 / smaller[one.name].p50,
            one.p95 / smaller[one.name].p95,
            1.5,
            f"p50 {smaller[one.name].p50 * 1e3:.1f} to {one.p50 * 1e3:.1f} ms",
        )
        for one in after[1]
        if one.name in STEADY
    ]


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

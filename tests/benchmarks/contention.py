"""Readers under concurrent load, and whether a heavy export starves the small answers."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import quantiles
from urllib.parse import urlencode

from benchmarks.endpoints import served
from benchmarks.load import CUSTOMER, PROVIDER
from benchmarks.report import Row
from optiinfra.collector_client import CollectorClient
from optiinfra.domain import iso
from optiinfra.settings import Settings
from optiinfra_database import Store
from performance_agent.main import create_app

_SECONDS = 10.0
_CLIENTS = 4
_EXPORTS = 2
_STARVED = 5.0


def measure(store: Store, *, end: datetime) -> list[Row]:
    """Each path alone with several clients, then `latest` beside exports of everything."""
    base = f"/api/v2/performance/{CUSTOMER}/{PROVIDER}"
    window = {"start": iso(end - timedelta(days=1)), "end": iso(end)}
    paths = {
        "latest": f"{base}/latest",
        "metrics": f"{base}/metrics?{urlencode(window)}",
        "trends": f"{base}/trends?{urlencode(window)}",
        "summary": f"{base}/summary?{urlencode(window)}",
    }
    everything = {"start": iso(end - timedelta(days=60)), "end": iso(end), "format": "ndjson"}
    export = f"{base}/metrics?{urlencode(everything)}"
    app = create_app(Settings(), store, CollectorClient("http://127.0.0.1:9"))
    with served(app) as port:
        alone = {name: _asked(port, path, _CLIENTS) for name, path in paths.items()}
        stop = threading.Event()
        exports = [
            threading.Thread(target=_export, args=(port, export, stop)) for _ in range(_EXPORTS)
        ]
        for thread in exports:
            thread.start()
        beside = _asked(port, paths["latest"], _CLIENTS)
        stop.set()
        for thread in exports:
            thread.join()
    return [*_rows(alone), _starving(alone["latest"], beside)]


def _rows(found: Mapping[str, Sequence[float]]) -> list[Row]:
    return [
        Row(
            f"{name}, {_CLIENTS} clients at once",
            f"{len(times) / _SECONDS:.0f} requests/s, p50 {_percentile(times, 50) * 1e3:.0f} ms, "
            f"p99 {_percentile(times, 99) * 1e3:.0f} ms",
        )
        for name, times in found.items()
    ]


def _starving(alone: Sequence[float], beside: Sequence[float]) -> Row:
    before, after = _percentile(alone, 99), _percentile(beside, 99)
    return Row(
        f"p99 of latest beside {_EXPORTS} exports of everything / without",
        f"{after / before:.2f} ({after * 1e3:.0f} / {before * 1e3:.0f} ms)",
        f"<= {_STARVED:g}",
        after / before <= _STARVED,
    )


def _percentile(times: Sequence[float], percent: int) -> float:
    return quantiles(times, n=100)[percent - 1]


def _asked(port: int, path: str, clients: int) -> list[float]:
    """Seconds of every answer that several clients get one after the other for a while."""
    end = time.monotonic() + _SECONDS
    times: list[float] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < end:
            started = time.perf_counter()
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            if response.status != http.client.OK:
                raise RuntimeError(f"{path} answered {response.status}")
            times.append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _export(port: int, path: str, stop: threading.Event) -> None:
    """Read the export again and again, as fast as it comes."""
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise RuntimeError(f"the export answered {response.status}")
        while not stop.is_set() and response.read(1 << 20):
            pass
        connection.close()

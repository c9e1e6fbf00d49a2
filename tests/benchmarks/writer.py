"""Rows per second through the writer, beside the engine's own Arrow insert of the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median

import pyarrow as pa

from benchmarks.fleet import SLOTS_PER_DAY, replay
from benchmarks.report import Row
from benchmarks.sources import STEP, Source
from data_collector.storage.clickhouse_writer import POINTS_PER_INSERT, ClickHouseWriter
from data_collector.storage.points import points_table
from optiinfra.accounts import Account
from optiinfra.domain import Series
from optiinfra.provider import Timing
from optiinfra_database import Store

_TABLE = "performance_metrics"
_RETENTION = timedelta(days=90)
_ACCOUNT = Account(customer_id="writer", account_id="prod", provider="aws")
_TIMING = Timing(
    period=timedelta(seconds=STEP),
    delay=timedelta(minutes=5),
    settling=timedelta(minutes=15),
    history=timedelta(days=14),
    chunk=timedelta(days=1),
)


def measure(store: Store, sources: Sequence[Source], *, rounds: int) -> list[Row]:
    """One collection of a large account, and a day that is caught up."""
    return [
        _share(store, "a run: 12 000 series x 15 minutes", _series(sources, 2000, 3), rounds),
        _share(store, "catching up: 3 000 series x 1 day", _series(sources, 500, 288), rounds),
    ]


def _series(sources: Sequence[Source], machines: int, slots: int) -> list[Series]:
    """The newest `slots` of a fleet, in the order in which a provider lists them: none."""
    end = int(time.time()) // STEP
    replays = replay(
        sources,
        customer_id=_ACCOUNT.customer_id,
        provider=_ACCOUNT.provider,
        machines=machines,
        first=end - SLOTS_PER_DAY,
        last=end,
    )
    series = []
    for one in replays:
        at, values = one.points(end - slots, end)
        series.append(
            Series(
                metric=one.source.metric,
                resource_id=one.resource_id,
                resource_name=one.resource_name,
                resource_type=one.source.resource_type,
                timestamps=at * STEP,
                values=values,
            )
        )
    return sorted(series, key=lambda one: one.resource_id)


def _share(store: Store, name: str, series: Sequence[Series], rounds: int) -> Row:
    by_writer: list[float] = []
    by_engine: list[float] = []
    began = datetime.now(UTC)
    for number in range(rounds):
        # A time of collection of its own: the engine skips a block that it has seen.
        now = began + timedelta(seconds=number)
        writer = ClickHouseWriter(store, retention=_RETENTION)
        rows, _ = points_table(
            _ACCOUNT,
            series,
            timing=_TIMING,
            retention=_RETENTION,
            as_of=now + timedelta(days=1),  # differs from what the writer makes
        )
        attempts: list[tuple[list[float], Callable[[], object]]] = [
            (by_writer, _writing(writer, series, now)),
            (by_engine, _inserting(store, rows)),
        ]
        for times, insert in attempts if number % 2 else reversed(attempts):
            store.command(f"TRUNCATE TABLE {_TABLE}")
            started = time.perf_counter()
            insert()
            times.append(time.perf_counter() - started)
            ((stored,),) = store.query(f"SELECT count() FROM {_TABLE}")
            if stored != rows.num_rows:
                raise RuntimeError(f"{stored} of {rows.num_rows} rows arrived")
    share = median(by_engine) / median(by_writer)
    rate = rows.num_rows / median(by_writer)
    return Row(
        f"writer / Arrow insert, {name}",
        f"{share:.0%} ({rate / 1e6:.2f} M rows/s of {rows.num_rows:,} rows)",
        ">= 80%",
        share >= 0.8,
    )


def _writing(
    writer: ClickHouseWriter, series: Sequence[Series], now: datetime
) -> Callable[[], object]:
    return partial(writer.write_performance_metrics, _ACCOUNT, series, timing=_TIMING, as_of=now)


def _inserting(store: Store, rows: pa.Table) -> Callable[[], object]:
    """The rows as they are, in inserts as large as the writer's: one huge insert is slower."""

    def insert() -> None:
        for start in range(0, rows.num_rows, POINTS_PER_INSERT):
            store.insert_arrow(_TABLE, rows.slice(start, POINTS_PER_INSERT))

    return insert

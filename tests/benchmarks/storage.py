"""Bytes per point: recorded series as fleets, in our table and in the plain one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.fleet import Replay, replay, table, weeks
from benchmarks.plain import DDL, PLAIN, plain_rows
from benchmarks.sources import Source
from optiinfra_database import Store

# A Monday in 2023; the tables hold history, so the retention is lifted for them.
_START = 1_672_617_600 // 300


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one set of points takes after merging, in bytes on disk per point."""

    name: str
    points: int
    plain: float
    ours: float
    value: float


def measure(store: Store, name: str, fleets: Sequence[tuple[Sequence[Source], int]]) -> Footprint:
    """Write `fleets`, each sources and their number of machines, to both tables."""
    series: list[Replay] = []
    for sources, machines in fleets:
        series += replay(
            sources,
            customer_id=f"customer-{len(series):05}",
            provider="aws",
            machines=machines,
            first=_START,
        )
    ours = "bench_metrics"
    store.command(f"DROP TABLE IF EXISTS {ours} SYNC")
    store.command(f"CREATE TABLE {ours} AS performance_metrics")
    store.command(f"ALTER TABLE {ours} REMOVE TTL")
    store.command(f"DROP TABLE IF EXISTS {PLAIN} SYNC")
    store.command(DDL)
    points = 0
    for start, end in weeks(_START, max(one.last for one in series)):
        rows = table(series, start, end)
        store.insert_arrow(ours, rows)
        store.insert_arrow(PLAIN, plain_rows(rows))
        points += rows.num_rows
    for name_of_table in (ours, PLAIN):
        store.command(f"OPTIMIZE TABLE {name_of_table} FINAL")
    footprint = Footprint(
        name,
        points,
        plain=_bytes(store, PLAIN) / points,
        ours=_bytes(store, ours) / points,
        value=_column_bytes(store, ours, "metric_value") / points,
    )
    for name_of_table in (ours, PLAIN):
        store.command(f"DROP TABLE {name_of_table} SYNC")
    return footprint


def _bytes(store: Store, name: str) -> int:
    """Everything that the table's parts hold on disk, index and marks with it."""
    return _sum(store, "parts", "bytes_on_disk", "table = {t:String}", {"t": name})


def _column_bytes(store: Store, name: str, column: str) -> int:
    return _sum(
        store,
        "parts_columns",
        "column_data_compressed_bytes",
        "table = {t:String} AND column = {c:String}",
        {"t": name, "c": column},
    )


def _sum(store: Store, source: str, what: str, where: str, params: dict[str, str]) -> int:
    rows = store.query(
        f"SELECT sum({what}) FROM system.{source} "
        f"WHERE database = currentDatabase() AND active AND {where}",
        params,
    )
    return int(rows[0][0])

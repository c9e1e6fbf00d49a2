"""The one place that puts points into the store: few inserts, each a large one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from data_collector.storage.points import points_table
from data_collector.storage.report import WriteReport
from optiinfra.accounts import Account
from optiinfra.domain import Series
from optiinfra.provider import Timing
from optiinfra_database.client import Store
from optiinfra_database.tables import PERFORMANCE_METRICS, table_name

#: Points per insert: enough that parts stay few, few enough that memory stays flat.
POINTS_PER_INSERT = 100_000


class ClickHouseWriter:
    """Writes performance points; safe to share between threads."""

    def __init__(self, store: Store, *, retention: timedelta) -> None:
        self._store = store
        self._retention = retention

    def write_performance_metrics(
        self,
        account: Account,
        series: Iterable[Series],
        *,
        timing: Timing,
        as_of: datetime,
        version: datetime | None = None,
    ) -> WriteReport:
        """Insert every valid point of `series`; they are in the store when this returns.

        `as_of` is when the provider was asked, not when its answer is written: a collector
        that was held up in between must not win over one that has asked since. `version`
        stands for it where the store holds readings of a clock that was ahead.

        Raises StoreUnavailableError when the store does not take them. Inserts made before
        that stay, and writing the same points again changes nothing.
        """
        report = WriteReport()
        for batch in _batches(series):
            table, drops = points_table(
                account,
                batch,
                timing=timing,
                retention=self._retention,
                as_of=as_of,
                version=version,
            )
            if table.num_rows:
                self._store.insert_arrow(table_name(PERFORMANCE_METRICS), table)
            report.add(WriteReport(table.num_rows, drops))
        return report


def _batches(series: Iterable[Series]) -> Iterator[list[Series]]:
    batch: list[Series] = []
    points = 0
    for one in series:
        batch.append(one)
        points += len(one.values)
        if points >= POINTS_PER_INSERT:
            yield batch
            batch, points = [], 0
    if batch:
        yield batch

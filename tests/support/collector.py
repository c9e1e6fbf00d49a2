"""A collector over a test's store whose clock the test turns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from data_collector.pipeline import Pipeline
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.run_ledger import Outcome, RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Series, Window
from optiinfra.notes import Notes
from optiinfra.provider import Provider
from optiinfra_database import Store

RETENTION = timedelta(days=90)

#: (metric, resource, bucket start) -> value
Points = dict[tuple[str, str, int], float]


@dataclass
class Clock:
    """Says the time that it was set to."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=5))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


class TestCollector:
    """The collector's own parts, driven step by step."""

    __test__ = False

    def __init__(
        self,
        store: Store,
        provider: Provider,
        account: Account,
        clock: Clock,
        notes: Notes | None = None,
    ) -> None:
        self.store = store
        self.ledger = RunLedger(store)
        self.provider = provider
        self.account = account
        self.clock = clock
        self.pipeline = Pipeline(
            ledger=self.ledger,
            writer=ClickHouseWriter(store, retention=RETENTION),
            inventory=InventoryWriter(store, now=clock),
            retention=RETENTION,
            notes=notes,
            now=clock,
        )

    def collect(self, kind: Kind, requested: Window | None = None) -> list[Outcome]:
        """One run over every scope; the outcomes of those that had something to do."""
        run = new_run(self.account, kind, "test", requested)
        self.ledger.record_run(run)
        outcomes = [
            self.pipeline.collect(
                run,
                self.provider,
                self.account,
                scope,
                deadline=self.clock() + timedelta(minutes=10),
            )
            for scope in self.provider.scopes(self.account, kind)
        ]
        return [outcome for outcome in outcomes if outcome]

    def watermark(self, scope: str) -> datetime | None:
        """Up to when the scope's performance is collected."""
        return self.ledger.standing(
            new_run(self.account, Kind.PERFORMANCE, "test", None), scope, self.clock()
        ).collected_until

    def stored_points(self) -> Points:
        """What a reader of the raw table finds."""
        rows = self.store.query(
            "SELECT metric_name, resource_id, toUnixTimestamp(timestamp), metric_value "
            "FROM performance_metrics FINAL WHERE customer_id = {customer:String}",
            {"customer": self.account.customer_id},
        )
        points = {(metric, resource, time): value for metric, resource, time, value in rows}
        assert len(points) == len(rows), "a key stands twice in the store"
        return points


def points_of(series: Iterable[Series]) -> Points:
    """Series as the same mapping."""
    return {
        (one.metric, one.resource_id, int(time)): float(value)
        for one in series
        for time, value in zip(one.timestamps, np.asarray(one.values), strict=True)
    }

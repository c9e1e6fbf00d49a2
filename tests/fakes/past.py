"""The hours before a demo begins, lived through in quick motion.

AWS, Google and Azure tell a new collector the past of their metrics. Vultr tells only the
present, and so does every inventory. So the collector's own parts run here over the same fakes
at each quarter of the hours before, by a clock that is turned, while the fleets change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from data_collector.collectors.vultr import VultrProvider
from data_collector.collectors.vultr.exporter import Exporters
from data_collector.pipeline import Pipeline
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.run_ledger import RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind, RunStatus, ScopeStatus, floor_time
from optiinfra.provider import Provider, load_provider
from optiinfra_database import Store, connect, migrate

CYCLE = timedelta(minutes=15)
RETENTION = timedelta(days=90)
#: Scopes of Vultr with more to them than whether a resource works.
MEASURED = frozenset({"instances", "databases"})
#: What happens to the fleets, by how long ago it happened.
Events = Mapping[timedelta, Callable[[], None]]


class Clock:
    """The present, or the moment that it is turned to."""

    def __init__(self) -> None:
        self._turned: datetime | None = None

    def __call__(self) -> datetime:
        return self._turned or datetime.now(UTC)

    def turn(self, moment: datetime | None) -> None:
        """To a moment of the past; None is the present again."""
        self._turned = moment

    def forward(self, seconds: float) -> None:
        self._turned = self() + timedelta(seconds=seconds)


def live_through(
    url: str, accounts: Sequence[Account], clock: Clock, events: Events, *, length: timedelta
) -> None:
    """Collect what only the moment tells, in each cycle of `length` before now.

    The inventory is listed in the first cycle and in those in which something happens. A store
    that has seen runs has a past of its own: then it all happens, and nothing is collected.
    """
    store = connect(url)
    try:
        migrate(store)
        past = None if _has_runs(store) else _Past(store, clock)
        present = floor_time(datetime.now(UTC), CYCLE)
        due = dict(sorted(events.items(), reverse=True))
        for ago in (length - number * CYCLE for number in range(length // CYCLE + 1)):
            clock.turn(present - ago)
            happening = [due.pop(when) for when in list(due) if when >= ago]
            for happen in happening:
                happen()
            if past and ago:
                kinds = [Kind.RESOURCES] if happening or ago == length else []
                past.cycle(accounts, [*kinds, Kind.PERFORMANCE])
    finally:
        clock.turn(None)
        store.close()


def _has_runs(store: Store) -> bool:
    return bool(store.query("SELECT count() FROM collection_runs")[0][0])


@dataclass
class _Past:
    """A collector at another time."""

    store: Store
    clock: Clock

    def __post_init__(self) -> None:
        self._ledger = RunLedger(self.store)
        self._pipeline = Pipeline(
            ledger=self._ledger,
            writer=ClickHouseWriter(self.store, retention=RETENTION),
            inventory=InventoryWriter(self.store, now=self.clock),
            retention=RETENTION,
            now=self.clock,
        )
        exporters = Exporters(self.clock.forward, lambda: self.clock().timestamp())
        # One at a time: each of them turns the clock.
        self._vultr = VultrProvider(clock=self.clock, exporters=exporters, workers=1)

    def cycle(self, accounts: Sequence[Account], kinds: Sequence[Kind]) -> None:
        """One collection of each account; of performance, what will not be told later."""
        for account in accounts:
            provider = self._vultr if account.provider == "vultr" else None
            for kind in kinds:
                if kind is Kind.RESOURCES and account.provider != "host":
                    self._run(provider or load_provider(account.provider), account, kind)
                elif kind is Kind.PERFORMANCE and provider:
                    self._run(provider, account, kind)

    def _run(self, provider: Provider, account: Account, kind: Kind) -> None:
        began = self.clock()
        run = replace(
            new_run(account, kind, "schedule", None),
            run_id=f"{int(1000 * began.timestamp()):012x}{os.urandom(10).hex()}",
            queued_at=began,
            started_at=began,
        )
        outcomes = [
            self._pipeline.collect(run, provider, account, scope, deadline=began + CYCLE)
            for scope in provider.scopes(account, kind)
            if kind is Kind.RESOURCES or scope.attributes["service"] in MEASURED
        ]
        went_well = all(one is None or one.status is ScopeStatus.OK for one in outcomes)
        status = RunStatus.SUCCEEDED if went_well else RunStatus.PARTIAL
        self._ledger.record_run(replace(run, status=status, finished_at=self.clock()))

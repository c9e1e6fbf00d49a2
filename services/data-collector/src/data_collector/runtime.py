"""What a collector process is made of, put together once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from data_collector.coordination import connect_budgets, connect_coordination, connect_notes
from data_collector.pipeline import Pipeline
from data_collector.runs import Runs
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.ledger_totals import LedgerTotals
from data_collector.storage.rollups import Rollups
from data_collector.storage.run_ledger import RunLedger
from data_collector.storage.store_clock import StoreClock
from optiinfra.accounts import AccountBook
from optiinfra.provider import options_model
from optiinfra.settings import Settings, load_settings
from optiinfra_database.client import Store, connect
from optiinfra_database.directory import Directory


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that tasks and routes work with."""

    settings: Settings
    store: Store
    accounts: AccountBook
    directory: Directory
    ledger: RunLedger
    totals: LedgerTotals
    rollups: Rollups
    runs: Runs
    now: Callable[[], datetime]

    def announce_accounts(self) -> None:
        """Tell the readers, through the store, which customers and providers there are."""
        self.directory.announce(
            [
                (account.customer_id, account.provider, account.account_id)
                for account in self.accounts.accounts()
            ]
        )


def build_runtime(settings: Settings, store: Store) -> Runtime:
    """A runtime over an open, migrated store."""
    clock = StoreClock(store)
    ledger = RunLedger(store)
    broker = settings.broker.get_secret_value()
    pipeline = Pipeline(
        ledger=ledger,
        writer=ClickHouseWriter(store, retention=settings.retention),
        inventory=InventoryWriter(store, now=clock),
        retention=settings.retention,
        limiter=connect_budgets(broker),
        notes=connect_notes(broker),
        now=clock,
    )
    return Runtime(
        settings=settings,
        store=store,
        accounts=AccountBook(settings.accounts, options_model),
        directory=Directory(store),
        ledger=ledger,
        now=clock,
        totals=LedgerTotals(store, interval=settings.collect_interval),
        rollups=Rollups(store, retention=settings.retention),
        runs=Runs(
            ledger=ledger,
            pipeline=pipeline,
            coordination=connect_coordination(broker),
            interval=settings.collect_interval,
            now=clock,
        ),
    )


class _Current:
    """The runtime of this process. A Celery worker builds it at its first task, after any
    fork, since connections do not survive one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None

    def get(self) -> Runtime:
        with self._lock:
            if self._runtime is None:
                settings = load_settings()
                # Asks the server for nothing yet: a run that meets an absent store can end.
                store = connect(settings.store.get_secret_value(), create_database=False)
                self._runtime = build_runtime(settings, store)
            return self._runtime

    def use(self, runtime: Runtime | None) -> None:
        with self._lock:
            self._runtime = runtime


_current = _Current()
current_runtime = _current.get
use_runtime = _current.use

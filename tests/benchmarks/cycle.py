"""One ordinary cycle of one account in a process of its own, which is measured from inside.

    python -m benchmarks.cycle aws '{"options": ...}'

Warms up as a collector is warm that has run all day, says so, waits for a line, collects the
inventory and then what fell due in fifteen minutes, and prints what that took as JSON. The
store is a process of its own, as a worker has it: what is measured is the collector alone.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from support.servers import clickhouse_server

from data_collector.coordination.memory import MemoryCoordination
from data_collector.pipeline import Pipeline
from data_collector.runs import Runs
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.run_ledger import Outcome, RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind, ScopeStatus, Window
from optiinfra.logging import configure_logging
from optiinfra.provider import load_provider
from optiinfra_database import connect, migrate

_INTERVAL = timedelta(minutes=15)
_RETENTION = timedelta(days=90)
_SAMPLE_SECONDS = 0.02
#: The buckets of the warm-up are others than those of the cycle that is measured.
_WARM_UP_BEFORE = timedelta(minutes=10)
#: Scopes at once, as in standalone.
_CONCURRENCY = 8


def main() -> None:
    """Warm up, wait, measure."""
    name, described = sys.argv[1], json.loads(sys.argv[2])
    configure_logging("json", level="ERROR")
    account = Account("acme", "bench", name, **described)
    with TemporaryDirectory() as folder, clickhouse_server(Path(folder)) as server:
        store = connect(server.url)
        migrate(store)
        collector = _Collector(store, account)
        collector.warm_up()
        print("warm", flush=True)
        sys.stdin.readline()
        print(json.dumps(collector.measured()), flush=True)
        store.close()


class _Collector:
    """The collector's own parts. No limiter: what is measured is the way, not the waiting."""

    def __init__(self, store: Any, account: Account) -> None:
        self._behind = timedelta()
        self._account = account
        self._ledger = RunLedger(store)
        self._runs = Runs(
            ledger=self._ledger,
            pipeline=Pipeline(
                ledger=self._ledger,
                writer=ClickHouseWriter(store, retention=_RETENTION),
                inventory=InventoryWriter(store),
                retention=_RETENTION,
                now=self._now,
            ),
            coordination=MemoryCoordination(),
            interval=_INTERVAL,
        )

    def _now(self) -> datetime:
        return datetime.now(UTC) - self._behind

    def warm_up(self) -> None:
        """What is asked for once a day is known afterwards, and all but the last interval is
        collected."""
        self._behind = _WARM_UP_BEFORE
        timing = load_provider(self._account.provider).timing
        past = datetime.now(UTC) - timing.delay - 3 * _INTERVAL
        self._run(Kind.RESOURCES)
        self._run(Kind.PERFORMANCE, Window(past, past + timing.period) if timing.history else None)
        run = new_run(self._account, Kind.PERFORMANCE, "bench", None)
        until = datetime.now(UTC) - timing.delay - _INTERVAL
        for scope in load_provider(self._account.provider).scopes(self._account, run.kind):
            self._ledger.record_outcome(
                run,
                Outcome(
                    scope=scope.name,
                    status=ScopeStatus.OK,
                    window_start=until - _INTERVAL,
                    window_end=until,
                    collected_until=until,
                    started_at=until,
                    finished_at=until,
                ),
            )
        self._behind = timedelta()

    def measured(self) -> dict[str, float]:
        """Seconds by kind, rows written, and by how much resident memory grew at most."""
        process, done = psutil.Process(), threading.Event()
        before = peak = process.memory_info().rss

        def watch() -> None:
            nonlocal peak
            while not done.wait(_SAMPLE_SECONDS):
                peak = max(peak, process.memory_info().rss)

        watching = threading.Thread(target=watch)
        watching.start()
        cpu = process.cpu_times()
        seconds, rows = {}, {}
        for kind in (Kind.RESOURCES, Kind.PERFORMANCE):
            started = time.perf_counter()
            rows[kind] = self._run(kind)
            seconds[kind] = time.perf_counter() - started
        spent = process.cpu_times()
        done.set()
        watching.join()
        return {
            "listing_seconds": seconds[Kind.RESOURCES],
            "reading_seconds": seconds[Kind.PERFORMANCE],
            "cpu_seconds": spent.user + spent.system - cpu.user - cpu.system,
            "resources": rows[Kind.RESOURCES],
            "points": rows[Kind.PERFORMANCE],
            "memory": before,
            "growth": peak - before,
        }

    def _run(self, kind: Kind, requested: Window | None = None) -> int:
        """One run of every scope; the rows written."""
        run, _ = self._runs.open(self._account, kind, trigger="bench", requested=requested)
        run, scopes = self._runs.begin(run, self._account)
        with ThreadPoolExecutor(_CONCURRENCY) as pool:
            outcomes = list(
                pool.map(lambda scope: self._runs.collect(run, self._account, scope), scopes)
            )
        for outcome in outcomes:
            if outcome and outcome.status is not ScopeStatus.OK:
                raise RuntimeError(f"{outcome.scope}: {outcome.status} {outcome.error}")
        found = self._ledger.find_run(run.run_id)
        return int(found["rows"]) if found else 0


if __name__ == "__main__":
    main()

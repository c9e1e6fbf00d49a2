"""How a cycle over many accounts shrinks with Celery workers, and what an account of a
hundred times the load costs the others.

Redis is real, workers are processes; the store is the embedded engine behind ClickHouse's
HTTP interface, one process for everybody.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
import redis
from support.plugins import install_provider
from support.processes import environment
from support.servers import clickhouse_server, redis_server

from benchmarks.report import Row
from data_collector.celery_app import app
from optiinfra_database import Store, connect, migrate

_WORKERS = (1, 2, 4)
_THREADS = 8
_ACCOUNTS = int(os.environ.get("OPTIINFRA_BENCH_ACCOUNTS", "2000"))
_INTERVAL_SECONDS = 900
_CALLS = 20
_CALL_SECONDS = 0.05
#: Every account makes as many calls per scope, one after the other.
_SOURCE = f"""
    import time
    from optiinfra.testing.simulated import SimulatedProvider

    class Paced(SimulatedProvider):
        def collect_performance(self, account, scope, window):
            for _ in range({_CALLS}):
                with account.calls.made("read"):
                    time.sleep({_CALL_SECONDS})
            yield from super().collect_performance(account, scope, window)

    provider = Paced(name="paced")
"""


def measure() -> list[Row]:
    """A first cycle of all accounts with each number of workers, then one beside a giant."""
    rows = []
    seconds: dict[int, float] = {}
    for workers in _WORKERS:
        with _fleet(workers, _accounts(_ACCOUNTS)) as fleet:
            seconds[workers], shares = fleet.cycle()
        waiting = _ACCOUNTS * _CALLS * _CALL_SECONDS / (workers * _THREADS)
        rows.append(
            Row(
                f"cycle of {_ACCOUNTS} accounts with {_CALLS} calls of "
                f"{_CALL_SECONDS * 1000:.0f} ms, {workers} workers of {_THREADS} threads",
                f"{seconds[workers]:.0f} s, {seconds[1] / seconds[workers]:.2f} times as fast as "
                f"one worker (waiting for calls alone {waiting:.0f} s; CPU: {shares})",
            )
        )
    with _fleet(2, _accounts(50)) as fleet:
        alone = fleet.latest_finish()
    with _fleet(2, _accounts(50, giant=True)) as fleet:
        beside = fleet.latest_finish()
    delay = beside - alone
    rows.append(
        Row(
            "50 accounts wait for one of 100 times their load",
            f"{delay:.1f} s ({beside:.1f} / {alone:.1f} s)",
            f"< {_INTERVAL_SECONDS} s",
            delay < _INTERVAL_SECONDS,
        )
    )
    return rows


def _accounts(count: int, *, giant: bool = False) -> str:
    lines = ["customers:"]
    if giant:
        lines += ["  a-giant:", "    accounts:"]
        lines += ["      - {id: giant, provider: paced, scopes: 100, resources: 2}"]
    for number in range(count):
        lines += [f"  small-{number}:", "    accounts:"]
        lines += ["      - {id: prod, provider: paced, scopes: 1, resources: 2}"]
    return "\n".join(lines) + "\n"


class _Fleet:
    def __init__(self, store: Store, broker: str, engine: int, workers: list[int]) -> None:
        self._store = store
        self._broker = broker
        self._processes = {"store": [engine], "workers": workers}

    def cycle(self) -> tuple[float, str]:
        """Seconds until every run of one tick has ended, and who used the processors."""
        before = self._cpu()
        started = time.perf_counter()
        self._tick()
        self._until("status NOT IN ('queued', 'running')", _ACCOUNTS)
        seconds = time.perf_counter() - started
        after = self._cpu()
        used = {name: (after[name] - before[name]) / seconds for name in after}
        return seconds, ", ".join(f"{name} {share:.2f} cores" for name, share in used.items())

    def latest_finish(self) -> float:
        """Seconds from the tick until the last small account has ended."""
        started = time.perf_counter()
        self._tick()
        self._until("customer_id LIKE 'small-%' AND status NOT IN ('queued', 'running')", 50)
        return time.perf_counter() - started

    def _tick(self) -> None:
        with app.connection_for_write(self._broker) as connection:
            app.send_task(
                "data_collector.tasks.collect_performance_data_task",
                args=("bench",),
                connection=connection,
            )

    def _until(self, condition: str, count: int) -> None:
        while True:
            ((ended,),) = self._store.query(
                f"SELECT count() FROM collection_runs FINAL WHERE {condition}"
            )
            if ended >= count:
                return
            time.sleep(0.2)

    def _cpu(self) -> dict[str, float]:
        return {
            name: sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
            for name, pids in self._processes.items()
        }


@contextmanager
def _fleet(workers: int, accounts: str) -> Iterator[_Fleet]:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        folder = Path(name)
        (folder / "accounts.yaml").write_text(accounts)
        (folder / "redis").mkdir()
        install_provider(folder / "site", patch, "paced", _SOURCE)
        broker = stack.enter_context(redis_server(folder / "redis"))
        server = stack.enter_context(clickhouse_server(folder / "store"))
        store = connect(server.url)
        stack.callback(store.close)
        migrate(store)
        variables = environment(
            folder, store=server.url, broker=broker.url, accounts=str(folder / "accounts.yaml")
        )
        variables["PYTHONPATH"] += f":{folder / 'site'}"
        processes = [
            stack.enter_context(_worker(folder, variables, number)) for number in range(workers)
        ]
        _wait_for_workers(broker.url, workers)
        yield _Fleet(store, broker.url, server.pid, [process.pid for process in processes])


@contextmanager
def _worker(
    folder: Path, variables: dict[str, str], number: int
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "data_collector.celery_app", "worker"),
            *("--pool", "threads", "--concurrency", str(_THREADS), "-n", f"worker{number}@bench"),
        ],
        cwd=folder,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for_workers(broker: str, count: int) -> None:
    """Each worker listens on a channel once it takes tasks."""
    client = redis.Redis.from_url(broker)
    deadline = time.monotonic() + 120
    while sum(int(one["sub"]) + int(one["psub"]) > 0 for one in client.client_list()) < count:
        if time.monotonic() > deadline:
            raise RuntimeError("the workers do not start")
        time.sleep(0.2)

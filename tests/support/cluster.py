"""Distributed mode as it is deployed: every service, worker and beat a process of its own.

Redis is real; ClickHouse is the embedded engine behind its HTTP interface, or the server that
OPTIINFRA_TEST_STORE names.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import redis
import yaml
from celery.beat import PersistentScheduler
from support.collector import points_of
from support.plugins import install_provider
from support.processes import environment, free_port
from support.servers import NamedServer, Server, clickhouse_server, redis_server

from data_collector.celery_app import app
from optiinfra.accounts import Account
from optiinfra.domain import Window
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store

T = TypeVar("T")

#: Collects in windows of six hours; while the gate is shut, those of the last twelve wait.
GATED = """
    import os
    import time
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta
    from pathlib import Path

    from optiinfra.testing.simulated import TIMING, SimulatedProvider

    GATE = Path(os.environ["GATE"])

    class Gated(SimulatedProvider):
        def collect_performance(self, account, scope, window):
            if window.end > datetime.now(UTC) - timedelta(hours=12) and GATE.exists():
                (GATE / account.account_id).write_text(str(os.getpid()))
                while GATE.exists():
                    time.sleep(0.02)
            yield from super().collect_performance(account, scope, window)

    provider = Gated(name="gated", timing=replace(TIMING, chunk=timedelta(hours=6)))
"""
#: What runs, by its module; two agents read performance, as behind a balancer.
SERVICES = {
    "data_collector": "data_collector",
    "performance_agent": "performance_agent",
    "another_performance_agent": "performance_agent",
    "resource_agent": "resource_agent",
}


class Cluster:
    """Everything that runs, by where it is."""

    def __init__(self, folder: Path, sites: Sequence[Path], broker: Server, store: Server) -> None:
        self.folder = folder
        self.broker = broker
        self.store = store
        self.gate = Gate(folder / "gate")
        self._ports = {name: free_port() for name in SERVICES}
        self._environment = environment(
            folder,
            store=store.url,
            broker=broker.url,
            accounts=str(folder / "accounts.yaml"),
            data_collector_url=self.url("data_collector"),
        )
        self._environment["PYTHONPATH"] += "".join(f":{site}" for site in sites)
        self._environment["GATE"] = str(self.gate.path)
        self._beats = 0

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._ports[service]}"

    @contextmanager
    def services(self) -> Iterator[None]:
        """The collector and the agents, from when they all live."""
        with ExitStack() as stack:
            processes = {
                name: stack.enter_context(
                    self.process("-m", f"{SERVICES[name]}.main", port=str(port))
                )
                for name, port in self._ports.items()
            }
            for name, process in processes.items():
                until(partial(self._lives, name, process))
            yield

    def worker(
        self, pool: str, concurrency: int = 2
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        """A Celery worker; it finds what waits in the queue whenever it comes up."""
        return self.celery("worker", "--pool", pool, "--concurrency", str(concurrency))

    def celery(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A command of Celery's over the collector's application."""
        return self.process("-m", "celery", "-A", "data_collector.celery_app", *arguments)

    @contextmanager
    def beat(self) -> Iterator[subprocess.Popen[str]]:
        """A beat that was away for a while: what it missed is due at once."""
        self._beats += 1
        schedule = str(self.folder / f"schedule-{self._beats}")
        scheduler = PersistentScheduler(app, schedule_filename=schedule)
        for entry in scheduler.schedule.values():
            entry.last_run_at = datetime.now(UTC) - timedelta(hours=2)
        scheduler.close()
        with self.celery("beat", "-s", schedule) as process:
            yield process

    @contextmanager
    def process(self, *arguments: str, port: str = "") -> Iterator[subprocess.Popen[str]]:
        """A Python process in a group of its own, which ends with the block."""
        setting = {"OPTIINFRA_PORT": port} if port else {}
        with (self.folder / "output").open("a") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**self._environment, **setting},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            # Its children live on when it was killed.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _lives(self, service: str, process: subprocess.Popen[str]) -> bool:
        assert process.poll() is None, (self.folder / "output").read_text()
        try:
            return self.read(service, "/health/live").is_success
        except httpx.TransportError:
            return False

    def trigger(self, account: str, kind: str = "performance") -> httpx.Response:
        """Ask the agent of a kind to collect an account."""
        service, path = {
            "performance": ("performance_agent", "performance"),
            "resources": ("resource_agent", "resources"),
        }[kind]
        customer, provider = self._owner(account)
        return httpx.post(
            f"{self.url(service)}/api/v2/{path}/trigger-collection",
            json={"customer_id": customer, "provider": provider, "account_id": account},
            timeout=30,
        )

    def _owner(self, account: str) -> tuple[str, str]:
        """The customer and the provider of an account."""
        book = yaml.safe_load((self.folder / "accounts.yaml").read_text())
        return next(
            (customer, one["provider"])
            for customer, owned in book["customers"].items()
            for one in owned["accounts"]
            if one["id"] == account
        )

    def started(self, account: str, kind: str = "performance") -> str:
        answer = self.trigger(account, kind)
        assert answer.status_code == 202, answer.text
        (run_id,) = answer.json()["run_ids"]
        return str(run_id)

    def read(self, service: str, path: str, **params: str) -> httpx.Response:
        return httpx.get(self.url(service) + path, params=params, timeout=30)

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.read("data_collector", f"/api/v2/collections/{run_id}").json()
        return found

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run when it has ended."""

        def end() -> dict[str, Any] | None:
            run = self.run(run_id)
            return None if run["status"] in ("queued", "running") else run

        return until(end)

    def locks(self, account: str) -> list[bytes]:
        """The locks that are held for an account."""
        coordination = redis.Redis.from_url(self.broker.url)
        return list(coordination.scan_iter(f"optiinfra:lock:*/{account}/*"))

    def scheduled_run(self, customer: str, kind: str) -> str | None:
        """The newest run of a kind that the schedule started."""
        runs = self.read(
            "data_collector", "/api/v2/collections", customer_id=customer, kind=kind
        ).json()["data"]
        return next((run["run_id"] for run in runs if run["trigger"] == "schedule"), None)


class Gate:
    """Holds the gated provider's collections back while it is shut."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def shut(self) -> None:
        self.path.mkdir()

    def open(self) -> None:
        if not self.path.exists():
            return
        for note in self.path.glob("*"):
            note.unlink()
        self.path.rmdir()

    def waiting(self, account: str) -> int:
        """The process that waits before the gate with a scope of this account."""
        note = self.path / account
        return int(until(lambda: note.read_text() if note.exists() else ""))


def until(look: Callable[[], T | None]) -> T:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came in a minute"
        time.sleep(0.05)
    return found


@contextmanager
def running_cluster(
    tmp_path_factory: pytest.TempPathFactory, accounts: str, **providers: str
) -> Iterator[Cluster]:
    """Redis, the store, the collector and the agents, with these accounts and, by name, the
    sources of providers beside `gated`."""
    folder, site = tmp_path_factory.mktemp("cluster"), tmp_path_factory.mktemp("site")
    (folder / "accounts.yaml").write_text(accounts)
    (folder / "redis").mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch, ExitStack() as stack:
        for name, source in {"gated": GATED, **providers}.items():
            install_provider(site / name, monkeypatch, name, source)
        broker = stack.enter_context(redis_server(folder / "redis"))
        named = os.environ.get("OPTIINFRA_TEST_STORE", "")
        store = stack.enter_context(
            NamedServer(named)
            if named.startswith("clickhouse")
            else clickhouse_server(folder / "store")
        )
        made = Cluster(folder, [site / name for name in ("gated", *providers)], broker, store)
        stack.enter_context(made.services())
        yield made


def assert_every_point_is_there_once(store: Store, account_id: str) -> None:
    """What the provider has of the settled hours that the account's first run reaches."""
    now = datetime.now(UTC)
    account = Account("acme", account_id, "gated", options={"scopes": 1})
    window = Window(now - timedelta(hours=20), now - timedelta(hours=1))
    truth = points_of(SimulatedProvider(name="gated").truth(account, window, now))
    rows = store.query(
        "SELECT metric_name, resource_id, toUnixTimestamp(timestamp), metric_value "
        "FROM performance_metrics FINAL WHERE account_id = {account:String} "
        "AND timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}",
        {"account": account_id, "start": window.start, "end": window.end},
    )
    assert len(rows) == len(truth) > 1000
    assert {(metric, resource, time): value for metric, resource, time, value in rows} == truth

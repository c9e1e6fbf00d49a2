"""Distributed mode as it is deployed: every service, worker and beat a process of its own.

Redis is real; ClickHouse is the embedded engine behind its HTTP interface.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import redis
from celery.beat import PersistentScheduler
from support.collector import points_of
from support.plugins import install_provider
from support.processes import environment, free_port
from support.servers import Server, clickhouse_server, redis_server

from data_collector.celery_app import app
from optiinfra.accounts import Account
from optiinfra.domain import Window
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store, connect

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
ACCOUNTS = """
customers:
  local:
    accounts:
      - {id: this-host, provider: host}
  acme:
    accounts:
      - {id: whole, provider: gated, scopes: 2}
      - {id: child-killed, provider: gated, scopes: 1}
      - {id: worker-killed, provider: gated, scopes: 1}
      - {id: broker-away, provider: gated, scopes: 1}
      - {id: store-away, provider: gated, scopes: 1}
      - {id: scheduled, provider: gated, scopes: 1}
"""


class Cluster:
    """Everything that runs, by where it is."""

    def __init__(self, folder: Path, site: Path, broker: Server, store: Server) -> None:
        self.folder = folder
        self.broker = broker
        self.store = store
        self.gate = Gate(folder / "gate")
        self._ports = {
            name: free_port() for name in ("data_collector", "performance_agent", "resource_agent")
        }
        self._environment = environment(
            folder,
            store=store.url,
            broker=broker.url,
            accounts=str(folder / "accounts.yaml"),
            data_collector_url=self.url("data_collector"),
        )
        self._environment["PYTHONPATH"] += f":{site}"
        self._environment["GATE"] = str(self.gate.path)

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._ports[service]}"

    @contextmanager
    def services(self) -> Iterator[None]:
        """The collector and the agents, from when they all live."""
        with ExitStack() as stack:
            processes = {
                name: stack.enter_context(self.process("-m", f"{name}.main", port=str(port)))
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
        customer, provider = ("local", "host") if account == "this-host" else ("acme", "gated")
        return httpx.post(
            f"{self.url(service)}/api/v2/{path}/trigger-collection",
            json={"customer_id": customer, "provider": provider, "account_id": account},
            timeout=30,
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Redis, the store, the collector and both agents. Workers come and go with the tests."""
    folder, site = tmp_path_factory.mktemp("cluster"), tmp_path_factory.mktemp("site")
    (folder / "accounts.yaml").write_text(ACCOUNTS)
    (folder / "redis").mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch, ExitStack() as stack:
        install_provider(site, monkeypatch, "gated", GATED)
        broker = stack.enter_context(redis_server(folder / "redis"))
        store = stack.enter_context(clickhouse_server(folder / "store"))
        made = Cluster(folder, site, broker, store)
        stack.enter_context(made.services())
        yield made


@pytest.fixture
def gate(cluster: Cluster) -> Iterator[Gate]:
    """The gate, open again after the test."""
    yield cluster.gate
    cluster.gate.open()


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Iterator[Store]:
    """A look into the cluster's store past all its services."""
    opened = connect(cluster.store.url)
    yield opened
    opened.close()


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


def test_a_trigger_is_collected_by_a_worker_and_served_by_the_agents(cluster):
    with cluster.worker("prefork"):
        runs = [
            cluster.started(account, kind)
            for account in ("whole", "this-host")
            for kind in ("performance", "resources")
        ]
        for run_id in runs:
            run = cluster.ended(run_id)
            assert run["status"] == "succeeded", run
            assert run["rows"] > 0
    latest = cluster.read("performance_agent", "/api/v2/performance/acme/gated/latest")
    assert {row["metric_name"] for row in latest.json()["data"]} == {
        "cpu_utilization",
        "memory_utilization",
        "network_in_bytes_per_sec",
    }
    csv = cluster.read(
        "performance_agent", "/api/v2/performance/acme/gated/metrics", format="csv", limit="10000"
    )
    assert csv.text.count("\n") > 1000
    machines = cluster.read("resource_agent", "/api/v2/resources/acme/gated/list").json()["data"]
    assert {one["resource_type"] for one in machines} == {"compute_instance"}
    hosts = cluster.read("resource_agent", "/api/v2/resources/local/host/by-type").json()["data"]
    assert "host" in {one["resource_type"] for one in hosts}
    assert cluster.read("performance_agent", "/health/ready").status_code == 200


def test_a_scope_whose_process_is_killed_is_delivered_again(cluster, gate, store):
    gate.shut()
    with cluster.worker("prefork"):
        run_id = cluster.started("child-killed")
        os.kill(gate.waiting("child-killed"), signal.SIGKILL)
        gate.open()
        run = cluster.ended(run_id)
    assert run["status"] == "succeeded", run
    assert_every_point_is_there_once(store, "child-killed")


def test_a_run_whose_worker_is_killed_is_closed_by_the_next_one(cluster, gate, store):
    gate.shut()
    with cluster.worker("threads") as worker:
        dead = cluster.started("worker-killed")
        assert gate.waiting("worker-killed") == worker.pid
        worker.kill()
        worker.wait()
    gate.open()
    assert cluster.started("worker-killed") == dead, "its lock outlives it for a while"
    # Its lifetime is the schedule's interval, which no test waits for.
    (lock,) = cluster.locks("worker-killed")
    coordination = redis.Redis.from_url(cluster.broker.url)
    assert 0 < coordination.pttl(lock) <= 16 * 60 * 1000
    coordination.delete(lock)
    with cluster.worker("threads"):
        following = cluster.started("worker-killed")
        assert following != dead
        assert cluster.ended(following)["status"] == "succeeded"
    closed = cluster.run(dead)
    assert closed["status"] == "partial", "two windows were in the store before the kill"
    assert closed["error"] == "ended before it was finished"
    assert_every_point_is_there_once(store, "worker-killed")


def test_a_broker_that_is_away_is_a_503_until_it_is_back(cluster):
    with cluster.worker("threads"):
        cluster.ended(cluster.started("broker-away"))
        cluster.broker.stop()
        for _ in range(2):
            away = cluster.trigger("broker-away")
            assert away.status_code == 503, away.text
            assert int(away.headers["retry-after"]) > 0
            assert away.headers["content-type"] == "application/problem+json"
        cluster.broker.start()
        # The worker finds its way back as the collector does.
        assert cluster.ended(cluster.started("broker-away"))["status"] == "succeeded"


def test_a_store_that_is_away_is_a_503_until_it_is_back(cluster):
    asked = [
        ("performance_agent", "/api/v2/performance/acme/gated/latest"),
        ("performance_agent", "/api/v2/performance/acme/gated/trends"),
        ("resource_agent", "/api/v2/resources/acme/gated/list"),
        ("data_collector", "/api/v2/accounts/acme"),
    ]
    cluster.store.stop()
    for service, path in asked:
        away = cluster.read(service, path)
        assert away.status_code == 503, (service, away.text)
        assert int(away.headers["retry-after"]) > 0
        ready = cluster.read(service, "/health/ready")
        assert ready.status_code == 503
        assert "store" in ready.json()["not_ready"]
        assert cluster.read(service, "/health/live").status_code == 200
    assert cluster.trigger("store-away").status_code == 503
    cluster.store.start()
    for service, path in asked:
        assert cluster.read(service, path).status_code == 200
        assert cluster.read(service, "/health/ready").status_code == 200


def test_a_store_that_goes_away_under_a_worker_ends_its_run_and_nothing_else(cluster, gate, store):
    queued = cluster.started("store-away")
    cluster.store.stop()
    with cluster.worker("threads"):
        until(lambda: not cluster.locks("store-away"))
        cluster.store.start()
        gate.shut()
        cut_off = cluster.started("store-away")
        assert cluster.run(queued)["error"] == "ended before it was finished"
        gate.waiting("store-away")
        cluster.store.stop()
        gate.open()
        until(lambda: not cluster.locks("store-away"))
        cluster.store.start()
        following = cluster.started("store-away")
        assert len({queued, cut_off, following}) == 3
        assert cluster.ended(following)["status"] == "succeeded"
    assert cluster.run(cut_off)["status"] == "partial"
    assert_every_point_is_there_once(store, "store-away")


def test_what_beat_started_is_not_started_twice(cluster, gate):
    """The worker opens the runs of a tick; the collector's API asks for one of them."""
    # A tick that beat missed while it was away is due at once.
    schedule = cluster.folder / "schedule"
    scheduler = PersistentScheduler(app, schedule_filename=str(schedule))
    for entry in scheduler.schedule.values():
        entry.last_run_at = datetime.now(UTC) - timedelta(hours=2)
    scheduler.close()
    gate.shut()
    with cluster.worker("threads", concurrency=8), cluster.celery("beat", "-s", str(schedule)):
        gate.waiting("scheduled")
        run_id = cluster.started("scheduled")
        assert cluster.run(run_id)["trigger"] == "schedule"
        assert cluster.started("scheduled") == run_id
        gate.open()
        assert cluster.ended(run_id)["status"] == "succeeded"
        for kind in ("performance", "resources"):
            scheduled = until(partial(cluster.scheduled_run, "local", kind))
            assert cluster.ended(scheduled)["status"] == "succeeded"
    assert cluster.started("scheduled") != run_id

"""Distributed mode as it is deployed: every service, worker and beat a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest
import redis
from support.cluster import (
    Cluster,
    Gate,
    assert_every_point_is_there_once,
    running_cluster,
    until,
)

from optiinfra_database import Store, connect

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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Redis, the store, the collector and the agents. Workers come and go with the tests."""
    with running_cluster(tmp_path_factory, ACCOUNTS) as running:
        yield running


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
    gate.shut()
    with cluster.worker("threads", concurrency=8), cluster.beat():
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

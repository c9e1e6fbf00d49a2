"""Locks and the scopes of a run: the same promises in memory and over a real Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from data_collector.coordination import (
    Coordination,
    MemoryCoordination,
    RedisCoordination,
    connect_coordination,
)
from optiinfra.errors import BrokerUnavailableError

LONG = timedelta(minutes=5)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(
        [*command, "--dir", str(tmp_path_factory.mktemp("redis"))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Ready to accept connections" in line:
            break
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


@pytest.fixture(params=["memory", "redis"])
def coordination(request: pytest.FixtureRequest) -> Coordination:
    if request.param == "memory":
        return connect_coordination("memory://")
    import redis

    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return connect_coordination(url)


def test_a_lock_has_one_holder_until_it_is_released(coordination):
    assert coordination.acquire("acme/aws", "first", LONG) == "first"
    assert coordination.acquire("acme/aws", "second", LONG) == "first"
    assert coordination.acquire("acme/gcp", "second", LONG) == "second"
    coordination.release("acme/aws", "second")
    assert coordination.acquire("acme/aws", "third", LONG) == "first"
    coordination.release("acme/aws", "first")
    assert coordination.acquire("acme/aws", "third", LONG) == "third"


def test_of_many_at_once_exactly_one_gets_the_lock(coordination):
    with ThreadPoolExecutor(8) as pool:
        holders = list(pool.map(lambda n: coordination.acquire("x", f"owner-{n}", LONG), range(32)))
    assert len(set(holders)) == 1


def test_a_lock_outlives_its_holder_by_its_lifetime_and_no_longer():
    now = [0.0]
    coordination = MemoryCoordination(clock=lambda: now[0])
    coordination.acquire("x", "dead", timedelta(seconds=60))
    now[0] = 59.9
    assert coordination.acquire("x", "next", LONG) == "dead"
    now[0] = 60.0
    assert coordination.acquire("x", "next", LONG) == "next"


def test_only_the_last_scope_ends_a_run_however_often_each_is_delivered(coordination):
    coordination.expect("run", ["a", "b", "c"], LONG)
    assert coordination.finished("run", "a") is False
    assert coordination.finished("run", "a") is False
    assert coordination.finished("run", "b") is False
    assert coordination.finished("run", "c") is True
    assert coordination.finished("run", "c") is False
    assert coordination.finished("unknown", "a") is False


def test_a_stopped_run_says_why_and_keeps_the_first_reason(coordination):
    assert coordination.stopped("run") == ""
    coordination.stop("run", "credentials expired")
    coordination.stop("run", "something later")
    assert coordination.stopped("run") == "credentials expired"
    assert coordination.stopped("other") == ""


def test_a_redis_that_is_away_is_told_as_such():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    away = RedisCoordination(f"redis://127.0.0.1:{port}/0")
    with pytest.raises(BrokerUnavailableError):
        away.acquire("x", "me", LONG)

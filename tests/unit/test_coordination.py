"""Locks and the scopes of a run: the same promises in memory and over a real Redis."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from data_collector.coordination import Coordination, connect_coordination, connect_notes
from data_collector.coordination.contract import PATIENCE_SECONDS
from data_collector.coordination.memory import MemoryBudgets, MemoryCoordination
from data_collector.coordination.over_redis import RedisBudgets, RedisCoordination
from optiinfra.calls import Limit, Limiter
from optiinfra.errors import BrokerUnavailableError, ThrottledError
from optiinfra.notes import DraftNotes, MemoryNotes, Notes

LONG = timedelta(minutes=5)


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


def test_a_holder_that_comes_again_holds_on_for_a_new_lifetime():
    now = [0.0]
    coordination = MemoryCoordination(clock=lambda: now[0])
    coordination.acquire("x", "alive", timedelta(seconds=60))
    now[0] = 50.0
    assert coordination.acquire("x", "alive", timedelta(seconds=60)) == "alive"
    now[0] = 100.0
    assert coordination.acquire("x", "next", LONG) == "alive"


def test_only_the_last_scope_ends_a_run_however_often_each_is_delivered(coordination):
    coordination.expect("run", ["a", "b", "c"], LONG)
    assert coordination.expects("run", "a")
    assert coordination.finished("run", "a") is False
    assert coordination.finished("run", "a") is False
    assert coordination.finished("run", "b") is False
    assert coordination.finished("run", "c") is True
    assert coordination.finished("run", "c") is False
    assert coordination.finished("unknown", "a") is False
    assert not coordination.expects("run", "a")
    assert not coordination.expects("unknown", "a")


def test_attempts_at_a_scope_are_counted_for_each_run(coordination):
    assert [coordination.attempt("run-1", "a") for _ in range(3)] == [1, 2, 3]
    assert coordination.attempt("run-1", "b") == 1
    assert coordination.attempt("run-2", "a") == 1


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


LIMIT = Limit("vultr/source-address", per_second=100.0)


class Sleeps(list[float]):
    """Remembers how long a caller was made to wait, without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture(params=["memory", "redis"])
def budgets(request: pytest.FixtureRequest) -> tuple[Limiter, Sleeps]:
    sleeps = Sleeps()
    if request.param == "memory":
        return MemoryBudgets(clock=lambda: 0.0, sleep=sleeps), sleeps
    import redis

    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return RedisBudgets(url, sleep=sleeps), sleeps


def test_calls_are_spread_at_the_limits_pace(budgets):
    limiter, sleeps = budgets
    for _ in range(50):
        limiter.wait(LIMIT)
    assert sleeps[0] == 0
    # Over Redis real time passes meanwhile, so a turn may be nearer, never further.
    assert 0.2 < sleeps[-1] <= 0.49 + 1e-6
    assert sleeps == sorted(sleeps)


def test_a_throttled_limit_pauses_halves_its_pace_and_recovers_slowly(budgets):
    limiter, sleeps = budgets
    limiter.throttled(LIMIT, timedelta(seconds=5))
    limiter.wait(LIMIT)
    limiter.wait(LIMIT)
    assert 4.5 < sleeps[0] <= 5
    assert sleeps[1] - sleeps[0] > 0.015, "the pace is half of 100 a second"
    for _ in range(20):
        limiter.succeeded(LIMIT)
    sleeps.clear()
    limiter.wait(LIMIT)
    limiter.wait(LIMIT)
    assert sleeps[1] - sleeps[0] < 0.0101, "the pace is the limit's again"


def test_who_would_wait_too_long_is_told_and_others_limits_are_untouched(budgets):
    limiter, sleeps = budgets
    limiter.throttled(LIMIT, timedelta(seconds=PATIENCE_SECONDS + 5))
    with pytest.raises(ThrottledError, match="vultr/source-address"):
        limiter.wait(LIMIT)
    limiter.wait(Limit("aws/1/us-east-1/ec2", 100.0))
    assert sleeps[-1] == 0


def test_however_often_throttled_a_limit_still_moves(budgets):
    limiter, sleeps = budgets
    for _ in range(50):
        limiter.throttled(LIMIT, None)
    limiter.wait(LIMIT)
    limiter.wait(LIMIT)
    assert sleeps[-1] <= 64 / 100 + 1e-6


@pytest.fixture(params=["memory", "redis"])
def notes(request: pytest.FixtureRequest) -> Notes:
    if request.param == "memory":
        return connect_notes("memory://")
    import redis

    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return connect_notes(url)


def test_a_note_is_there_until_another_takes_its_place(notes):
    assert notes.get("bandwidth/acme") is None
    notes.put("bandwidth/acme", "monday, ümlaut", LONG)
    notes.put("bandwidth/globex", "never", LONG)
    assert notes.get("bandwidth/acme") == "monday, ümlaut"
    notes.put("bandwidth/acme", "tuesday", LONG)
    assert notes.get("bandwidth/acme") == "tuesday"


def test_processes_share_their_notes(redis_url):
    connect_notes(redis_url).put("bandwidth/shared", "monday", LONG)
    assert connect_notes(redis_url).get("bandwidth/shared") == "monday"


def test_notes_are_forgotten_after_their_lifetime():
    now = 0.0
    notes = MemoryNotes(lambda: now)
    notes.put("short", "value", timedelta(seconds=5))
    notes.put("long", "value", timedelta(seconds=500))
    now = 10.0
    assert (notes.get("short"), notes.get("long")) == (None, "value")


def test_a_redis_that_is_away_remembers_nothing_and_stops_nobody():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    away = connect_notes(f"redis://127.0.0.1:{port}/0")
    away.put("bandwidth/acme", "monday", LONG)
    assert away.get("bandwidth/acme") is None


def test_what_a_collection_notes_is_seen_once_it_is_kept():
    shared = MemoryNotes()
    draft = DraftNotes(shared)
    draft.put("bandwidth/acme", "monday", LONG)
    assert (draft.get("bandwidth/acme"), shared.get("bandwidth/acme")) == ("monday", None)
    draft.keep()
    assert shared.get("bandwidth/acme") == "monday"

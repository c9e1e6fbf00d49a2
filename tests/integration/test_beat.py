"""The schedule in the hands of several beats: every tick is sent, and sent once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from celery.utils.time import maybe_make_aware

from data_collector.celery_app import QUEUE, SharedScheduler, app, configuration
from optiinfra.settings import load_settings

Beat = Callable[[str], SharedScheduler]
#: Where Redis holds the locks of beat's entries.
LOCKS = "optiinfra:lock:beat/*"


@pytest.fixture
def broker(redis_url: str) -> redis.Redis:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    return client


@pytest.fixture
def beat(
    broker: redis.Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Beat:
    """Makes a beat with a schedule of its own, all of whose entries are due."""
    monkeypatch.setenv("OPTIINFRA_BROKER", redis_url)
    settings = configuration(load_settings())
    for name in ("broker_url", "beat_schedule"):
        monkeypatch.setitem(app.conf, name, settings[name])

    def make(name: str) -> SharedScheduler:
        return SharedScheduler(app, schedule_filename=str(tmp_path / name))

    return make


def miss_a_tick(beat: SharedScheduler) -> None:
    """Make every entry due, as the wall clock does to all beats at once."""
    for entry in beat.schedule.values():
        entry.last_run_at = maybe_make_aware(datetime.now(UTC) - timedelta(hours=2))
    beat.populate_heap()


def tick(*beats: SharedScheduler) -> None:
    """Let the beats take turns until none has anything due."""
    for one in beats:
        miss_a_tick(one)
    for _ in app.conf.beat_schedule:
        for one in beats:
            one.tick()


def test_two_beats_send_each_entry_of_a_tick_once(beat, broker):
    tick(beat("first"), beat("second"))
    assert broker.llen(QUEUE) == len(app.conf.beat_schedule)


def test_when_one_beat_dies_the_other_sends_the_next_tick(beat, broker):
    first, second = beat("first"), beat("second")
    tick(first, second)
    broker.delete(QUEUE)
    # The locks' time is up before the next tick, which the first does not live to see.
    lifetimes = [broker.pttl(name) for name in broker.scan_iter(LOCKS)]
    interval = load_settings().collect_interval
    assert len(lifetimes) == len(app.conf.beat_schedule)
    assert all(
        0 < milliseconds < interval / timedelta(milliseconds=1) for milliseconds in lifetimes
    )
    broker.delete(*broker.scan_iter(LOCKS))
    tick(second)
    assert broker.llen(QUEUE) == len(app.conf.beat_schedule)


def test_a_tick_that_meets_no_broker_leaves_beat_running(beat, broker, monkeypatch):
    one = beat("first")
    monkeypatch.setattr(one, "_coordination", type(one._coordination)("redis://127.0.0.1:1/0"))
    tick(one)
    assert broker.llen(QUEUE) == 0


def test_beat_keeps_the_shared_schedule_unless_told_otherwise():
    assert configuration(load_settings())["beat_scheduler"] == (
        f"{SharedScheduler.__module__}:{SharedScheduler.__name__}"
    )

"""Clocks that are wrong and collectors that are held up: the newest reading wins all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from support.collector import RETENTION, Clock, Points, TestCollector, points_of

from data_collector.storage.rollups import Rollups
from data_collector.storage.run_ledger import RunLedger, ended, new_run
from data_collector.storage.store_clock import StoreClock
from optiinfra.accounts import Account
from optiinfra.domain import Gap, Kind, Resource, RunStatus, Scope, Series, Window, floor_time
from optiinfra.errors import StoreUnavailableError
from optiinfra.testing.simulated import TIMING, SimulatedProvider
from optiinfra_database import Store

HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)
ACCOUNT = Account("acme", "prod", "simulated", options={"resources": 3, "scopes": 1})


def truth(since: datetime, now: datetime) -> Points:
    """What a collector that began at `since` must have stored by `now`."""
    window = Window(
        floor_time(since - timedelta(days=1), TIMING.period),
        floor_time(now - TIMING.delay, TIMING.period),
    )
    return points_of(SimulatedProvider().truth(ACCOUNT, window, now))


@dataclass
class HeldUp(SimulatedProvider):
    """Has its answer, but then something else happens before anybody may take it."""

    meanwhile: Callable[[], object] = lambda: None

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        answer = list(super().collect_performance(account, scope, window))
        self.meanwhile()
        yield from answer


@pytest.mark.parametrize("ahead", [timedelta(), 12 * HOUR])
def test_a_collector_that_was_held_up_does_not_undo_what_was_read_since(store, ahead):
    """Nor does one soon after a clock was ahead, when every version is later than its time."""
    clock = Clock()
    began = clock.now
    sound = TestCollector(store, SimulatedProvider(clock=clock), ACCOUNT, clock)
    if ahead:
        wrong = Clock(clock.now + ahead)
        TestCollector(store, SimulatedProvider(clock=clock), ACCOUNT, wrong).collect(
            Kind.PERFORMANCE
        )
        sound.collect(Kind.PERFORMANCE)
        clock.forward(QUARTER)

    def hours_pass() -> None:
        for _ in range(8):
            clock.forward(QUARTER)
            sound.collect(Kind.PERFORMANCE)

    TestCollector(store, HeldUp(clock=clock, meanwhile=hours_pass), ACCOUNT, clock).collect(
        Kind.PERFORMANCE
    )
    assert sound.stored_points() == truth(began, clock.now)
    ((unsettled,),) = store.query(
        "SELECT count() FROM performance_metrics FINAL WHERE NOT settled "
        "AND timestamp < toDateTime({until:UInt32})",
        {"until": int((clock.now - HOUR).timestamp())},
    )
    assert unsettled == 0


@pytest.mark.parametrize("ahead", [HOUR, 8 * HOUR, 72 * HOUR])
def test_a_clock_that_was_ahead_hides_nothing_from_who_comes_after(store, ahead):
    """As a machine's is that starts with the wrong zone in its hardware clock."""
    real = Clock(datetime.now(UTC) - timedelta(days=9))
    began = real.now
    provider = SimulatedProvider(clock=real)
    rollups = Rollups(store, retention=RETENTION)
    sound = TestCollector(store, provider, ACCOUNT, real)
    wrong = Clock(real.now + ahead)
    for collector in (sound, TestCollector(store, provider, ACCOUNT, wrong)):
        for kind in provider.kinds:
            collector.collect(kind)
        rollups.refresh(collector.clock.now)

    while real.now < began + ahead + 3 * HOUR:
        real.forward(max(QUARTER, ahead / 8))
        for kind in provider.kinds:
            sound.collect(kind)
        rollups.refresh(real.now)
        mark = sound.watermark("simulated/prod/part-0")
        assert mark is not None
        assert mark <= real.now
    stored = sound.stored_points()
    missing = truth(began, real.now).keys() - stored.keys()
    assert not missing, f"{len(missing)} points are lost, as {sorted(missing)[:3]}"
    assert {key: stored[key] for key in truth(began, real.now)} == truth(began, real.now)

    ((billed,),) = store.query("SELECT sum(arraySum(mapValues(api_calls))) FROM collection_usage")
    assert billed == provider._asked, "what was taken back is billed once all the same"

    listed = {
        one.resource_id
        for scope in provider.scopes(ACCOUNT, Kind.RESOURCES)
        for one in provider.list_resources(ACCOUNT, scope)
        if isinstance(one, Resource)
    }
    there = store.query("SELECT resource_id FROM resources_latest FINAL WHERE deleted_at = 0")
    assert {resource_id for (resource_id,) in there} == listed
    last = floor_time(real.now, HOUR)
    assert _hours(store, "SELECT bucket, sum(points) FROM metrics_1h FINAL", last) == _hours(
        store,
        "SELECT toStartOfHour(timestamp) AS bucket, count() FROM performance_metrics FINAL",
        last,
    )


def test_claims_whose_time_has_come_are_not_trusted_once_a_clock_was_found_ahead(store):
    """It stays an hour ahead for three, so that most of what it claimed looks honest by then."""
    real = Clock()
    began = real.now
    provider = SimulatedProvider(clock=real)
    sound = TestCollector(store, provider, ACCOUNT, real)
    sound.collect(Kind.PERFORMANCE)
    for _ in range(12):
        real.forward(QUARTER)
        TestCollector(store, provider, ACCOUNT, Clock(real.now + HOUR)).collect(Kind.PERFORMANCE)
    real.forward(QUARTER)
    sound.collect(Kind.PERFORMANCE)
    assert sound.stored_points() == truth(began, real.now)


def test_what_a_clock_that_was_ahead_wrote_without_a_word_does_not_stand(store):
    """The worker died between the points and their outcome; the run is all there is of it."""
    real = Clock()
    began = real.now
    provider = SimulatedProvider(clock=real)
    ledger = RunLedger(store)
    ahead = Clock(real.now + 12 * HOUR)
    lost = TestCollector(store, provider, ACCOUNT, ahead)
    run = replace(
        new_run(ACCOUNT, Kind.PERFORMANCE, "test", None, now=ahead.now),
        status=RunStatus.RUNNING,
        started_at=ahead.now,
    )
    ledger.record_run(run)
    (scope,) = provider.scopes(ACCOUNT, Kind.PERFORMANCE)
    with (
        patch.object(lost.ledger, "record_outcome", side_effect=StoreUnavailableError("away")),
        pytest.raises(StoreUnavailableError),
    ):
        lost.pipeline.collect(run, provider, ACCOUNT, scope, deadline=ahead.now + HOUR)
    assert lost.stored_points(), "points are there, and no outcome"

    ledger.record_run(ended(run, RunStatus.FAILED, "", real.now))
    sound = TestCollector(store, provider, ACCOUNT, real)
    while real.now < began + 2 * HOUR:
        real.forward(QUARTER)
        sound.collect(Kind.PERFORMANCE)
    assert sound.stored_points() == truth(began + QUARTER, real.now)
    ((unsettled,),) = store.query(
        "SELECT count() FROM performance_metrics FINAL WHERE NOT settled "
        "AND timestamp >= toDateTime({from:UInt32})",
        {"from": int((real.now - timedelta(minutes=20)).timestamp())},
    )
    assert unsettled > 0, "what was read since says so itself"


def _hours(store: Store, select: str, until: datetime) -> list[tuple[object, ...]]:
    rows = store.query(
        f"{select} WHERE bucket < {{until:DateTime('UTC')}} GROUP BY bucket ORDER BY bucket",
        {"until": until},
    )
    assert rows
    return [tuple(row) for row in rows]


class Slow(Store):
    """A store that takes a minute to answer what time it is, then or before."""

    def __init__(self, store: Store, clock: Clock, *, before: float, after: float) -> None:
        self.__dict__ = store.__dict__.copy()
        self._clock, self._before, self._after = clock, before, after

    def query(self, sql: str, params: object = None) -> list[tuple[object, ...]]:
        self._clock.forward(timedelta(seconds=self._before))
        answer = self._clock.now
        self._clock.forward(timedelta(seconds=self._after))
        return [(answer,)]


@pytest.mark.parametrize(("before", "after"), [(55.0, 0.0), (0.0, 55.0), (30.0, 30.0)])
def test_the_stores_clock_is_never_ahead_of_a_store_that_answers_late(store, before, after):
    real = Clock()
    slow = Slow(store, real, before=before, after=after)

    def monotonic() -> float:
        return real.now.timestamp()

    clock = StoreClock(slow, monotonic=monotonic)
    assert clock() == real.now - timedelta(seconds=after)
    real.forward(timedelta(seconds=30))
    assert clock() == real.now - timedelta(seconds=after)


class Away(Store):
    """A store that does not answer."""

    def __init__(self, store: Store) -> None:
        self.__dict__ = store.__dict__.copy()

    def query(self, sql: str, params: object = None) -> list[tuple[object, ...]]:
        raise StoreUnavailableError("away")


def test_the_stores_clock_goes_on_by_itself_and_is_looked_at_again(store):
    elapsed = [0.0]
    clock = StoreClock(store, monotonic=lambda: elapsed[0])
    first = clock()
    assert abs(first - datetime.now(UTC)) < HOUR
    elapsed[0] = 30.0
    assert clock() == first + timedelta(seconds=30), "not by the wall clock"
    elapsed[0] = 7200.0
    assert clock() < first + HOUR, "a monotonic clock that runs wild is put right"


def test_the_stores_clock_goes_on_while_the_store_is_away(store):
    elapsed = [0.0]
    clock = StoreClock(store, monotonic=lambda: elapsed[0])
    first = clock()
    clock._store = Away(store)
    elapsed[0] = 3600.0
    assert clock() == first + HOUR
    with pytest.raises(StoreUnavailableError):
        StoreClock(Away(store))()

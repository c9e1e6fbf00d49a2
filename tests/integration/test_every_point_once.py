"""Every settled point, once: over any schedule, with faults, overlaps and corrections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.collector import RETENTION, Clock, Points, TestCollector, points_of

from data_collector.storage.rollups import Rollups
from optiinfra.accounts import Account
from optiinfra.domain import Gap, GapReason, Kind, Scope, ScopeStatus, Series, Window, floor_time
from optiinfra.testing.simulated import SimulatedProvider

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def collector(store, clock, **options) -> TestCollector:
    account = Account("acme", "prod", "simulated", options={"resources": 3, **options})
    return TestCollector(store, SimulatedProvider(clock=clock), account, clock)


def truth(of: TestCollector, window: Window) -> Points:
    provider = of.provider
    assert isinstance(provider, SimulatedProvider)
    return points_of(provider.truth(of.account, window, of.clock()))


def collected(of: TestCollector, began: Clock) -> Window:
    """From the first reach of the first collection to what is published now."""
    period = timedelta(minutes=5)
    return Window(
        floor_time(began.now - timedelta(days=1), period),
        floor_time(of.clock() - timedelta(minutes=3), period),
    )


ticks = st.lists(
    st.tuples(
        st.integers(1, 200),  # minutes since the tick before
        st.sampled_from(["run", "run", "run twice", "request", "throttled", "cut off"]),
        st.integers(0, 2000),  # minutes back that a request asks for
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ticks=ticks, seed=st.integers(0, 10_000))
def test_over_any_schedule_the_store_holds_each_point_once_with_its_last_value(store, ticks, seed):
    for table in ("performance_metrics", "collection_outcomes"):
        store.command(f"TRUNCATE TABLE {table}")
    clock = Clock()
    began = Clock(clock.now)
    kind = collector(store, clock, seed=seed)
    troubled = {
        "throttled": collector(store, clock, seed=seed, fail_rate=1.0),
        "cut off": collector(store, clock, seed=seed, drop_rate=1.0),
    }
    kind.collect(Kind.PERFORMANCE)
    for minutes, what, back in ticks:
        clock.forward(minutes * MINUTE)
        if what in troubled:
            troubled[what].collect(Kind.PERFORMANCE)
        elif what == "request":
            end = clock.now - back * MINUTE
            if end - 2 * HOUR > began.now - timedelta(days=1):
                kind.collect(Kind.PERFORMANCE, Window(end - 2 * HOUR, end))
        else:
            for _ in range(2 if what == "run twice" else 1):
                kind.collect(Kind.PERFORMANCE)
    clock.forward(MINUTE)
    kind.collect(Kind.PERFORMANCE)

    assert kind.stored_points() == truth(kind, collected(kind, began))


def test_an_outage_is_caught_up_from_the_providers_own_history(store):
    clock = Clock()
    began = Clock(clock.now)
    kind = collector(store, clock)
    kind.collect(Kind.PERFORMANCE)
    clock.forward(50 * HOUR)
    outcomes = kind.collect(Kind.PERFORMANCE)
    assert {outcome.status for outcome in outcomes} == {ScopeStatus.OK}
    assert kind.stored_points() == truth(kind, collected(kind, began))


class Slow(SimulatedProvider):
    """Each window takes it longer than a run may last."""

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        yield from super().collect_performance(account, scope, window)
        assert isinstance(self.clock, Clock)
        self.clock.forward(timedelta(minutes=11))


def test_a_backlog_ends_at_the_deadline_and_goes_on_where_it_stopped(store):
    clock = Clock()
    quick = collector(store, clock, scopes=1)
    slow = TestCollector(store, Slow(clock=clock), quick.account, clock)

    def collected_until(kind: TestCollector) -> datetime:
        kind.collect(Kind.PERFORMANCE)
        mark = kind.watermark("simulated/prod/part-0")
        assert mark is not None
        return mark

    first = collected_until(quick)
    clock.forward(72 * HOUR)
    assert first < collected_until(slow) < clock.now - 24 * HOUR
    assert collected_until(quick) > clock.now - HOUR


class Lame(SimulatedProvider):
    """One of its resources fails in every answer."""

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        yield from super().collect_performance(account, scope, window)
        yield Gap(GapReason.FAILED, "internal error", resource_id="lame")


def test_what_fails_in_part_for_ever_is_tried_for_hours_and_then_let_go(store):
    clock = Clock()
    sound = collector(store, clock, scopes=1)
    lame = TestCollector(store, Lame(clock=clock), sound.account, clock)
    sound.collect(Kind.PERFORMANCE)
    before = sound.watermark("simulated/prod/part-0")
    clock.forward(HOUR)
    assert [one.status for one in lame.collect(Kind.PERFORMANCE)] == [ScopeStatus.PARTIAL]
    assert lame.watermark("simulated/prod/part-0") == before, "tried again, while that may help"
    clock.forward(50 * HOUR)
    lame.collect(Kind.PERFORMANCE)
    after = lame.watermark("simulated/prod/part-0")
    assert before is not None
    assert after is not None
    assert after > before + 20 * HOUR, "and then the scope goes on"
    ((gaps,),) = store.query("SELECT count() FROM collection_gaps WHERE resource_id = 'lame'")
    assert gaps >= 2


@pytest.mark.parametrize("fault", [{"fail_rate": 1.0}, {"drop_rate": 1.0}])
def test_a_scope_that_fails_keeps_its_watermark_and_says_so(store, fault):
    clock = Clock()
    kind = collector(store, clock, scopes=1)
    kind.collect(Kind.PERFORMANCE)
    before = kind.watermark("simulated/prod/part-0")
    clock.forward(HOUR)
    (outcome,) = collector(store, clock, scopes=1, **fault).collect(Kind.PERFORMANCE)
    assert outcome.status in (ScopeStatus.THROTTLED, ScopeStatus.FAILED)
    assert outcome.error
    assert outcome.api_calls == {"query": 1}
    assert kind.watermark("simulated/prod/part-0") == before


def test_a_request_beyond_a_hole_does_not_hide_the_hole(store):
    clock = Clock()
    began = Clock(clock.now)
    kind = collector(store, clock)
    kind.collect(Kind.PERFORMANCE)
    clock.forward(10 * HOUR)
    kind.collect(Kind.PERFORMANCE, Window(clock.now - 2 * HOUR, clock.now))
    clock.forward(15 * MINUTE)
    kind.collect(Kind.PERFORMANCE)
    assert kind.stored_points() == truth(kind, collected(kind, began))


def test_rollups_equal_what_the_raw_points_say_after_repeats_and_corrections(store):
    clock = Clock()
    kind = collector(store, clock)
    rollups = Rollups(store, retention=RETENTION)
    for forward in (0, 15, 15, 0, 45, 300, 15, 1500, 15):
        clock.forward(forward * MINUTE)
        kind.collect(Kind.PERFORMANCE)
        rollups.refresh(clock.now)
    for table, bucket, width in (
        ("metrics_1h", "toStartOfHour", HOUR),
        ("metrics_1d", "toStartOfDay", 24 * HOUR),
    ):
        key = "metric_name" if table == "metrics_1h" else "metric_name, resource_id"
        rolled = store.query(
            f"SELECT {key}, bucket, points, round(total, 6), lowest, highest "
            f"FROM {table} FINAL ORDER BY {key}, bucket"
        )
        last = max(row[-5] for row in rolled)
        raw = store.query(
            f"SELECT {key}, {bucket}(timestamp) AS b, count(), round(sum(metric_value), 6), "
            "min(metric_value), max(metric_value) FROM performance_metrics FINAL "
            f"WHERE b <= {{last:DateTime('UTC')}} GROUP BY {key}, b ORDER BY {key}, b",
            {"last": last},
        )
        assert len(rolled) > 3
        assert rolled == raw
        assert last + width == floor_time(clock.now, width), "every ended bucket is there"


def test_a_customers_backlog_is_rolled_up_for_that_customer_alone(store):
    """What is caught up far back costs no other customer a computation."""
    clock = Clock()
    rollups = Rollups(store, retention=RETENTION)
    acme = collector(store, clock)
    other = TestCollector(store, acme.provider, replace(acme.account, customer_id="globex"), clock)
    for kind in (acme, other):
        kind.collect(Kind.PERFORMANCE)
    clock.forward(2 * HOUR)
    rollups.refresh(clock.now)
    computed = "SELECT max(computed_at) FROM metrics_1h WHERE customer_id = 'globex' AND bucket < "
    moment = f"toDateTime({int((clock.now - 30 * HOUR).timestamp())})"
    before = store.query(computed + moment)
    acme.collect(Kind.PERFORMANCE, Window(clock.now - 100 * HOUR, clock.now - 96 * HOUR))
    rollups.refresh(clock.now)
    assert store.query(computed + moment) == before
    ((points,),) = store.query(
        "SELECT sum(points) FROM metrics_1h FINAL WHERE customer_id = 'acme' "
        f"AND bucket < toDateTime({int((clock.now - 90 * HOUR).timestamp())})"
    )
    assert points > 0


def test_a_scope_that_fails_forever_makes_no_rollup_old(store):
    clock = Clock()
    kind = collector(store, clock, scopes=1)
    kind.collect(Kind.PERFORMANCE)
    rollups = Rollups(store, retention=RETENTION)
    rollups.refresh(clock.now)
    clock.forward(48 * HOUR)
    collector(store, clock, scopes=1, fail_rate=1.0).collect(Kind.PERFORMANCE)
    assert rollups.refresh(clock.now) <= 49
    clock.forward(HOUR)
    collector(store, clock, scopes=1, fail_rate=1.0).collect(Kind.PERFORMANCE)
    assert rollups.refresh(clock.now) <= 2

"""Windows: every published bucket is asked for, and again until it has settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.planner import next_windows, requested_windows, unsettled_from
from optiinfra.domain import Window, floor_time
from optiinfra.provider import Timing

NOON = datetime(2026, 11, 20, 12, 7, 31, tzinfo=UTC)
DAY = timedelta(days=1)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


CLOUD = Timing(
    period=minutes(5), delay=minutes(3), settling=minutes(30), history=14 * DAY, chunk=DAY / 4
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-20T{text}:00+00:00")


def planned(now: datetime, watermark: datetime | None, timing: Timing = CLOUD) -> list[Window]:
    return list(next_windows(now=now, watermark=watermark, timing=timing, retention=90 * DAY))


def test_an_ordinary_cycle_reads_what_is_new_and_what_has_not_settled():
    # Published until 12:00 (12:04:31 floored), last collected until 11:45; 27 minutes of
    # settling beyond the delay and one period before that are read again: from 11:10.
    assert planned(NOON, at("11:45")) == [Window(at("11:10"), at("12:00"))]


@pytest.mark.parametrize(
    ("settling", "start"), [(10, "11:10"), (30, "11:10"), (31, "11:05"), (60, "10:40")]
)
def test_what_settles_later_is_asked_for_from_earlier_on(settling, start):
    window = Window(at("11:10"), at("12:00"))
    assert CLOUD.reaching_back(window, minutes(settling)) == Window(at(start), at("12:00"))


def test_the_first_collection_reaches_one_day_back_in_chunks_oldest_first():
    windows = planned(NOON, None)
    assert windows[0].start == at("12:05") - DAY
    assert windows[-1].end == at("12:00")
    assert [w.duration for w in windows[:-1]] == [DAY / 4] * (len(windows) - 1)


def test_an_outage_is_caught_up_no_further_than_the_provider_remembers():
    windows = planned(NOON, NOON - timedelta(days=40))
    assert windows[0].start == floor_time(NOON - 14 * DAY, minutes(5)) + minutes(5)
    assert all(one.end == following.start for one, following in pairwise(windows))


def test_nothing_is_asked_for_before_it_is_published():
    late = Timing(minutes(5), minutes(60), timedelta(), 14 * DAY, DAY)
    assert planned(at("12:00"), at("11:00"), late) == []


def test_a_provider_without_history_is_asked_for_the_bucket_of_now():
    reading = Timing(minutes(1), timedelta(), timedelta(), timedelta(), DAY)
    assert planned(NOON, at("09:00"), reading) == [Window(at("12:07"), at("12:08"))]


def test_a_requested_window_is_widened_to_whole_buckets_and_cut_to_what_exists():
    requested = Window(at("11:02"), at("11:58"))
    assert list(requested_windows(requested, now=NOON, timing=CLOUD, retention=90 * DAY)) == [
        Window(at("11:00"), at("12:00"))
    ]
    beyond = Window(at("11:02"), at("23:00"))
    assert list(requested_windows(beyond, now=NOON, timing=CLOUD, retention=90 * DAY)) == [
        Window(at("11:00"), at("12:00"))
    ]
    forgotten = Window(NOON - 30 * DAY, NOON - 20 * DAY)
    assert not list(requested_windows(forgotten, now=NOON, timing=CLOUD, retention=90 * DAY))


@given(
    period=st.sampled_from([1, 5, 15]),
    delay=st.integers(0, 40),
    settling=st.integers(0, 120),
    gaps=st.lists(st.integers(1, 300), min_size=3, max_size=40),
)
def test_over_any_schedule_each_bucket_is_read_once_published_and_once_settled(
    period, delay, settling, gaps
):
    """However irregular the ticks, a bucket is never skipped and never left provisional."""
    timing = Timing(
        minutes(period), minutes(delay), minutes(max(settling, delay)), 60 * DAY, 30 * DAY
    )
    now, watermark = NOON, None
    last_read: dict[datetime, datetime] = {}
    for gap in gaps:
        for window in planned(now, watermark, timing):
            bucket = window.start
            while bucket < window.end:
                last_read[bucket] = now
                bucket += timing.period
            watermark = window.end
        now += minutes(gap)
    last_tick = now - minutes(gaps[-1])

    expected = floor_time(last_tick - timing.delay, timing.period)
    if last_read:
        assert max(last_read) + timing.period == expected
        assert len(last_read) == (max(last_read) - min(last_read)) / timing.period + 1
    previous_tick = last_tick - minutes(gaps[-2])
    for bucket, read_at in last_read.items():
        settled_at = bucket + timing.period + timing.settling
        if settled_at <= previous_tick:
            assert read_at >= settled_at, "settled before the last tick, so read after settling"


def test_a_provider_whose_points_never_change_is_not_read_twice():
    final = Timing(minutes(5), minutes(3), timedelta(), 14 * DAY, DAY)
    assert unsettled_from(at("11:45"), final) == at("11:45")
    assert planned(NOON, at("11:45"), final) == [Window(at("11:45"), at("12:00"))]

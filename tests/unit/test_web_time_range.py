from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optiinfra.domain import Window
from optiinfra.web.problems import Problem
from optiinfra.web.time_range import TimeRangeQuery

NOW = datetime(2026, 11, 20, 9, 15, 30, 999, tzinfo=UTC)
NOW_SECOND = NOW.replace(microsecond=0)
RETENTION = timedelta(days=90)


def window(**given: Any) -> Window:
    return TimeRangeQuery(**given).window(RETENTION, NOW)


@pytest.mark.parametrize(
    ("timeframe", "hours"),
    [(None, 24), ("1h", 1), ("6h", 6), ("24h", 24), ("7d", 168), ("30d", 720), ("90d", 2160)],
)
def test_timeframe_reaches_back_from_the_present_second(timeframe: str | None, hours: int) -> None:
    assert window(timeframe=timeframe) == Window(NOW_SECOND - timedelta(hours=hours), NOW_SECOND)


def test_start_and_end_are_whole_seconds_of_utc() -> None:
    found = window(start="2026-11-20T09:00:00.7+02:00", end="2026-11-20T08:30:00z")
    assert found.start == datetime(2026, 11, 20, 7, tzinfo=UTC)
    assert found.start.tzinfo is UTC
    assert found.end == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_end_is_now_when_left_out_and_never_later() -> None:
    assert window(start="2026-11-20T09:00:00Z").end == NOW_SECOND
    assert window(start="2026-11-20T09:00:00Z", end="9999-12-31T23:59:59-12:00").end == NOW_SECOND


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T09:00:00Z"}, "start"),
        ({"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T08:00:00Z"}, "start"),
        ({"start": "2026-11-20T09:00:00.1Z", "end": "2026-11-20T09:00:00.9Z"}, "start"),
        ({"start": "2026-11-21T09:00:00Z"}, "start"),
        ({"start": "2026-08-01T00:00:00Z"}, "start"),
        ({"start": "0001-01-01T00:00:00+23:59"}, "start"),
        ({"end": "2026-11-20T09:00:00Z"}, "end"),
        ({"start": "2026-11-20T09:00:00Z", "timeframe": "1h"}, "timeframe"),
        ({"end": "2026-11-20T09:00:00Z", "timeframe": "1h"}, "end"),
    ],
)
def test_contradictions_name_the_parameter(given: dict[str, str], parameter: str) -> None:
    with pytest.raises(Problem) as refused:
        window(**given)
    assert refused.value.status == 422
    assert refused.value.extra["errors"][0]["parameter"] == parameter


def test_timeframe_over_the_retention_is_refused() -> None:
    with pytest.raises(Problem) as refused:
        TimeRangeQuery(timeframe="30d").window(timedelta(days=7), NOW)
    assert "7 days" in refused.value.detail


def test_start_that_the_client_reckoned_as_the_retention_ago_is_let_through() -> None:
    start = NOW - RETENTION - timedelta(seconds=5)
    assert window(start=start.isoformat().replace(".000999", "")).duration > RETENTION


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T09:00:00",
        "2026-11-20",
        "1795000000",
        "now",
        "",
        "2026-11-20T09:00:00 01:00",
        "2026-13-20T09:00:00Z",
        "٢٠٢٦-11-20T09:00:00Z",
    ],
)
def test_times_without_a_zone_or_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TimeRangeQuery(start=text)  # type: ignore[arg-type]


@given(
    st.datetimes(timezones=st.sampled_from([UTC])),
    st.none() | st.datetimes(timezones=st.sampled_from([UTC])),
)
def test_every_time_gives_a_kept_window_or_a_422(start: datetime, end: datetime | None) -> None:
    asked = TimeRangeQuery(start=start, end=end)
    refused = None
    try:
        found = asked.window(RETENTION, NOW)
    except Problem as problem:
        refused = problem
    if refused is not None:
        assert refused.status == 422
    else:
        assert NOW - RETENTION - timedelta(hours=2) < found.start < found.end <= NOW

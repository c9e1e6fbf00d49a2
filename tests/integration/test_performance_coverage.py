"""Coverage: what was collected, what is missing and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.points import put_gap, put_outcome

from optiinfra.domain import Window
from optiinfra_database import Store
from performance_agent.readers.coverage_reader import CoverageReader

#: The range that is asked about; an hour of it has four schedule intervals.
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
END = datetime(2026, 11, 20, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=15)


def clock(text: str) -> datetime:
    hour, minute = text.split(":")
    return datetime(2026, 11, 20, int(hour), int(minute), tzinfo=UTC)


def window(start: str, end: str) -> tuple[datetime, datetime]:
    return clock(start), clock(end)


@pytest.fixture
def reader(store: Store) -> CoverageReader:
    return CoverageReader(store, INTERVAL)


def scopes(reader: CoverageReader, *providers: str) -> list[dict[str, Any]]:
    found = reader.get_coverage("acme", providers or ("aws",), Window(START, END))
    rows: list[dict[str, Any]] = json.loads(b"[%b]" % found.text)
    return rows


def gaps(reader: CoverageReader) -> list[tuple[str, str, str]]:
    """Start, end and reason of every gap, as clock times."""
    (scope,) = scopes(reader)
    return [(g["start"][11:16], g["end"][11:16], g["reason"]) for g in scope["gaps"]]


def test_all_collected_has_no_gap(store: Store, reader: CoverageReader) -> None:
    put_outcome(store, window("07:00", "10:00"), run_id="1")
    put_outcome(store, window("09:30", "12:00"), run_id="2", status="partial")
    (scope,) = scopes(reader)
    assert scope == {
        "provider": "aws",
        "account_id": "main",
        "scope": "aws/main/us-east-1",
        "collected_until": "2026-11-20T12:00:00Z",
        "windows_collected": 2,
        "ratio": 1,
        "gaps": [],
    }


def test_a_hole_nobody_tried_is_not_collected(store: Store, reader: CoverageReader) -> None:
    put_outcome(store, window("08:00", "09:00"), run_id="1")
    put_outcome(store, window("10:00", "12:00"), run_id="2")
    assert gaps(reader) == [("09:00", "10:00", "not_collected")]
    assert scopes(reader)[0]["ratio"] == 0.75


def test_before_the_first_window_nothing_was_collected(
    store: Store, reader: CoverageReader
) -> None:
    put_outcome(store, window("11:00", "12:00"))
    assert gaps(reader) == [("08:00", "11:00", "not_collected")]


@pytest.mark.parametrize("status", ["throttled", "denied", "unsupported", "failed"])
def test_the_last_failure_in_a_hole_is_its_reason(
    store: Store, reader: CoverageReader, status: str
) -> None:
    put_outcome(store, window("08:00", "09:00"), run_id="1")
    put_outcome(store, window("09:00", "09:30"), run_id="2", status="failed", error="first")
    put_outcome(store, window("09:15", "10:00"), run_id="3", status=status, error="last")
    put_outcome(store, window("10:00", "12:00"), run_id="4")
    (scope,) = scopes(reader)
    (gap,) = scope["gaps"]
    assert (gap["reason"], gap["detail"]) == (status, "last")
    assert gap["resource_id"] is None


def test_a_failure_that_was_made_good_is_no_gap(store: Store, reader: CoverageReader) -> None:
    put_outcome(store, window("09:00", "10:00"), run_id="1", status="throttled")
    put_outcome(store, window("08:00", "12:00"), run_id="2")
    assert gaps(reader) == []


def test_the_end_is_not_yet_published_while_the_schedule_runs(
    store: Store, reader: CoverageReader
) -> None:
    put_outcome(store, window("08:00", "11:50"), finished_at=clock("11:58"))
    assert gaps(reader) == [("11:50", "12:00", "not_yet_published")]


def test_the_end_is_not_collected_when_the_schedule_stands_still(
    store: Store, reader: CoverageReader
) -> None:
    put_outcome(store, window("08:00", "10:00"), finished_at=clock("10:05"))
    assert gaps(reader) == [("10:00", "12:00", "not_collected")]


def test_the_end_has_the_reason_of_the_attempt_that_failed(
    store: Store, reader: CoverageReader
) -> None:
    put_outcome(store, window("08:00", "11:00"), run_id="1")
    put_outcome(store, window("11:00", "11:45"), run_id="2", status="denied", error="no role")
    assert gaps(reader) == [("11:00", "12:00", "denied")]


def test_a_range_in_the_past_sees_only_its_own_windows(
    store: Store, reader: CoverageReader
) -> None:
    put_outcome(store, window("08:00", "11:00"), run_id="1")
    put_outcome(store, window("13:00", "14:00"), run_id="2")
    assert gaps(reader) == [("11:00", "12:00", "not_collected")]
    assert scopes(reader)[0]["collected_until"] == "2026-11-20T14:00:00Z"


def test_a_scope_never_reached_is_all_gap(store: Store, reader: CoverageReader) -> None:
    put_outcome(store, window("08:00", "12:00"), status="denied", error="no rights")
    (scope,) = scopes(reader)
    assert (scope["collected_until"], scope["ratio"]) == (None, 0)
    assert gaps(reader) == [("08:00", "12:00", "denied")]


class TestMomentary:
    """A provider that is read once per interval, one short bucket each time."""

    def collect(self, store: Store, *clocks: str) -> None:
        for text in clocks:
            start = clock(text)
            put_outcome(store, (start, start + timedelta(minutes=5)), run_id=text)

    def every_quarter(self, first: str, last: str) -> list[str]:
        moment, found = clock(first), []
        while moment <= clock(last):
            found.append(moment.strftime("%H:%M"))
            moment += INTERVAL
        return found

    def test_a_point_stands_for_its_interval(self, store: Store, reader: CoverageReader) -> None:
        self.collect(store, *self.every_quarter("07:45", "11:45"))
        assert gaps(reader) == []

    def test_a_missed_interval_is_a_gap(self, store: Store, reader: CoverageReader) -> None:
        self.collect(store, *self.every_quarter("07:45", "09:00"))
        self.collect(store, *self.every_quarter("09:45", "11:45"))
        assert gaps(reader) == [("09:05", "09:45", "not_collected")]

    def test_an_interval_that_failed_has_its_reason(
        self, store: Store, reader: CoverageReader
    ) -> None:
        self.collect(store, *self.every_quarter("07:45", "09:00"))
        put_outcome(store, window("09:15", "09:20"), run_id="x", status="failed", error="refused")
        self.collect(store, *self.every_quarter("09:30", "11:45"))
        assert gaps(reader) == [("09:05", "09:30", "failed")]


class TestWithinScope:
    """Gaps of single resources and metrics."""

    @pytest.fixture(autouse=True)
    def _collected(self, store: Store) -> None:
        put_outcome(store, window("08:00", "12:00"), run_id="run-1", finished_at=clock("12:01"))

    def test_is_listed_with_what_it_speaks_of_and_costs_no_ratio(
        self, store: Store, reader: CoverageReader
    ) -> None:
        put_gap(
            store,
            window("09:00", "10:00"),
            reason="no_agent",
            resource_id="i-1",
            metric_name="memory_utilization",
            detail="install the agent",
            recorded_at=clock("12:00"),
        )
        (scope,) = scopes(reader)
        assert scope["ratio"] == 1
        assert scope["gaps"] == [
            {
                "start": "2026-11-20T09:00:00Z",
                "end": "2026-11-20T10:00:00Z",
                "reason": "no_agent",
                "resource_id": "i-1",
                "metric_name": "memory_utilization",
                "detail": "install the agent",
            }
        ]

    def test_adjacent_equal_gaps_are_one(self, store: Store, reader: CoverageReader) -> None:
        for start, end, resource in (
            ("07:00", "09:00", "i-1"),
            ("09:00", "09:30", "i-1"),
            ("09:15", "10:00", "i-1"),
            ("11:00", "13:00", "i-1"),
            ("09:00", "10:00", "i-2"),
        ):
            put_gap(
                store,
                window(start, end),
                reason="stopped",
                resource_id=resource,
                recorded_at=clock("12:00"),
            )
        (scope,) = scopes(reader)
        assert [(g["resource_id"], g["start"][11:16], g["end"][11:16]) for g in scope["gaps"]] == [
            ("i-1", "08:00", "10:00"),
            ("i-2", "09:00", "10:00"),
            ("i-1", "11:00", "12:00"),
        ]

    def test_reading_again_without_finding_it_ends_it(
        self, store: Store, reader: CoverageReader
    ) -> None:
        put_gap(
            store,
            window("09:00", "10:00"),
            reason="not_yet_published",
            resource_id="i-1",
            recorded_at=clock("12:00"),
        )
        assert len(gaps(reader)) == 1
        put_outcome(store, window("08:30", "11:00"), run_id="run-2", finished_at=clock("12:20"))
        assert gaps(reader) == []

    def test_reading_again_and_finding_it_keeps_it(
        self, store: Store, reader: CoverageReader
    ) -> None:
        for run_id, recorded in (("run-1", "12:00"), ("run-2", "12:19")):
            put_gap(
                store,
                window("09:00", "10:00"),
                reason="stopped",
                resource_id="i-1",
                run_id=run_id,
                recorded_at=clock(recorded),
            )
        put_outcome(store, window("08:30", "11:00"), run_id="run-2", finished_at=clock("12:20"))
        assert gaps(reader) == [("09:00", "10:00", "stopped")]


def test_scopes_stand_side_by_side_and_totals_sum_them_up(
    store: Store, reader: CoverageReader
) -> None:
    put_outcome(store, window("08:00", "12:00"))
    put_outcome(store, window("08:00", "10:00"), provider="gcp", scope="gcp/main/web")
    put_outcome(store, window("08:00", "12:00"), customer_id="other", scope="aws/other")
    assert [s["scope"] for s in scopes(reader, "aws", "gcp")] == [
        "aws/main/us-east-1",
        "gcp/main/web",
    ]
    totals = reader.get_coverage_totals("acme", ("aws", "gcp"), Window(START, END))
    assert json.loads(totals.text) == {
        "ratio": 0.75,
        "collected_until": "2026-11-20T10:00:00Z",
        "gaps": 1,
    }
    put_gap(store, window("09:00", "10:00"), reason="stopped", recorded_at=clock("12:00"))
    totals = reader.get_coverage_totals("acme", ("aws", "gcp"), Window(START, END))
    assert json.loads(totals.text)["gaps"] == 2

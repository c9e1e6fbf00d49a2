from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optiinfra.domain import Window
from performance_agent.readers.performance_reader import slices
from performance_agent.readers.selection import Selection
from performance_agent.readers.statistics import DAILY, HOURLY, RollupRange, rollup_range


class TestRollupRange:
    """Which whole buckets a rollup may answer."""

    WINDOW = Window(datetime(2026, 11, 1, 10, 20, tzinfo=UTC), datetime(2026, 11, 9, 9, tzinfo=UTC))
    CLEAN = datetime(2026, 11, 8, 7, tzinfo=UTC)

    def find(self, **changed: Any) -> RollupRange | None:
        usual: dict[str, Any] = {"clean": self.CLEAN, "by_resource": False, "bucket": None}
        return rollup_range(self.WINDOW, **(usual | changed))

    def test_hours_inside_the_window_and_before_what_is_dirty(self) -> None:
        assert self.find() == RollupRange(
            HOURLY, datetime(2026, 11, 1, 11, tzinfo=UTC), datetime(2026, 11, 8, 7, tzinfo=UTC)
        )

    def test_days_for_single_resources(self) -> None:
        assert self.find(by_resource=True) == RollupRange(
            DAILY, datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)
        )

    @pytest.mark.parametrize(
        "changed",
        [
            {"clean": None},
            {"clean": datetime(2026, 11, 1, 10, tzinfo=UTC)},
            {"bucket": timedelta(minutes=15)},
            {"bucket": timedelta(hours=6), "by_resource": True},
        ],
    )
    def test_none_where_no_whole_bucket_serves(self, changed: dict[str, Any]) -> None:
        assert self.find(**changed) is None

    def test_wider_buckets_are_made_of_whole_ones(self) -> None:
        assert self.find(bucket=timedelta(hours=6)) is not None
        assert self.find(bucket=timedelta(days=1), by_resource=True) is not None


class TestSlices:
    """Growing parts of a window, for a page that is likely in the first."""

    END = datetime(2026, 11, 20, tzinfo=UTC)

    def selection(self, length: timedelta, **filters: Any) -> Selection:
        return Selection("acme", ["aws"], Window(self.END - length, self.END), **filters)

    def test_newest_first_begins_at_the_end_and_ends_with_the_whole(self) -> None:
        found = slices(self.selection(timedelta(days=1)), ascending=False, after=None)
        lengths = [end - start for start, end in found]
        assert lengths == [timedelta(hours=1), timedelta(hours=8), timedelta(days=1)]
        assert {end for _, end in found} == {self.END}

    def test_oldest_first_begins_at_the_start(self) -> None:
        found = slices(self.selection(timedelta(days=1)), ascending=True, after=None)
        assert {start for start, _ in found} == {self.END - timedelta(days=1)}

    def test_chosen_resources_are_read_at_once(self) -> None:
        selection = self.selection(timedelta(days=90), resource_ids=["i-1"])
        assert len(slices(selection, ascending=False, after=None)) == 1

    @given(hours=st.integers(1, 24 * 90), passed=st.floats(0, 1), ascending=st.booleans())
    def test_each_holds_more_than_the_one_before_and_reaches_beyond_the_cursor(
        self, hours: int, passed: float, ascending: bool
    ) -> None:
        selection = self.selection(timedelta(hours=hours))
        window = selection.window
        at = int((window.start + window.duration * passed).timestamp())
        found = slices(selection, ascending=ascending, after=(at, "", "", ""))
        assert found[-1] == (window.start, window.end)
        lengths = [end - start for start, end in found]
        assert lengths == sorted(set(lengths))
        for start, end in found:
            assert start.timestamp() <= at <= end.timestamp()

"""Everything a provider ever got wrong, through the whole collector: nothing good is lost,
nothing bad is stored, and all of it is counted."""

from __future__ import annotations

from support.collector import Clock, TestCollector, points_of

from optiinfra.accounts import Account
from optiinfra.domain import DropReason, Kind, ScopeStatus, Window
from optiinfra.testing.hostile import HostileProvider

ACCOUNT = Account("acme", "prod", "hostile", options={"resources": 4})
SERIES = 4 * 3


def test_bad_values_are_dropped_and_counted_and_good_ones_are_all_there(store):
    provider = HostileProvider()
    collector = TestCollector(store, provider, ACCOUNT, Clock())
    outcomes = {
        outcome.scope.rpartition("/")[2]: outcome for outcome in collector.collect(Kind.PERFORMANCE)
    }
    assert {part: outcome.status for part, outcome in outcomes.items()} == {
        "values": ScopeStatus.OK,
        "throttled": ScopeStatus.THROTTLED,
        "denied": ScopeStatus.DENIED,
        "mid_scope": ScopeStatus.FAILED,
        "half_page": ScopeStatus.FAILED,
    }
    assert outcomes["values"].dropped == {
        DropReason.NOT_FINITE: 2 * SERIES,
        DropReason.OUT_OF_RANGE: SERIES,
        DropReason.NAIVE_TIME: SERIES,
        DropReason.FUTURE: SERIES,
        DropReason.DUPLICATE: SERIES,
        DropReason.UNKNOWN_METRIC: SERIES,
    }
    window = Window(outcomes["values"].window_start, outcomes["values"].window_end)
    assert collector.stored_points() == points_of(provider.truth(ACCOUNT, window))
    assert outcomes["values"].collected_until == window.end
    assert outcomes["half_page"].collected_until is None
    assert outcomes["throttled"].api_calls == {"page": 1}
    ((gaps,),) = store.query(
        "SELECT count() FROM collection_gaps WHERE reason = 'not_yet_published'"
    )
    assert gaps == SERIES


def test_only_complete_listings_say_anything(store):
    collector = TestCollector(store, HostileProvider(), ACCOUNT, Clock())
    outcomes = collector.collect(Kind.RESOURCES)
    assert [outcome.status for outcome in outcomes].count(ScopeStatus.OK) == 1
    listed = store.query("SELECT resource_id, scope FROM resources_latest FINAL")
    assert len(listed) == 4
    assert {scope for _, scope in listed} == {"hostile/prod/values"}
    names = store.query("SELECT resource_name FROM resources_latest FINAL")
    assert ('\'; DROP TABLE "values" -- 0',) in [tuple(row) for row in names]

"""What a complete listing changes: validation, comparison, and replay of a log."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from data_collector.storage.inventory_diff import State, compare, replay
from data_collector.storage.inventory_listing import Description, Listing, read_listing
from optiinfra.domain import Change, DropReason, Resource

SCOPE = "aws/prod/us-east-1/ec2"


def resource(resource_id: str = "i-1", **changes: object) -> Resource:
    fields: dict[str, object] = {
        "resource_name": "web",
        "resource_type": "compute_instance",
        "status": "running",
        "region": "us-east-1",
        "metadata": {"instance_type": "t3.micro", "tags": {"env": "prod"}},
    }
    return Resource(resource_id=resource_id, **{**fields, **changes})  # type: ignore[arg-type]


def listing(*resources: Resource) -> Listing:
    ((_, whole),) = read_listing(resources, most=100)
    return whole


def state(one: Resource, *, scope: str = SCOPE, seen: int = 100, deleted_at: int = 0) -> State:
    return State(scope, describe(one), 50, seen, deleted_at)


def describe(one: Resource) -> Description:
    return listing(one).resources[one.resource_id]


def test_the_last_of_several_entries_with_one_id_stands() -> None:
    got = listing(resource(status="running"), resource(status="stopped"))
    assert got.resources["i-1"].status == "stopped"
    assert got.dropped == {DropReason.DUPLICATE: 1}


@pytest.mark.parametrize(
    "broken",
    [
        {"resource_type": "submarine"},
        {"status": "Running"},
        {"metadata": {"ratio": float("nan")}},
        {"metadata": {"seen": datetime(2026, 1, 1, tzinfo=UTC)}},
        {"resource_name": "\ud800"},
    ],
)
def test_what_cannot_be_stored_is_refused_and_counted(broken: dict[str, object]) -> None:
    got = listing(resource("i-1", **broken), resource("i-2"))
    assert list(got.resources) == ["i-2"]
    assert got.refused == {"i-1"}
    assert got.dropped == {DropReason.INVALID: 1}


@pytest.mark.parametrize("nothing", ["", "  ", "\ud800"])
def test_an_entry_without_an_id_is_counted(nothing: str) -> None:
    got = listing(resource(nothing))
    assert got.resources == {}
    assert got.anonymous
    assert got.dropped == {DropReason.INVALID: 1}


def test_metadata_leaves_out_what_is_not_known_and_has_one_spelling() -> None:
    one = describe(resource(metadata={"b": 1, "a": {"y": None, "x": "é"}, "c": None}))
    other = describe(resource(metadata={"a": {"x": "é"}, "b": 1}))
    assert one.metadata == '{"a":{"x":"é"},"b":1}'
    assert one == other


def test_a_new_resource_is_created_with_its_whole_state() -> None:
    result = compare({}, listing(resource()), scope=SCOPE, seen_at=200)
    (change,) = result.changes
    assert (change.change, change.timestamp, change.since) == (Change.CREATED, 200, 0)
    assert json.loads(change.before) is None
    assert json.loads(change.after) == {
        "resource_name": "web",
        "status": "running",
        "region": "us-east-1",
        "metadata": {"instance_type": "t3.micro", "tags": {"env": "prod"}},
    }
    assert result.states["i-1"] == State(SCOPE, describe(resource()), 200, 200)


def test_a_resource_that_a_complete_listing_lacks_is_deleted() -> None:
    result = compare({"i-1": state(resource())}, listing(), scope=SCOPE, seen_at=200)
    (change,) = result.changes
    assert (change.change, change.timestamp, change.since) == (Change.DELETED, 200, 100)
    assert json.loads(change.before)["status"] == "running"
    assert json.loads(change.after) is None
    gone = result.states["i-1"]
    assert (gone.first_seen, gone.last_seen, gone.deleted_at) == (50, 100, 200)


def test_a_terminated_resource_that_is_listed_has_a_status_and_is_not_deleted() -> None:
    result = compare(
        {"i-1": state(resource())}, listing(resource(status="terminated")), scope=SCOPE, seen_at=200
    )
    (change,) = result.changes
    assert change.change is Change.STATUS_CHANGED
    assert json.loads(change.before) == {"status": "running"}
    assert json.loads(change.after) == {"status": "terminated"}
    assert result.states["i-1"].deleted_at == 0


def test_a_config_change_holds_only_what_differs() -> None:
    after = resource(
        resource_name="web-2", metadata={"instance_type": "m5.large", "vcpus": 2, "zone": "a"}
    )
    before = resource(metadata={"instance_type": "t3.micro", "tags": {"env": "prod"}, "zone": "a"})
    result = compare({"i-1": state(before)}, listing(after), scope=SCOPE, seen_at=200)
    (change,) = result.changes
    assert change.change is Change.CONFIG_CHANGED
    assert json.loads(change.before) == {
        "resource_name": "web",
        "instance_type": "t3.micro",
        "tags": {"env": "prod"},
    }
    assert json.loads(change.after) == {
        "resource_name": "web-2",
        "instance_type": "m5.large",
        "vcpus": 2,
    }


def test_what_moves_by_itself_is_stored_and_is_no_change() -> None:
    before = resource(metadata={"uptime_seconds": 10, "pending_charges": 1.5})
    after = resource(metadata={"uptime_seconds": 910, "pending_charges": 1.6})
    result = compare({"i-1": state(before)}, listing(after), scope=SCOPE, seen_at=200)
    assert result.changes == []
    assert json.loads(result.states["i-1"].description.metadata)["uptime_seconds"] == 910


def test_a_resource_that_is_back_keeps_when_it_was_first_seen() -> None:
    gone = state(resource(), deleted_at=150)
    result = compare({"i-1": gone}, listing(resource()), scope=SCOPE, seen_at=200)
    (change,) = result.changes
    assert (change.change, change.since) == (Change.CREATED, 150)
    assert result.states["i-1"] == State(SCOPE, describe(resource()), 50, 200)


def test_a_resource_that_moved_to_another_scope_is_left_to_it() -> None:
    elsewhere = state(resource(), scope="aws/prod/us-east-1/other")
    result = compare({"i-1": elsewhere}, listing(), scope=SCOPE, seen_at=200)
    assert result.changes == []
    assert result.states == {"i-1": elsewhere}


def test_a_resource_that_another_scope_had_is_not_created_again() -> None:
    elsewhere = state(resource(), scope="aws/prod/us-east-1/other")
    result = compare({"i-1": elsewhere}, listing(resource()), scope=SCOPE, seen_at=200)
    assert result.changes == []
    assert result.states["i-1"] == State(SCOPE, describe(resource()), 50, 200)


@pytest.mark.parametrize(
    "unclear", [resource("i-1", status="Running"), resource("", status="running")]
)
def test_an_entry_that_cannot_be_used_deletes_nothing(unclear: Resource) -> None:
    known = {"i-1": state(resource())}
    result = compare(known, listing(unclear), scope=SCOPE, seen_at=200)
    assert result.changes == []
    assert result.states == known
    assert result.standing == {"i-1": describe(resource())}


def test_what_is_known_from_a_later_listing_stands() -> None:
    known = {"i-1": state(resource(), scope="other", seen=300), "i-2": state(resource(), seen=300)}
    result = compare(known, listing(resource(status="stopped")), scope=SCOPE, seen_at=200)
    assert (result.changes, result.states, result.outdated) == ([], {}, 1)


def test_a_log_brings_states_up_to_date() -> None:
    first = listing(resource("i-1"), resource("i-2"), resource("i-3", status="running"))
    start = compare({}, first, scope=SCOPE, seen_at=100).states
    second = listing(
        resource("i-1", status="stopped", region="eu-west-1", metadata={"vcpus": 4}),
        resource("i-3"),
        resource("i-4"),
    )
    step = compare(start, second, scope=SCOPE, seen_at=200)
    caught_up = replay(start, step.changes, scope=SCOPE)
    assert {key: caught_up[key] for key in ("i-1", "i-2", "i-4")} == {
        key: step.states[key] for key in ("i-1", "i-2", "i-4")
    }
    assert compare(caught_up, second, scope=SCOPE, seen_at=300).changes == []


def test_a_log_does_not_touch_states_that_know_of_it() -> None:
    start = compare({}, listing(resource("i-1"), resource("i-2")), scope=SCOPE, seen_at=100).states
    step = compare(
        start, listing(resource("i-1", status="stopped"), resource("i-3")), scope=SCOPE, seen_at=200
    )
    assert {one.change for one in step.changes} == {
        Change.CREATED,
        Change.STATUS_CHANGED,
        Change.DELETED,
    }
    assert replay(step.states, step.changes, scope=SCOPE) == step.states


@pytest.mark.parametrize(
    ("late", "back"),
    [
        (listing(), Change.CREATED),
        (listing(resource(status="stopped")), Change.STATUS_CHANGED),
        (listing(resource(region="eu-west-1")), Change.CONFIG_CHANGED),
    ],
)
def test_what_has_landed_late_is_led_back_from(late: Listing, back: Change) -> None:
    """Its writer was held up; who listed since saw no change, since the state knew of none."""
    start = {"i-1": state(resource())}
    landed = compare(start, late, scope=SCOPE, seen_at=200).changes
    since = compare(start, listing(resource()), scope=SCOPE, seen_at=300)
    assert since.changes == []
    known = replay(since.states, landed, scope=SCOPE)
    (change,) = compare(known, listing(resource()), scope=SCOPE, seen_at=400).changes
    assert change.change is back
    assert (
        json.loads(change.after).items()
        <= {
            **json.loads(describe(resource()).metadata),
            "metadata": json.loads(describe(resource()).metadata),
            "resource_name": "web",
            "status": "running",
            "region": "us-east-1",
        }.items()
    )


def test_what_has_landed_late_of_a_resource_that_moved_on_is_passed_over() -> None:
    landed = compare({"i-1": state(resource())}, listing(), scope=SCOPE, seen_at=200).changes
    moved = {"i-1": state(resource(), scope="other", seen=300)}
    assert replay(moved, landed, scope=SCOPE) == moved


def test_a_logged_change_of_an_unknown_resource_is_passed_over() -> None:
    step = compare({"i-1": state(resource())}, listing(), scope=SCOPE, seen_at=200)
    assert replay({}, step.changes, scope=SCOPE) == {}

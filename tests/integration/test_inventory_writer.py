"""Complete listings in the store: what is kept, what changed, and being cut off anywhere."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.collector import Clock, TestCollector
from support.inventory import ACCOUNT, SCOPE, list_scope, resource

from data_collector.storage.inventory_writer import PART, InventoryWriter
from data_collector.storage.report import WriteReport
from optiinfra.accounts import Account
from optiinfra.domain import DropReason, Gap, Kind, Resource, Scope
from optiinfra.errors import StoreUnavailableError
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def changes(store: Store) -> list[dict[str, Any]]:
    lines = store.query_bytes(
        "SELECT * FROM resource_changes FINAL ORDER BY timestamp, resource_id, change",
        format="JSONEachRow",
    ).splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["before"], row["after"] = json.loads(row["before"]), json.loads(row["after"])
    return rows


def latest(store: Store) -> dict[str, dict[str, Any]]:
    lines = store.query_bytes(
        "SELECT * FROM resources_latest FINAL", format="JSONEachRow"
    ).splitlines()
    return {row["resource_id"]: row for row in map(json.loads, lines)}


def test_two_listings_within_one_second_lose_no_change(store: Store) -> None:
    statuses = iter(["running", "stopped", "running", "stopped"])

    class Flapping(SimulatedProvider):
        def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
            yield resource("i-1", status=next(statuses))

    account = Account("acme", "prod", "simulated", options={"scopes": 1})
    collector = TestCollector(store, Flapping(), account, Clock(at(0)))
    for _ in range(4):
        collector.collect(Kind.RESOURCES)
    assert [(row["change"], row["after"]["status"]) for row in changes(store)] == [
        ("created", "running"),
        ("status_changed", "stopped"),
        ("status_changed", "running"),
        ("status_changed", "stopped"),
    ]


def test_the_first_listing_creates_and_the_next_says_what_changed(store: Store) -> None:
    report = list_scope(store, at(0), resource("i-1"), resource("i-2"), resource("i-3"))
    assert report.rows == 3
    list_scope(
        store,
        at(15),
        resource("i-1", status="stopped", metadata={"vcpus": 2}),
        resource("i-3"),
        resource("i-4"),
    )
    assert [(row["change"], row["resource_id"]) for row in changes(store)] == [
        ("created", "i-1"),
        ("created", "i-2"),
        ("created", "i-3"),
        ("config_changed", "i-1"),
        ("status_changed", "i-1"),
        ("deleted", "i-2"),
        ("created", "i-4"),
    ]
    (config,) = [row for row in changes(store) if row["change"] == "config_changed"]
    assert (config["before"], config["after"]) == ({}, {"vcpus": 2})
    assert config["since"] == at(0).strftime("%Y-%m-%dT%H:%M:%SZ")
    states = latest(store)
    assert states["i-1"]["status"] == "stopped"
    assert states["i-2"]["deleted_at"] == at(15).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert states["i-3"]["first_seen"] == at(0).strftime("%Y-%m-%dT%H:%M:%SZ")
    snapshot = store.query("SELECT timestamp, count() FROM resource_metrics GROUP BY 1 ORDER BY 1")
    assert snapshot == [(at(0), 3), (at(15), 3)]


def test_the_same_listing_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        list_scope(store, at(0), resource("i-1"))
    assert len(changes(store)) == 1
    assert store.query("SELECT count() FROM resource_metrics FINAL")[0][0] == 1


def test_an_empty_complete_listing_deletes_all_of_its_scope_and_nothing_else(store: Store) -> None:
    list_scope(store, at(0), resource("i-1"))
    list_scope(store, at(0), resource("db-1"), scope="aws/prod/us-east-1/rds")
    list_scope(store, at(15))
    gone = {key for key, row in latest(store).items() if not row["deleted_at"].startswith("1970")}
    assert gone == {"i-1"}


def test_a_resource_that_moves_between_scopes_is_neither_deleted_nor_created(store: Store) -> None:
    list_scope(store, at(0), resource("i-1"), scope="old")
    list_scope(store, at(15), resource("i-1"), scope="new")
    list_scope(store, at(20), scope="old")
    list_scope(store, at(30), resource("i-1"), scope="new")
    assert [row["change"] for row in changes(store)] == ["created"]
    assert latest(store)["i-1"]["scope"] == "new"
    assert latest(store)["i-1"]["first_seen"] == at(0).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_listing_older_than_the_last_one_changes_nothing(store: Store) -> None:
    list_scope(store, at(15), resource("i-1"))
    before = latest(store)
    report = list_scope(store, at(0), resource("i-1", status="stopped"), resource("i-2"))
    assert report.rows == 0
    assert report.dropped == {DropReason.TOO_OLD: 2}
    assert latest(store) == before
    assert len(changes(store)) == 1


def test_a_resource_known_from_a_later_listing_of_another_scope_is_counted(store: Store) -> None:
    list_scope(store, at(15), resource("i-1"), scope="new")
    report = list_scope(store, at(0), resource("i-1", status="stopped"), scope="old")
    assert report.dropped == {DropReason.TOO_OLD: 1}
    assert latest(store)["i-1"]["status"] == "running"


def test_what_the_provider_could_not_describe_keeps_its_last_state(store: Store) -> None:
    list_scope(store, at(0), resource("i-1"), resource("i-2"), resource("i-3"))
    report = list_scope(
        store, at(15), resource("i-2", status="broken"), resource("i-3"), unreadable=["i-1"]
    )
    assert report.dropped == {DropReason.INVALID: 1}
    assert [row["change"] for row in changes(store)] == ["created"] * 3
    assert latest(store)["i-1"]["deleted_at"].startswith("1970")


def test_customers_with_the_same_scope_and_ids_are_apart(store: Store) -> None:
    other = type(ACCOUNT)(customer_id="other", account_id="prod", provider="aws")
    list_scope(store, at(0), resource("i-1"))
    list_scope(store, at(15), account=other)
    assert [row["change"] for row in changes(store)] == ["created"]


@pytest.mark.parametrize(
    "odd",
    [
        "/subscriptions/a/resourceGroups/b",
        "arn:aws:rds:eu-west-1:1:db:x",
        'it\'s "odd" \\ \t id',
        "a%2Fb c",
        "gerät-ö-机器",
        "'); DROP TABLE resources_latest; --",
        "{id:String}",
    ],
)
def test_ids_are_kept_letter_by_letter(store: Store, odd: str) -> None:
    list_scope(store, at(0), resource(odd), scope="old")
    list_scope(store, at(15), resource(odd, status="stopped"), scope="new")
    assert [row["change"] for row in changes(store)] == ["created", "status_changed"]
    assert list(latest(store)) == [odd]


def test_many_ids_that_are_new_to_the_scope_are_looked_up(store: Store) -> None:
    crowd = [resource(f"i-{number:04}") for number in range(1200)]
    list_scope(store, at(0), *crowd, scope="old")
    list_scope(store, at(15), *crowd, scope="new")
    assert len(changes(store)) == 1200
    assert {row["scope"] for row in latest(store).values()} == {"new"}


def test_a_longer_listing_takes_but_the_room_of_its_packed_entries(store: Store) -> None:
    def peak(count: int, moment: datetime) -> int:
        tracemalloc.start()
        crowd = (resource(f"i-{count}-{number}") for number in range(count))
        InventoryWriter(store, part=200).write_resource_metrics(
            account=ACCOUNT, scope=Scope(f"{count}"), run_id="run", seen_at=moment, resources=crowd
        )
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(10_000, at(0)) - peak(1_000, at(0)) < 9_000 * 200  # bytes for each


class CutOff(Store):
    """A store whose process dies before its insert number `survives`, counted from 0."""

    def __init__(self, store: Store, survives: int) -> None:
        self.__dict__ = store.__dict__.copy()
        self._left = survives

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        if self._left == 0:
            raise StoreUnavailableError("cut off")
        self._left -= 1
        super().insert_arrow(table, rows)


def write(
    store: Store,
    moment: datetime,
    listing: Sequence[Resource],
    *,
    part: int = PART,
    written_until: datetime | None = None,
) -> WriteReport:
    return InventoryWriter(store, part=part).write_resource_metrics(
        account=ACCOUNT,
        scope=Scope(SCOPE),
        run_id="run",
        seen_at=moment,
        resources=listing,
        written_until=written_until,
    )


def test_a_listing_in_many_parts_leaves_what_it_would_in_one(store: Store) -> None:
    crowd = [resource(f"i-{number:04}") for number in range(300)]
    assert write(store, at(0), crowd, part=10).rows == 300
    less = [*crowd[:100], *crowd[:5], resource("i-0100", status="stopped"), resource(" ")]
    report = write(store, at(15), less, part=10)
    assert report.rows == 101
    assert report.dropped == {DropReason.DUPLICATE: 5, DropReason.INVALID: 1}
    assert len(latest(store)) == 300
    assert [row["change"] for row in changes(store)[300:]] == ["status_changed"], (
        "whoever has no name may be any of those that are missing"
    )
    write(store, at(30), less[:-1], part=10)
    assert Counter(row["change"] for row in changes(store)[301:]) == {"deleted": 199}


@pytest.mark.parametrize("survives", [0, 1, 2])
def test_a_deletion_cut_off_anywhere_is_logged_once(store: Store, survives: int) -> None:
    write(store, at(0), [resource("i-1"), resource("i-2")])
    with pytest.raises(StoreUnavailableError):
        write(CutOff(store, survives), at(15), [resource("i-2")])
    write(store, at(30), [resource("i-2")])
    assert [row["change"] for row in changes(store)] == ["created", "created", "deleted"]


def test_what_came_and_went_around_a_cut_off_is_told_whole(store: Store) -> None:
    write(store, at(0), [resource("i-1")])
    with pytest.raises(StoreUnavailableError):
        write(CutOff(store, 2), at(15), [resource("i-1", status="stopped"), resource("i-2")])
    write(store, at(30), [resource("i-1")])
    told = [(row["resource_id"], row["change"], row["after"]) for row in changes(store)[1:]]
    assert [entry[:2] for entry in told] == [
        ("i-1", "status_changed"),
        ("i-2", "created"),
        ("i-1", "status_changed"),
        ("i-2", "deleted"),
    ]
    assert told[2][2] == {"status": "running"}


IDS = st.sampled_from(["i-1", "i-2", "i-3", "/a/b"])
RESOURCES = st.builds(
    lambda resource_id, status, name, metadata: resource(
        resource_id, status=status, resource_name=name, metadata=metadata
    ),
    IDS,
    st.sampled_from(["running", "stopped", "terminated"]),
    st.sampled_from(["web", "db"]),
    st.dictionaries(
        st.sampled_from(["vcpus", "tags", "zone"]),
        st.sampled_from([1, 2, "a", None, {"env": "prod"}, {"env": None}]),
        max_size=2,
    ),
)
LISTINGS = st.lists(RESOURCES, max_size=4, unique_by=lambda one: one.resource_id)
#: Inserts that end any of these listings: three for each of up to four parts.
WHOLE = 12
#: A listing and after how many inserts it is cut off.
ATTEMPTS = st.lists(
    st.tuples(LISTINGS, st.integers(0, 3) | st.integers(0, WHOLE)), min_size=1, max_size=5
)


def replayed(log: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The inventory that the change log alone tells of."""
    states: dict[str, dict[str, Any]] = {}
    for row in log:
        key = row["resource_id"]
        if row["change"] == "created":
            assert key not in states
            states[key] = row["after"]
        elif row["change"] == "deleted":
            assert states.pop(key) == row["before"]
        else:
            whole = states[key]
            flat = whole["metadata"] | {
                name: whole[name] for name in ("resource_name", "region", "status")
            }
            assert {name: flat[name] for name in row["before"]} == row["before"]
            kept = {name: value for name, value in flat.items() if name not in row["before"]}
            flat = kept | row["after"]
            fields = {name: flat.pop(name) for name in ("resource_name", "region", "status")}
            states[key] = fields | {"metadata": flat}
    return states


def described(listing: Sequence[Resource]) -> dict[str, dict[str, Any]]:
    def known(metadata: Any) -> Any:
        if not isinstance(metadata, dict):
            return metadata
        return {key: known(value) for key, value in metadata.items() if value is not None}

    return {
        one.resource_id: {
            "resource_name": one.resource_name,
            "region": one.region,
            "status": one.status,
            "metadata": known(one.metadata),
        }
        for one in listing
    }


def emptied(store: Store) -> None:
    for table in ("resource_metrics", "resource_changes", "resources_latest"):
        store.command(f"TRUNCATE TABLE {table}")


def moments() -> Iterator[datetime]:
    return (at(minute) for minute in range(0, 300, 15))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(attempts=ATTEMPTS, last=LISTINGS, part=st.sampled_from([1, 2, PART]))
def test_the_log_tells_exactly_what_complete_listings_saw(
    store: Store, attempts: list[tuple[list[Resource], int]], last: list[Resource], part: int
) -> None:
    emptied(store)
    times = moments()
    written_until = None
    lacked: dict[str, set[datetime]] = {}
    for listing, survives in [*attempts, (last, WHOLE)]:
        moment = next(times)
        for missing in {"i-1", "i-2", "i-3", "/a/b"} - {one.resource_id for one in listing}:
            lacked.setdefault(missing, set()).add(moment)
        try:
            write(CutOff(store, survives), moment, listing, part=part, written_until=written_until)
        except StoreUnavailableError:
            continue
        written_until = moment
    log = changes(store)
    assert replayed(log) == described(last)
    assert {
        key: row["status"]
        for key, row in latest(store).items()
        if row["deleted_at"].startswith("1970")
    } == {one.resource_id: one.status for one in last}
    for row in log:
        if row["change"] == "deleted":
            assert datetime.fromisoformat(row["timestamp"]) in lacked[row["resource_id"]]

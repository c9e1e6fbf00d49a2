"""The inventory and its changes as the reader answers them from a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.collector import Clock, TestCollector
from support.inventory import list_scope, resource

from optiinfra.accounts import Account
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Change, Gap, Kind, Resource, Scope, Window
from optiinfra.errors import DeniedError, ThrottledError, TransientError
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store
from resource_agent.readers.resource_reader import ChangeFilters, Key, Page, ResourceReader
from resource_agent.readers.selection import Filters, Owner

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
DAY = Window(START - timedelta(hours=18), START + timedelta(hours=6))
AWS = Owner("acme", ["aws"])
BOTH = Owner("acme", ["aws", "gcp"])
GCP_ACCOUNT = Account(customer_id="acme", account_id="web", provider="gcp")


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def objects(page: Page) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(b"[%b]" % page.rows.text)
    return rows


def ids(reader: ResourceReader, owner: Owner = AWS, **filters: Any) -> list[str]:
    return [
        row["resource_id"]
        for row in objects(reader.get_resources(owner, Filters(**filters), limit=99))
    ]


@pytest.fixture
def reader(store: Store) -> ResourceReader:
    return ResourceReader(store)


def test_a_resource_carries_all_that_is_known_of_it(store: Store, reader: ResourceReader) -> None:
    metadata = {"vcpus": 2, "tags": {"env": "prod"}, "note": 'a\tb\n"c" /d é'}
    list_scope(store, at(0), resource("i-1", metadata=metadata))
    list_scope(store, at(15), resource("i-1", metadata=metadata))
    (row,) = objects(reader.get_resources(AWS, Filters(), limit=10))
    assert row == {
        "resource_id": "i-1",
        "resource_name": "name of i-1",
        "resource_type": "compute_instance",
        "status": "running",
        "region": "us-east-1",
        "account_id": "prod",
        "provider": "aws",
        "scope": "aws/prod/us-east-1/ec2",
        "first_seen": text(at(0)),
        "last_seen": text(at(15)),
        "deleted_at": None,
        "unknown_since": None,
        "timestamp": text(at(15)),
        "metadata": metadata,
    }


def test_filters_narrow_the_list(store: Store, reader: ResourceReader) -> None:
    list_scope(
        store,
        at(0),
        resource("i-1", region="eu-west-1", metadata={"tags": {"env": "prod", "a.b": "c:d"}}),
        resource("i-2", status="stopped", metadata={"tags": {"env": "test"}}),
        resource("vol-1", resource_type="storage_volume", status="in_use", resource_name="Größe"),
        resource("i-4", metadata={"tags": {"aws:stack": "x", "odd'key": "1"}, "env": "prod"}),
    )
    assert ids(reader) == ["i-1", "i-2", "i-4", "vol-1"]
    assert ids(reader, resource_types=[ResourceType.STORAGE_VOLUME]) == ["vol-1"]
    assert ids(reader, statuses=[ResourceStatus.STOPPED, ResourceStatus.IN_USE]) == ["i-2", "vol-1"]
    assert ids(reader, regions=["eu-west-1", "nowhere"]) == ["i-1"]
    assert ids(reader, tags=["env:prod"]) == ["i-1"]
    assert ids(reader, tags=["env:prod", "a.b:c:d"]) == ["i-1"]
    assert ids(reader, tags=["env:prod", "env:test"]) == []
    assert ids(reader, tags=["aws:stack:x"]) == ["i-4"]
    assert ids(reader, tags=["odd'key:1"]) == ["i-4"]
    assert ids(reader, tags=["env:pro"]) == []
    assert ids(reader, text="NAME OF I-4") == ["i-4"]
    assert ids(reader, text="VOL") == ["vol-1"]
    assert ids(reader, text="GRÖSSE") == []
    assert ids(reader, text="GRÖ") == ["vol-1"]
    assert ids(reader, text="%") == []
    assert ids(reader, Owner("other", ["aws"])) == []


def test_what_hangs_on_a_resource_is_found(store: Store, reader: ResourceReader) -> None:
    list_scope(
        store,
        at(0),
        resource("i-1"),
        resource("one", metadata={"attached_to": "i-1"}),
        resource("several", metadata={"attached_to": ["i-2", "i-1"]}),
        resource("shared", metadata={"attached_to": "i-2", "attached_to_all": ["i-2", "i-1"]}),
        resource("other", metadata={"attached_to": "i-10"}),
    )
    assert ids(reader, attached_to=["i-1"]) == ["one", "several", "shared"]
    assert ids(reader, attached_to=["i-10", "i-2"]) == ["other", "several", "shared"]


def test_deleted_resources_are_shown_only_when_asked_for(
    store: Store, reader: ResourceReader
) -> None:
    list_scope(store, at(0), resource("i-1"), resource("i-2"))
    list_scope(store, at(15), resource("i-2"))
    assert ids(reader) == ["i-2"]
    gone, there = objects(reader.get_resources(AWS, Filters(), limit=9, include_deleted=True))
    assert (gone["resource_id"], gone["deleted_at"]) == ("i-1", text(at(15)))
    assert (gone["last_seen"], gone["status"]) == (text(at(0)), "running")
    assert there["deleted_at"] is None


def test_one_id_at_two_providers_is_two_resources(store: Store, reader: ResourceReader) -> None:
    list_scope(store, at(0), resource("same"))
    list_scope(store, at(5), resource("same"), account=GCP_ACCOUNT, scope="gcp/web/zone")
    first = reader.get_resources(BOTH, Filters(), limit=1)
    assert first.next_key == ("same", "aws")
    second = reader.get_resources(BOTH, Filters(), limit=1, after=first.next_key)
    assert second.next_key is None
    assert [row["provider"] for row in objects(first) + objects(second)] == ["aws", "gcp"]
    newest = json.loads(reader.get_resource_by_id(BOTH, "same").text)
    assert newest["provider"] == "gcp"


class TestAsOf:
    def listed(self, reader: ResourceReader, minute: int) -> dict[str, str]:
        page = reader.get_resources(BOTH, Filters(), limit=99, as_of=at(minute))
        return {row["resource_id"]: row["status"] for row in objects(page)}

    def test_each_scope_shows_its_last_complete_listing_until_then(
        self, store: Store, reader: ResourceReader
    ) -> None:
        list_scope(store, at(0), resource("i-1"), resource("i-2"))
        list_scope(store, at(5), resource("db"), scope="rds")
        list_scope(store, at(15), resource("i-1", status="stopped"))
        list_scope(store, at(20), scope="rds")
        list_scope(store, at(30), resource("i-1"), resource("i-2"))
        assert self.listed(reader, -1) == {}
        assert self.listed(reader, 0) == {"i-1": "running", "i-2": "running"}
        assert self.listed(reader, 14) == {"i-1": "running", "i-2": "running", "db": "running"}
        assert self.listed(reader, 15) == {"i-1": "stopped", "db": "running"}
        assert self.listed(reader, 29) == {"i-1": "stopped"}
        assert self.listed(reader, 99) == {"i-1": "running", "i-2": "running"}

    def test_a_row_tells_when_it_was_seen(self, store: Store, reader: ResourceReader) -> None:
        for minute in (0, 15, 30):
            list_scope(store, at(minute), resource("i-1"))
        (row,) = objects(reader.get_resources(AWS, Filters(), limit=9, as_of=at(20)))
        assert row["first_seen"] == text(at(0))
        assert row["last_seen"] == row["timestamp"] == text(at(15))
        assert row["deleted_at"] is None

    def test_a_resource_that_moved_between_scopes_is_shown_once(
        self, store: Store, reader: ResourceReader
    ) -> None:
        list_scope(store, at(0), resource("i-1"), scope="old")
        list_scope(store, at(15), resource("i-1", status="stopped"), scope="new")
        assert self.listed(reader, 20) == {"i-1": "stopped"}

    def test_a_listing_that_was_refused_whole_shows_nothing_new(
        self, store: Store, reader: ResourceReader
    ) -> None:
        list_scope(store, at(0), resource("i-1"))
        list_scope(store, at(30), resource("i-1"))
        list_scope(store, at(15), resource("i-1", status="stopped"))
        assert self.listed(reader, 20) == {"i-1": "running"}

    def test_what_a_listing_could_not_describe_is_still_there(
        self, store: Store, reader: ResourceReader
    ) -> None:
        list_scope(store, at(0), resource("i-1"), resource("i-2", status="stopped"))
        list_scope(store, at(15), resource("i-1"), unreadable=["i-2"])
        assert self.listed(reader, 20) == {"i-1": "running", "i-2": "stopped"}
        list_scope(store, at(30), resource("i-1"), resource("i-2", status="broken"))
        assert self.listed(reader, 40) == {"i-1": "running", "i-2": "stopped"}

    def test_filters_and_pages_apply_to_the_moment(
        self, store: Store, reader: ResourceReader
    ) -> None:
        list_scope(store, at(0), resource("i-1"), resource("i-2"), resource("i-3", region="x"))
        list_scope(store, at(15))
        page = reader.get_resources(AWS, Filters(regions=["us-east-1"]), limit=1, as_of=at(10))
        assert page.next_key == ("i-1", "aws")
        rest = reader.get_resources(
            AWS, Filters(regions=["us-east-1"]), limit=1, as_of=at(10), after=page.next_key
        )
        assert [row["resource_id"] for row in objects(rest)] == ["i-2"]

    def test_one_resource_as_it_was(self, store: Store, reader: ResourceReader) -> None:
        list_scope(store, at(0), resource("/a/b"), resource("i-2"))
        list_scope(store, at(15), resource("/a/b", status="stopped"))
        then = json.loads(reader.get_resource_by_id(AWS, "/a/b", as_of=at(10)).text)
        assert then["status"] == "running"
        assert not reader.get_resource_by_id(AWS, "i-2", as_of=at(15))
        assert not reader.get_resource_by_id(AWS, "/a/b", as_of=at(-1))


class TestUnknownSince:
    """The resources of a scope that a real collector lists well, then not, then well again."""

    ACCOUNT = Account("acme", "prod", "aws", options={"scopes": 2, "resources": 1})

    def listed(self, store: Store, clock: Clock, error: Exception | None) -> None:
        class Refusing(SimulatedProvider):
            def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
                for found in super().list_resources(account, scope):
                    yield found
                    if error and scope.name.endswith("part-0"):
                        raise error

        collector = TestCollector(store, Refusing(name="aws"), self.ACCOUNT, clock)
        collector.collect(Kind.RESOURCES)

    def told(self, reader: ResourceReader, as_of: datetime | None = None) -> dict[str, Any]:
        rows = objects(reader.get_resources(AWS, Filters(), limit=99, as_of=as_of))
        return {row["scope"].removeprefix("aws/prod/"): row["unknown_since"] for row in rows}

    @pytest.mark.parametrize(
        "error", [DeniedError("no"), ThrottledError("slow"), TransientError("cut"), KeyError("x")]
    )
    def test_it_is_the_first_listing_that_was_not_complete_since_the_last_that_was(
        self, store: Store, reader: ResourceReader, error: Exception
    ) -> None:
        clock = Clock(at(0))
        for fault in (None, error, error):
            self.listed(store, clock, fault)
            clock.forward(timedelta(minutes=15))
        unknown = {"part-0": text(at(15)), "part-1": None}
        assert self.told(reader) == unknown
        one = objects(reader.get_resources(AWS, Filters(), limit=1))[0]
        assert json.loads(reader.get_resource_by_id(AWS, one["resource_id"]).text) == one
        (group,) = json.loads(
            b"[%b]"
            % reader.get_resources_by_type(AWS, [ResourceType.COMPUTE_INSTANCE], limit=9).text
        )
        assert (group["count"], group["unknown_count"]) == (2, 1)
        assert [one["unknown_since"] for one in group["resources"]] == [text(at(15)), None]
        summary = json.loads(reader.get_resource_summary(AWS).text)
        assert (summary["unknown_count"], summary["unknown_since"]) == (1, text(at(15)))

        self.listed(store, clock, None)
        assert self.told(reader) == {"part-0": None, "part-1": None}
        summary = json.loads(reader.get_resource_summary(AWS).text)
        assert (summary["unknown_count"], summary["unknown_since"]) == (0, None)
        assert self.told(reader, at(14)) == {"part-0": None, "part-1": None}
        assert self.told(reader, at(30)) == unknown, "as it was then"
        summary = json.loads(reader.get_resource_summary(AWS, as_of=at(30)).text)
        assert (summary["unknown_count"], summary["unknown_since"]) == (1, text(at(15)))
        assert self.told(reader, at(45)) == {"part-0": None, "part-1": None}

    def test_what_is_gone_is_known_to_be_gone(self, store: Store, reader: ResourceReader) -> None:
        list_scope(store, at(0), resource("i-1"), scope="aws/prod/part-0")
        list_scope(store, at(1), scope="aws/prod/part-0")
        self.listed(store, Clock(at(15)), DeniedError("no"))
        rows = objects(reader.get_resources(AWS, Filters(), limit=99, include_deleted=True))
        assert next(row for row in rows if row["deleted_at"])["unknown_since"] is None


def test_groups_count_everything_and_show_the_first(store: Store, reader: ResourceReader) -> None:
    list_scope(
        store,
        at(0),
        resource("i-2", status="stopped"),
        resource("i-1"),
        resource("i-3", region="eu-west-1"),
        resource("lb", resource_type="load_balancer"),
    )
    found = reader.get_resources_by_type(AWS, [], limit=2)
    machines, balancers = json.loads(b"[%b]" % found.text)
    assert machines["resource_type"] == "compute_instance"
    assert machines["count"] == 3
    assert machines["by_status"] == {"running": 2, "stopped": 1}
    assert machines["by_region"] == {"eu-west-1": 1, "us-east-1": 2}
    assert [row["resource_id"] for row in machines["resources"]] == ["i-1", "i-2"]
    assert balancers["count"] == 1
    picked = reader.get_resources_by_type(AWS, [ResourceType.LOAD_BALANCER], limit=2)
    assert [json.loads(picked.text)["resource_type"]] == ["load_balancer"]


def test_totals_count_nothing_twice_and_missing_is_not_zero(
    store: Store, reader: ResourceReader
) -> None:
    list_scope(
        store,
        at(0),
        resource("i-1", metadata={"vcpus": 0.5, "memory_bytes": 2**33, "storage_bytes": 10}),
        resource("i-2", metadata={"vcpus": 2}),
        resource("i-3", status="terminated", metadata={"vcpus": 64}),
        resource("h", resource_type="host", metadata={"vcpus": 4, "storage_bytes": 10}),
        resource("db", resource_type="database", metadata={"storage_bytes": 100, "vcpus": 1}),
        resource("v-1", resource_type="storage_volume", metadata={"storage_bytes": 1000}),
        resource("v-2", resource_type="storage_volume"),
        resource(
            "fs",
            resource_type="storage_volume",
            metadata={"volume_kind": "filesystem", "storage_bytes": 900},
        ),
        resource("k", resource_type="kubernetes_cluster", metadata={"vcpus": 6}),
    )
    summary = json.loads(reader.get_resource_summary(AWS).text)
    assert summary["resources"] == 9
    assert summary["by_type"]["compute_instance"] == 3
    assert summary["by_status"] == {"running": 8, "terminated": 1}
    assert summary["by_region"] == {"us-east-1": 9}
    assert summary["by_provider"] == {"aws": 9}
    assert summary["totals"] == {"vcpus": 7.5, "memory_bytes": 2**33, "storage_bytes": 1100}
    assert summary["unknown"] == {"vcpus": 0, "memory_bytes": 3, "storage_bytes": 1}


def test_the_summary_counts_what_the_list_shows(store: Store, reader: ResourceReader) -> None:
    list_scope(
        store,
        at(0),
        resource("i-1", metadata={"vcpus": 2}),
        resource("i-2", status="stopped", metadata={"vcpus": 4}),
    )
    list_scope(store, at(15), resource("i-2", status="stopped", metadata={"vcpus": 8}))

    def counted(filters: Filters, **asked: Any) -> tuple[int, float | None]:
        summary = json.loads(reader.get_resource_summary(AWS, filters, **asked).text)
        return summary["resources"], summary["totals"]["vcpus"]

    assert counted(Filters()) == (1, 8)
    assert counted(Filters(statuses=[ResourceStatus.RUNNING])) == (0, None)
    assert counted(Filters(text="i-1"), as_of=at(10)) == (1, 2)
    # What is gone is listed, and takes nothing any more.
    assert counted(Filters(), include_deleted=True) == (2, 8)


def test_totals_of_nothing_are_not_known(reader: ResourceReader) -> None:
    summary = json.loads(reader.get_resource_summary(AWS).text)
    assert summary["resources"] == 0
    assert summary["by_type"] == {}
    assert summary["totals"] == {"vcpus": None, "memory_bytes": None, "storage_bytes": None}


def test_changes_are_told_newest_first_and_narrowed(store: Store, reader: ResourceReader) -> None:
    volume = resource("v-1", resource_type="storage_volume")
    list_scope(store, at(0), resource("i-1"), volume)
    list_scope(store, at(15), resource("i-1", status="stopped"))

    def told(window: Window = DAY, **filters: Any) -> list[tuple[str, str]]:
        page = reader.get_resource_changes(AWS, window, ChangeFilters(**filters), limit=99)
        return [(row["change"], row["resource_id"]) for row in objects(page)]

    assert told() == [
        ("deleted", "v-1"),
        ("status_changed", "i-1"),
        ("created", "v-1"),
        ("created", "i-1"),
    ]
    assert told(Window(at(0), at(15))) == [("created", "v-1"), ("created", "i-1")]
    assert told(changes=[Change.DELETED]) == [("deleted", "v-1")]
    assert told(resource_ids=["i-1"])[0] == ("status_changed", "i-1")
    assert told(resource_types=[ResourceType.STORAGE_VOLUME])[1] == ("created", "v-1")
    deleted, changed, *_ = objects(reader.get_resource_changes(AWS, DAY, ChangeFilters(), limit=99))
    assert deleted["before"]["resource_name"] == "name of v-1"
    assert deleted["after"] is None
    assert changed["before"] == {"status": "running"}
    assert changed["after"] == {"status": "stopped"}
    assert (changed["since"], changed["timestamp"]) == (text(at(0)), text(at(15)))


NAMES = st.sampled_from(["a", "B", "b/c", "b c", "ä", "机", "'", "a'; --", "%2F", "\\"])
WORLDS = st.lists(st.tuples(NAMES, st.sampled_from(["aws", "gcp"])), max_size=14, unique=True)


def walk(ask: Any, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: Key | None = None
    while True:
        page = ask(limit, after)
        assert len(page.rows) <= limit
        rows += objects(page)
        if page.next_key is None:
            return rows
        assert len(page.rows) == limit
        after = page.next_key


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=WORLDS, limit=st.integers(1, 6), stopped=st.sets(NAMES, max_size=4))
def test_pages_hold_every_row_once_and_in_order(
    store: Store, world: list[tuple[str, str]], limit: int, stopped: set[str]
) -> None:
    for table in (
        "resource_metrics",
        "resource_changes",
        "resources_latest",
        "collection_outcomes",
    ):
        store.command(f"TRUNCATE TABLE {table}")
    for provider in ("aws", "gcp"):
        account = Account(customer_id="acme", account_id=provider, provider=provider)
        here = [name for name, owner in world if owner == provider]
        first = [resource(name) for name in here]
        second = [resource(n, status="stopped" if n in stopped else "running") for n in here]
        list_scope(store, at(0), *first, account=account, scope=provider)
        list_scope(store, at(15), *second, account=account, scope=provider)
    reader = ResourceReader(store)
    order = sorted((name.encode(), provider) for name, provider in world)
    for as_of in (None, at(20)):
        rows = walk(
            lambda limit, after, as_of=as_of: reader.get_resources(
                BOTH, Filters(), limit=limit, after=after, as_of=as_of
            ),
            limit,
        )
        assert [(row["resource_id"].encode(), row["provider"]) for row in rows] == order
    changes = walk(
        lambda limit, after: reader.get_resource_changes(
            BOTH, DAY, ChangeFilters(), limit=limit, after=after
        ),
        limit,
    )
    whole = objects(reader.get_resource_changes(BOTH, DAY, ChangeFilters(), limit=1000))
    assert changes == whole
    assert len(whole) == len(world) + sum(name in stopped for name, _ in world)
    assert [row["timestamp"] for row in whole] == sorted(
        (row["timestamp"] for row in whole), reverse=True
    )

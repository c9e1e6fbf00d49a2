"""From a project to the store: every point once, and no false delete, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stamina
from fakes.gcp import Device, Disk, FakeGcp, Faults, network_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.collector import Clock, TestCollector

from data_collector.collectors.gcp import GcpProvider
from data_collector.collectors.gcp.metrics import QUERIES
from optiinfra.accounts import Account
from optiinfra.domain import Kind, ScopeStatus, Window, floor_time
from optiinfra_database import Store

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=5)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """As many attempts as ever, without the pauses between them."""
    with stamina.set_testing(True, attempts=4):
        yield


class Project:
    """A collector over a fake project, with one clock for both."""

    def __init__(self, store: Store, instances: int = 6, seed: int = 0) -> None:
        self.clock = Clock(BEGAN)
        self.fake = FakeGcp(instances=instances, seed=seed, clock=self.clock)
        self.store = store
        self.provider = GcpProvider(now=self.clock)

    def __enter__(self) -> Project:
        self.fake.__enter__()
        options = self.provider.options.model_validate({"project": self.fake.project})
        account = Account(
            "acme",
            "web",
            "gcp",
            options=options.model_dump(),
            credentials={"anonymous": True},
            endpoints=self.fake.endpoints,
        )
        self.collector = TestCollector(self.store, self.provider, account, self.clock)
        return self

    def __exit__(self, *error: object) -> None:
        self.fake.__exit__(None, None, None)

    def until_complete(self, kind: Kind) -> None:
        for _ in range(12):
            if all(o.status is ScopeStatus.OK for o in self.collector.collect(kind)):
                return
        pytest.fail("no run was complete")

    def stored(self) -> dict[tuple[str, str, int], tuple[float, str]]:
        """Value and region by metric, resource and bucket."""
        rows = self.store.query(
            "SELECT metric_name, resource_id, toUnixTimestamp(timestamp), metric_value, "
            "JSONExtractString(metadata, 'region') FROM performance_metrics FINAL "
            "WHERE customer_id = 'acme'"
        )
        points = {
            (metric, owner, time): (value, region) for metric, owner, time, value, region in rows
        }
        assert len(points) == len(rows), "a key stands twice in the store"
        return points

    def present(self) -> dict[str, str]:
        """Status by id of what the inventory says is there."""
        rows = self.store.query(
            "SELECT resource_id, status FROM resources_latest FINAL "
            "WHERE customer_id = 'acme' AND deleted_at = toDateTime(0, 'UTC')"
        )
        return {str(resource_id): str(status) for resource_id, status in rows}

    def assert_store_equals_truth(self, since: datetime) -> None:
        delay = self.provider.timing.delay
        window = Window(
            floor_time(since - timedelta(days=1), timedelta(minutes=5)),
            floor_time(self.clock.now - delay, timedelta(minutes=5)),
        )
        truth = self.fake.truth(window, self.clock.now)
        stored = self.stored()
        assert stored.keys() == truth.keys()
        assert {key: value for key, (value, _) in stored.items()} == pytest.approx(truth)
        regions = self.regions()
        assert {owner: region for (_, owner, _), (_, region) in stored.items()} == {
            owner: regions[owner] for _, owner, _ in truth
        }

    def regions(self) -> dict[str, str]:
        """The region of everything that can have points, by the fleet."""
        fleet, project = self.fake.fleet, self.fake.project
        zonal = [(m.id, m.zone) for m in fleet.machines] + [(d.id, d.zone) for d in fleet.disks]
        found = {resource_id: zone[:-2] for resource_id, zone in zonal}
        found |= {f"{project}:{one.name}": one.region for one in fleet.databases}
        for cluster in fleet.clusters:
            name = f"{cluster.location}/clusters/{cluster.name}"
            region = "-".join(cluster.location.split("-")[:2])
            found[f"//container.googleapis.com/projects/{project}/locations/{name}"] = region
        for rule in fleet.rules:
            where = "global" if rule.region == "global" else f"regions/{rule.region}"
            name = f"{where}/forwardingRules/{rule.name}"
            found[f"//compute.googleapis.com/projects/{project}/{name}"] = rule.region
        return found


@pytest.fixture
def project(store: Store) -> Iterator[Project]:
    with Project(store) as made:
        yield made


def test_one_run_stores_what_the_project_holds(project: Project) -> None:
    outcomes = project.collector.collect(Kind.PERFORMANCE)
    assert [outcome.status for outcome in outcomes] == [ScopeStatus.OK]
    project.assert_store_equals_truth(BEGAN)


def test_every_point_once_under_faults_late_points_and_an_outage(project: Project) -> None:
    project.fake.faults = Faults(
        throttle_rate=0.2, drop_rate=0.05, cut_rate=0.05, late_rate=0.1, page=2000
    )
    for minutes in (0, 15, 15, 120, 15, 15):
        project.clock.forward(minutes * MINUTE)
        project.collector.collect(Kind.PERFORMANCE)
    project.clock.forward(15 * MINUTE)
    project.until_complete(Kind.PERFORMANCE)
    project.assert_store_equals_truth(BEGAN)


def test_points_are_settled_when_google_says_that_they_are_published(project: Project) -> None:
    project.collector.collect(Kind.PERFORMANCE)
    rows = project.store.query(
        "SELECT metric_type, max(toUnixTimestamp(timestamp)) FROM performance_metrics FINAL "
        "WHERE settled AND metric_type IN ('compute_instance', 'database') GROUP BY metric_type"
    )
    now = int(project.clock.now.timestamp())
    # Instances settle after 240 + 60 seconds, databases after 165 + 60: of the newest bucket,
    # which ended 300 seconds ago, both; the next one is not asked for yet.
    newest = {str(kind): int(start) for kind, start in rows}
    assert newest == {"compute_instance": now - 600, "database": now - 600}


def test_a_disk_attached_between_two_listings_is_found_at_once(project: Project) -> None:
    project.collector.collect(Kind.PERFORMANCE)
    asked = project.fake.asked["compute.instances"]
    machine = project.fake.fleet.machines[2]
    fleet = project.fake.fleet
    fleet.disks.append(Disk("999", "new", machine.zone, 5, (machine.path,)))
    fleet.machines[2] = replace(machine, devices=(*machine.devices, Device("new", "new")))
    project.fake.rebuild()
    project.clock.forward(15 * MINUTE)
    project.collector.collect(Kind.PERFORMANCE)
    assert any(owner == "999" for _, owner, _ in project.stored())
    assert project.fake.asked["compute.instances"] == asked + 1


def test_inventory_equals_the_project(project: Project) -> None:
    project.until_complete(Kind.RESOURCES)
    fleet = project.fake.fleet
    expected = {m.id: "running" if m.running else "stopped" for m in fleet.machines}
    expected |= {d.id: "in_use" if d.users else "available" for d in fleet.disks}
    expected |= {network_id(name): "available" for name in fleet.networks}
    name = project.fake.project
    expected |= {f"{name}:{d.name}": "running" if d.running else "stopped" for d in fleet.databases}
    for resource_id in project.regions():
        expected.setdefault(resource_id, "running")
    assert project.present() == expected


events = st.lists(
    st.tuples(
        st.sampled_from(["calm", "calm", "throttle", "drop", "cut", "deny", "zone", "half"]),
        st.sampled_from(["nothing", "instance goes", "disk goes", "database goes", "comes back"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=events, seed=st.integers(0, 1000))
def test_nothing_is_deleted_that_is_there(
    store: Store, events: list[tuple[str, str]], seed: int
) -> None:
    for table in (
        "resource_metrics",
        "resource_changes",
        "resources_latest",
        "collection_outcomes",
    ):
        store.command(f"TRUNCATE TABLE {table}")
    with Project(store, instances=3, seed=seed) as project:
        project.until_complete(Kind.RESOURCES)
        fleet = project.fake.fleet
        gone: list[tuple[list[Any], Any]] = []
        ever_gone: set[str] = set()
        for trouble, change in events:
            project.clock.forward(15 * MINUTE)
            if change == "comes back" and gone:
                kind, one = gone.pop()
                kind.append(one)
            choices: tuple[tuple[str, list[Any]], ...] = (
                ("instance goes", fleet.machines),
                ("disk goes", fleet.disks),
                ("database goes", fleet.databases),
            )
            for named, kind in choices:
                if change == named and kind:
                    one = kind.pop()
                    gone.append((kind, one))
                    ever_gone.add(getattr(one, "id", f"{project.fake.project}:{one.name}"))
            project.fake.faults = {
                "calm": Faults(),
                "throttle": Faults(throttle={"compute.disks"}),
                "drop": Faults(drop_rate=0.6),
                "cut": Faults(cut_rate=0.6),
                "deny": Faults(deny={"compute.networks", "asset.SearchAllResources"}),
                "zone": Faults(unreachable={"us-central1-b"}),
                "half": Faults(page=2, drop_rate=0.3),
            }[trouble]
            project.collector.collect(Kind.RESOURCES)
            deleted = {
                resource_id
                for (resource_id,) in store.query(
                    "SELECT resource_id FROM resource_changes FINAL WHERE change = 'deleted'"
                )
            }
            assert deleted <= ever_gone
        project.fake.faults = Faults()
        project.clock.forward(15 * MINUTE)
        project.until_complete(Kind.RESOURCES)
        there = {m.id for m in fleet.machines} | {d.id for d in fleet.disks}
        present = project.present().keys()
        assert there <= present
        assert not {getattr(one, "id", one.name) for _, one in gone} & present


def test_calls_and_price_of_a_cycle_of_a_thousand_instances(store: Store) -> None:
    """One call per metric type where a page holds them all: the least that the API allows."""
    with Project(store, instances=1000) as project:
        period = project.provider.timing.period
        end = floor_time(project.clock.now - project.provider.timing.delay, period)
        cycle = Window(end - 6 * period, end)
        project.collector.collect(Kind.RESOURCES)
        project.fake.asked.clear()
        (outcome,) = project.collector.collect(Kind.PERFORMANCE, cycle)
    assert outcome.status is ScopeStatus.OK
    listed = dict(project.fake.asked)
    minimum = len({query.type for query in QUERIES})
    assert listed == {"monitoring.ListTimeSeries": minimum, "monitoring.ListMetricDescriptors": 5}
    assert outcome.api_calls["monitoring.ListTimeSeries"] == minimum
    series_returned = 15_190  # of this fleet, some of them two to a canonical metric
    assert outcome.price_usd == pytest.approx(series_returned * 0.5e-6)

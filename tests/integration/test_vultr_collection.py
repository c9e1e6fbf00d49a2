"""From a fake Vultr into the store: what is there is what Vultr said, and all of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psutil
import pytest
import stamina
from fakes.vultr import KEY, FakeVultr, Faults, Points, is_close
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.collector import Clock, TestCollector
from support.node_exporter import run_node_exporter

from data_collector.collectors.vultr import VultrProvider
from data_collector.collectors.vultr.exporter import Exporters
from optiinfra.accounts import Account
from optiinfra.domain import Kind, ScopeStatus
from optiinfra.errors import StoreUnavailableError
from optiinfra.notes import MemoryNotes, Notes
from optiinfra_database import Store

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VULTR_API_KEY", KEY)
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


def midnight(days_ago: int) -> datetime:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - days_ago * DAY


def collector(
    store: Store, fake: FakeVultr, clock: Clock, notes: Notes | None = None, **options: object
) -> TestCollector:
    provider = VultrProvider(
        clock=clock,
        exporters=Exporters(
            pause=lambda seconds: clock.forward(timedelta(seconds=seconds)),
            monotonic=lambda: clock().timestamp(),
        ),
        workers=1,
    )
    account = Account(
        "acme",
        "edge",
        "vultr",
        options=provider.options.model_validate(options).model_dump(),
        credentials={"api_key": "env:VULTR_API_KEY"},
        endpoints={"default": fake.url},
    )
    return TestCollector(store, provider, account, clock, notes)


def statuses(of: TestCollector, kind: Kind) -> dict[str, ScopeStatus]:
    return {outcome.scope.split("/")[-1]: outcome.status for outcome in of.collect(kind)}


def unsettled(store: Store) -> set[tuple[str, str, int]]:
    rows = store.query(
        "SELECT metric_name, resource_id, toUnixTimestamp(timestamp) "
        "FROM performance_metrics FINAL WHERE NOT settled"
    )
    return {(metric, resource_id, time) for metric, resource_id, time in rows}


def test_one_instance_from_the_fake_into_the_store(store: Store) -> None:
    clock = Clock(midnight(5) + 10 * HOUR)
    with FakeVultr(
        instances=1, bare_metals=0, databases=0, load_balancers=0, clusters=0, clock=clock
    ) as fake:
        of = collector(store, fake, clock, bandwidth_days=2)
        assert set(statuses(of, Kind.PERFORMANCE).values()) == {ScopeStatus.OK}
        truth = fake.truth_of_readings(clock()) | fake.truth_of_bandwidth(
            (clock() - 2 * DAY).date(), (clock() - DAY).date()
        )
        assert len(truth) == 5
        assert is_close(of.stored_points(), truth)


def test_every_point_once_through_faults_late_totals_and_an_outage(store: Store) -> None:
    """Cycles over four days; two hours of outage lie where a day's bandwidth is due."""
    start = midnight(6)
    clock = Clock(start + HOUR)
    faults = Faults(throttle_rate=0.2, drop_rate=0.05, cut_rate=0.02, late_share=0.3)
    truth: Points = {}
    with FakeVultr(clock=clock, faults=faults, seed=7) as fake:
        of = collector(store, fake, clock, bandwidth_days=10)
        for hours in (1, 1.25, 4, 10, 22, 26, 27, 27.5, 28.5, 29, 40, 52, 76, 90):
            clock.now = start + hours * HOUR
            faults.down = 26 < hours < 29
            found = statuses(of, Kind.PERFORMANCE)
            if faults.down:
                assert set(found.values()) == {ScopeStatus.FAILED}
            else:
                assert set(found.values()) == {ScopeStatus.OK}, hours
                truth |= fake.truth_of_readings(clock())
        days = fake.truth_of_bandwidth((start - 11 * DAY).date(), (start + 2 * DAY).date())
    provisional = {key for key in days if key[2] == int((start + 2 * DAY).timestamp())}
    for key in provisional:  # taken before it was complete, and marked so
        days[key] *= 0.7
    stored = of.stored_points()
    assert stored.keys() == (truth | days).keys()
    for key, value in (truth | days).items():
        # The fake counts whole bytes.
        assert stored[key] == pytest.approx(value, rel=1e-6), key
    assert unsettled(store) == provisional


def test_a_restart_asks_as_far_back_as_the_outage_before_it_lasted(store: Store) -> None:
    clock = Clock(midnight(30) + 5 * HOUR)
    with FakeVultr(clock=clock, databases=0, load_balancers=0, clusters=0) as fake:
        collector(store, fake, clock, bandwidth_days=3).collect(Kind.PERFORMANCE)
        clock.forward(20 * DAY)
        collector(store, fake, clock, bandwidth_days=22).collect(Kind.PERFORMANCE)
        last = (clock() - DAY).date()
        expected = fake.truth_of_bandwidth(last - 21 * DAY, last)
    stored = of_bandwidth(collector(store, fake, clock).stored_points())
    assert expected.keys() <= stored.keys()
    assert all(stored[key] == pytest.approx(value) for key, value in expected.items())


def of_bandwidth(points: Points) -> Points:
    return {key: value for key, value in points.items() if key[0].startswith("network_")}


def questions(fake: FakeVultr) -> int:
    return sum(count for path, count in fake.requests.items() if path.endswith("/bandwidth"))


def test_two_processes_ask_for_a_day_of_bandwidth_once(store: Store) -> None:
    clock = Clock(midnight(5) + 5 * HOUR)
    notes = MemoryNotes()
    with FakeVultr(clock=clock) as fake:
        processes = [collector(store, fake, clock, notes) for _ in range(2)]
        for day in range(1, 4):
            for one in (*processes, *reversed(processes)):
                one.collect(Kind.PERFORMANCE)
                clock.forward(timedelta(minutes=15))
            assert questions(fake) == 4 * day  # three instances and a bare metal
            clock.forward(DAY - HOUR)
        first = (midnight(5) - 30 * DAY).date()
        expected = fake.truth_of_bandwidth(first + 3 * DAY, (midnight(5) + DAY).date())
    stored = of_bandwidth(processes[0].stored_points())
    assert all(stored[key] == pytest.approx(value) for key, value in expected.items())


def test_what_did_not_reach_the_store_is_asked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the store is away")

    clock = Clock(midnight(5) + 5 * HOUR)
    with FakeVultr(clock=clock) as fake:
        of = collector(store, fake, clock)
        with monkeypatch.context() as broken:
            broken.setattr(store, "insert_arrow", away)
            with pytest.raises(StoreUnavailableError):
                of.collect(Kind.PERFORMANCE)
        clock.forward(timedelta(minutes=15))
        of.collect(Kind.PERFORMANCE)
    days = {time for _, _, time in of_bandwidth(of.stored_points())}
    assert len(days) == 30


def test_a_running_day_is_never_written(store: Store) -> None:
    clock = Clock(midnight(3) + 23 * HOUR + timedelta(minutes=58))
    with FakeVultr(clock=clock) as fake:
        of = collector(store, fake, clock)
        of.collect(Kind.PERFORMANCE)
        days = {time for _, _, time in of_bandwidth(of.stored_points())}
    assert max(days) == int(midnight(4).timestamp())
    assert len(days) == 28 + 2  # bare metals reach 28 days back, instances 30


def test_exporters_give_an_instances_cpu_memory_disks_and_network(store: Store) -> None:
    clock = Clock(midnight(2) + 9 * HOUR)
    with FakeVultr(
        instances=4,
        exporters=3,
        bare_metals=0,
        databases=0,
        load_balancers=0,
        clusters=0,
        clock=clock,
    ) as fake:
        exporting = {"port": fake.exporter_port, "tags": ["exporter"]}
        of = collector(store, fake, clock, node_exporter=exporting)
        expected: Points = {}
        for _ in range(3):
            bucket = int(clock().timestamp()) // 300 * 300
            assert statuses(of, Kind.PERFORMANCE)["instances"] is ScopeStatus.OK
            for resource_id, times in fake.scrapes.items():
                for metric, value in fake.truth_of_exporter(resource_id, *times[-2:]).items():
                    expected[metric, resource_id, bucket] = value
            clock.forward(timedelta(minutes=15))
        exporting_ids = set(fake.scrapes)
        assert len(exporting_ids) == 3
        stored = {
            key: value
            for key, value in of.stored_points().items()
            if key[1] in exporting_ids and key[0] not in ("availability", "response_time")
        }
    assert stored.keys() == expected.keys()
    for key, value in expected.items():
        # The exporter and who reads it look at their clocks one after the other.
        assert stored[key] == pytest.approx(value, rel=0.05, abs=1e-6), key
    # Four scrapes: two for the first rates, one in each cycle after.
    assert {len(times) for times in fake.scrapes.values()} == {4}


def test_an_exporter_that_stops_is_a_gap_and_the_others_go_on(store: Store) -> None:
    clock = Clock(midnight(2) + 9 * HOUR)
    with FakeVultr(instances=3, exporters=3, clock=clock) as fake:
        first, second, third = (fake.uuid("instance", number) for number in range(3))
        fake.faults.silent = {third}
        of = collector(store, fake, clock, node_exporter={"port": fake.exporter_port})
        # One that never answered has no agent, and that is no failure.
        assert statuses(of, Kind.PERFORMANCE)["instances"] is ScopeStatus.OK
        assert gaps(store) >= {("no_agent", third)}
        fake.faults.silent = {first, third}
        clock.forward(timedelta(minutes=15))
        bucket = int(clock().timestamp()) // 300 * 300
        # One that answered a while ago is missed.
        assert statuses(of, Kind.PERFORMANCE)["instances"] is ScopeStatus.PARTIAL
    stored = of.stored_points()
    assert ("cpu_utilization", second, bucket) in stored
    assert ("cpu_utilization", first, bucket) not in stored
    assert ("availability", first, bucket) in stored
    assert ("failed", first) in gaps(store)


def gaps(store: Store) -> set[tuple[str, str]]:
    rows = store.query("SELECT reason, resource_id FROM collection_gaps")
    return {(reason, resource_id) for reason, resource_id in rows}


def test_a_real_exporter_on_an_instance(store: Store) -> None:
    running = run_node_exporter()
    port = int(next(running).url.split(":")[2].split("/")[0])
    clock = Clock(datetime.now(UTC))
    with FakeVultr(instances=1, clock=clock) as fake:
        fake.lists["instances"][0]["main_ip"] = "127.0.0.1"
        of = collector(store, fake, clock, node_exporter={"port": port})
        assert statuses(of, Kind.PERFORMANCE)["instances"] is ScopeStatus.OK
    next(running, None)
    instance = fake.lists["instances"][0]["id"]
    stored = {
        metric: v for (metric, owner, _), v in of.stored_points().items() if owner == instance
    }
    assert 0 <= stored["cpu_utilization"] <= 100
    assert stored["memory_utilization"] == pytest.approx(psutil.virtual_memory().percent, abs=10)
    assert stored["uptime"] == pytest.approx(time.time() - psutil.boot_time(), abs=10)
    assert "storage_free_bytes" in stored


def test_a_fleet_replays_the_series_that_it_is_given(store: Store) -> None:
    clock = Clock(midnight(2) + 9 * HOUR)
    with FakeVultr(databases=3, series=[np.array([12.5, 80.0])], clock=clock) as fake:
        collector(store, fake, clock).collect(Kind.PERFORMANCE)
        clock.forward(timedelta(minutes=5))
        of = collector(store, fake, clock)
        of.collect(Kind.PERFORMANCE)
    found = [v for (metric, *_), v in of.stored_points().items() if metric == "cpu_utilization"]
    # Each database begins at a place of its own, and goes on from there.
    assert sorted(found) == [12.5] * 3 + [80.0] * 3


def test_denied_and_broken_listings_stop_no_other_scope(store: Store) -> None:
    clock = Clock(midnight(2) + 9 * HOUR)
    faults = Faults(deny={"databases"}, html={"load_balancers"}, wrong_shape={"blocks"})
    with FakeVultr(clock=clock, faults=faults) as fake:
        of = collector(store, fake, clock)
        assert statuses(of, Kind.RESOURCES) == {
            "instances": ScopeStatus.OK,
            "bare_metals": ScopeStatus.OK,
            "blocks": ScopeStatus.FAILED,
            "databases": ScopeStatus.DENIED,
            "load_balancers": ScopeStatus.FAILED,
            "vpcs": ScopeStatus.OK,
            "kubernetes": ScopeStatus.OK,
        }
        found = statuses(of, Kind.PERFORMANCE)
    assert found["databases"] is ScopeStatus.DENIED
    assert found["instances"] is ScopeStatus.OK


def test_a_wrong_key_is_the_accounts_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VULTR_API_KEY", "not-the-key")
    clock = Clock(midnight(2) + 9 * HOUR)
    with FakeVultr(clock=clock) as fake:
        of = collector(store, fake, clock)
        outcomes = of.collect(Kind.RESOURCES)
    assert {outcome.error_class for outcome in outcomes} == {"CredentialError"}
    assert not any("not-the-key" in outcome.error for outcome in outcomes)


steps = st.lists(
    st.tuples(
        st.sampled_from(["nothing", "add", "remove"]),
        st.sampled_from(
            ["", "", "half_page", "deny", "html", "circle", "wrong_shape", "down", "lossy"]
        ),
    ),
    min_size=2,
    max_size=6,
)


@pytest.mark.thorough
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schedule=steps, seed=st.integers(0, 1000))
def test_no_resource_is_deleted_without_evidence(
    store: Store, schedule: list[tuple[str, str]], seed: int
) -> None:
    for table in ("resource_metrics", "resources_latest", "resource_changes"):
        store.command(f"TRUNCATE TABLE {table}")
    clock = Clock(midnight(3))
    with FakeVultr(instances=5, databases=3, clock=clock, seed=seed, faults=Faults()) as fake:
        of = collector(store, fake, clock, per_page=2)
        of.collect(Kind.RESOURCES)
        known = alive(store)
        assert known == everything(fake)
        for number, (change, fault) in enumerate(schedule):
            clock.forward(timedelta(minutes=15))
            if change == "add":
                fake.add_instance(100 + number)
            elif change == "remove" and fake.lists["instances"]:
                fake.lists["instances"].pop(0)
            fake.faults = faults_of(fault)
            complete = {
                outcome.scope.split("/")[-1]
                for outcome in of.collect(Kind.RESOURCES)
                if outcome.status is ScopeStatus.OK
            }
            assert everything(fake) & known <= alive(store), "deleted although it is there"
            if "instances" in complete:
                listed = {one["id"] for one in fake.lists["instances"]}
                assert listed <= alive(store)
            known = alive(store)
        clock.forward(timedelta(minutes=15))
        fake.faults = Faults()
        of.collect(Kind.RESOURCES)
        assert alive(store) == everything(fake)


def test_a_listing_shared_with_the_metrics_does_not_outlive_that_of_another_process(
    store: Store,
) -> None:
    """It lacks what was created after it, and must not delete that again."""
    clock = Clock(midnight(3))
    with FakeVultr(clock=clock) as fake:
        here, there = collector(store, fake, clock), collector(store, fake, clock)
        here.collect(Kind.PERFORMANCE)
        clock.forward(timedelta(seconds=20))
        made = fake.add_instance(100)["id"]
        there.collect(Kind.RESOURCES)
        clock.forward(timedelta(seconds=20))
        here.collect(Kind.RESOURCES)
        assert made in alive(store)
        asked = fake.requests["/v2/instances"]
        assert asked == 3, "both listings of the inventory had to be asked for"


def test_a_shared_listing_is_dated_when_it_was_made(store: Store) -> None:
    clock = Clock(midnight(3))
    with FakeVultr(clock=clock) as fake:
        of = collector(store, fake, clock)
        of.collect(Kind.PERFORMANCE)
        clock.forward(timedelta(minutes=2))
        of.collect(Kind.RESOURCES)
        assert fake.requests["/v2/instances"] == 1
    seen = store.query(
        "SELECT DISTINCT last_seen FROM resources_latest FINAL WHERE scope LIKE '%/instances'"
    )
    assert [moment.replace(tzinfo=UTC) for (moment,) in seen] == [midnight(3)]


def faults_of(name: str) -> Faults:
    if name == "down":
        return Faults(down=True)
    if name == "lossy":
        return Faults(throttle_rate=0.3, drop_rate=0.2, cut_rate=0.2)
    faults = Faults()
    if name:
        setattr(faults, name, {"instances", "databases", "bare_metals"})
    return faults


def everything(fake: FakeVultr) -> set[str]:
    return {one["id"] for key, listed in fake.lists.items() if "plans" not in key for one in listed}


def alive(store: Store) -> set[str]:
    rows = store.query(
        "SELECT resource_id FROM resources_latest FINAL WHERE deleted_at = toDateTime(0, 'UTC')"
    )
    return {resource_id for (resource_id,) in rows}

"""From AWS's fake to the store: every settled point once, no false delete, the fewest calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import stamina
from fakes.aws import FakeAws, Faults, Points
from support.collector import Clock, TestCollector

from data_collector.collectors.aws import AwsProvider
from optiinfra.accounts import Account
from optiinfra.domain import Kind, ScopeStatus, Window, floor_time

pytest.importorskip("moto.server", reason="moto is not installed")

MINUTE = timedelta(minutes=1)
PERIOD = timedelta(minutes=5)
REGIONS = ["us-east-1", "eu-west-1"]


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeAws]:
    with FakeAws(clock=clock) as running:
        yield running


def collector(store, fake: FakeAws, clock: Clock, **options) -> TestCollector:
    account = Account(
        "acme",
        "prod",
        "aws",
        options={"regions": REGIONS, **options},
        credentials={"anonymous": True},
        endpoints={"default": fake.url},
    )
    return TestCollector(store, AwsProvider(clock=clock), account, clock)


def measured(points: Points, fake: FakeAws) -> Points:
    """Without the availability that a listed status tells of."""
    return {
        key: value
        for key, value in points.items()
        if key[0] != "availability" or fake.resources[key[1]].family == "instance"
    }


def assert_equal(stored: Points, true: Points) -> None:
    assert len(true) > 100
    assert stored.keys() == true.keys()
    for key, value in true.items():
        assert stored[key] == pytest.approx(value, rel=1e-12, abs=1e-9), key


def window_since(began: datetime, clock: Clock) -> Window:
    return Window(
        floor_time(began - timedelta(days=1), PERIOD),
        floor_time(clock() - timedelta(minutes=5), PERIOD),
    )


def test_the_store_holds_each_point_once_through_faults_late_points_and_an_outage(
    store, fake, clock
):
    fake.instances(2, volumes=True)
    stopping = fake.instances(1, detailed=True)[0]
    fake.instances(1, kind="i3en.large", region="eu-west-1")
    fake.database("orders")
    fake.balancer("web")
    fake.balancer("tcp", kind="network", region="eu-west-1")
    fake.cluster("main", insights=True)
    kind = collector(store, fake, clock, container_insights=True)
    began = clock.now
    statuses: set[ScopeStatus] = set()

    def cycles(count: int) -> None:
        for _ in range(count):
            clock.forward(15 * MINUTE)
            statuses.update(outcome.status for outcome in kind.collect(Kind.PERFORMANCE))

    fake.faults = Faults(throttle=0.2, drop=0.05)
    kind.collect(Kind.PERFORMANCE)
    cycles(3)
    fake.stop(stopping)
    cycles(2)
    fake.faults = Faults(drop=1.0)
    cycles(8)  # two hours in which nothing answers
    assert ScopeStatus.FAILED in statuses
    fake.faults = Faults(throttle=0.2, drop=0.05)
    cycles(3)
    fake.faults = Faults()
    clock.forward(15 * MINUTE)
    assert {one.status for one in kind.collect(Kind.PERFORMANCE)} == {ScopeStatus.OK}

    window = window_since(began, clock)
    true = fake.truth(window.start, window.end)
    assert_equal(measured(kind.stored_points(), fake), true)
    regions = {fake.resources[resource].region for _, resource, _ in true}
    assert regions == set(REGIONS)


def test_a_metrics_own_delay_decides_what_is_settled_and_how_far_back_is_read(store, clock):
    """Databases whose every sample comes 70 minutes late, beside instances."""
    # Which samples are late depends on the ids, which moto draws by lot.
    with FakeAws(clock=clock, held_back={"AWS/RDS": 70 * 60}, late_rate=0.0) as fake:
        fake.instances(1)
        fake.instances(1, detailed=True)
        fake.database("orders")
        kind = collector(store, fake, clock, settling_minutes={"rds": 100})
        began = clock.now
        for _ in range(3):
            kind.collect(Kind.PERFORMANCE)
            clock.forward(40 * MINUTE)
        kind.collect(Kind.PERFORMANCE)
        window = window_since(began, clock)
        stored = measured(kind.stored_points(), fake)
        owed = {key: value for key, value in stored.items() if key[2] >= window.start.timestamp()}
        assert_equal(owed, fake.truth(window.start, window.end))
    rows = store.query(
        "SELECT resource_id, max(toUnixTimestamp(timestamp)) FROM performance_metrics FINAL "
        "WHERE settled AND metric_name = 'cpu_utilization' GROUP BY resource_id"
    )
    newest = dict(rows)
    resources = fake.resources
    basic, detailed, database = (newest[one] for one in resources)
    bucket_ends = int(floor_time(clock.now, PERIOD).timestamp())
    assert [bucket_ends - at for at in (basic, detailed, database)] == [
        (minutes + 5) * 60 for minutes in (15, 10, 100)
    ]


def test_what_moto_answers_itself_is_stored(store, fake, clock):
    """PutMetricData into moto, without the fleet's samples."""
    (instance,) = fake.instances(1)
    fake._metrics.clear()
    at = floor_time(clock.now, PERIOD) - timedelta(hours=1)
    fake.client("cloudwatch").put_metric_data(
        Namespace="AWS/EC2",
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": "InstanceId", "Value": instance}],
                "Timestamp": at + minute * MINUTE,
                "Value": value,
            }
            for name, value in (("CPUUtilization", 40.0), ("NetworkIn", 600.0))
            for minute in (0, 1)
        ],
    )
    kind = collector(store, fake, clock, regions=["us-east-1"])
    requested = Window(at - PERIOD, at + 2 * PERIOD)
    (outcome,) = kind.collect(Kind.PERFORMANCE, requested)
    assert outcome.status is ScopeStatus.OK
    bucket = int(at.timestamp())
    assert kind.stored_points() == {
        ("cpu_utilization", instance, bucket): 40.0,
        ("network_in_bytes_per_sec", instance, bucket): 4.0,
    }


def test_pages_and_refused_metrics_lose_nothing_else(store, fake, clock):
    fake.instances(5)
    kind = collector(store, fake, clock, regions=["us-east-1"])
    window = Window(
        floor_time(clock.now, PERIOD) - timedelta(hours=2), clock.now - timedelta(hours=1)
    )
    fake.faults = Faults(page_points=37)
    kind.collect(Kind.PERFORMANCE, window)
    true = fake.truth(floor_time(window.start, PERIOD), floor_time(window.end, PERIOD) + PERIOD)
    assert_equal(kind.stored_points(), true)
    store.command("TRUNCATE TABLE performance_metrics")
    fake.faults = Faults(
        metric_status={"CPUUtilization": "Forbidden", "NetworkIn": "InternalError"}
    )
    (outcome,) = kind.collect(Kind.PERFORMANCE, window)
    assert outcome.status is ScopeStatus.PARTIAL
    lost = {"cpu_utilization", "network_in_bytes_per_sec"}
    assert_equal(
        kind.stored_points(), {key: value for key, value in true.items() if key[0] not in lost}
    )
    reasons = store.query(
        "SELECT DISTINCT metric_name, reason FROM collection_gaps FINAL "
        "WHERE resource_id != '' ORDER BY 1"
    )
    assert reasons == [("cpu_utilization", "denied"), ("network_in_bytes_per_sec", "failed")]


def test_what_fails_for_a_moment_is_asked_again_in_the_same_run(store, fake, clock):
    fake.instances(2)
    kind = collector(store, fake, clock, regions=["us-east-1"])
    fake.faults = Faults(metric_status={"CPUUtilization": "InternalError"}, status_tries=2)
    (outcome, *_) = kind.collect(Kind.PERFORMANCE)
    assert outcome.status is ScopeStatus.OK


def test_a_metric_that_aws_refuses_is_found_and_the_rest_answered(store, fake, clock):
    fake.instances(1)
    fake.database("orders")
    kind = collector(store, fake, clock, regions=["us-east-1"])
    fake.faults = Faults(bad_metric="StatusCheckFailed")
    outcomes = kind.collect(Kind.PERFORMANCE)
    assert {outcome.status for outcome in outcomes} == {ScopeStatus.OK}
    metrics = {metric for metric, resource, _ in kind.stored_points() if resource.startswith("i-")}
    assert "cpu_utilization" in metrics
    assert "uptime" not in metrics


def test_a_minute_period_gives_minutes_where_aws_has_them(store, fake, clock):
    basic, detailed = fake.instances(1)[0], fake.instances(1, detailed=True)[0]
    kind = collector(store, fake, clock, regions=["us-east-1"], period=60)
    kind.collect(Kind.PERFORMANCE)
    points = kind.stored_points()

    def spacing(metric: str, resource: str) -> int:
        times = sorted(time for name, one, time in points if (name, one) == (metric, resource))
        return min(later - time for time, later in pairwise(times))

    assert spacing("cpu_utilization", detailed) == 60
    assert spacing("network_in_packets_per_sec", detailed) == 300
    assert spacing("cpu_utilization", basic) == 300


def test_the_agents_metrics_are_found_where_asked_for(store, fake, clock):
    with_agent = fake.instances(2, agent=True)
    without = fake.instances(1)
    kind = collector(store, fake, clock, regions=["us-east-1"], agent_metrics=True)
    began = clock.now
    kind.collect(Kind.PERFORMANCE)
    window = window_since(began, clock)
    assert_equal(kind.stored_points(), fake.truth(window.start, window.end))
    memory = {one for metric, one, _ in kind.stored_points() if metric == "memory_utilization"}
    assert memory == set(with_agent)
    gaps = store.query(
        "SELECT DISTINCT resource_id, metric_name FROM collection_gaps FINAL "
        "WHERE reason = 'no_agent' ORDER BY 2"
    )
    assert gaps == [(without[0], "memory_utilization"), (without[0], "storage_utilization")]


def test_a_stopped_instance_is_a_gap_and_soon_costs_nothing(store, fake, clock):
    running, stopped = fake.instances(2)
    fake.stop(stopped)
    kind = collector(store, fake, clock, regions=["us-east-1"])
    for _ in range(5):
        (*_, outcome) = kind.collect(Kind.PERFORMANCE)
        clock.forward(15 * MINUTE)
    assert outcome.status is ScopeStatus.OK
    assert outcome.api_calls["GetMetricData"] == 1
    assert outcome.price_usd == pytest.approx((10 + 6) / 100_000)
    reasons = store.query(
        "SELECT DISTINCT reason FROM collection_gaps FINAL WHERE resource_id = {id:String}",
        {"id": stopped},
    )
    assert reasons == [("stopped",)]
    assert {one for _, one, _ in kind.stored_points()} == {running, stopped}

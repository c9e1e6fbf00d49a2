"""CloudWatch's answers to series: units, pages, states of queries, packing. Without a network."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data_collector.collectors.aws.inventory import Listing
from data_collector.collectors.aws.metrics import (
    ABSENT_OF,
    AGENT_CANONICAL,
    CLUSTER_RECIPES,
    NATIVE,
    RECIPES,
    RESOURCE_TYPE_OF_FAMILY,
    Feature,
    Target,
)
from data_collector.collectors.aws.options import AwsOptions
from data_collector.collectors.aws.performance import (
    Assembler,
    Result,
    agent_finds,
    merged,
    normalise,
    observed,
)
from data_collector.collectors.aws.policy import POLICY
from data_collector.collectors.aws.queries import (
    MOST_BYTES,
    MOST_POINTS,
    MOST_QUERIES,
    Measure,
    Query,
    batches,
    datapoints,
    plan,
    selected,
)
from data_collector.collectors.aws.sizes import class_memory, class_vcpus
from optiinfra.catalog import METRICS, ResourceType
from optiinfra.domain import Gap, GapReason, Series, Window
from optiinfra.errors import ContractError

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EPOCH = int(START.timestamp())
WINDOW = Window(START, START + timedelta(hours=1))
GIB = 1 << 30


def target(family: str = "instance", resource_id: str = "i-1", **changes) -> Target:
    types = {
        "instance": ResourceType.COMPUTE_INSTANCE,
        "volume": ResourceType.STORAGE_VOLUME,
        "database": ResourceType.DATABASE,
        "cluster": ResourceType.KUBERNETES_CLUSTER,
    }
    kind = types.get(family, ResourceType.LOAD_BALANCER)
    fields = {
        "features": frozenset({Feature.NITRO, Feature.OWN_STORAGE}),
        "dimensions": (("Id", resource_id),),
        "period": 300,
        **changes,
    }
    return Target(resource_id=resource_id, name=resource_id, type=kind, family=family, **fields)


def measures(of: Target, **options) -> dict[str, Measure]:
    """What is asked about the target, by native metric."""
    items = plan(of, AwsOptions(**options), {}, floor=60)
    return {item.parts[0][0]: item for item in items if isinstance(item, Measure)}


def result(*values: float, status: str = "Complete", first: int = EPOCH) -> Result:
    times = first + 300 * np.arange(len(values), dtype=np.int64)
    reason = None if status == "Complete" else GapReason.FAILED
    return Result(times, np.array(values, dtype=np.float64), status, reason)


def values_of(items) -> dict[str, list[float]]:
    return {item.metric: item.values.tolist() for item in items if isinstance(item, Series)}


@pytest.mark.parametrize(
    ("of", "native", "answered", "canonical"),
    [
        (target(), "CPUUtilization", 12.5, {"cpu_utilization": 12.5}),
        (target(), "NetworkIn", 600.0, {"network_in_bytes_per_sec": 2.0}),
        (target(), "EBSReadOps", 3000.0, {"disk_read_ops_per_sec": 10.0}),
        (
            target(launched_at=START - timedelta(hours=1)),
            "StatusCheckFailed",
            1.0,
            {"availability": 0.0, "uptime": 3900.0},
        ),
        (target("volume"), "VolumeWriteBytes", 30.0, {"disk_write_bytes_per_sec": 0.1}),
        (target("volume"), "VolumeAvgReadLatency", 0.7, {"disk_read_latency": 0.7}),
        (
            target("database", memory_bytes=8 * GIB),
            "FreeableMemory",
            2.0 * GIB,
            {"memory_utilization": 75.0},
        ),
        (
            target("database", storage_bytes=20 * GIB),
            "FreeStorageSpace",
            5.0 * GIB,
            {"storage_free_bytes": 5.0 * GIB, "storage_utilization": 75.0},
        ),
        (target("database"), "ReadLatency", 0.002, {"disk_read_latency": 2.0}),
        (target("application"), "TargetResponseTime", 0.25, {"lb_latency": 250.0}),
        (target("application"), "ActiveConnectionCount", 50.0, {"lb_active_connections": 10.0}),
        (target("network"), "NewFlowCount", 900.0, {"lb_requests_per_sec": 3.0}),
    ],
)
def test_units(of, native, answered, canonical):
    measure = measures(of)[native]
    parts = [result(answered), *(result() for _ in measure.parts[1:])]
    found = values_of(normalise(measure, parts))
    assert found == {metric: [pytest.approx(value)] for metric, value in canonical.items()}


@pytest.mark.parametrize(
    ("of", "native", "minutes"),
    [
        (target(period=300), "CPUUtilization", 15),
        (target(period=60), "CPUUtilization", 10),
        (target(period=300), "StatusCheckFailed", 10),  # each minute, whatever is paid for
        (target("volume"), "VolumeReadBytes", 10),
        (target("database"), "CPUUtilization", 90),
        (target("network"), "NewFlowCount", 10),
        (target("cluster"), "node_cpu_utilization", 15),
    ],
)
def test_a_point_settles_as_its_own_metric_does(of, native, minutes):
    measure = measures(of, settling_minutes={"rds": 90}, container_insights=True)[native]
    found = normalise(measure, [result(1.0)])
    assert {one.settling for one in found if isinstance(one, Series)} == {
        timedelta(minutes=minutes)
    }


@given(st.integers(1, 10**12), st.sampled_from([60, 300]))
def test_a_rate_is_the_sum_over_the_period_that_was_asked_for(total, period):
    measure = measures(target(period=period), period=60)["NetworkIn"]
    assert measure.period == period
    found = values_of(normalise(measure, [result(float(total))]))
    assert found["network_in_bytes_per_sec"][0] * period == pytest.approx(total)


def test_every_row_of_the_table_is_in_the_catalog_for_its_resource_type():
    assert {row.canonical for row in NATIVE} <= METRICS.keys()
    for family, recipes in RECIPES.items():
        for recipe in recipes:
            for output in recipe.outputs:
                assert target(family).type in METRICS[output.canonical].entities


def one_series(measure: Measure, results: list[Result]) -> Series:
    """The single answer, which must be a series."""
    (found,) = normalise(measure, results)
    assert isinstance(found, Series)
    return found


def one_gap(items: Iterable[object]) -> Gap:
    """The single answer, which must be a gap."""
    (found,) = items
    assert isinstance(found, Gap)
    return found


def test_sums_of_several_metrics_count_a_bucket_that_any_has():
    measure = measures(target("application"))["HTTPCode_ELB_5XX_Count"]
    assert len(measure.parts) == 2
    series = one_series(measure, [result(300.0, 600.0), result(300.0, first=EPOCH + 300)])
    assert series.timestamps.tolist() == [EPOCH, EPOCH + 300]
    assert series.values.tolist() == [1.0, 3.0]


def test_healthy_hosts_are_added_up_over_target_groups():
    groups = ((("TargetGroup", "a"),), (("TargetGroup", "b"),))
    measure = measures(target("application", group_dimensions=groups))["HealthyHostCount"]
    series = one_series(measure, [result(2.0), result(3.0)])
    assert series.values.tolist() == [5.0]


def test_what_is_missing_is_not_zero_and_says_why():
    measure = measures(target())["CPUUtilization"]
    gap = one_gap(normalise(measure, [result()]))
    assert (gap.reason, gap.metric_name) == (GapReason.NOT_YET_PUBLISHED, "cpu_utilization")
    quiet = measures(target("application"))["RequestCount"]
    assert list(normalise(quiet, [result()])) == []
    unknown = one_gap(normalise(measures(target("database"))["FreeableMemory"], [result(1.0)]))
    assert (unknown.reason, unknown.metric_name) == (GapReason.UNSUPPORTED, "memory_utilization")


def test_what_a_type_cannot_have_is_a_gap():
    items = list(plan(target(features=frozenset()), AwsOptions(), {}, floor=60))
    gaps = {item.metric_name for item in items if isinstance(item, Gap)}
    assert gaps == {
        f"disk_{way}_{what}_per_sec" for way in ("read", "write") for what in ("bytes", "ops")
    }


def test_uptime_is_not_claimed_for_before_the_last_start():
    of = target(launched_at=START + timedelta(minutes=7))
    measure = measures(of)["StatusCheckFailed"]
    answered = normalise(measure, [result(0.0, 0.0, 0.0)])
    found = {item.metric: item for item in answered if isinstance(item, Series)}
    assert len(found["availability"].values) == 3
    assert found["uptime"].timestamps.tolist() == [EPOCH + 300, EPOCH + 600]
    assert found["uptime"].values.tolist() == [180.0, 480.0]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 4))
def test_pages_of_one_answer_are_one_series(lengths, queries):
    pages = []
    true: dict[int, list[int]] = {number: [] for number in range(queries)}
    moment = EPOCH
    for page, length in enumerate(lengths):
        number = page % queries
        times = [moment + 60 * step for step in range(length)]
        moment += 60 * length
        true[number] += times
        last = page + queries >= len(lengths)
        pages.append(
            {
                "MetricDataResults": [
                    {
                        "Id": f"m{number}",
                        "Timestamps": [datetime.fromtimestamp(one, UTC) for one in times],
                        "Values": [float(one) for one in times],
                        "StatusCode": "Complete" if last else "PartialData",
                    }
                ]
            }
        )
    for number, found in enumerate(merged(pages, queries)):
        assert found.times.tolist() == true[number]
        assert found.values.tolist() == true[number]
        asked = number < len(lengths)
        assert found.reason is (None if asked else GapReason.FAILED)


@pytest.mark.parametrize(
    "native",
    [
        {"Id": "e1", "Timestamps": [], "Values": []},
        {"Id": "m7", "Timestamps": [], "Values": []},
        {"Id": "m0", "Timestamps": [START], "Values": []},
    ],
)
def test_an_answer_to_another_question_is_refused(native):
    with pytest.raises(ContractError):
        merged([{"MetricDataResults": [native]}], 1)


@pytest.mark.parametrize(
    ("status", "reason", "points"),
    [
        ("Forbidden", GapReason.DENIED, 0),
        ("InternalError", GapReason.FAILED, 0),
        ("PartialData", GapReason.FAILED, 2),
    ],
)
def test_a_failed_query_is_a_gap_of_its_metric_and_keeps_what_came(status, reason, points):
    measure = measures(target())["CPUUtilization"]
    answer = result(*[1.0] * points, status=status)
    answer.reason = reason
    first = Assembler(last_try=False)
    kept = list(first.take(Query(measure, 0), answer))
    assert (first.again == [measure]) is (reason is GapReason.FAILED)
    if first.again:
        assert kept == []
        kept = list(Assembler(last_try=True).take(Query(measure, 0), answer))
    (gap,) = [item for item in kept if isinstance(item, Gap)]
    assert (gap.reason, gap.resource_id, gap.metric_name) == (reason, "i-1", "cpu_utilization")
    assert sum(len(item.values) for item in kept if isinstance(item, Series)) == points


def test_a_sum_that_lacks_a_part_is_no_value():
    measure = measures(target("application"))["HTTPCode_ELB_5XX_Count"]
    assembler = Assembler(last_try=True)
    assert list(assembler.take(Query(measure, 0), result(3.0))) == []
    gap = one_gap(assembler.take(Query(measure, 1), result(status="InternalError")))
    assert gap.metric_name == "lb_5xx_per_sec"


@given(
    st.lists(st.sampled_from(["instance", "volume", "database", "application"]), max_size=200),
    st.sampled_from([1, 12, 200]),
    st.sampled_from([60, 300]),
    st.integers(0, 3000),
)
def test_requests_are_full_and_within_every_limit(families, hours, period, long):
    window = Window(START, START + timedelta(hours=hours))
    queries = [
        Query(measure, part)
        for number, family in enumerate(families)
        for measure in measures(
            target(family, f"{number}-{'x' * long}", period=period), period=60
        ).values()
        for part in range(len(measure.parts))
    ]
    packed = list(batches(queries, window))
    assert [query for batch in packed for query in batch] == queries
    for batch in packed:
        assert len(batch) <= MOST_QUERIES
        assert datapoints(batch, window) <= MOST_POINTS or len(batch) == 1
        assert sum(query.size() for query in batch) <= MOST_BYTES
    for batch, following in itertools.pairwise(packed):
        more = [*batch, following[0]]
        assert (
            len(more) > MOST_QUERIES
            or datapoints(more, window) > MOST_POINTS
            or sum(query.size() for query in more) > MOST_BYTES
        )


def test_the_size_of_a_query_is_not_underrated():
    """Against botocore's form encoding, the most talkative protocol of CloudWatch."""
    from urllib.parse import urlencode

    import botocore.session
    from botocore.serialize import QuerySerializer

    model = botocore.session.get_session().get_service_model("cloudwatch")
    groups = ((("TargetGroup", "targetgroup/a/1"), ("LoadBalancer", "app/é ü/2")),)
    all_queries = [
        Query(measure, part)
        for family in RECIPES
        for measure in measures(target(family, group_dimensions=groups)).values()
        for part in range(len(measure.parts))
    ]
    for query in all_queries:
        natives = [query.native(f"m{number}") for number in range(500)]
        params = {"MetricDataQueries": natives, "StartTime": START, "EndTime": START}
        request = QuerySerializer().serialize_to_request(
            params, model.operation_model("GetMetricData")
        )
        assert len(urlencode(request["body"])) <= 500 * query.size()


def test_what_is_quiet_is_asked_about_until_the_window_is_past_it():
    stopped = target(quiet="stopped")
    listing = Listing(START).followed_by([stopped], START)
    before = Window(START - timedelta(minutes=30), START)
    after = Window(START, START + timedelta(minutes=30))
    kinds = [type(item) for item in selected({"ec2": listing}, before)]
    assert kinds == [Gap, Target]
    gap = one_gap(selected({"ec2": listing}, after))
    assert (gap.reason, gap.resource_id) == (GapReason.STOPPED, "i-1")


def test_a_volume_of_a_stopped_instance_is_quiet_too():
    instances = Listing(START).followed_by([target(quiet="stopped")], START)
    volume = target("volume", "vol-1", attached_to=("i-1",))
    volumes = Listing(START).followed_by([volume], START)
    later = Window(START, START + timedelta(minutes=30))
    gaps = list(selected({"ec2": instances, "ebs": volumes}, later))
    assert [gap.resource_id for gap in gaps] == ["i-1", "vol-1"]


def test_what_has_gone_is_asked_about_for_its_last_points_only():
    first = Listing(START).followed_by([target("volume", "vol-1")], START)
    gone_at = START + timedelta(minutes=15)
    second = first.followed_by([], gone_at)
    (asked,) = selected({"ebs": second}, Window(START, gone_at))
    assert asked.resource_id == "vol-1"
    assert list(selected({"ebs": second}, Window(gone_at, gone_at + timedelta(hours=1)))) == []
    much_later = second.followed_by([], gone_at + timedelta(hours=4))
    assert not much_later.departed


def test_a_listed_status_is_a_point_of_its_own_moment():
    (series,) = observed(target("database", working=True), START + timedelta(minutes=4), 300)
    assert series.timestamps.tolist() == [EPOCH]
    assert series.values.tolist() == [100.0]
    assert list(observed(target("database", working=None), START, 300)) == []


def test_the_agents_metrics_are_picked_once_each():
    def native(name: str, **dimensions: str) -> dict[str, object]:
        dims = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        return {"MetricName": name, "Dimensions": dims}

    finds = agent_finds(
        [
            native("mem_used_percent", InstanceId="i-1", ImageId="ami"),
            native("mem_used_percent", InstanceId="i-1"),
            native("mem_used_percent", AutoScalingGroupName="all"),
            native("disk_used_percent", InstanceId="i-1", path="/boot"),
            native("disk_used_percent", InstanceId="i-1", path="/"),
        ]
    )
    assert [name for _, name, _ in finds["i-1"]] == ["mem_used_percent", "disk_used_percent"]
    assert ("path", "/") in finds["i-1"][1][2]
    items = plan(target(), AwsOptions(agent_metrics=True), finds, floor=60)
    assert not [item for item in items if isinstance(item, Gap)]


@pytest.mark.parametrize(
    ("name", "gib", "vcpus"),
    [
        ("db.t3.micro", 1, 2),
        ("db.t2.small", 2, 1),
        ("db.t4g.medium", 4, 2),
        ("db.m5.large", 8, 2),
        ("db.m4.10xlarge", 160, 40),
        ("db.r3.8xlarge", 244, 32),
        ("db.r6g.16xlarge", 512, 64),
        ("db.x2iedn.xlarge", 128, 4),
        ("db.c6gd.medium", 2, 1),
    ],
)
def test_sizes_of_database_classes(name, gib, vcpus):
    assert class_memory(name) == gib * GIB
    assert class_vcpus(name) == vcpus


@pytest.mark.parametrize("name", ["db.serverless", "db.q9.large", "db.r5.4xlarge.tpc2.mem4x", ""])
def test_a_class_that_is_not_known_has_no_size(name):
    assert class_memory(name) is None
    assert class_vcpus(name) is None


@pytest.mark.parametrize(
    "options",
    [{"regions": ["US"]}, {"period": 30}, {"region": "us-east-1"}, {"regions": "us-east-1"}],
)
def test_options_that_cannot_be_meant(options):
    with pytest.raises(ValidationError):
        AwsOptions(**options)


def test_the_plugin_loads_without_the_sdk():
    code = (
        "import sys; from data_collector.collectors.aws import provider; "
        "sys.exit(any(name.startswith('boto') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_documented_policy_is_the_one_that_is_checked():
    text = (Path(__file__).parents[2] / "docs/providers/aws.md").read_text(encoding="utf-8")
    first = text.split("```json\n")[1].split("```")[0]
    assert json.loads(first) == POLICY


def test_what_a_type_can_have_is_made_or_there_is_a_reason():
    made: dict[ResourceType, set[str]] = {kind: set() for kind in ABSENT_OF}
    recipes = {**RECIPES, "cluster": CLUSTER_RECIPES}
    for family, some in recipes.items():
        kind = RESOURCE_TYPE_OF_FAMILY[family]
        made[kind] |= {output.canonical for recipe in some for output in recipe.outputs}
    made[ResourceType.COMPUTE_INSTANCE] |= set(AGENT_CANONICAL)
    for listed in ("database", "load_balancer", "kubernetes_cluster"):
        made[ResourceType(listed)].add("availability")  # from the listed status
    for kind, reasons in ABSENT_OF.items():
        can_have = {metric.name for metric in METRICS.values() if kind in metric.entities}
        assert made[kind] | reasons.keys() == can_have, kind
        assert not made[kind] & reasons.keys(), kind

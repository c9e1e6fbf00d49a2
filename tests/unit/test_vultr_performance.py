"""Vultr's answers and its instances' exporters to series; the native table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector import node_exporter
from data_collector.collectors.vultr import performance, resources
from data_collector.collectors.vultr.metrics import ABSENT_OF, AGENT_METRICS, NATIVE
from data_collector.collectors.vultr.performance import Days, Target
from data_collector.collectors.vultr.resources import Sizes
from data_collector.machine import Disk, Filesystem, Interface, Machine, Reading, rates
from optiinfra.catalog import METRICS, ResourceStatus, ResourceType
from optiinfra.domain import Gap, GapReason, Series
from optiinfra.errors import ContractError
from optiinfra.testing.replay import recorded_answer

STAMP = datetime(2026, 11, 20, 9, 15, tzinfo=UTC)
TARGET = Target(
    native_id="i-1",
    resource_id="i-1",
    name="web",
    type=ResourceType.COMPUTE_INSTANCE,
    status=ResourceStatus.RUNNING,
    native_status="active/running",
    created=datetime(2020, 1, 1, tzinfo=UTC),
)
DAYS = Days(date(2020, 7, 25), date(2020, 7, 26))
SETTLING = timedelta(hours=24)


def points(answers: Any) -> dict[tuple[str, int], float]:
    return {
        (series.metric, int(time)): float(value)
        for series in answers
        if isinstance(series, Series)
        for time, value in zip(series.timestamps, series.values, strict=True)
    }


def test_every_row_targets_the_catalog() -> None:
    kinds = {ResourceType.COMPUTE_INSTANCE, ResourceType.DATABASE}
    for row in NATIVE:
        assert kinds & set(METRICS[row.canonical].entities)
        assert row.source
    assert len({(row.canonical, row.source) for row in NATIVE}) == len(NATIVE)


def test_every_metric_of_a_type_has_a_source_or_a_reason_to_have_none() -> None:
    offered = {
        ResourceType.COMPUTE_INSTANCE: {row.canonical for row in NATIVE},
        ResourceType.DATABASE: {"availability", *performance.USAGE_METRICS},
        ResourceType.LOAD_BALANCER: {"availability"},
        ResourceType.KUBERNETES_CLUSTER: {"availability"},
    }
    for kind in set(ResourceType) - {ResourceType.HOST}:
        possible = {name for name, metric in METRICS.items() if kind in metric.entities}
        assert set(ABSENT_OF[kind]) == possible - offered.get(kind, set()), kind
        assert all(ABSENT_OF[kind].values())
    assert {"cpu_utilization", "memory_utilization", "uptime"} <= set(AGENT_METRICS)
    assert "network_in_bytes_per_sec" not in AGENT_METRICS


@pytest.mark.parametrize(
    "path",
    [
        "openapi-examples/get-instance-bandwidth.200.json",
        "openapi-examples/get-bandwidth-baremetal.200.json",
        "pyvultr/tests/fixtures/response/instance_bandwidth.json",
    ],
)
def test_recorded_bandwidth_is_a_daily_mean_at_the_days_start(shared_data: Path, path: str) -> None:
    answer = recorded_answer(shared_data / "vultr" / path)
    answers = list(performance.bandwidth(TARGET, answer, DAYS, SETTLING))
    first, second = 1595635200, 1595721600
    assert points(answers) == {
        ("network_in_bytes_per_sec", first): 15989787 / 86400,
        ("network_in_bytes_per_sec", second): 13964112 / 86400,
        ("network_out_bytes_per_sec", first): 25327729 / 86400,
        ("network_out_bytes_per_sec", second): 22257069 / 86400,
    }
    for series in answers:
        assert isinstance(series, Series)
        assert series.metadata == {"bucket_seconds": 86_400}
        # Settled a day after the end of the day: what the writer adds to the usual bucket.
        assert series.settling == timedelta(days=2) - performance.PERIOD


def test_recorded_database_usage(shared_data: Path) -> None:
    file = shared_data / "vultr/openapi-examples/get-database-usage.200.json"
    usage = recorded_answer(file)
    stamp = int(STAMP.timestamp())
    database = replace(TARGET, type=ResourceType.DATABASE)
    assert points(performance.database_usage(database, usage, STAMP, 10**9)) == {
        ("cpu_utilization", stamp): 4.65,
        ("memory_utilization", stamp): 37.5,
        ("storage_utilization", stamp): 2.27,
        ("storage_free_bytes", stamp): pytest.approx(53.75e9),
    }
    free = points(performance.database_usage(database, usage, STAMP, 2**30))
    assert free["storage_free_bytes", stamp] == pytest.approx(53.75 * 2**30)


def test_usage_that_is_not_there_is_a_gap_and_not_zero() -> None:
    redis = {"usage": {"cpu": {"percentage": 0}, "memory": {"percentage": None}}}
    answers = list(performance.database_usage(TARGET, redis, STAMP, 10**9))
    assert points(answers) == {("cpu_utilization", int(STAMP.timestamp())): 0.0}
    assert {a.metric_name for a in answers if isinstance(a, Gap)} == {
        "memory_utilization",
        "storage_utilization",
        "storage_free_bytes",
    }


@pytest.mark.parametrize("document", [{}, {"usage": []}, {"usage": None}])
def test_usage_of_another_shape_is_a_contract_error(document: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        list(performance.database_usage(TARGET, document, STAMP, 10**9))


def test_a_day_without_a_total_stays_missing_and_the_last_one_is_told() -> None:
    document = {"bandwidth": {"2020-07-25": {"incoming_bytes": 86400, "outgoing_bytes": None}}}
    answers = list(performance.bandwidth(TARGET, document, DAYS, SETTLING))
    assert points(answers) == {("network_in_bytes_per_sec", 1595635200): 1.0}
    gaps = [answer for answer in answers if isinstance(answer, Gap)]
    assert {(gap.reason, gap.metric_name) for gap in gaps} == {
        (GapReason.NOT_YET_PUBLISHED, "network_in_bytes_per_sec"),
        (GapReason.NOT_YET_PUBLISHED, "network_out_bytes_per_sec"),
    }


def test_an_instance_younger_than_the_last_day_lacks_nothing() -> None:
    young = replace(TARGET, created=datetime(2020, 7, 27, 3, tzinfo=UTC))
    assert list(performance.bandwidth(young, {"bandwidth": []}, DAYS, SETTLING)) == []


@pytest.mark.parametrize("totals", [None, [1], "x", {"today": {"incoming_bytes": 1}}])
def test_bandwidth_of_another_shape_is_a_contract_error(totals: object) -> None:
    with pytest.raises(ContractError):
        list(performance.bandwidth(TARGET, {"bandwidth": totals}, DAYS, SETTLING))


moments = st.integers(1_700_000_000, 1_900_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


@given(moments, st.integers(0, 23), st.integers(1, 60))
def test_a_day_is_taken_only_after_it_has_ended(now: datetime, hours: int, count: int) -> None:
    delay = timedelta(hours=hours)
    days = Days.published(now, delay, count)
    ended = datetime(days.last.year, days.last.month, days.last.day, tzinfo=UTC) + performance.DAY
    assert ended + delay <= now < ended + delay + performance.DAY
    assert (days.last - days.first).days == count - 1


@given(moments, st.integers(0, 23), st.integers(1, 10))
def test_no_point_of_a_running_day_and_none_of_a_cut_first_one(
    now: datetime, hours: int, count: int
) -> None:
    days = Days.published(now, timedelta(hours=hours), count)
    answer = {
        (now.date() - timedelta(days=back)).isoformat(): {"incoming_bytes": 1, "outgoing_bytes": 1}
        for back in range((now.date() - days.first).days + 2)
    }
    found = points(performance.bandwidth(TARGET, {"bandwidth": answer}, days, SETTLING))
    assert {time % 86_400 for _, time in found} == {0}
    assert len(found) == 2 * count
    assert max(time for _, time in found) + 86_400 <= now.timestamp()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ResourceStatus.RUNNING, 100.0),
        (ResourceStatus.ERROR, 0.0),
        (ResourceStatus.STOPPED, GapReason.STOPPED),
        (ResourceStatus.PENDING, GapReason.NOT_YET_PUBLISHED),
        (ResourceStatus.UNKNOWN, GapReason.UNSUPPORTED),
    ],
)
def test_availability(status: ResourceStatus, expected: object) -> None:
    answer = performance.availability(replace(TARGET, status=status), STAMP)
    if isinstance(answer, Series):
        assert answer.values.tolist() == [expected]
    else:
        assert answer.reason is expected
        assert answer.resource_id == "i-1"


def test_a_stopped_instance_is_stopped_whatever_its_server_status_says() -> None:
    native = {
        "id": "i-1",
        "status": "active",
        "power_status": "stopped",
        "server_status": "ok",
        "region": "ewr",
    }
    target = Target.of(resources.instance(native, Sizes(10**9)), native)
    answer = performance.availability(target, STAMP)
    assert isinstance(answer, Gap)
    assert (answer.reason, answer.detail) == (GapReason.STOPPED, "it is active/stopped")


def reading(taken_at: float, moved: float) -> Reading:
    return Reading(
        machine=Machine("m-1", "web"),
        taken_at=taken_at,
        duration=0.025,
        uptime=50_000.0,
        memory_total=1000.0,
        memory_available=250.0,
        cpu_seconds={("0", "idle"): 3 * moved, ("0", "user"): moved},
        disks={d: Disk(dict.fromkeys(node_exporter.DISK_COUNTERS, moved)) for d in ("vda", "vdb")},
        interfaces={"eth0": Interface(dict.fromkeys(node_exporter.INTERFACE_COUNTERS, moved))},
        filesystems={
            "/": Filesystem("/dev/vda1", "ext4", 400, 100, 300),
            "/srv": Filesystem("/dev/vdb1", "xfs", 400, 390, 10),
        },
        failed=("netdev",),
    )


def test_an_exporters_reading_is_the_instances() -> None:
    before, now = reading(0, 0), reading(10, 100)
    answers = list(performance.machine(TARGET, now, rates(before, now), STAMP))
    stamp = int(STAMP.timestamp())
    assert points(answers) == {
        ("response_time", stamp): 25.0,
        ("uptime", stamp): 50_000.0,
        ("memory_utilization", stamp): 75.0,
        ("cpu_utilization", stamp): 25.0,
        **{(metric, stamp): 20.0 for metric in node_exporter.DISK_COUNTERS},
        **{(metric, stamp): 10.0 for metric in node_exporter.INTERFACE_COUNTERS},
        ("storage_free_bytes", stamp): 300.0,
        ("storage_utilization", stamp): 25.0,
    }
    assert {answer.resource_id for answer in answers} == {"i-1"}
    assert [answer.reason for answer in answers if isinstance(answer, Gap)] == [GapReason.FAILED]


def test_what_a_machine_does_not_offer_is_a_gap() -> None:
    bare = Reading(machine=Machine("m-1", "web"), taken_at=1.0, duration=0.1)
    answers = list(
        performance.machine(TARGET, bare, rates(bare, replace(bare, taken_at=2.0)), STAMP)
    )
    assert {metric for metric, _ in points(answers)} == {"response_time"}
    assert {answer.reason for answer in answers if isinstance(answer, Gap)} == {
        GapReason.UNSUPPORTED
    }

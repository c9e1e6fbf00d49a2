"""Azure Monitor's answers as series: queries, units, ids, times, gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.collectors.azure import performance
from data_collector.collectors.azure.batches import (
    FAILURES,
    REFUSALS,
    REFUSALS_UNANSWERED,
    RegionReader,
)
from data_collector.collectors.azure.errors import RefusedError
from data_collector.collectors.azure.metrics import (
    ABSENT_OF,
    APPLICATION_GATEWAYS,
    DISKS,
    KUBERNETES_CLUSTERS,
    LOAD_BALANCERS,
    NAMESPACES,
    NATIVE,
    POSTGRESQL_SERVERS,
    SQL_DATABASES,
    VIRTUAL_MACHINES,
    Conversion,
    Namespace,
    Query,
    queries,
)
from data_collector.collectors.azure.options import AzureOptions, Settling
from data_collector.collectors.azure.performance import Target
from optiinfra.catalog import METRICS, ResourceType
from optiinfra.domain import Gap, GapReason, Series, Window
from optiinfra.errors import ThrottledError, TransientError

FIVE, ONE = timedelta(minutes=5), timedelta(minutes=1)
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
WINDOW = Window(START, START + 3 * FIVE)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
VM_ID = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/g/providers/{VIRTUAL_MACHINES.name}/web"
OPTIONS = AzureOptions(subscription_id=SUBSCRIPTION)
BY_MINUTE = AzureOptions(subscription_id=SUBSCRIPTION, granularity="PT1M")
CODE_POINTS = "abcXYZ-09_"


def target(namespace: Namespace = VIRTUAL_MACHINES, name: str = "web", **more: Any) -> Target:
    resource_id = VM_ID.replace(VIRTUAL_MACHINES.name, namespace.name)[:-3] + name
    return Target(resource_id.lower(), name, namespace.name, "eastus", **more)


def plan(namespace: Namespace, granularity: timedelta = FIVE, names: int = 20) -> list[Query]:
    return list(queries(namespace, granularity=granularity, names_per_call=names))


def point(minute: int, **values: float | None) -> dict[str, Any]:
    moment = START + timedelta(minutes=minute)
    return {"timeStamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), **values}


def metric(
    name: str, *data: Mapping[str, Any], code: str = "Success", split: tuple[str, str] | None = None
) -> dict[str, Any]:
    dimensions = [{"name": {"value": split[0]}, "value": split[1]}] if split else []
    return {
        "id": f"{VM_ID.upper()}/providers/Microsoft.Insights/metrics/{name}",
        "name": {"value": name, "localizedValue": name},
        "errorCode": code,
        "timeseries": [{"metadatavalues": dimensions, "data": list(data)}],
    }


def answer(*metrics: Mapping[str, Any], resource_id: str = VM_ID) -> list[dict[str, Any]]:
    return [{"resourceid": resource_id, "value": list(metrics)}]


def read(
    values: Sequence[Mapping[str, Any]],
    canonical: str,
    namespace: Namespace = VIRTUAL_MACHINES,
    *,
    of: Target | None = None,
    options: AzureOptions = OPTIONS,
) -> Series | Gap:
    """What becomes of one canonical metric."""
    of = of or target(namespace)
    for query in plan(namespace, granularity=options.bucket):
        if canonical in {row.canonical for row in query.metrics}:
            found = performance.normalise(values, query, [of], WINDOW, options)
            return next(
                item
                for item in found
                if canonical in (getattr(item, "metric", ""), getattr(item, "metric_name", ""))
                or (isinstance(item, Gap) and not item.metric_name)
            )
    raise AssertionError(canonical)


def test_every_row_fits_the_catalog_and_stands_in_the_native_table() -> None:
    rows = [(namespace, row) for namespace in NAMESPACES for row in namespace.metrics]
    assert len(NATIVE) == len(rows)
    for namespace, row in rows:
        assert namespace.resource_type in METRICS[row.canonical].entities
        assert namespace.name == namespace.name.lower()
    for namespace in NAMESPACES:
        names = [row.canonical for row in namespace.metrics]
        assert len(names) == len(set(names))
    assert all(row.source and row.note for row in NATIVE)


@pytest.mark.parametrize(
    ("namespace", "calls"),
    [
        (VIRTUAL_MACHINES, 1),
        (DISKS, 1),
        (SQL_DATABASES, 2),  # availability exists by the minute only
        (POSTGRESQL_SERVERS, 1),
        (LOAD_BALANCERS, 2),  # bytes are split by direction
        (APPLICATION_GATEWAYS, 2),  # 5xx is a part of the answers
        (KUBERNETES_CLUSTERS, 1),
    ],
)
def test_a_namespace_takes_as_few_calls_as_it_can(namespace: Namespace, calls: int) -> None:
    asked = plan(namespace)
    assert len(asked) == calls
    assert [row for query in asked for row in query.metrics if row not in namespace.metrics] == []
    assert sum(len(query.metrics) for query in asked) == len(namespace.metrics)


def test_by_the_minute_nothing_needs_a_call_of_its_own() -> None:
    assert len(plan(SQL_DATABASES, granularity=ONE)) == 1


@given(names=st.integers(1, 25))
def test_no_call_names_more_metrics_than_allowed_and_none_is_lost(names: int) -> None:
    for namespace in NAMESPACES:
        asked = plan(namespace, names=names)
        assert all(len(query.names) <= names for query in asked)
        rows = [row for query in asked for row in query.metrics]
        assert sorted(rows, key=repr) == sorted(namespace.metrics, key=repr)


def test_a_query_says_what_it_needs() -> None:
    first, split = plan(LOAD_BALANCERS)
    assert first.filter is None
    assert first.aggregations == ["average", "total"]
    assert split.names == ["ByteCount", "PacketCount"]
    assert split.filter == "Direction eq 'In' or Direction eq 'Out'"


@pytest.mark.parametrize(
    ("namespace", "canonical", "name", "values", "expected"),
    [
        (VIRTUAL_MACHINES, "cpu_utilization", "Percentage CPU", {"average": 12.5}, 12.5),
        (
            VIRTUAL_MACHINES,
            "memory_utilization",
            "Available Memory Percentage",
            {"average": 30.0, "total": 150.0},
            70.0,
        ),
        (VIRTUAL_MACHINES, "disk_read_bytes_per_sec", "Disk Read Bytes", {"total": 600.0}, 2.0),
        (VIRTUAL_MACHINES, "availability", "VmAvailabilityMetric", {"average": 1.0}, 100.0),
        (POSTGRESQL_SERVERS, "availability", "is_db_alive", {"average": 0.5}, 50.0),
        (POSTGRESQL_SERVERS, "disk_read_bytes_per_sec", "read_throughput", {"average": 7.0}, 7.0),
        (APPLICATION_GATEWAYS, "lb_requests_per_sec", "TotalRequests", {"total": 900.0}, 3.0),
        (KUBERNETES_CLUSTERS, "k8s_node_cpu_utilization", "node_cpu_usage_percentage",
         {"average": 40.0}, 40.0),
    ],
)  # fmt: skip
def test_units(
    namespace: Namespace, canonical: str, name: str, values: dict[str, float], expected: float
) -> None:
    of = target(namespace)
    found = read(
        answer(metric(name, point(5, **values)), resource_id=of.resource_id), canonical, namespace
    )
    assert isinstance(found, Series)
    assert found.values.tolist() == [expected]
    assert found.timestamps.tolist() == [int((START + FIVE).timestamp())]
    assert (found.resource_id, found.resource_name) == (of.resource_id, "web")


def test_a_sum_is_divided_by_the_period_that_was_asked_for() -> None:
    values = answer(metric("Network In Total", point(5, total=600.0)))
    found = read(values, "network_in_bytes_per_sec", options=BY_MINUTE)
    assert isinstance(found, Series)
    assert found.values.tolist() == [10.0]


def test_the_scale_of_a_machines_availability_is_an_option() -> None:
    values = answer(metric("VmAvailabilityMetric", point(0, average=100.0)))
    percent = AzureOptions(subscription_id=SUBSCRIPTION, vm_availability_scale=1.0)
    found = read(values, "availability", options=percent)
    assert isinstance(found, Series)
    assert found.values.tolist() == [100.0]


@pytest.mark.parametrize(
    ("namespace", "canonical", "native", "minutes"),
    [
        (VIRTUAL_MACHINES, "cpu_utilization", "Percentage CPU", 15),
        (SQL_DATABASES, "cpu_utilization", "cpu_percent", 90),
        (KUBERNETES_CLUSTERS, "k8s_node_cpu_utilization", "node_cpu_usage_percentage", 30),
    ],
)
def test_a_point_settles_as_its_own_type_of_resource_does(
    namespace: Namespace, canonical: str, native: str, minutes: int
) -> None:
    options = AzureOptions(
        subscription_id=SUBSCRIPTION, settling_minutes=Settling(sql_databases=90)
    )
    values = answer(
        metric(native, point(0, average=1.0)), resource_id=target(namespace).resource_id
    )
    found = read(values, canonical, namespace, options=options)
    assert isinstance(found, Series)
    assert found.settling == timedelta(minutes=minutes)


def test_every_namespace_has_its_settling() -> None:
    assert {one.settles_as for one in NAMESPACES} == set(Settling.model_fields)


def test_free_space_is_what_the_maximum_size_leaves() -> None:
    values = answer(
        metric("storage", point(0, average=100.0)), resource_id=target(SQL_DATABASES).resource_id
    )
    found = read(
        values, "storage_free_bytes", SQL_DATABASES, of=target(SQL_DATABASES, capacity_bytes=250)
    )  # fmt: skip
    assert isinstance(found, Series)
    assert found.values.tolist() == [150.0]
    unknown = read(values, "storage_free_bytes", SQL_DATABASES)
    assert isinstance(unknown, Gap)
    assert unknown.reason is GapReason.UNSUPPORTED


def test_a_bucket_without_a_value_is_missing_and_a_zero_is_zero() -> None:
    values = answer(
        metric("Percentage CPU", point(0), point(5, average=0.0), point(10, average=None))
    )
    found = read(values, "cpu_utilization")
    assert isinstance(found, Series)
    assert found.values.tolist() == [0.0]
    assert found.timestamps.tolist() == [int((START + FIVE).timestamp())]


def test_points_outside_the_window_are_left_out() -> None:
    values = answer(metric("Percentage CPU", *(point(m, average=1.0) for m in (-5, 0, 10, 15))))
    found = read(values, "cpu_utilization")
    assert isinstance(found, Series)
    assert found.timestamps.tolist() == [int((START + m * ONE).timestamp()) for m in (0, 10)]


def test_minutes_become_the_mean_of_those_that_are_there() -> None:
    data = [point(0, average=100.0), point(1, average=0.0), point(2), point(6, average=50.0)]
    values = answer(metric("availability", *data), resource_id=target(SQL_DATABASES).resource_id)
    found = read(values, "availability", SQL_DATABASES)
    assert isinstance(found, Series)
    assert found.values.tolist() == [50.0, 50.0]
    assert found.timestamps.tolist() == [int((START + m * ONE).timestamp()) for m in (0, 5)]


def test_directions_are_told_apart_whatever_their_case() -> None:
    inwards = metric("ByteCount", point(0, total=300.0), split=("direction", "in"))
    outwards = metric("ByteCount", point(0, total=900.0), split=("Direction", "Out"))
    both = inwards | {"timeseries": inwards["timeseries"] + outwards["timeseries"]}
    values = answer(both, resource_id=target(LOAD_BALANCERS).resource_id)
    for canonical, expected in (
        ("network_in_bytes_per_sec", 1.0),
        ("network_out_bytes_per_sec", 3.0),
    ):
        found = read(values, canonical, LOAD_BALANCERS)
        assert isinstance(found, Series)
        assert found.values.tolist() == [expected]


def test_several_series_of_one_metric_are_put_together() -> None:
    nodes = metric("node_cpu_usage_percentage", point(0, average=20.0), point(5, average=1.0))
    more = metric("node_cpu_usage_percentage", point(0, average=40.0))
    both = nodes | {"timeseries": nodes["timeseries"] + more["timeseries"]}
    values = answer(both, resource_id=target(KUBERNETES_CLUSTERS).resource_id)
    found = read(values, "k8s_node_cpu_utilization", KUBERNETES_CLUSTERS)
    assert isinstance(found, Series)
    assert found.values.tolist() == [30.0, 1.0]
    sums = metric("Disk Read Bytes", point(0, total=300.0))
    sums["timeseries"] *= 2
    total = read(answer(sums), "disk_read_bytes_per_sec")
    assert isinstance(total, Series)
    assert total.values.tolist() == [2.0]


@given(
    names=st.lists(
        st.text(CODE_POINTS, min_size=1, max_size=8), min_size=1, max_size=6, unique_by=str.lower
    ),
    shouted=st.booleans(),
    explicit=st.booleans(),
    order=st.randoms(),
)  # fmt: skip
def test_an_answer_finds_its_resource_whatever_the_case_and_the_order(
    names: list[str], shouted: bool, explicit: bool, order: Any
) -> None:
    targets = [target(name=name) for name in names]
    values = []
    for number, one in enumerate(targets):
        shown = one.resource_id.upper() if shouted else one.resource_id.title()
        entry: dict[str, Any] = {
            "value": [
                metric("Percentage CPU", point(0, average=float(number)))
                | {"id": f"{shown}/providers/microsoft.insights/Metrics/Percentage CPU"}
            ]
        }
        values.append(entry | ({"resourceid": shown} if explicit else {}))
    order.shuffle(values)
    query = plan(VIRTUAL_MACHINES)[0]
    found = {
        item.resource_id: item.values.tolist()
        for item in performance.normalise(values, query, targets, WINDOW, OPTIONS)
        if isinstance(item, Series)
    }
    assert found == {one.resource_id: [float(n)] for n, one in enumerate(targets)}


def test_without_any_id_the_order_says_whose_it_is() -> None:
    entry = metric("Percentage CPU", point(0, average=1.0)) | {"id": "metrics/Percentage CPU"}
    found = read([{"value": [entry]}], "cpu_utilization")
    assert isinstance(found, Series)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Throttled", GapReason.THROTTLED),
        ("TooManyRequests", GapReason.THROTTLED),
        ("InternalServerError", GapReason.FAILED),
        ("NotFound", GapReason.UNSUPPORTED),
        ("A sentence with <somebody's> words", GapReason.UNSUPPORTED),
    ],
)
def test_an_error_of_one_metric_is_its_gap_alone(code: str, reason: GapReason) -> None:
    values = answer(
        metric("Percentage CPU", point(0, average=1.0), code=code),
        metric("Disk Read Bytes", point(0, total=1.0)),
    )
    gap = read(values, "cpu_utilization")
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.metric_name, gap.resource_id) == (reason, "cpu_utilization", VM_ID)
    assert "words" not in gap.detail
    assert isinstance(read(values, "disk_read_bytes_per_sec"), Series)


@pytest.mark.parametrize(
    "timeseries",
    [
        [{"data": [{"average": 1.0}]}],
        [{"data": [{"timeStamp": "yesterday", "average": 1.0}]}],
        [{"data": [{"timeStamp": "2026-11-20T09:00:00Z", "average": "much"}]}],
        [{"data": ["point"]}],
        ["series"],
    ],
)
def test_a_shape_that_nobody_knows_is_a_gap_of_that_metric(timeseries: list[Any]) -> None:
    bad = metric("Percentage CPU") | {"timeseries": timeseries}
    values = answer(bad, metric("Disk Read Bytes", point(0, total=1.0)))
    gap = read(values, "cpu_utilization")
    assert isinstance(gap, Gap)
    assert gap.reason is GapReason.UNSUPPORTED
    assert isinstance(read(values, "disk_read_bytes_per_sec"), Series)


def test_what_is_missing_is_a_gap_with_its_reason() -> None:
    empty = answer(metric("Percentage CPU", point(0)))
    not_there = read(empty, "cpu_utilization")
    assert isinstance(not_there, Gap)
    assert not_there.reason is GapReason.NOT_YET_PUBLISHED
    lacking = read(answer(metric("Other")), "cpu_utilization")
    assert isinstance(lacking, Gap)
    assert lacking.reason is GapReason.UNSUPPORTED
    left_out = read([], "cpu_utilization")
    assert isinstance(left_out, Gap)
    assert (left_out.reason, left_out.metric_name) == (GapReason.UNSUPPORTED, "")


def test_a_stopped_machine_is_one_gap_and_its_last_points_are_kept() -> None:
    stopped = target(idle="it is stopped")
    query = plan(VIRTUAL_MACHINES)[0]
    silent = [metric(name, point(0)) for name in query.names]
    assert list(performance.normalise(answer(*silent), query, [stopped], WINDOW, OPTIONS)) == [
        Gap(GapReason.STOPPED, "it is stopped", VM_ID)
    ]
    silent[0] = metric("Percentage CPU", point(0, average=3.0))
    found = list(performance.normalise(answer(*silent), query, [stopped], WINDOW, OPTIONS))
    assert sum(isinstance(item, Series) for item in found) == 1


def test_times_with_an_offset_or_a_fraction_are_utc() -> None:
    for stamp in ("2026-11-20T10:00:00+01:00", "2026-11-20T09:00:00.0000000Z"):
        values = answer(metric("Percentage CPU", {"timeStamp": stamp, "average": 1.0}))
        found = read(values, "cpu_utilization")
        assert isinstance(found, Series)
        assert found.timestamps.dtype == np.int64
        assert found.timestamps.tolist() == [int(START.timestamp())]


class Azure:
    """Answers metrics calls from memory, refuses some, and remembers them all."""

    def __init__(self, **refuse: Any) -> None:
        self.asked: list[tuple[Query, list[str]]] = []
        self.bad_ids = set(refuse.get("ids", ()))
        self.bad_names = set(refuse.get("names", ()))
        self.valid = refuse.get("valid", frozenset())
        self.limit = refuse.get("limit", 10**6)
        self.errors = list(refuse.get("errors", ()))

    def __call__(
        self, query: Query, resource_ids: Sequence[str], window: Window
    ) -> Sequence[Mapping[str, Any]]:
        self.asked.append((query, list(resource_ids)))
        if self.errors and (error := self.errors.pop(0)):
            raise error
        if self.bad_names & set(query.names):
            raise RefusedError("refused", self.valid)
        if self.bad_ids & set(resource_ids) or len(resource_ids) * len(query.names) > self.limit:
            raise RefusedError("refused")
        return [
            answer(
                *(metric(name, point(0, average=1.0, total=1.0)) for name in query.names),
                resource_id=resource_id,
            )[0]
            for resource_id in resource_ids
        ]

    def read(self, targets: Sequence[Target]) -> list[Series | Gap]:
        return list(RegionReader(self, OPTIONS, WINDOW).read(targets))


def machines(count: int) -> list[Target]:
    return [target(name=f"web-{number:03}") for number in range(count)]


def test_batches_are_filled() -> None:
    azure = Azure()
    found = azure.read([*machines(120), *(target(DISKS, f"d{n}") for n in range(3))])
    assert [len(ids) for _, ids in azure.asked] == [50, 50, 20, 3]
    assert len(found) == 120 * len(VIRTUAL_MACHINES.metrics) + 3 * len(DISKS.metrics)


def test_one_bad_resource_is_found_and_costs_no_other_its_points() -> None:
    fleet = machines(50)
    culprit = fleet[17].resource_id
    azure = Azure(ids=[culprit])
    found = azure.read(fleet)
    series = [item for item in found if isinstance(item, Series)]
    gaps = [item for item in found if isinstance(item, Gap)]
    assert {one.resource_id for one in series} == {one.resource_id for one in fleet} - {culprit}
    assert len(series) == 49 * len(VIRTUAL_MACHINES.metrics)
    assert {gap.resource_id for gap in gaps} == {culprit}
    assert {gap.reason for gap in gaps} == {GapReason.UNSUPPORTED}
    assert len(azure.asked) < 35


def test_a_limit_on_series_is_kept_by_halves() -> None:
    azure = Azure(limit=250)
    found = azure.read(machines(50))
    assert [len(ids) for _, ids in azure.asked] == [50, 25, 25]
    assert all(isinstance(item, Series) for item in found)


def test_a_metric_that_azure_says_it_lacks_is_asked_for_once() -> None:
    names = {row.name for row in VIRTUAL_MACHINES.metrics} - {"VmAvailabilityMetric"}
    azure = Azure(names=["VmAvailabilityMetric"], valid=frozenset(map(str.lower, names)))
    found = azure.read(machines(120))
    assert len(azure.asked) == 4
    gaps = [item for item in found if isinstance(item, Gap)]
    assert {gap.metric_name for gap in gaps} == {"availability"}
    assert len(gaps) == 120
    assert len(found) == 120 * len(VIRTUAL_MACHINES.metrics)


def test_a_metric_that_is_refused_without_a_word_is_found_on_one_resource() -> None:
    found = Azure(names=["VmAvailabilityMetric"]).read(machines(1))
    assert {item.metric_name for item in found if isinstance(item, Gap)} == {"availability"}
    assert len([item for item in found if isinstance(item, Series)]) == 8


def test_a_fault_of_everything_is_not_looked_into_for_long_and_is_no_success() -> None:
    azure = Azure(limit=0)
    found: list[Series | Gap] = []
    with pytest.raises(RefusedError):
        found.extend(RegionReader(azure, OPTIONS, WINDOW).read(machines(200)))
    assert len(azure.asked) <= REFUSALS_UNANSWERED + 20
    assert {item.resource_id for item in found if isinstance(item, Gap)} == {
        one.resource_id for one in machines(200)
    }


def test_many_culprits_are_looked_into_up_to_a_bound() -> None:
    fleet = machines(400)
    azure = Azure(ids=[one.resource_id for one in fleet[1::2]])
    found = azure.read(fleet)
    assert REFUSALS < len(azure.asked) <= REFUSALS + 100
    assert {item.resource_id for item in found} == {one.resource_id for one in fleet}


def test_a_batch_that_fails_is_gaps_and_the_others_go_on() -> None:
    found = Azure(errors=[None, TransientError("no answer"), None]).read(machines(150))
    gaps = [item for item in found if isinstance(item, Gap)]
    assert {(gap.reason, gap.detail) for gap in gaps} == {(GapReason.FAILED, "no answer")}
    assert len(gaps) == 50
    assert len({item.resource_id for item in found if isinstance(item, Series)}) == 100


def test_one_of_two_calls_that_fails_leaves_the_others_metrics() -> None:
    found = Azure(errors=[None, TransientError("no answer")]).read([target(SQL_DATABASES)])
    [gap] = [item for item in found if isinstance(item, Gap) and item.reason is GapReason.FAILED]
    assert gap.metric_name == "availability"


def test_failures_in_a_row_end_the_scope() -> None:
    azure = Azure(errors=[TransientError("no answer")] * 9)
    with pytest.raises(TransientError, match="no answer"):
        azure.read(machines(400))
    assert len(azure.asked) == FAILURES


def test_failures_with_answers_between_them_do_not_end_the_scope() -> None:
    fails = TransientError("no answer")
    azure = Azure(errors=[fails, fails, None, fails, fails, None])
    azure.read(machines(300))
    assert len(azure.asked) == 6


def test_a_region_that_takes_too_long_leaves_the_rest_to_the_next_run() -> None:
    now = iter(range(0, 10_000, 200))
    azure = Azure()
    reader = RegionReader(azure, OPTIONS, WINDOW, clock=lambda: float(next(now)))
    found: list[Series | Gap] = []
    with pytest.raises(TransientError, match="the next run goes on"):
        found.extend(reader.read(machines(400)))
    assert len(azure.asked) == 2


def test_where_nothing_came_the_scope_has_failed() -> None:
    with pytest.raises(TransientError, match="no answer"):
        Azure(errors=[TransientError("no answer")]).read(machines(3))


def test_throttling_ends_the_scope_at_once() -> None:
    azure = Azure(errors=[ThrottledError("slow down")])
    with pytest.raises(ThrottledError):
        azure.read(machines(400))
    assert len(azure.asked) == 1


def test_several_queries_tell_a_gap_of_the_whole_resource_once() -> None:
    class Silent(Azure):
        def __call__(self, *asked: Any) -> Sequence[Mapping[str, Any]]:
            super().__call__(*asked)
            return []

    found = Silent().read([target(SQL_DATABASES)])
    assert len(found) == 1


def test_every_conversion_says_itself_in_the_documentation() -> None:
    used = {row.conversion for namespace in NAMESPACES for row in namespace.metrics}
    assert used == set(Conversion)


def test_what_a_type_can_have_is_made_or_there_is_a_reason() -> None:
    made: dict[ResourceType, set[str]] = {kind: set() for kind in ABSENT_OF}
    for namespace in NAMESPACES:
        made[namespace.resource_type] |= {row.canonical for row in namespace.metrics}
    for kind, reasons in ABSENT_OF.items():
        can_have = {metric.name for metric in METRICS.values() if kind in metric.entities}
        assert made[kind] | reasons.keys() == can_have, kind
        assert not made[kind] & reasons.keys(), kind

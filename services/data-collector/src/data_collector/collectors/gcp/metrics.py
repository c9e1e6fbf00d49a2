"""What Cloud Monitoring is asked for, and what it becomes: the native -> canonical table.

One `Query` is one `ListTimeSeries` call. Google bills by the series returned and not by the
call, so a query keeps only the labels that tell resources apart, and what can be computed from
series that are fetched anyway (an instance's disks added up) is not asked for again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from optiinfra.catalog import ResourceType
from optiinfra.catalog.native import NativeMetric, told_by_metric

COMPUTE = "compute.googleapis.com/instance/"
AGENT = "agent.googleapis.com/"
SQL = "cloudsql.googleapis.com/database/"
BALANCER = "loadbalancing.googleapis.com/https/"
NODE = "kubernetes.io/node/"

#: Label that tells the disks of an instance apart, and the one with a response's class.
DEVICE = "device_name"
RESPONSE_CLASS = "response_code_class"


@dataclass(frozen=True, slots=True)
class Entity:
    """A monitored resource type of Google's, and the labels that identify one of them."""

    type: ResourceType
    monitored: str
    labels: tuple[str, ...]


INSTANCE = Entity(
    ResourceType.COMPUTE_INSTANCE,
    "gce_instance",
    ("resource.labels.instance_id", "resource.labels.zone"),
)
DATABASE = Entity(
    ResourceType.DATABASE,
    "cloudsql_database",
    ("resource.labels.database_id", "resource.labels.region"),
)
_RULE_LABELS = ("resource.labels.forwarding_rule_name", "resource.labels.region")
GLOBAL_RULE = Entity(ResourceType.LOAD_BALANCER, "https_lb_rule", _RULE_LABELS)
REGIONAL_RULE = Entity(ResourceType.LOAD_BALANCER, "http_external_regional_lb_rule", _RULE_LABELS)
INTERNAL_RULE = Entity(ResourceType.LOAD_BALANCER, "internal_http_lb_rule", _RULE_LABELS)
CLUSTER = Entity(
    ResourceType.KUBERNETES_CLUSTER,
    "k8s_node",
    ("resource.labels.cluster_name", "resource.labels.location"),
)


@dataclass(frozen=True, slots=True)
class Query:
    """One metric type of one kind of resource, aligned to the period.

    `reducer` joins series that differ in other labels than the entity's and `by`; without one
    the series come as they are. `where` narrows; `{gke_memory_type}` in it stands for the
    account's option.
    """

    type: str
    entity: Entity
    aligner: str
    reducer: str = ""
    by: tuple[str, ...] = ()
    where: str = ""

    @property
    def group_by(self) -> tuple[str, ...]:
        """The labels that are kept."""
        return (*self.entity.labels, *self.by) if self.reducer else ()


@dataclass(frozen=True, slots=True)
class Direct:
    """Each series is one metric of one resource: value x `factor`, at most `ceiling`."""

    query: Query
    metric: str
    factor: float = 1.0
    ceiling: float = inf
    note: str = ""

    @property
    def queries(self) -> tuple[Query, ...]:
        return (self.query,)

    @property
    def rows(self) -> tuple[NativeMetric, ...]:
        return (NativeMetric(self.metric, self.query.type, self.note),)


@dataclass(frozen=True, slots=True)
class Disks:
    """One series per disk: the volume's metric, and where `summed` the instance's as well."""

    query: Query
    metric: str
    factor: float = 1.0
    summed: bool = True
    note: str = ""

    @property
    def queries(self) -> tuple[Query, ...]:
        return (self.query,)

    @property
    def rows(self) -> tuple[NativeMetric, ...]:
        return (NativeMetric(self.metric, self.query.type, self.note),)


@dataclass(frozen=True, slots=True)
class Requests:
    """One series per response class: all of them are the requests, the 500s the failures."""

    query: Query

    @property
    def queries(self) -> tuple[Query, ...]:
        return (self.query,)

    @property
    def rows(self) -> tuple[NativeMetric, ...]:
        return (
            NativeMetric("lb_requests_per_sec", self.query.type, "ALIGN_RATE, all classes"),
            NativeMetric("lb_5xx_per_sec", self.query.type, "ALIGN_RATE, response_code_class 500"),
        )


@dataclass(frozen=True, slots=True)
class Share:
    """Two queries, a part and its whole: 100 x used / total, and what is left as `free`."""

    used: Query
    total: Query
    utilization: str
    free: str = ""

    @property
    def queries(self) -> tuple[Query, ...]:
        return (self.used, self.total)

    @property
    def rows(self) -> tuple[NativeMetric, ...]:
        total = self.total.type.rpartition("/")[2]
        rows = [NativeMetric(self.utilization, self.used.type, f"100 x it / {total}")]
        if self.free:
            rows.append(NativeMetric(self.free, self.used.type, f"{total} - it"))
        return tuple(rows)


Item = Direct | Disks | Requests | Share


_DISK_LABELS = ("metric.labels.instance_name", f"metric.labels.{DEVICE}")


def _counter(name: str, metric: str) -> Direct:
    query = Query(
        COMPUTE + name, INSTANCE, "ALIGN_RATE", "REDUCE_SUM", by=("metric.labels.instance_name",)
    )
    return Direct(query, metric, note="ALIGN_RATE; added up over the label loadbalanced")


def _disks(name: str, metric: str) -> Disks:
    return Disks(
        Query(COMPUTE + name, INSTANCE, "ALIGN_RATE", "REDUCE_SUM", by=_DISK_LABELS),
        metric,
        note="ALIGN_RATE; a volume's own, added up over its disks for an instance",
    )


def _sql(name: str, metric: str, factor: float = 1.0, note: str = "") -> Direct:
    return Direct(Query(SQL + name, DATABASE, "ALIGN_MEAN"), metric, factor, note=note)


def _balancer(prefix: str, entity: Entity, bytes_suffix: str) -> Iterator[Item]:
    """The five metric types of one family of HTTP(S) load balancers."""
    by = (f"metric.labels.{RESPONSE_CLASS}",)
    yield Requests(Query(prefix + "request_count", entity, "ALIGN_RATE", "REDUCE_SUM", by=by))
    for name, metric in (
        ("total_latencies", "response_time"),
        ("backend_latencies", "lb_latency"),
    ):
        query = Query(prefix + name, entity, "ALIGN_DELTA", "REDUCE_SUM")
        yield Direct(query, metric, note="mean of the merged distributions; none without requests")
    for name, metric in (
        ("request", "network_in_bytes_per_sec"),
        ("response", "network_out_bytes_per_sec"),
    ):
        query = Query(prefix + name + bytes_suffix, entity, "ALIGN_RATE", "REDUCE_SUM")
        yield Direct(query, metric, note="ALIGN_RATE; HTTP bodies and headers")


def _node(name: str, metric: str, where: str = "") -> Direct:
    query = Query(NODE + name, CLUSTER, "ALIGN_MEAN", "REDUCE_MEAN", where=where)
    return Direct(query, metric, 100.0, note="x 100; mean over the cluster's nodes")


#: Everything that a cycle asks for. Of two sources of one metric the first one given counts.
PLAN: tuple[Item, ...] = (
    Direct(
        Query(COMPUTE + "cpu/utilization", INSTANCE, "ALIGN_MEAN"),
        "cpu_utilization",
        100.0,
        note="ALIGN_MEAN; a ratio, x 100; bursts exceed 100",
    ),
    Direct(
        Query(
            AGENT + "memory/percent_used",
            INSTANCE,
            "ALIGN_MEAN",
            where='metric.labels.state = "used"',
        ),
        "memory_utilization",
        note="ALIGN_MEAN, state used; needs the Ops Agent",
    ),
    Share(
        Query(COMPUTE + "memory/balloon/ram_used", INSTANCE, "ALIGN_MEAN"),
        Query(COMPUTE + "memory/balloon/ram_size", INSTANCE, "ALIGN_MEAN"),
        "memory_utilization",
    ),
    _disks("disk/read_bytes_count", "disk_read_bytes_per_sec"),
    _disks("disk/write_bytes_count", "disk_write_bytes_per_sec"),
    _disks("disk/read_ops_count", "disk_read_ops_per_sec"),
    _disks("disk/write_ops_count", "disk_write_ops_per_sec"),
    Disks(
        Query(
            COMPUTE + "disk/average_io_latency",
            INSTANCE,
            "ALIGN_MEAN",
            "REDUCE_MAX",
            by=_DISK_LABELS,
        ),
        "response_time",
        factor=0.001,
        summed=False,
        note="ALIGN_MEAN; mean time of one read or write, microseconds / 1000",
    ),
    _counter("network/received_bytes_count", "network_in_bytes_per_sec"),
    _counter("network/sent_bytes_count", "network_out_bytes_per_sec"),
    _counter("network/received_packets_count", "network_in_packets_per_sec"),
    _counter("network/sent_packets_count", "network_out_packets_per_sec"),
    Direct(
        Query(COMPUTE + "uptime_total", INSTANCE, "ALIGN_MAX"),
        "uptime",
        note="ALIGN_MAX",
    ),
    Direct(
        Query(COMPUTE + "uptime", INSTANCE, "ALIGN_RATE"),
        "availability",
        100.0,
        ceiling=100.0,
        note="100 x seconds of running per second; none while stopped",
    ),
    Direct(
        Query(
            AGENT + "disk/percent_used",
            INSTANCE,
            "ALIGN_MEAN",
            "REDUCE_MAX",
            where='metric.labels.state = "used"',
        ),
        "storage_utilization",
        note="ALIGN_MEAN, state used, the instance's fullest filesystem; needs the Ops Agent",
    ),
    _sql("cpu/utilization", "cpu_utilization", 100.0, "ALIGN_MEAN; a ratio, x 100"),
    _sql("memory/utilization", "memory_utilization", 100.0, "ALIGN_MEAN; a ratio, x 100"),
    Direct(
        Query(SQL + "postgresql/num_backends", DATABASE, "ALIGN_MEAN", "REDUCE_SUM"),
        "db_connections",
        note="PostgreSQL; ALIGN_MEAN, added up over its databases",
    ),
    _sql("network/connections", "db_connections", note="MySQL and SQL Server; ALIGN_MEAN"),
    Share(
        Query(SQL + "disk/bytes_used", DATABASE, "ALIGN_MEAN"),
        Query(SQL + "disk/quota", DATABASE, "ALIGN_MEAN"),
        "storage_utilization",
        "storage_free_bytes",
    ),
    *(
        Direct(Query(SQL + name, DATABASE, "ALIGN_RATE", "REDUCE_SUM"), metric, note="ALIGN_RATE")
        for name, metric in (
            ("disk/read_ops_count", "disk_read_ops_per_sec"),
            ("disk/write_ops_count", "disk_write_ops_per_sec"),
            ("network/received_bytes_count", "network_in_bytes_per_sec"),
            ("network/sent_bytes_count", "network_out_bytes_per_sec"),
        )
    ),
    _sql("up", "availability", 100.0, "x 100"),
    *_balancer(BALANCER, GLOBAL_RULE, "_bytes_count"),
    *_balancer(BALANCER + "external/regional/", REGIONAL_RULE, "_bytes"),
    *_balancer(BALANCER + "internal/", INTERNAL_RULE, "_bytes"),
    _node("cpu/allocatable_utilization", "k8s_node_cpu_utilization"),
    _node(
        "memory/allocatable_utilization",
        "k8s_node_memory_utilization",
        'metric.labels.memory_type = "{gke_memory_type}"',
    ),
)

#: Every metric type that is asked for; what a cycle costs in calls while answers fit one page.
QUERIES: tuple[Query, ...] = tuple(query for item in PLAN for query in item.queries)

#: Every row of the table.
NATIVE: tuple[NativeMetric, ...] = tuple(row for item in PLAN for row in item.rows)

_LATENCIES = ("disk_read_latency", "disk_write_latency")
_PACKETS = ("network_in_packets_per_sec", "network_out_packets_per_sec")
_TRAFFIC = ("network_in_bytes_per_sec", "network_out_bytes_per_sec")
_ONE_LATENCY = "Google publishes one latency for reads and writes, of a volume: see response_time"
_INSIDE = "only the instance that uses it sees its filesystems"
_NO_UPTIME = "Google does not say when it last started"
_NO_ANSWER = "nothing here asks it for an answer"

#: By type, the catalog's metrics that Google does not have, and why.
ABSENT_OF: Mapping[ResourceType, Mapping[str, str]] = {
    ResourceType.COMPUTE_INSTANCE: {
        **dict.fromkeys(_LATENCIES, _ONE_LATENCY),
        "storage_free_bytes": "the Ops Agent publishes bytes by filesystem, which are not added up",
        "response_time": _NO_ANSWER,
    },
    ResourceType.STORAGE_VOLUME: {
        **dict.fromkeys(_LATENCIES, _ONE_LATENCY),
        "storage_free_bytes": _INSIDE,
        "storage_utilization": _INSIDE,
        "availability": "Cloud Monitoring has no metric of it; its status is in the inventory",
        "uptime": "a disk does not start",
    },
    ResourceType.DATABASE: {
        **dict.fromkeys(_LATENCIES, "Cloud SQL publishes none"),
        **dict.fromkeys(_PACKETS, "Cloud SQL counts bytes only"),
        **dict.fromkeys(
            ("disk_read_bytes_per_sec", "disk_write_bytes_per_sec"),
            "Cloud SQL counts operations of its disk, not bytes",
        ),
        "uptime": "Cloud SQL counts the seconds that it ran, not since when",
        "response_time": _NO_ANSWER,
    },
    ResourceType.LOAD_BALANCER: {
        **dict.fromkeys(_PACKETS, "HTTP(S) load balancers count bytes only"),
        "lb_active_connections": "HTTP(S) load balancers publish requests, not connections",
        "lb_healthy_hosts": "the health of backends is an API of its own, not a metric",
        "availability": "Google gives a forwarding rule no state",
        "uptime": _NO_UPTIME,
    },
    ResourceType.NETWORK: dict.fromkeys(
        (*_TRAFFIC, *_PACKETS, "availability", "uptime", "response_time"),
        "Cloud Monitoring has no such metric of a VPC network",
    ),
    ResourceType.KUBERNETES_CLUSTER: {
        "availability": "Cloud Monitoring has no metric of it; its status is in the inventory",
        "uptime": _NO_UPTIME,
        "response_time": _NO_ANSWER,
    },
}
#: The same by metric, for the documentation.
ABSENT: Mapping[str, str] = told_by_metric(ABSENT_OF)


def _alternatives() -> frozenset[tuple[str, ResourceType]]:
    sources = Counter(
        (row.canonical, item.queries[0].entity.monitored, item.queries[0].entity.type)
        for item in PLAN
        for row in item.rows
    )
    return frozenset((name, kind) for (name, _, kind), count in sources.items() if count > 1)


#: Metrics with more than one source; a point of the first one stands.
ALTERNATIVES = _alternatives()

#: Metrics of an instance that need an agent in it (memory on E2 machines does not).
AGENT_METRICS = ("memory_utilization", "storage_utilization")

#: How long after its end a sample is visible, by the beginning of the metric's name, for when
#: its descriptor cannot be read; and how far apart samples are. Seconds.
INGEST_DELAYS: Mapping[str, int] = {
    COMPUTE: 240,
    AGENT: 240,
    SQL: 165,
    BALANCER: 210,
    NODE: 240,
}
SAMPLE_PERIOD = 60

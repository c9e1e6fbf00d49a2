"""The native -> canonical table of the provider `azure`, and the queries that follow from it.

A row says which platform metric becomes which canonical one. Rows that differ in grain or in
the dimension they are split by cannot share a call; all others of a namespace do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from optiinfra.catalog import ResourceType
from optiinfra.catalog.native import NativeMetric, told_by_metric

MINUTE = timedelta(minutes=1)


class Aggregation(StrEnum):
    """How Azure Monitor sums up a bucket. Also the key of the value in its answer."""

    AVERAGE = "average"
    TOTAL = "total"


class Conversion(StrEnum):
    """How a native value becomes a canonical one; the text stands in the documentation."""

    AS_IS = ""
    PER_SECOND = "/ seconds of the bucket"
    PERCENT = "x 100"
    SCALED = "x the account's vm_availability_scale, 100"
    REST = "100 - value"
    REMAINDER = "maximum size (from the inventory) - value"


@dataclass(frozen=True, slots=True)
class Dimension:
    """The part of a metric that is taken, where it is split."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class AzureMetric:
    """One row: a canonical metric and what it is made from.

    `by_minute` marks a metric that Azure has in one-minute grain only; its buckets are the
    means of their minutes.
    """

    canonical: str
    name: str
    aggregation: Aggregation = Aggregation.AVERAGE
    conversion: Conversion = Conversion.AS_IS
    dimension: Dimension | None = None
    by_minute: bool = False


@dataclass(frozen=True, slots=True)
class Namespace:
    """An Azure resource type with metrics; `name` is in lower case, and `settles_as` names the
    option that says when its points settle."""

    name: str
    resource_type: ResourceType
    settles_as: str
    metrics: tuple[AzureMetric, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """What one call asks for."""

    namespace: str
    metrics: tuple[AzureMetric, ...]
    granularity: timedelta

    @property
    def names(self) -> list[str]:
        """Native names, each once."""
        return list(dict.fromkeys(metric.name for metric in self.metrics))

    @property
    def aggregations(self) -> list[str]:
        """Every aggregation that one of the metrics needs."""
        return sorted({metric.aggregation.value for metric in self.metrics})

    @property
    def filter(self) -> str | None:
        """The dimension values that are asked for, None where nothing is split."""
        wanted = {metric.dimension for metric in self.metrics if metric.dimension}
        return " or ".join(sorted(f"{one.name} eq '{one.value}'" for one in wanted)) or None

    def without(self, names: Sequence[str]) -> Query:
        """The query for the other metrics."""
        left = tuple(metric for metric in self.metrics if metric.name not in names)
        return Query(self.namespace, left, self.granularity)


def queries(
    namespace: Namespace, *, granularity: timedelta, names_per_call: int
) -> Iterator[Query]:
    """The fewest calls that bring every metric of a namespace."""
    groups: dict[tuple[str, timedelta], dict[str, list[AzureMetric]]] = {}
    for metric in namespace.metrics:
        split = metric.dimension.name if metric.dimension else ""
        grain = MINUTE if metric.by_minute else granularity
        groups.setdefault((split, grain), {}).setdefault(metric.name, []).append(metric)
    for (_, grain), by_name in groups.items():
        names = list(by_name)
        for first in range(0, len(names), names_per_call):
            rows = [row for name in names[first : first + names_per_call] for row in by_name[name]]
            yield Query(namespace.name, tuple(rows), grain)


_TOTAL, _AVERAGE = Aggregation.TOTAL, Aggregation.AVERAGE
_RATE, _PERCENT, _REST = Conversion.PER_SECOND, Conversion.PERCENT, Conversion.REST

_IN, _OUT = Dimension("Direction", "In"), Dimension("Direction", "Out")

VIRTUAL_MACHINES = Namespace(
    "microsoft.compute/virtualmachines",
    ResourceType.COMPUTE_INSTANCE,
    "virtual_machines",
    (
        AzureMetric("cpu_utilization", "Percentage CPU"),
        AzureMetric("memory_utilization", "Available Memory Percentage", conversion=_REST),
        AzureMetric("disk_read_bytes_per_sec", "Disk Read Bytes", _TOTAL, _RATE),
        AzureMetric("disk_write_bytes_per_sec", "Disk Write Bytes", _TOTAL, _RATE),
        AzureMetric("disk_read_ops_per_sec", "Disk Read Operations/Sec"),
        AzureMetric("disk_write_ops_per_sec", "Disk Write Operations/Sec"),
        AzureMetric("network_in_bytes_per_sec", "Network In Total", _TOTAL, _RATE),
        AzureMetric("network_out_bytes_per_sec", "Network Out Total", _TOTAL, _RATE),
        AzureMetric("availability", "VmAvailabilityMetric", conversion=Conversion.SCALED),
    ),
)
DISKS = Namespace(
    "microsoft.compute/disks",
    ResourceType.STORAGE_VOLUME,
    "disks",
    (
        AzureMetric("disk_read_bytes_per_sec", "Composite Disk Read Bytes/sec"),
        AzureMetric("disk_write_bytes_per_sec", "Composite Disk Write Bytes/sec"),
        AzureMetric("disk_read_ops_per_sec", "Composite Disk Read Operations/sec"),
        AzureMetric("disk_write_ops_per_sec", "Composite Disk Write Operations/sec"),
    ),
)
SQL_DATABASES = Namespace(
    "microsoft.sql/servers/databases",
    ResourceType.DATABASE,
    "sql_databases",
    (
        AzureMetric("cpu_utilization", "cpu_percent"),
        AzureMetric("memory_utilization", "sql_instance_memory_percent"),
        AzureMetric("db_connections", "sessions_count"),
        AzureMetric("storage_free_bytes", "storage", conversion=Conversion.REMAINDER),
        AzureMetric("storage_utilization", "storage_percent"),
        AzureMetric("availability", "availability", by_minute=True),
    ),
)
POSTGRESQL_SERVERS = Namespace(
    "microsoft.dbforpostgresql/flexibleservers",
    ResourceType.DATABASE,
    "postgresql_servers",
    (
        AzureMetric("cpu_utilization", "cpu_percent"),
        AzureMetric("memory_utilization", "memory_percent"),
        AzureMetric("db_connections", "active_connections"),
        AzureMetric("storage_free_bytes", "storage_free"),
        AzureMetric("storage_utilization", "storage_percent"),
        AzureMetric("disk_read_ops_per_sec", "read_iops"),
        AzureMetric("disk_write_ops_per_sec", "write_iops"),
        # Azure states the unit Count; the values are bytes per second.
        AzureMetric("disk_read_bytes_per_sec", "read_throughput"),
        AzureMetric("disk_write_bytes_per_sec", "write_throughput"),
        AzureMetric("network_in_bytes_per_sec", "network_bytes_ingress", _TOTAL, _RATE),
        AzureMetric("network_out_bytes_per_sec", "network_bytes_egress", _TOTAL, _RATE),
        AzureMetric("availability", "is_db_alive", conversion=_PERCENT),
    ),
)
LOAD_BALANCERS = Namespace(
    "microsoft.network/loadbalancers",
    ResourceType.LOAD_BALANCER,
    "load_balancers",
    (
        AzureMetric("lb_requests_per_sec", "SYNCount", _TOTAL, _RATE),
        AzureMetric("availability", "VipAvailability"),
        AzureMetric("network_in_bytes_per_sec", "ByteCount", _TOTAL, _RATE, _IN),
        AzureMetric("network_out_bytes_per_sec", "ByteCount", _TOTAL, _RATE, _OUT),
        AzureMetric("network_in_packets_per_sec", "PacketCount", _TOTAL, _RATE, _IN),
        AzureMetric("network_out_packets_per_sec", "PacketCount", _TOTAL, _RATE, _OUT),
    ),
)
APPLICATION_GATEWAYS = Namespace(
    "microsoft.network/applicationgateways",
    ResourceType.LOAD_BALANCER,
    "application_gateways",
    (
        AzureMetric("lb_requests_per_sec", "TotalRequests", _TOTAL, _RATE),
        AzureMetric("response_time", "ApplicationGatewayTotalTime"),
        AzureMetric("lb_latency", "BackendLastByteResponseTime"),
        AzureMetric("network_in_bytes_per_sec", "BytesReceived", _TOTAL, _RATE),
        AzureMetric("network_out_bytes_per_sec", "BytesSent", _TOTAL, _RATE),
        AzureMetric("lb_active_connections", "CurrentConnections"),
        AzureMetric("lb_healthy_hosts", "HealthyHostCount"),
        AzureMetric(
            "lb_5xx_per_sec", "ResponseStatus", _TOTAL, _RATE, Dimension("HttpStatusGroup", "5xx")
        ),
    ),
)
KUBERNETES_CLUSTERS = Namespace(
    "microsoft.containerservice/managedclusters",
    ResourceType.KUBERNETES_CLUSTER,
    "kubernetes_clusters",
    (
        AzureMetric("k8s_node_cpu_utilization", "node_cpu_usage_percentage"),
        AzureMetric("k8s_node_memory_utilization", "node_memory_working_set_percentage"),
    ),
)

#: A type that is listed, but has no metrics of ours.
VIRTUAL_NETWORKS = "microsoft.network/virtualnetworks"

NAMESPACES: tuple[Namespace, ...] = (
    VIRTUAL_MACHINES,
    DISKS,
    SQL_DATABASES,
    POSTGRESQL_SERVERS,
    LOAD_BALANCERS,
    APPLICATION_GATEWAYS,
    KUBERNETES_CLUSTERS,
)


def _note(metric: AzureMetric) -> str:
    parts = [metric.aggregation.capitalize()]
    if metric.dimension:
        parts.append(f"where {metric.dimension.name} is {metric.dimension.value}")
    if metric.by_minute:
        parts.append("mean of the minutes")
    if metric.conversion:
        parts.append(metric.conversion.value)
    return ", ".join(parts)


#: What Azure Monitor offers, by the canonical metric that it becomes.
NATIVE: tuple[NativeMetric, ...] = tuple(
    NativeMetric(metric.canonical, f"{namespace.name}: {metric.name}", _note(metric))
    for namespace in NAMESPACES
    for metric in namespace.metrics
)

_PACKETS = ("network_in_packets_per_sec", "network_out_packets_per_sec")
_LATENCIES = ("disk_read_latency", "disk_write_latency")
_NO_UPTIME = "Azure does not say when it last started"
_NO_ANSWER = "nothing here asks it for an answer"
_INSIDE = "only the machine that uses it sees its filesystems"

#: By type, the catalog's metrics that Azure does not have, and why.
ABSENT_OF: Mapping[ResourceType, Mapping[str, str]] = {
    ResourceType.COMPUTE_INSTANCE: {
        **dict.fromkeys(_LATENCIES, "Azure has one latency for reads and writes together"),
        **dict.fromkeys(_PACKETS, "counted by network interfaces, which are not collected"),
        "storage_free_bytes": "guest metrics are not served by the metrics API",
        "storage_utilization": "guest metrics are not served by the metrics API",
        "uptime": _NO_UPTIME,
        "response_time": _NO_ANSWER,
    },
    ResourceType.STORAGE_VOLUME: {
        **dict.fromkeys(_LATENCIES, "Azure measures it at the machine, reads and writes together"),
        "storage_free_bytes": _INSIDE,
        "storage_utilization": _INSIDE,
        "availability": "Azure Monitor has no metric of it; its status is in the inventory",
        "uptime": "a disk does not start",
        "response_time": _NO_ANSWER,
    },
    ResourceType.DATABASE: {
        **dict.fromkeys(_LATENCIES, "no service of Azure's publishes it"),
        **dict.fromkeys(_PACKETS, "no service of Azure's counts packets"),
        "uptime": _NO_UPTIME,
        "response_time": _NO_ANSWER,
    },
    ResourceType.LOAD_BALANCER: {
        "uptime": _NO_UPTIME,
    },
    ResourceType.NETWORK: dict.fromkeys(
        (
            "network_in_bytes_per_sec",
            "network_out_bytes_per_sec",
            *_PACKETS,
            "availability",
            "uptime",
            "response_time",
        ),
        "Azure Monitor has no such metric of a virtual network",
    ),
    ResourceType.KUBERNETES_CLUSTER: {
        "availability": "Azure Monitor has no metric of it; its status is in the inventory",
        "uptime": _NO_UPTIME,
        "response_time": _NO_ANSWER,
    },
}
#: The same by metric, for the documentation.
ABSENT: Mapping[str, str] = told_by_metric(ABSENT_OF)

"""The canonical metrics. `docs/metrics.md` is generated from this table.

A metric has one name, one unit and one meaning on every provider. Names and units follow
OpenTelemetry's system conventions as far as those have one; where they measure a fraction
we store percent, because every cloud console shows percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from optiinfra.catalog.resources import ResourceType
from optiinfra.catalog.units import Unit

_MACHINES = (ResourceType.COMPUTE_INSTANCE, ResourceType.HOST)
_DISKS = (*_MACHINES, ResourceType.STORAGE_VOLUME, ResourceType.DATABASE)
_NETWORKED = (*_MACHINES, ResourceType.DATABASE, ResourceType.NETWORK, ResourceType.LOAD_BALANCER)
_ANYTHING = tuple(ResourceType)


@dataclass(frozen=True, slots=True)
class Metric:
    """One canonical metric.

    `low` and `high` bound what a value can be; the writer drops and counts what lies
    outside. `entities` are the resource types that can have it.
    """

    name: str
    unit: Unit
    description: str
    entities: tuple[ResourceType, ...]
    low: float = 0.0
    high: float = inf


def _percent(name: str, description: str, entities: tuple[ResourceType, ...]) -> Metric:
    return Metric(name, Unit.PERCENT, description, entities, high=100.0)


_ALL = (
    # A burst above the allotted share is real: GCP reports CPU ratios above 1.
    Metric(
        "cpu_utilization",
        Unit.PERCENT,
        "CPU time in use, over all vCPUs",
        (*_MACHINES, ResourceType.DATABASE),
        high=10_000.0,
    ),
    _percent(
        "memory_utilization",
        "memory in use that cannot be reclaimed at once",
        (*_MACHINES, ResourceType.DATABASE),
    ),
    Metric("disk_read_bytes_per_sec", Unit.BYTES_PER_SECOND, "bytes read from disks", _DISKS),
    Metric("disk_write_bytes_per_sec", Unit.BYTES_PER_SECOND, "bytes written to disks", _DISKS),
    Metric("disk_read_ops_per_sec", Unit.OPERATIONS_PER_SECOND, "completed disk reads", _DISKS),
    Metric("disk_write_ops_per_sec", Unit.OPERATIONS_PER_SECOND, "completed disk writes", _DISKS),
    Metric("disk_read_latency", Unit.MILLISECONDS, "mean time of one disk read", _DISKS),
    Metric("disk_write_latency", Unit.MILLISECONDS, "mean time of one disk write", _DISKS),
    Metric("network_in_bytes_per_sec", Unit.BYTES_PER_SECOND, "bytes received", _NETWORKED),
    Metric("network_out_bytes_per_sec", Unit.BYTES_PER_SECOND, "bytes sent", _NETWORKED),
    Metric("network_in_packets_per_sec", Unit.PACKETS_PER_SECOND, "packets received", _NETWORKED),
    Metric("network_out_packets_per_sec", Unit.PACKETS_PER_SECOND, "packets sent", _NETWORKED),
    Metric("response_time", Unit.MILLISECONDS, "time until the resource's answer", _ANYTHING),
    Metric("uptime", Unit.SECONDS, "time since the last start", _ANYTHING),
    _percent("availability", "share of checks that found it working", _ANYTHING),
    Metric(
        "storage_free_bytes",
        Unit.BYTES,
        "space that can still be used",
        (ResourceType.STORAGE_VOLUME, ResourceType.DATABASE, *_MACHINES),
    ),
    _percent(
        "storage_utilization",
        "share of the usable space that is taken",
        (ResourceType.STORAGE_VOLUME, ResourceType.DATABASE, *_MACHINES),
    ),
    Metric("db_connections", Unit.CONNECTIONS, "open connections", (ResourceType.DATABASE,)),
    Metric(
        "lb_requests_per_sec", Unit.REQUESTS_PER_SECOND, "requests", (ResourceType.LOAD_BALANCER,)
    ),
    Metric(
        "lb_5xx_per_sec",
        Unit.REQUESTS_PER_SECOND,
        "requests answered with a 5xx status",
        (ResourceType.LOAD_BALANCER,),
    ),
    Metric(
        "lb_latency",
        Unit.MILLISECONDS,
        "time until the backend's answer",
        (ResourceType.LOAD_BALANCER,),
    ),
    Metric(
        "lb_active_connections",
        Unit.CONNECTIONS,
        "connections or flows in use",
        (ResourceType.LOAD_BALANCER,),
    ),
    Metric(
        "lb_healthy_hosts",
        Unit.HOSTS,
        "backends that pass their health check",
        (ResourceType.LOAD_BALANCER,),
    ),
    Metric(
        "k8s_node_cpu_utilization",
        Unit.PERCENT,
        "CPU in use as a share of what the nodes can allocate",
        (ResourceType.KUBERNETES_CLUSTER,),
        high=10_000.0,
    ),
    Metric(
        "k8s_node_memory_utilization",
        Unit.PERCENT,
        "memory working set as a share of what the nodes can allocate",
        (ResourceType.KUBERNETES_CLUSTER,),
        high=10_000.0,
    ),
)

#: Every canonical metric by its name.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def metric_named(name: str) -> Metric:
    """The catalog's entry; `KeyError` where there is none."""
    return METRICS[name]

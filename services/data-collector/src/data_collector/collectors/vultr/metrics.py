"""The native -> canonical table of the provider `vultr`, and what has no source on it."""

from __future__ import annotations

from collections.abc import Mapping

from data_collector.node_exporter import NATIVE as NODE_EXPORTER
from optiinfra.catalog import METRICS, ResourceType
from optiinfra.catalog.native import NativeMetric

#: Fields of one day in /{instances,bare-metals}/{id}/bandwidth, by the metric that they become.
BANDWIDTH = {
    "network_in_bytes_per_sec": "incoming_bytes",
    "network_out_bytes_per_sec": "outgoing_bytes",
}
_DAILY = "day's total / 86400, stamped with the day's start; metadata says bucket_seconds 86400"
_USAGE = "/databases/{id}/usage"

#: What the API offers, by the canonical metric that it becomes.
API: tuple[NativeMetric, ...] = (
    NativeMetric(
        "availability",
        "status, power_status",
        "100 while it works, 0 in error; none while stopped or being set up. server_status is "
        "not used: it reads ok on stopped instances",
    ),
    *(
        NativeMetric(metric, f"/instances/{{id}}/bandwidth {field}", _DAILY)
        for metric, field in BANDWIDTH.items()
    ),
    NativeMetric("cpu_utilization", f"{_USAGE} cpu.percentage", "databases; at the reading"),
    NativeMetric("memory_utilization", f"{_USAGE} memory.percentage", "databases; at the reading"),
    NativeMetric("storage_utilization", f"{_USAGE} disk.percentage", "databases; at the reading"),
    NativeMetric(
        "storage_free_bytes",
        f"{_USAGE} disk.max_gb, disk.current_gb",
        "databases; (max - current) x gigabyte_bytes, at the reading",
    ),
)

#: What node_exporter adds on the instances that run it. Availability is the API's.
EXPORTER: tuple[NativeMetric, ...] = tuple(
    row for row in NODE_EXPORTER if row.canonical != "availability"
)

#: Every row, the API's first.
NATIVE: tuple[NativeMetric, ...] = (*API, *EXPORTER)

#: What only an agent on the machine can tell.
AGENT_METRICS: tuple[str, ...] = tuple(
    row.canonical for row in EXPORTER if row.canonical not in BANDWIDTH
)

_FROM_API: Mapping[ResourceType, frozenset[str]] = {
    ResourceType.DATABASE: frozenset(row.canonical for row in API) - BANDWIDTH.keys(),
    ResourceType.LOAD_BALANCER: frozenset({"availability"}),
    ResourceType.KUBERNETES_CLUSTER: frozenset({"availability"}),
}

#: For a resource type without agent: the catalog's metrics that Vultr publishes nothing for.
UNPUBLISHED: Mapping[ResourceType, tuple[str, ...]] = {
    kind: tuple(
        name for name, metric in METRICS.items() if kind in metric.entities and name not in offered
    )
    for kind, offered in _FROM_API.items()
}

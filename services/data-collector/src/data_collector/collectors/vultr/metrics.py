"""The native -> canonical table of the provider `vultr`, and what has no source on it."""

from __future__ import annotations

from collections.abc import Mapping

from data_collector.node_exporter import DISK_COUNTERS, INTERFACE_COUNTERS
from data_collector.node_exporter import NATIVE as NODE_EXPORTER
from optiinfra.catalog import ResourceType
from optiinfra.catalog.native import NativeMetric, told_by_metric

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

_LATENCIES = ("disk_read_latency", "disk_write_latency")
_DISK = (*DISK_COUNTERS, *_LATENCIES)
_STARTED = "Vultr does not say when it last started"
_ASKED = "nothing here asks it for an answer"

#: By type, the catalog's metrics that Vultr does not have, and why.
ABSENT_OF: Mapping[ResourceType, Mapping[str, str]] = {
    ResourceType.COMPUTE_INSTANCE: dict.fromkeys(
        _LATENCIES, "counted by node_exporter, but as time of all requests, and not collected"
    ),
    ResourceType.STORAGE_VOLUME: {
        **dict.fromkeys(_DISK, "the API has no metric of a block; its instance counts its disks"),
        "storage_free_bytes": "only the instance that uses it sees its filesystems",
        "storage_utilization": "only the instance that uses it sees its filesystems",
        "availability": "the API has no metric of it; its status is in the inventory",
        "uptime": "a volume does not start",
        "response_time": _ASKED,
    },
    ResourceType.DATABASE: {
        **dict.fromkeys(_DISK, "the API tells how full its disk is, not how busy"),
        **dict.fromkeys(INTERFACE_COUNTERS, "the API counts no traffic of databases"),
        "db_connections": "the API does not count them",
        "uptime": _STARTED,
        "response_time": _ASKED,
    },
    ResourceType.LOAD_BALANCER: {
        **dict.fromkeys(INTERFACE_COUNTERS, "the API counts no traffic of load balancers"),
        **dict.fromkeys(
            (
                "lb_requests_per_sec",
                "lb_5xx_per_sec",
                "lb_latency",
                "lb_active_connections",
                "lb_healthy_hosts",
            ),
            "the API has the state of a load balancer and no metric",
        ),
        "uptime": _STARTED,
        "response_time": _ASKED,
    },
    ResourceType.NETWORK: dict.fromkeys(
        (*INTERFACE_COUNTERS, "availability", "uptime", "response_time"),
        "the API has no metric of a VPC",
    ),
    ResourceType.KUBERNETES_CLUSTER: {
        **dict.fromkeys(
            ("k8s_node_cpu_utilization", "k8s_node_memory_utilization"),
            "the API has no metric of a cluster's nodes",
        ),
        "uptime": _STARTED,
        "response_time": _ASKED,
    },
}
#: The same by metric, for the documentation.
ABSENT: Mapping[str, str] = told_by_metric(ABSENT_OF)

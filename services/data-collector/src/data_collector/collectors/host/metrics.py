"""The native -> canonical table of the provider `host`."""

from __future__ import annotations

from collections.abc import Mapping

from data_collector.machine import DISK_NOTE, INTERFACE_NOTE
from data_collector.node_exporter import NATIVE as NODE_EXPORTER
from optiinfra.catalog import ResourceType
from optiinfra.catalog.native import NativeMetric, told_by_metric

#: Fields of psutil's disk_io_counters() and net_io_counters(), by the metric of their rate.
DISK_COUNTERS = {
    "disk_read_bytes_per_sec": "read_bytes",
    "disk_write_bytes_per_sec": "write_bytes",
    "disk_read_ops_per_sec": "read_count",
    "disk_write_ops_per_sec": "write_count",
}
INTERFACE_COUNTERS = {
    "network_in_bytes_per_sec": "bytes_recv",
    "network_out_bytes_per_sec": "bytes_sent",
    "network_in_packets_per_sec": "packets_recv",
    "network_out_packets_per_sec": "packets_sent",
}

#: What psutil offers, by the canonical metric that it becomes.
PSUTIL: tuple[NativeMetric, ...] = (
    NativeMetric(
        "cpu_utilization",
        "psutil.cpu_times(percpu=True)",
        "100 x (1 - idle and iowait share) of the increase between two readings, over all CPUs",
    ),
    NativeMetric("memory_utilization", "psutil.virtual_memory()", "100 x (1 - available / total)"),
    *(
        NativeMetric(metric, f"psutil.disk_io_counters().{field}", DISK_NOTE)
        for metric, field in DISK_COUNTERS.items()
    ),
    *(
        NativeMetric(metric, f"psutil.net_io_counters().{field}", INTERFACE_NOTE)
        for metric, field in INTERFACE_COUNTERS.items()
    ),
    NativeMetric("storage_free_bytes", "psutil.disk_usage().free"),
    NativeMetric(
        "storage_utilization", "psutil.disk_usage()", "as df: 100 x used / (used + available)"
    ),
    NativeMetric("uptime", "psutil.boot_time()", "now - boot time"),
    NativeMetric("availability", "the reading", "100: the machine read itself"),
    NativeMetric("response_time", "the reading", "how long it took"),
)

#: Every row, local machines first.
NATIVE: tuple[NativeMetric, ...] = (*PSUTIL, *NODE_EXPORTER)

_LATENCIES = ("disk_read_latency", "disk_write_latency")
_WHOLE = "of the machine; a part of it is not asked alone"

#: By type, the catalog's metrics that a host does not have, and why. A disk and a filesystem are
#: volumes, an interface is a network.
ABSENT_OF: Mapping[ResourceType, Mapping[str, str]] = {
    ResourceType.HOST: dict.fromkeys(
        _LATENCIES, "counted as the time of all requests, and not collected"
    ),
    ResourceType.STORAGE_VOLUME: {
        **dict.fromkeys(_LATENCIES, "counted as the time of all requests, and not collected"),
        **dict.fromkeys(("availability", "uptime", "response_time"), _WHOLE),
    },
    ResourceType.NETWORK: dict.fromkeys(("availability", "uptime", "response_time"), _WHOLE),
}
#: The same by metric, for the documentation.
ABSENT: Mapping[str, str] = told_by_metric(ABSENT_OF)

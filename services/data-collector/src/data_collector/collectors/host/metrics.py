"""The native -> canonical table of the provider `host`."""

from __future__ import annotations

from data_collector.machine import DISK_NOTE, INTERFACE_NOTE
from data_collector.node_exporter import NATIVE as NODE_EXPORTER
from optiinfra.catalog.native import NativeMetric

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

"""The recorded series that the benchmarks replay: real clouds, values untouched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Both collections were sampled every five minutes.
STEP = 300

# What each NAB file measured, by the start of its name.
_NAB_METRICS = {
    "ec2_cpu_utilization": ("cpu_utilization", "compute_instance"),
    "rds_cpu_utilization": ("cpu_utilization", "database"),
    "ec2_disk_write_bytes": ("disk_write_bytes_per_sec", "compute_instance"),
    "ec2_network_in": ("network_in_bytes_per_sec", "compute_instance"),
    "iio_us-east-1": ("network_in_bytes_per_sec", "compute_instance"),
    "elb_request_count": ("lb_requests_per_sec", "load_balancer"),
    "grok_asg": ("lb_healthy_hosts", "load_balancer"),
}

# Column of a Bitbrains file -> metric. Columns that never change are left out.
_BITBRAINS_METRICS = {
    4: "cpu_utilization",
    6: "storage_free_bytes",
    7: "disk_read_bytes_per_sec",
    8: "disk_write_bytes_per_sec",
    9: "network_in_bytes_per_sec",
    10: "network_out_bytes_per_sec",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One recorded series on its five-minute grid.

    `slots` are the grid positions that hold a point (a hole has none), ascending, below
    `length`; `values` are bit for bit as recorded.
    """

    name: str
    machine: str
    metric: str
    resource_type: str
    length: int
    slots: NDArray[np.int64]
    values: NDArray[np.float64]


def load_nab(folder: Path) -> list[Source]:
    """The CloudWatch series of the Numenta Anomaly Benchmark."""
    sources = []
    for path in sorted((folder / "data" / "realAWSCloudwatch").glob("*.csv")):
        metric, kind = next(v for k, v in _NAB_METRICS.items() if path.name.startswith(k))
        lines = path.read_text().splitlines()[1:]
        times = np.array([line.split(",")[0] for line in lines], dtype="datetime64[s]")
        values = np.array([line.split(",")[1] for line in lines], dtype=np.float64)
        sources.append(_source(path.stem, path.stem, metric, kind, times.astype(np.int64), values))
    return sources


def load_bitbrains(folder: Path) -> list[Source]:
    """The business-critical VMs of GWA-T-12. Its header says ms; the values are seconds."""
    sources = []
    for path in sorted((folder / "rnd" / "2013-8").glob("*.csv"), key=lambda p: int(p.stem)):
        table = np.genfromtxt(path, delimiter=";", skip_header=1, dtype=np.float64)
        times = table[:, 0].astype(np.int64)
        sources += [
            _source(
                f"{path.stem}/{metric}", path.stem, metric, "compute_instance", times, table[:, c]
            )
            for c, metric in _BITBRAINS_METRICS.items()
        ]
    return sources


def _source(
    name: str,
    machine: str,
    metric: str,
    resource_type: str,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
) -> Source:
    """Points in time order, one per slot of the grid: of duplicates the last one."""
    slots = (times - times.min()) // STEP
    order = np.argsort(slots, kind="stable")
    slots, values = slots[order], values[order]
    last = np.append(slots[1:] != slots[:-1], True)
    return Source(
        name, machine, metric, resource_type, int(slots[-1]) + 1, slots[last], values[last]
    )


def count(sources: Sequence[Source]) -> int:
    """Points in all of them together."""
    return sum(len(source.values) for source in sources)

"""What the resources of a demo replay: series that were recorded in real clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.sources import Source, load_bitbrains, load_nab
from numpy.typing import NDArray

Curve = NDArray[np.float64]

#: Samples of a day, one per five minutes.
_DAY = 288
#: A curve that keeps within this most of the time is an idle machine's, and shows nothing.
_IDLE = 1.0


@dataclass(frozen=True)
class Curves:
    """What the resources replay, one value per five minutes.

    `cpu` is in percent, `rates` in KB/s, `requests` in requests per minute; `origin` says where
    they are from.
    """

    origin: str
    cpu: Sequence[Curve]
    rates: Sequence[Curve]
    requests: Sequence[Curve]

    def of_aws(self) -> Mapping[str, Sequence[Curve]]:
        """By CloudWatch metric; bytes and requests per second."""
        traffic = [one * 1024 for one in self.rates]
        counted = ("NetworkIn", "NetworkOut", "EBSReadBytes", "EBSWriteBytes")
        return {
            "CPUUtilization": self.cpu,
            "RequestCount": [one / 60 for one in self.requests],
            **dict.fromkeys(counted, traffic),
        }


def load_curves(data: Path) -> Curves:
    """The recorded series below `data`, or waves by day and night where there are none."""
    if not data.is_dir():
        return _waves()
    sources = [*load_nab(data / "nab"), *load_bitbrains(data / "bitbrains")]
    machines = [one for one in sources if "/" in one.name]
    return Curves(
        "recorded in real clouds (NAB, Bitbrains)",
        cpu=_curves(sources, "cpu_utilization"),
        rates=_curves(machines, "network_in_bytes_per_sec", "disk_write_bytes_per_sec"),
        requests=_curves(sources, "lb_requests_per_sec"),
    )


def _curves(sources: Sequence[Source], *metrics: str) -> list[Curve]:
    found = [one.values[np.isfinite(one.values)] for one in sources if one.metric in metrics]
    return [values for values in found if np.ptp(np.percentile(values, (5, 95))) > _IDLE]


def _waves() -> Curves:
    random = np.random.default_rng(0)
    phase = np.arange(7 * _DAY) * 2 * np.pi / _DAY

    def waves(top: float) -> list[Curve]:
        return [
            top * (0.45 + 0.3 * np.sin(phase + shift) + 0.2 * random.random(len(phase)))
            for shift in random.uniform(0, 2 * np.pi, 8)
        ]

    return Curves(
        "made up, since no recorded series are at hand",
        cpu=waves(100),
        rates=waves(5000),
        requests=waves(500),
    )

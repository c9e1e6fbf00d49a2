"""What an ordinary cycle of each cloud costs: calls, time, and memory as the fleet grows.

The fake is one process and the collector another. A cycle lists the inventory and reads what
fell due in fifteen minutes, settling overlap included, when everything that is asked for once a
day is known. Nothing is paced here, as the fakes have no limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

from fakes.vultr import KEY

from benchmarks.report import Row, at_most

CLOUDS = ("aws", "azure", "gcp", "vultr")
INSTANCES = 1_000
LARGE = 10_000
FLEETS = (500, 2_000, 8_000)
CALL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Cycle:
    """One measured cycle; memory in bytes."""

    calls: int
    listing_seconds: float
    reading_seconds: float
    cpu_seconds: float
    resources: int
    points: int
    memory: int
    growth: int


def _fewest_of_aws(instances: int) -> int:
    """docs/providers/aws.md: 500 metrics a call, and pages of 1,000 instances or volumes.

    Each instance has ten metrics and its boot volume six; the database has twelve, the balancer
    seven with its two target groups. Beside the pages VPCs, databases, their clusters,
    balancers, their target groups and tags, and EKS clusters take one call each.
    """
    queries = instances * (10 + 6) + 12 + 7
    return ceil(queries / 500) + 2 * ceil(instances / 1000) + 7


def _fewest_of_azure(instances: int) -> int:
    """docs/providers/azure.md: a call reads 50 resources of one type and region with up to 20
    metrics each; Resource Graph pages have 1,000 rows, and the subscription is one of them.

    As many disks as machines, all in one region.
    """
    return 2 * ceil(instances / 50) + ceil((2 * instances + 1) / 1000)


def _fewest_of_gcp(instances: int) -> int:
    """docs/providers/gcp.md: one call per metric type, of which a page holds 100,000 points;
    pages of 500 resources.

    Disks are as in `fakes.gcp.fleet_of`; forwarding rules, networks and what Asset inventory
    knows are fewer than a page.
    """
    from fakes.gcp import fleet_of

    from data_collector.collectors.gcp.metrics import QUERIES

    disks = len(fleet_of(instances).disks)
    return len(QUERIES) + ceil(instances / 500) + ceil(disks / 500) + 3


def _fewest_of_vultr(instances: int) -> int:
    """docs/providers/vultr.md: pages of 500; a call for each of two databases' usage.

    As many volumes as instances; bare metals, databases, balancers, VPCs and clusters are a
    page each. Bandwidth is due once a day and not in this cycle.
    """
    return 2 * ceil(instances / 500) + 5 + 2


_FEWEST: Mapping[str, Callable[[int], int]] = {
    "aws": _fewest_of_aws,
    "azure": _fewest_of_azure,
    "gcp": _fewest_of_gcp,
    "vultr": _fewest_of_vultr,
}


def measure(say: Callable[[str], None]) -> list[Row]:
    """Every cloud in turn."""
    rows = []
    for name in CLOUDS:
        say(f"providers: {name}, calls and points")
        rows += _of_calls(name)
        say(f"providers: {name}, {LARGE:,} instances with {CALL_SECONDS * 1000:.0f} ms per call")
        rows.append(_of_time(name))
        say(f"providers: {name}, memory")
        rows.append(_of_memory(name))
    return rows


def _of_calls(name: str) -> list[Row]:
    cycle, fewest = run_cycle(name, INSTANCES), _FEWEST[name](INSTANCES)
    seconds = cycle.listing_seconds + cycle.reading_seconds
    return [
        at_most(
            f"{name}, calls per cycle of {INSTANCES:,} instances / fewest",
            cycle.calls / fewest,
            1.05,
            f"{cycle.calls} / {fewest}",
        ),
        Row(
            f"{name}, points from fake to store",
            f"{cycle.points / cycle.reading_seconds:,.0f} points/s "
            f"({cycle.points:,} points; the collector's own CPU {cycle.cpu_seconds:.1f} of "
            f"{seconds:.1f} s, {cycle.points / cycle.cpu_seconds:,.0f} points per CPU second)",
        ),
    ]


def _of_time(name: str) -> Row:
    cycle = run_cycle(name, LARGE, CALL_SECONDS)
    seconds = cycle.listing_seconds + cycle.reading_seconds
    return Row(
        f"{name}, cycle of {LARGE:,} instances with {CALL_SECONDS * 1000:.0f} ms per call",
        f"{seconds:.0f} s ({cycle.calls} calls, one after the other "
        f"{cycle.calls * CALL_SECONDS:.0f} s; own CPU {cycle.cpu_seconds:.0f} s; "
        f"{cycle.points:,} points)",
        "<= 480 s",
        seconds <= 480,
    )


def _of_memory(name: str) -> Row:
    cycles = {fleet: run_cycle(name, fleet) for fleet in FLEETS}
    small, large = (cycles[fleet] for fleet in (FLEETS[0], FLEETS[-1]))
    detail = ", ".join(
        f"{fleet:,}: {(one.memory + one.growth) / 2**20:.0f} MiB" for fleet, one in cycles.items()
    )
    return at_most(
        f"{name}, highest resident memory, {FLEETS[-1]:,} / {FLEETS[0]:,} instances",
        (large.memory + large.growth) / (small.memory + small.growth),
        1.5,
        detail,
    )


def run_cycle(name: str, instances: int, call_seconds: float = 0.0) -> Cycle:
    """Start the cloud and a collector that has warmed up, and measure one cycle."""
    with _process("benchmarks.cloud", name, str(instances)) as cloud:
        account = _line(cloud)
        with _process("benchmarks.cycle", name, account) as collector:
            if _line(collector) != "warm":
                raise RuntimeError(f"{name}: the collector did not warm up")
            _ask(cloud, f"slow {call_seconds}")
            _ask(cloud, "forget")
            found: dict[str, Any] = json.loads(_ask(collector, "go"))
            calls = int(_ask(cloud, "asked"))
    return Cycle(calls=calls, **found)


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VULTR_API_KEY": KEY},
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _ask(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return _line(process)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{process.args!r} has ended")
    return line

"""Fleets: recorded series replayed as many machines of many customers.

Every replay is rotated by an offset of its own and keeps its source's values and holes.
Machines that follow each other in the sorting key replay different sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.sources import STEP, Source
from optiinfra.catalog.metrics import metric_named
from optiinfra_database.tables import PERFORMANCE_METRICS

SLOTS_PER_DAY = 86_400 // STEP
SLOTS_PER_WEEK = 7 * SLOTS_PER_DAY

# Multiples of the golden ratio spread any number of offsets evenly over a lap.
_GOLDEN = 0.6180339887498949
# The Monday that the slots of week 0 begin with, in slots since the epoch.
_FIRST_MONDAY = 4 * SLOTS_PER_DAY


@dataclass(frozen=True, slots=True)
class Replay:
    """One source as one series of a fleet, alive in the slots `[first, last)`.

    A slot is `timestamp // STEP`. Beyond the source's length it begins again.
    """

    source: Source
    customer_id: str
    provider: str
    account_id: str
    resource_id: str
    resource_name: str
    offset: int
    first: int
    last: int

    def points(self, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The slots in `[start, end)` that hold a point, ascending, and their values."""
        begin = max(start, self.first)
        lap = self.source.length
        laps = range((begin - self.offset) // lap, (max(end, begin) - self.offset) // lap + 1)
        slots = np.concatenate([self.source.slots + self.offset + n * lap for n in laps])
        values = np.tile(self.source.values, len(laps))
        alive = (slots >= begin) & (slots < min(end, self.last))
        return slots[alive], values[alive]


def replay(
    sources: Sequence[Source],
    *,
    customer_id: str,
    provider: str,
    machines: int,
    first: int,
    last: int | None = None,
    seed: int = 0,
) -> list[Replay]:
    """A customer's machines, the sources taken in turn, in the order of the sorting key.

    Without `last` each series lives for one lap, so that no value is replayed twice in it.
    """
    by_machine = [list(group) for _, group in groupby(sources, key=lambda source: source.machine)]
    series: list[Replay] = []
    for number in range(machines):
        resource_id = _resource_id(provider, customer_id, number)
        for source in by_machine[number % len(by_machine)]:
            turn = ((seed + len(series) + 1) * _GOLDEN) % 1
            series.append(
                Replay(
                    source=source,
                    customer_id=customer_id,
                    provider=provider,
                    account_id="prod",
                    resource_id=resource_id,
                    resource_name=f"{customer_id}-{source.resource_type}-{number:05}",
                    offset=int(source.length * turn),
                    first=first,
                    last=first + source.length if last is None else last,
                )
            )
    return sorted(series, key=lambda one: (one.source.metric, one.resource_id))


def weeks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The slots `[start, end)` cut at Mondays, as the store's partitions are."""
    while start < end:
        monday = start - (start - _FIRST_MONDAY) % SLOTS_PER_WEEK + SLOTS_PER_WEEK
        yield start, min(monday, end)
        start = monday


def table(series: Sequence[Replay], start: int, end: int) -> pa.Table:
    """The points of `series` in `[start, end)` as rows of performance_metrics."""
    columns = [one.points(start, end) for one in series]
    counts = [len(values) for _, values in columns]
    if not columns or not sum(counts):
        return PERFORMANCE_METRICS.empty_table()
    timestamps = np.concatenate([slots for slots, _ in columns]) * STEP
    run = timestamps // 900 + 1
    # A run starts after the provider's delay and takes a different time each time.
    collected = run * 900 + 120 + (run * 2_654_435_761 >> 12) % 60

    def words(names: list[str]) -> pa.DictionaryArray:
        known, codes = np.unique(np.array(names, dtype=object), return_inverse=True)
        return pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(codes.astype(np.int32), counts)), pa.array(known, pa.string())
        )

    return pa.table(
        [
            pa.array(timestamps.astype(np.uint32)),
            words([one.customer_id for one in series]),
            words([one.provider for one in series]),
            words([one.account_id for one in series]),
            words([one.source.resource_type for one in series]),
            words([one.resource_id for one in series]),
            words([one.resource_name for one in series]),
            words([one.source.metric for one in series]),
            pa.array(np.concatenate([values for _, values in columns])),
            words([str(metric_named(one.source.metric).unit) for one in series]),
            pa.array(np.ones(len(timestamps), dtype=bool)),
            words(["{}" for _ in series]),
            pa.array(collected.astype(np.uint32)),
        ],
        schema=PERFORMANCE_METRICS,
    )


def _resource_id(provider: str, customer_id: str, number: int) -> str:
    """An id as long as the provider's own."""
    if provider == "azure":
        return (
            f"/subscriptions/{number % 97:08x}-0000-4000-8000-{number % 89:012x}/resourcegroups/"
            f"{customer_id}-production/providers/microsoft.compute/virtualmachines/vm-{number:06}"
        )
    return f"i-{number:08x}0{crc32(customer_id.encode()):08x}"

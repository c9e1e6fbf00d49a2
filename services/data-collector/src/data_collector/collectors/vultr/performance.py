"""From the API's answers and the exporters' readings to series. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from data_collector.collectors.vultr import resources
from data_collector.collectors.vultr.metrics import ABSENT_OF, AGENT_METRICS, BANDWIDTH
from data_collector.collectors.vultr.resources import number
from data_collector.machine import Rates, Reading, total
from data_collector.node_exporter import DISK_COUNTERS, INTERFACE_COUNTERS
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Gap, GapReason, Resource, Series, epoch_seconds
from optiinfra.errors import ContractError

Native = Mapping[str, Any]

#: The bucket of a reading.
PERIOD = timedelta(minutes=5)
DAY = timedelta(days=1)
_DAY_SECONDS = 86_400
_DAILY: Mapping[str, object] = {"bucket_seconds": _DAY_SECONDS}
_INSTANT: Mapping[str, object] = {"statistic": "instant"}
_NOTHING: Mapping[str, object] = {}

#: What a database's usage becomes.
USAGE_METRICS = (
    "cpu_utilization",
    "memory_utilization",
    "storage_utilization",
    "storage_free_bytes",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A listed resource, as far as its metrics need it. `native_id` is what the API calls it."""

    native_id: str
    resource_id: str
    name: str
    type: ResourceType
    status: ResourceStatus
    native_status: str
    created: datetime | None
    main_ip: str = ""
    internal_ip: str = ""
    tags: frozenset[str] = frozenset()

    @classmethod
    def of(cls, resource: Resource, native: Native) -> Target:
        """The target out of a resource and the body that it was made of."""
        words = (native.get("status"), native.get("power_status"))
        labels = native.get("tags")
        return cls(
            native_id=native["id"],
            resource_id=resource.resource_id,
            name=resource.resource_name,
            type=ResourceType(resource.resource_type),
            status=ResourceStatus(resource.status),
            native_status="/".join(word for word in words if isinstance(word, str)),
            created=resources.created_at(native),
            main_ip=_text(native.get("main_ip")),
            internal_ip=_text(native.get("internal_ip")),
            tags=frozenset(
                tag
                for tag in [*(labels if isinstance(labels, list) else ()), native.get("tag")]
                if isinstance(tag, str)
            ),
        )

    def series(
        self,
        metric: str,
        times: list[datetime],
        values: list[float],
        metadata: Mapping[str, object] = _NOTHING,
        settling: timedelta | None = None,
    ) -> Series:
        """Points of one metric."""
        return Series(
            metric=metric,
            resource_id=self.resource_id,
            resource_name=self.name,
            resource_type=self.type,
            timestamps=epoch_seconds(times),
            values=np.array(values, dtype=np.float64),
            metadata=metadata,
            settling=settling,
        )

    def known(
        self,
        metric: str,
        value: float | None,
        stamp: datetime,
        metadata: Mapping[str, object] = _NOTHING,
    ) -> Series | Gap:
        """The one point, or why there is none."""
        if value is None:
            return self.gap(GapReason.UNSUPPORTED, "the reading does not hold it", metric)
        return self.series(metric, [stamp], [value], metadata)

    def gap(self, reason: GapReason, detail: str, metric: str = "") -> Gap:
        """A gap of this resource."""
        return Gap(reason, detail, self.resource_id, metric)


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days, UTC, both ends included."""

    first: date
    last: date

    @classmethod
    def published(cls, now: datetime, delay: timedelta, count: int) -> Days:
        """The last `count` days whose totals are there to be taken.

        A running day is never among them: its total is that of an unknown part of a day.
        """
        last = (now - delay).date() - DAY
        return cls(last - (count - 1) * DAY, last)


def availability(target: Target, stamp: datetime) -> Series | Gap:
    """Whether the resource works, by its status; a gap while it is not meant to, or unknown."""
    match target.status:
        case ResourceStatus.RUNNING:
            return target.series("availability", [stamp], [100.0], _INSTANT)
        case ResourceStatus.ERROR:
            return target.series("availability", [stamp], [0.0], _INSTANT)
        case ResourceStatus.STOPPED:
            return target.gap(GapReason.STOPPED, f"it is {target.native_status}")
        case ResourceStatus.PENDING:
            return target.gap(GapReason.NOT_YET_PUBLISHED, f"it is {target.native_status}")
    return target.gap(
        GapReason.UNSUPPORTED,
        f"the status {target.native_status!r} does not tell whether it works",
        "availability",
    )


def bandwidth(
    target: Target, document: Native, days: Days, settling: timedelta
) -> Iterator[Series | Gap]:
    """The mean rates of each whole day, stamped with its start.

    `settling` is how long after the end of a day its total may still change. A day that the
    answer lacks stays missing; the last one, if the resource lived then, is told as a gap.
    """
    totals = document.get("bandwidth")
    if totals == []:  # how the API writes an empty object
        totals = {}
    if not isinstance(totals, dict):
        raise ContractError("the answer for bandwidth has another shape")
    found = {_day(key): total for key, total in totals.items() if isinstance(total, dict)}
    for metric, field in BANDWIDTH.items():
        points = [
            (datetime(day.year, day.month, day.day, tzinfo=UTC), moved / _DAY_SECONDS)
            for day, total in sorted(found.items())
            if days.first <= day <= days.last and (moved := number(total.get(field))) is not None
        ]
        if points:
            times, values = map(list, zip(*points, strict=True))
            yield target.series(metric, times, values, _DAILY, DAY - PERIOD + settling)
        last = datetime(days.last.year, days.last.month, days.last.day, tzinfo=UTC)
        existed = target.created is None or target.created < last + DAY
        if existed and (not points or points[-1][0] != last):
            yield target.gap(
                GapReason.NOT_YET_PUBLISHED, f"no total of {days.last} is published yet", metric
            )


def database_usage(
    target: Target, document: Native, stamp: datetime, gigabyte: int
) -> Iterator[Series | Gap]:
    """A database's usage at the moment of the reading."""
    usage = document.get("usage")
    if not isinstance(usage, dict):
        raise ContractError("the answer for usage has another shape")
    cpu, memory, disk = (_part(usage, part) for part in ("cpu", "memory", "disk"))
    largest, current = number(disk.get("max_gb")), number(disk.get("current_gb"))
    free = None if largest is None or current is None else (largest - current) * gigabyte
    percentages = (number(part.get("percentage")) for part in (cpu, memory, disk))
    for metric, value in zip(USAGE_METRICS, (*percentages, free), strict=True):
        yield target.known(metric, value, stamp, _INSTANT)


def machine(
    target: Target, reading: Reading, rates: Rates, stamp: datetime
) -> Iterator[Series | Gap]:
    """An instance's series out of its exporter's reading.

    Disk and network rates are sums over whole physical disks and physical interfaces; storage
    is that of the root filesystem, which the metadata names.
    """
    span: Mapping[str, object] = {"interval_seconds": round(rates.span)}
    yield target.known("response_time", 1000 * reading.duration, stamp)
    yield target.known("uptime", reading.uptime, stamp)
    yield target.known("memory_utilization", reading.memory_utilization, stamp)
    yield target.known("cpu_utilization", rates.cpu_utilization, stamp, span)
    sums = total(rates.disks) | total(rates.interfaces)
    for metric in (*DISK_COUNTERS, *INTERFACE_COUNTERS):
        yield target.known(metric, sums.get(metric), stamp, span)
    root = reading.filesystems[reading.root] if reading.root else None
    where: Mapping[str, object] = {"mountpoint": reading.root} if root else _NOTHING
    yield target.known("storage_free_bytes", root.available if root else None, stamp, where)
    yield target.known("storage_utilization", root.utilization if root else None, stamp, where)
    for part in reading.failed:
        yield target.gap(GapReason.FAILED, f"the exporter could not read {part}")


def without_agent(resource_id: str = "") -> Iterator[Gap]:
    """What an instance without node_exporter does not have; without an id, all of them."""
    for metric in AGENT_METRICS:
        yield Gap(
            GapReason.NO_AGENT,
            "the API has none; run node_exporter and say so in the account",
            resource_id,
            metric,
        )


def unpublished(kind: ResourceType) -> Iterator[Gap]:
    """What no resource of this type has on Vultr, and why."""
    for metric, why in ABSENT_OF.get(kind, {}).items():
        yield Gap(GapReason.UNSUPPORTED, why, metric_name=metric)


def _day(key: object) -> date:
    try:
        return date.fromisoformat(str(key))
    except ValueError as error:
        raise ContractError("the answer for bandwidth names no days") from error


def _part(usage: Native, part: str) -> Native:
    found = usage.get(part)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

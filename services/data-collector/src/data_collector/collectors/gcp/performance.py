"""From the answers of ListTimeSeries to series. Pure: messages in, domain records out.

A message is anything with the fields of `google.monitoring.v3.TimeSeries`. Its points carry the
end of their bucket and come newest first; a series may go on on the next page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collector.collectors.gcp import resources
from data_collector.collectors.gcp.metrics import (
    AGENT_METRICS,
    ALTERNATIVES,
    CLUSTER,
    DATABASE,
    DEVICE,
    INSTANCE,
    RESPONSE_CLASS,
    Direct,
    Disks,
    Entity,
    Item,
    Requests,
    Share,
)
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Gap, GapReason, Series, Window, iso

Times = NDArray[np.int64]
Values = NDArray[np.float64]
#: One page of an answer: its `TimeSeries` messages.
Page = Iterable[Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One native series: its labels, metric's and resource's, bucket starts and raw values."""

    labels: Mapping[str, str]
    times: Times
    values: Values


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that a series belongs to."""

    resource_id: str
    name: str
    type: ResourceType
    metadata: Mapping[str, object]

    def series(self, metric: str, times: Times, values: Values, settling: timedelta) -> Series:
        return Series(
            metric=metric,
            resource_id=self.resource_id,
            resource_name=self.name,
            resource_type=self.type,
            timestamps=times,
            values=values,
            metadata=self.metadata,
            settling=settling,
        )


#: The volume behind a device of an instance, None where it is no volume of its own.
VolumeOf = Callable[[str, str], resources.Volume | None]


@dataclass
class Reading:
    """What the normalisers of one collection share.

    `names` gives the name of a known resource, empty for another. `settling` is that of the
    queries at hand. `seen` collects the ids that had a point, `from_agent` those with a metric
    that needs an agent; `unplaced` counts series without the labels that say whose they are.
    """

    project: str
    window: Window
    period: timedelta
    names: Callable[[str], str]
    volume_of: VolumeOf
    settling: timedelta = timedelta(0)
    seen: set[str] = field(default_factory=set)
    from_agent: dict[str, set[str]] = field(
        default_factory=lambda: {metric: set() for metric in AGENT_METRICS}
    )
    unplaced: int = 0
    _covered: dict[tuple[str, str], Times] = field(default_factory=dict)

    def normalise(self, item: Item, *answers: Iterable[Page]) -> Iterator[Series]:
        """The series of one item of the plan, from the pages of each of its queries."""
        rows = [merged_rows(pages, self.window, self.period) for pages in answers]
        match item:
            case Direct():
                found = self._direct(item, rows[0])
            case Disks():
                found = self._disks(item, rows[0])
            case Requests():
                found = self._requests(item, rows[0])
            case Share():
                found = self._share(item, rows[0], rows[1])
        for series in found:
            if (kept := self._first_source(series)) is not None:
                self.seen.add(kept.resource_id)
                if kept.metric in self.from_agent:
                    self.from_agent[kept.metric].add(kept.resource_id)
                yield kept

    def _direct(self, item: Direct, rows: Iterable[Row]) -> Iterator[Series]:
        for owner, row in self._placed(item.query.entity, rows):
            values = np.minimum(item.factor * row.values, item.ceiling)
            yield owner.series(item.metric, row.times, values, self.settling)

    def _disks(self, item: Disks, rows: Iterable[Row]) -> Iterator[Series]:
        instances = self._sums()
        # A volume attached to several instances: its rates add up, its latency is the worst.
        shared = self._sums(np.add if item.summed else np.maximum)
        for instance, row in self._placed(INSTANCE, rows):
            values = item.factor * row.values
            if item.summed:
                instances.add(instance, row.times, values)
            volume = self.volume_of(instance.resource_id, row.labels.get(DEVICE, ""))
            if volume is None:
                continue
            owner = Owner(
                volume.resource_id, volume.name, ResourceType.STORAGE_VOLUME, instance.metadata
            )
            if volume.attachments > 1:
                shared.add(owner, row.times, values)
            else:
                yield owner.series(item.metric, row.times, values, self.settling)
        # Sums last: until the last page is there, a part of them may be missing.
        yield from shared.series(item.metric, self.settling)
        yield from instances.series(item.metric, self.settling)

    def _requests(self, item: Requests, rows: Iterable[Row]) -> Iterator[Series]:
        total, failed = self._sums(), self._sums()
        for owner, row in self._placed(item.query.entity, rows):
            total.add(owner, row.times, row.values)
            if row.labels.get(RESPONSE_CLASS) == "500":
                failed.add(owner, row.times, row.values)
        yield from total.series("lb_requests_per_sec", self.settling)
        yield from failed.series("lb_5xx_per_sec", self.settling)

    def _share(self, item: Share, used: Iterable[Row], total: Iterable[Row]) -> Iterator[Series]:
        parts: dict[str, list[Row]] = {}
        for owner, row in self._placed(item.used.entity, used):
            parts.setdefault(owner.resource_id, []).append(row)
        for owner, whole in self._placed(item.total.entity, total):
            for part in parts.get(owner.resource_id, ()):
                times, of_part, of_whole = np.intersect1d(
                    part.times, whole.times, return_indices=True
                )
                taken, size = part.values[of_part], whole.values[of_whole]
                real = size > 0
                times, taken, size = times[real], taken[real], size[real]
                yield owner.series(item.utilization, times, 100 * taken / size, self.settling)
                if item.free:
                    yield owner.series(item.free, times, size - taken, self.settling)

    def _first_source(self, series: Series) -> Series | None:
        """The series without the buckets that a better source has; None if nothing is left."""
        if not len(series.timestamps):
            return None
        if (series.metric, series.resource_type) not in ALTERNATIVES:
            return series
        key = (series.metric, series.resource_id)
        covered = self._covered.get(key)
        if covered is None:
            self._covered[key] = series.timestamps
            return series
        free = ~np.isin(series.timestamps, covered)
        if not free.any():
            return None
        self._covered[key] = np.concatenate([covered, series.timestamps[free]])
        return Series(
            metric=series.metric,
            resource_id=series.resource_id,
            resource_name=series.resource_name,
            resource_type=series.resource_type,
            timestamps=series.timestamps[free],
            values=series.values[free],
            metadata=series.metadata,
            settling=series.settling,
        )

    def _placed(self, entity: Entity, rows: Iterable[Row]) -> Iterator[tuple[Owner, Row]]:
        """Each row with the resource that it belongs to."""
        for row in rows:
            try:
                resource_id, name, place = identify(entity, row.labels, self.project)
            except KeyError:
                self.unplaced += 1
                continue
            name = name or self.names(resource_id) or resource_id
            yield Owner(resource_id, name, entity.type, resources.placed(place)), row

    def _sums(self, combine: np.ufunc = np.add) -> Sums:
        return Sums(self.window, self.period, combine)


class Sums:
    """Series combined bucket by bucket, per resource. A bucket that no part has stays missing."""

    def __init__(self, window: Window, period: timedelta, combine: np.ufunc = np.add) -> None:
        self._combine = combine
        self._start = int(window.start.timestamp())
        self._step = int(period.total_seconds())
        self._buckets = window.duration // period
        self._owners: dict[str, Owner] = {}
        self._totals: dict[str, Values] = {}

    def add(self, owner: Owner, times: Times, values: Values) -> None:
        """Add one part; each of its buckets stands in it once."""
        total = self._totals.get(owner.resource_id)
        if total is None:
            self._owners[owner.resource_id] = owner
            total = self._totals[owner.resource_id] = np.full(self._buckets, np.nan)
        at = (times - self._start) // self._step
        total[at] = np.where(np.isnan(total[at]), values, self._combine(total[at], values))

    def series(self, metric: str, settling: timedelta) -> Iterator[Series]:
        """The sums as series."""
        for resource_id, total in self._totals.items():
            there = np.flatnonzero(~np.isnan(total))
            times = self._start + self._step * there.astype(np.int64)
            yield self._owners[resource_id].series(metric, times, total[there], settling)


def identify(entity: Entity, labels: Mapping[str, str], project: str) -> tuple[str, str, str]:
    """The resource's id, its name as far as the labels say it, and its location."""
    if entity is INSTANCE:
        return labels["instance_id"], labels.get("instance_name", ""), labels.get("zone", "")
    if entity is DATABASE:
        database = labels["database_id"]
        return database, database.rpartition(":")[2], labels.get("region", "")
    if entity is CLUSTER:
        name, location = labels["cluster_name"], labels["location"]
        return resources.cluster_id(project, location, name), name, location
    name, region = labels["forwarding_rule_name"], labels.get("region") or resources.GLOBAL
    return resources.forwarding_rule_id(project, region, name), name, region


def explained_gaps(
    index: resources.Index, reading: Reading, window: Window, failed: Collection[str]
) -> Iterator[Gap]:
    """Why known resources have no points, as far as their state of now says it.

    What a query that failed may have had (`failed` metrics) is explained by that failure.
    """
    for resource in index.by_id.values():
        if resource.created_at >= iso(window.end):
            continue
        if resource.type == ResourceType.NETWORK:
            continue  # has no metrics
        if resource.resource_id not in reading.seen:
            if not failed:
                yield Gap(*_why_silent(resource, index), resource_id=resource.resource_id)
        elif resource.type == ResourceType.COMPUTE_INSTANCE:
            for metric, ids in reading.from_agent.items():
                if resource.resource_id not in ids and metric not in failed:
                    yield Gap(
                        GapReason.NO_AGENT,
                        "needs the Ops Agent in the instance",
                        resource.resource_id,
                        metric,
                    )


def _why_silent(resource: resources.Known, index: resources.Index) -> tuple[GapReason, str]:
    """Why a resource that can have points had none at all."""
    kind, status = resource.type, resource.status
    if kind == ResourceType.LOAD_BALANCER:
        if resource.serves_http:
            return GapReason.NOT_YET_PUBLISHED, "nothing is published while there are no requests"
        return GapReason.UNSUPPORTED, "only HTTP(S) load balancers have metrics"
    if status == ResourceStatus.AVAILABLE:
        return GapReason.STOPPED, "the volume is attached to nothing"
    if status in _SILENT:
        return GapReason.STOPPED, f"the {kind} is {status}"
    user = index.by_id.get(resource.user)
    if user and user.status in _SILENT:
        return GapReason.STOPPED, f"the volume's instance is {user.status}"
    return GapReason.NOT_YET_PUBLISHED, f"nothing is published of the {kind}, which is {status}"


_SILENT = frozenset(
    {
        ResourceStatus.STOPPED,
        ResourceStatus.STOPPING,
        ResourceStatus.PENDING,
        ResourceStatus.TERMINATED,
    }
)


def merged_rows(pages: Iterable[Page], window: Window, period: timedelta) -> Iterator[Row]:
    """The series of an answer; what a page's end cut in two is one again.

    Holds one series at a time. Points outside the window are not what was asked for.
    """
    step = int(period.total_seconds())
    start, end = int(window.start.timestamp()), int(window.end.timestamp())
    labels: dict[str, str] | None = None
    times: list[int] = []
    values: list[float] = []
    for page in pages:
        for series in page:
            its_labels = {**series.metric.labels, **series.resource.labels}
            if labels is not None and its_labels != labels:
                yield _row(labels, times, values)
                times, values = [], []
            labels = its_labels
            for time, value in _points(series.points):
                if start <= time - step < end:
                    times.append(time - step)
                    values.append(value)
    if labels is not None:
        yield _row(labels, times, values)


def _row(labels: Mapping[str, str], times: Sequence[int], values: Sequence[float]) -> Row:
    return Row(labels, np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))


_NUMBERS = ("double_value", "int64_value", "bool_value")


def _points(points: Iterable[Any]) -> Iterator[tuple[int, float]]:
    """Bucket end and value of each point that has a number; a distribution's is its mean."""
    for point in points:
        value = point.value
        kind = value.WhichOneof("value")
        if kind in _NUMBERS:
            yield point.interval.end_time.seconds, float(getattr(value, kind))
        elif kind == "distribution_value" and value.distribution_value.count:
            yield point.interval.end_time.seconds, value.distribution_value.mean

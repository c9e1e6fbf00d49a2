"""The words of the product as types: windows, scopes, series, resources, gaps.

Nothing here does I/O. Times are UTC; a window is half-open and a point carries the start
of its bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

#: Stands in `Series.timestamps` for a time without a zone, which nobody can place.
NAIVE_TIME = int(np.iinfo(np.int64).min)

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Kind(StrEnum):
    """What a run collects."""

    PERFORMANCE = "performance"
    RESOURCES = "resources"
    COST = "cost"


class RunStatus(StrEnum):
    """How far one collection of one kind for one account has come."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class ScopeStatus(StrEnum):
    """What came of one scope in one run."""

    OK = "ok"
    PARTIAL = "partial"
    THROTTLED = "throttled"
    DENIED = "denied"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


class GapReason(StrEnum):
    """Why something that was asked for is not there."""

    NOT_YET_PUBLISHED = "not_yet_published"
    THROTTLED = "throttled"
    DENIED = "denied"
    STOPPED = "stopped"
    UNSUPPORTED = "unsupported"
    NO_AGENT = "no_agent"
    FAILED = "failed"
    NOT_COLLECTED = "not_collected"


class DropReason(StrEnum):
    """Why the writer refused a value. Every refusal is counted in the run ledger."""

    NOT_FINITE = "not_finite"
    NAIVE_TIME = "naive_time"
    FUTURE = "future"
    TOO_OLD = "too_old"
    DUPLICATE = "duplicate"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_METRIC = "unknown_metric"
    INVALID = "invalid"


class Change(StrEnum):
    """What happened to a resource between two complete listings of its scope."""

    CREATED = "created"
    DELETED = "deleted"
    STATUS_CHANGED = "status_changed"
    CONFIG_CHANGED = "config_changed"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The half-open interval `[start, end)`, both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs times with a zone")
        if self.end <= self.start:
            raise ValueError(f"a window must end after it starts: {self.start} .. {self.end}")

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    def chunks(self, size: timedelta) -> Iterator[Window]:
        """The window cut into pieces of at most `size`, oldest first."""
        start = self.start
        while start < self.end:
            end = min(start + size, self.end)
            yield Window(start, end)
            start = end


@dataclass(frozen=True, slots=True)
class Scope:
    """The smallest part of an account that is listed or queried as one.

    `name` is its identity, like `aws/prod/us-east-1/ec2`; `attributes` holds what the
    provider needs to find it again (a region, a target URL), never a secret.
    """

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource: a column of times and a column of values.

    `metric` names an entry of the catalog and `values` are in that entry's unit.
    `timestamps` are bucket starts in epoch seconds (int64), any order; `NAIVE_TIME` marks
    a time whose zone is unknown. Both columns have the same length. `settling` stands for
    the provider's where this metric settles sooner or later than most.
    """

    metric: str
    resource_id: str
    resource_name: str
    resource_type: str
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]
    metadata: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    settling: timedelta | None = None

    def __post_init__(self) -> None:
        times, values = self.timestamps, self.values
        if times.shape != values.shape or times.ndim != 1:
            raise ValueError(f"{self.metric} of {self.resource_id}: columns differ in length")
        if times.dtype != np.int64 or values.dtype != np.float64:
            raise ValueError(f"{self.metric} of {self.resource_id}: not int64 and float64 columns")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as a listing saw it.

    `status` is canonical; the provider's own word stands in `metadata["native_status"]`.
    `metadata` leaves out what is not known: no null and no empty string means "unknown".
    """

    resource_id: str
    resource_name: str
    resource_type: str
    status: str
    region: str
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something inside a collected window that is missing, and why.

    Without a `resource_id` it speaks of the whole scope, without a `metric_name` of every
    metric of the resource.
    """

    reason: GapReason
    detail: str
    resource_id: str = ""
    metric_name: str = ""


@dataclass(frozen=True, slots=True)
class ListedAt:
    """When a listing began that was not made for the run that gets it; yielded before it."""

    moment: datetime


def epoch_seconds(times: Iterable[datetime]) -> NDArray[np.int64]:
    """Times as the writer takes them; one without a zone becomes `NAIVE_TIME`."""
    return np.fromiter(
        (NAIVE_TIME if t.tzinfo is None else int(t.timestamp()) for t in times), dtype=np.int64
    )


def floor_time(moment: datetime, period: timedelta) -> datetime:
    """The start of the period that holds `moment`, counted from the epoch in UTC."""
    seconds = int(period.total_seconds())
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as every answer writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Statistics over points: exact from the points, or from rollups where the range is long.

A rollup is read only for whole buckets that nothing has touched since it was computed; the
edges and whatever came late are read from the points, in the same statement. Quantiles
are exact when they come from points alone and within 1 % of the value when rollups take
part; everything else is exact in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from optiinfra.domain import Window, floor_time
from optiinfra_database import Store

from performance_agent.readers.selection import Selection, between, epoch, where

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: Up to here the points themselves answer as fast.
_POINTS_ONLY = timedelta(days=3)
#: The refresh and the ledger each have a clock; outcomes this close to it count as after it.
_CLOCK_SLACK_MINUTES = 5

_SKETCH = "quantilesDD{}(0.01, 0.5, 0.95, 0.99)"

_EXACT = {
    "unit": "any(source.unit)",
    "avg": "avg(source.metric_value)",
    "min": "min(source.metric_value)",
    "max": "max(source.metric_value)",
    "quantiles": "quantilesExact(0.5, 0.95, 0.99)(source.metric_value)",
    "count": "count()",
    "resource_name": "argMax(source.resource_name, source.timestamp)",
    "last_value": "argMax(source.metric_value, source.timestamp)",
    "last_at": "max(source.timestamp)",
    "resources": "uniqExact(source.resource_id)",
}
# Points brought into the shape of a rollup's row.
_PARTIAL = {
    "unit": "any(source.unit)",
    "points": "count()",
    "total": "sum(source.metric_value)",
    "lowest": "min(source.metric_value)",
    "highest": "max(source.metric_value)",
    "sketch": f"{_SKETCH.format('State')}(source.metric_value)",
    "resource_name": "argMax(source.resource_name, source.timestamp)",
    "last_value": "argMax(source.metric_value, source.timestamp)",
    "last_at": "max(source.timestamp)",
    "resources": "uniqCombined64State(12)(toString(source.resource_id))",
}
_MERGED = {
    "unit": "any(source.unit)",
    "avg": "sum(source.total) / sum(source.points)",
    "min": "min(source.lowest)",
    "max": "max(source.highest)",
    "quantiles": f"{_SKETCH.format('Merge')}(source.sketch)",
    "count": "sum(source.points)",
    "resource_name": "argMax(source.resource_name, source.last_at)",
    "last_value": "argMax(source.last_value, source.last_at)",
    "last_at": "max(source.last_at)",
    "resources": "uniqCombined64Merge(12)(source.resources)",
}
_COMMON = ("unit", "avg", "min", "max", "quantiles", "count")
_COMMON_PARTS = ("unit", "points", "total", "lowest", "highest", "sketch")
_OF_RESOURCE = ("resource_name", "last_value", "last_at")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What statistics are made per.

    `keys` are columns of the points; `bucket` adds `bucket_start`; `count_resources` asks
    for the number of different resources in each group.
    """

    keys: Sequence[str]
    bucket: timedelta | None = None
    count_resources: bool = False

    @property
    def per_resource(self) -> bool:
        return "resource_id" in self.keys


@dataclass(frozen=True, slots=True)
class RollupRange:
    """The whole buckets of a table that a question may read instead of points."""

    table: str
    start: datetime
    end: datetime


def statistics(
    store: Store, selection: Selection, grouping: Grouping
) -> tuple[str, dict[str, Any]]:
    """A SELECT of one row per group, with its parameters.

    Its columns are the grouping's keys, `bucket_start` where asked for, `unit, avg, min,
    max, quantiles` (p50, p95, p99 as an array)`, count`; per resource also `resource_name,
    last_value, last_at`; and `resources` where asked for.
    """
    rollup = None
    if selection.window.duration > _POINTS_ONLY:
        rollup = rollup_range(
            selection.window,
            clean_until(store, selection),
            by_resource=grouping.per_resource or bool(selection.resource_ids),
            bucket=grouping.bucket,
        )
    params = selection.params()
    if grouping.bucket is not None:
        params["bucket"] = int(grouping.bucket.total_seconds())
    if rollup is None:
        return _from_points(selection, grouping), params
    params |= {"rollup_start": epoch(rollup.start), "rollup_end": epoch(rollup.end)}
    return _from_rollup(selection, grouping, rollup.table), params


def rollup_range(
    window: Window, clean: datetime | None, *, by_resource: bool, bucket: timedelta | None
) -> RollupRange | None:
    """The part of the window that a rollup answers; None when points must.

    The hourly rollup knows no single resource, the daily one does. The answer's buckets
    must be made of whole buckets of the rollup.
    """
    table, period = ("metrics_1d", DAY) if by_resource else ("metrics_1h", HOUR)
    if clean is None or (bucket is not None and bucket % period):
        return None
    start = floor_time(window.start + period - timedelta(seconds=1), period)
    end = floor_time(min(window.end, clean), period)
    return RollupRange(table, start, end) if start < end else None


def clean_until(store: Store, selection: Selection) -> datetime | None:
    """Before when the rollups hold everything that was collected; None without rollups."""
    ((covers, dirty_windows, dirty_from),) = store.query(
        "WITH (SELECT max(covers_until) FROM rollup_refreshes) AS covers "
        "SELECT toUnixTimestamp(covers), count(), toUnixTimestamp(min(window_start)) "
        "FROM collection_outcomes WHERE customer_id = {customer_id:String} "
        "AND provider IN {providers:Array(String)} AND kind = 'performance' "
        f"AND finished_at >= covers - toIntervalMinute({_CLOCK_SLACK_MINUTES})",
        {"customer_id": selection.customer_id, "providers": list(selection.providers)},
    )
    if not covers:
        return None
    clean = min(covers, dirty_from) if dirty_windows else covers
    return floor_time(datetime.fromtimestamp(clean, UTC), HOUR)


def _from_points(selection: Selection, grouping: Grouping) -> str:
    keys = _keys(grouping, "timestamp")
    wanted = [*_COMMON, *_wanted(grouping)]
    return (
        f"SELECT {_list(keys, _EXACT, wanted)} FROM performance_metrics AS source FINAL "
        f"{where(*selection.conditions(), between('start', 'end'))} GROUP BY {', '.join(keys)}"
    )


def _from_rollup(selection: Selection, grouping: Grouping, table: str) -> str:
    parts = [*_COMMON_PARTS, *_wanted(grouping, table)]
    from_points, from_rollup = _keys(grouping, "timestamp"), _keys(grouping, "bucket")
    names = ", ".join(from_points)
    edges = (
        f"({between('start', 'rollup_start')} OR {between('rollup_end', 'end')})"
    )
    resources = ""
    if grouping.count_resources and table == "metrics_1d":
        parts.append("resources")
        resources = ", uniqCombined64State(12)(toString(resource_id)) AS resources"
    return ""

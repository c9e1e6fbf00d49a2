"""Statistics over points: exact from the points, or from rollups where the range is long.

A rollup is read only for whole buckets that nothing has touched since it was computed; the
edges and whatever came late are read from the points, in the same statement. Quantiles
are exact when they come from points alone; when rollups take part they are within 1 % of
the value at that rank or of its neighbour. Everything else is exact in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from optiinfra.domain import Window, floor_time
from optiinfra_database import Store
from performance_agent.readers.selection import Selection, between, epoch, where

#: Up to here the points themselves answer as fast.
_POINTS_ONLY = timedelta(days=3)
#: The refresh and the ledger each have a clock; outcomes this close to it count as after it.
_CLOCK_SLACK_MINUTES = 5

# The first number is the relative accuracy, the others are the levels.
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
class Rollup:
    """A table of precomputed buckets."""

    table: str
    period: timedelta
    per_resource: bool


HOURLY = Rollup("metrics_1h", timedelta(hours=1), per_resource=False)
DAILY = Rollup("metrics_1d", timedelta(days=1), per_resource=True)


@dataclass(frozen=True, slots=True)
class RollupRange:
    """The whole buckets of a rollup that a question may read instead of points."""

    rollup: Rollup
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
    params = selection.params()
    if grouping.bucket is not None:
        params["bucket"] = int(grouping.bucket.total_seconds())
    if selection.window.duration > _POINTS_ONLY:
        found = rollup_range(
            selection.window,
            clean_until(store, selection),
            by_resource=grouping.per_resource or bool(selection.resource_ids),
            bucket=grouping.bucket,
        )
        if found is not None:
            params |= {"rollup_start": epoch(found.start), "rollup_end": epoch(found.end)}
            return _from_rollup_and_points(selection, grouping, found.rollup), params
    return _from_points(selection, grouping), params


def rollup_range(
    window: Window, clean: datetime | None, *, by_resource: bool, bucket: timedelta | None
) -> RollupRange | None:
    """The part of the window that a rollup answers; None when points must.

    The hourly rollup knows no single resource, the daily one does. The answer's buckets
    must be made of whole buckets of the rollup.
    """
    rollup = DAILY if by_resource else HOURLY
    if clean is None or (bucket is not None and bucket % rollup.period):
        return None
    start = floor_time(window.start + rollup.period - timedelta(seconds=1), rollup.period)
    end = floor_time(min(window.end, clean), rollup.period)
    return RollupRange(rollup, start, end) if start < end else None


def clean_until(store: Store, selection: Selection) -> datetime | None:
    """Before when the rollups hold everything that was collected; None without rollups."""
    ((covers, dirty_windows, dirty_from),) = store.query(
        "WITH (SELECT max(covers_until) FROM rollup_refreshes) AS covers "
        "SELECT toUnixTimestamp(covers), count(), toUnixTimestamp(min(window_start)) "
        "FROM collection_outcomes WHERE customer_id = {customer_id:String} "
        "AND provider IN {providers:Array(String)} AND kind = 'performance' AND rows > 0 "
        f"AND finished_at >= covers - toIntervalMinute({_CLOCK_SLACK_MINUTES})",
        {"customer_id": selection.customer_id, "providers": list(selection.providers)},
    )
    if not covers:
        return None
    clean = min(covers, dirty_from) if dirty_windows else covers
    return floor_time(datetime.fromtimestamp(clean, UTC), HOURLY.period)


def _from_points(selection: Selection, grouping: Grouping) -> str:
    keys = _keys(grouping, "timestamp")
    return (
        f"SELECT {_select(keys, _EXACT, _measures(grouping))} "
        "FROM performance_metrics AS source FINAL "
        f"{where(*selection.conditions(), between('start', 'end'))} GROUP BY {', '.join(keys)}"
    )


def _from_rollup_and_points(selection: Selection, grouping: Grouping, rollup: Rollup) -> str:
    parts = list(_COMMON_PARTS)
    merged = dict(_MERGED)
    resource_key = {}
    if grouping.per_resource:
        parts += _OF_RESOURCE
    elif grouping.count_resources and rollup.per_resource:
        resource_key = {"resource_id": "source.resource_id"}
        merged["resources"] = "uniqExact(source.resource_id)"
    elif grouping.count_resources:
        parts.append("resources")
    stored_keys = _keys(grouping, "bucket") | resource_key
    point_keys = _keys(grouping, "timestamp") | resource_key
    conditions = selection.conditions()
    edges = f"({between('start', 'rollup_start')} OR {between('rollup_end', 'end')})"
    stored = {name: f"source.{name}" for name in parts}
    result_keys = {name: f"source.{name}" for name in _keys(grouping, "timestamp")}
    return (
        f"SELECT {_select(result_keys, merged, _measures(grouping))} FROM ("
        f"SELECT {_select(stored_keys, stored, parts)} FROM {rollup.table} AS source FINAL "
        f"{where(*conditions, between('rollup_start', 'rollup_end', 'bucket'))} "
        f"UNION ALL SELECT {_select(point_keys, _PARTIAL, parts)} "
        "FROM performance_metrics AS source FINAL "
        f"{where(*conditions, edges)} GROUP BY {', '.join(point_keys)}"
        f") AS source GROUP BY {', '.join(result_keys)}"
    )


def _keys(grouping: Grouping, time_column: str) -> dict[str, str]:
    keys = {name: f"source.{name}" for name in grouping.keys}
    if grouping.bucket is not None:
        keys["bucket_start"] = (
            f"toStartOfInterval(source.{time_column}, toIntervalSecond({{bucket:UInt32}}))"
        )
    return keys


def _measures(grouping: Grouping) -> list[str]:
    measures = list(_COMMON)
    if grouping.per_resource:
        measures += _OF_RESOURCE
    if grouping.count_resources:
        measures.append("resources")
    return measures


def _select(keys: Mapping[str, str], measures: Mapping[str, str], wanted: Sequence[str]) -> str:
    columns = {**keys, **{name: measures[name] for name in wanted}}
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())

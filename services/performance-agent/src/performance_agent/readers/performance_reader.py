"""Performance metrics out of the store, for the routes to hand on.

Rows leave the engine as JSON text; see `optiinfra_database.json_rows`. Points are read with
FINAL, so that one collected twice or corrected later counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from optiinfra_database import Store
from optiinfra_database.exports import Export
from optiinfra_database.json_rows import Column, JsonRows, column, json_row, query_rows
from performance_agent.readers.selection import Selection, between, epoch, where
from performance_agent.readers.statistics import Grouping, statistics

Key = tuple[str | int, ...]

POINT = [
    column("timestamp", "DateTime('UTC')"),
    column("customer_id", "String"),
    column("provider", "String"),
    column("account_id", "String"),
    column("metric_type", "String"),
    column("resource_id", "String"),
    column("resource_name", "String"),
    column("metric_name", "String"),
    column("metric_value", "Float64"),
    column("unit", "String"),
    column("settled", "Bool"),
    column("collected_at", "DateTime('UTC')"),
    column("metadata", "String", raw=True),
]
_STATISTICS = [
    column("avg", "Float64"),
    column("min", "Float64"),
    column("max", "Float64"),
    column("p50", "Float64", "quantiles[1]"),
    column("p95", "Float64", "quantiles[2]"),
    column("p99", "Float64", "quantiles[3]"),
    column("count", "UInt64"),
]
_METRIC = [column(name, "String") for name in ("metric_name", "metric_type", "unit")]
_RESOURCE = [column(name, "String") for name in ("provider", "resource_id", "resource_name")]
TREND = [column("bucket_start", "DateTime('UTC')"), *_METRIC, *_STATISTICS]
RESOURCE_TREND = [TREND[0], *_RESOURCE, *_METRIC, *_STATISTICS]
BY_RESOURCE = [
    *_RESOURCE,
    *_METRIC,
    *_STATISTICS,
    column("last_value", "Float64"),
    column("last_at", "DateTime('UTC')"),
]
SUMMARY = [*_METRIC, *_STATISTICS, column("resources", "UInt64")]

_FIRST_SLICE = timedelta(hours=1)
_WIDEN = 8


class Sort(StrEnum):
    """What a ranking of resources is by: numbers from the highest, names from A."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    P95 = "p95"
    LAST_VALUE = "last_value"
    RESOURCE_ID = "resource_id"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the sort key of the last one when there are more after it."""

    rows: JsonRows
    next_key: Key | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The first rows of a ranking, and how many there are in all."""

    rows: JsonRows
    total: int


class PerformanceReader:
    """What `/api/v2/performance` answers, per question one statement."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get_performance_metrics(
        self, selection: Selection, *, ascending: bool, limit: int, after: Key | None = None
    ) -> Page:
        """Points in order of time, metric, resource and provider, newest first or reversed.

        `after` is the key of a page before: epoch seconds, metric, resource, provider.
        """
        source, params = _points(selection, ascending, after)
        params["limit"] = limit + 1
        sql = f"SELECT {json_row(POINT)} {source} LIMIT {{limit:UInt32}}"
        rows = JsonRows()
        for start, end in slices(selection, ascending=ascending, after=after):
            rows = query_rows(self._store, sql, params | {"start": epoch(start), "end": epoch(end)})
            if len(rows) > limit:
                break
        return _page(rows, limit, _point_key)

    def export_performance_metrics(
        self, selection: Selection, *, ascending: bool, limit: int | None
    ) -> Export:
        """Every point of the selection, or the first `limit`, in the same order."""
        source, params = _points(selection, ascending, None)
        return self._export(POINT, source, params, limit)

    def get_latest_performance(
        self, selection: Selection, *, limit: int, after: Key | None = None
    ) -> Page:
        """The newest point of each series that has one in the window, in order of provider,
        resource and metric; `after` is that key."""
        source, params = _latest(selection, after)
        params["limit"] = limit + 1
        sql = f"SELECT {json_row(POINT)} {source} LIMIT {{limit:UInt32}}"
        return _page(query_rows(self._store, sql, params), limit, _latest_key)

    def export_latest_performance(self, selection: Selection, *, limit: int | None) -> Export:
        """The newest point of every series, or of the first `limit`."""
        source, params = _latest(selection, None)
        return self._export(POINT, source, params, limit)

    def get_performance_trends(
        self,
        selection: Selection,
        *,
        bucket: timedelta,
        by_resource: bool,
        limit: int,
        after: Key | None = None,
    ) -> Page:
        """Statistics per bucket and metric, per resource where asked for, in order of metric,
        type (provider, resource) and bucket; `after` is that key, the bucket in epoch seconds."""
        columns = RESOURCE_TREND if by_resource else TREND
        source, params = self._trends(selection, bucket, by_resource, after)
        params["limit"] = limit + 1
        sql = f"SELECT {json_row(columns)} {source} LIMIT {{limit:UInt32}}"
        key = _resource_trend_key if by_resource else _trend_key
        return _page(query_rows(self._store, sql, params), limit, key)

    def export_performance_trends(
        self, selection: Selection, *, bucket: timedelta, by_resource: bool, limit: int | None
    ) -> Export:
        """Every bucket, or the first `limit`."""
        source, params = self._trends(selection, bucket, by_resource, None)
        return self._export(RESOURCE_TREND if by_resource else TREND, source, params, limit)

    def get_performance_by_resource(
        self, selection: Selection, *, sort: Sort, limit: int
    ) -> Ranking:
        """Statistics per resource and metric over the whole window, ranked."""
        ranked, params = self._by_resource(selection, sort)
        params["limit"] = limit
        sql = f"SELECT toString(total), {json_row(BY_RESOURCE)} {ranked} LIMIT {{limit:UInt32}}"
        lines = self._store.query_bytes(sql, params, format="CustomSeparated")
        if not lines:
            return Ranking(JsonRows(), 0)
        # Each line starts with the same number and a tab; JSON text holds no bare newline.
        prefix = lines[: lines.index(b"\t") + 1]
        rows = lines.removeprefix(prefix).replace(b"\n" + prefix, b"\n")
        return Ranking(JsonRows(rows), int(prefix))

    def export_performance_by_resource(
        self, selection: Selection, *, sort: Sort, limit: int | None
    ) -> Export:
        """The whole ranking, or its first `limit` rows."""
        ranked, params = self._by_resource(selection, sort)
        return self._export(BY_RESOURCE, ranked, params, limit)

    def get_performance_summary(self, selection: Selection) -> JsonRows:
        """Statistics per metric over the whole window, with how many resources have it."""
        source, params = self._summary(selection)
        return query_rows(self._store, f"SELECT {json_row(SUMMARY)} {source}", params)

    def export_performance_summary(self, selection: Selection) -> Export:
        """The same rows as a whole."""
        source, params = self._summary(selection)
        return self._export(SUMMARY, source, params, None)

    def _trends(
        self, selection: Selection, bucket: timedelta, by_resource: bool, after: Key | None
    ) -> tuple[str, dict[str, Any]]:
        keys = ["metric_name", "metric_type"]
        if by_resource:
            keys += ["provider", "resource_id"]
        inner, params = statistics(self._store, selection, Grouping(keys, bucket))
        order = [*keys, "bucket_start"]
        condition = ""
        if after is not None:
            names = [f"{{after_{name}:String}}" for name in keys]
            moment = "toDateTime({after_bucket:UInt32}, 'UTC')"
            condition = f"WHERE ({', '.join(order)}) > ({', '.join([*names, moment])}) "
            params |= {f"after_{name}": part for name, part in zip(keys, after, strict=False)}
            params["after_bucket"] = after[-1]
        return f"FROM ({inner}) {condition}ORDER BY {', '.join(order)}", params

    def _by_resource(self, selection: Selection, sort: Sort) -> tuple[str, dict[str, Any]]:
        keys = ["metric_name", "metric_type", "provider", "resource_id"]
        inner, params = statistics(self._store, selection, Grouping(keys))
        return (
            f"FROM (SELECT *, count() OVER () AS total FROM ({inner})) "
            f"ORDER BY {_RANKED_BY[sort]}, resource_id, metric_name, metric_type, provider"
        ), params

    def _summary(self, selection: Selection) -> tuple[str, dict[str, Any]]:
        grouping = Grouping(["metric_name", "metric_type"], count_resources=True)
        inner, params = statistics(self._store, selection, grouping)
        return f"FROM ({inner}) ORDER BY metric_name, metric_type", params

    def _export(
        self, columns: Sequence[Column], source: str, params: dict[str, Any], limit: int | None
    ) -> Export:
        if limit is not None:
            source, params = f"{source} LIMIT {{limit:UInt32}}", params | {"limit": limit}
        return Export(self._store, columns, source, params)


_RANKED_BY = {
    Sort.AVG: "avg DESC",
    Sort.MIN: "min DESC",
    Sort.MAX: "max DESC",
    Sort.P95: "quantiles[2] DESC",
    Sort.LAST_VALUE: "last_value DESC",
    Sort.RESOURCE_ID: "resource_id",
}


def _points(selection: Selection, ascending: bool, after: Key | None) -> tuple[str, dict[str, Any]]:
    conditions = [*selection.conditions(), between("start", "end")]
    params = selection.params()
    direction = "ASC" if ascending else "DESC"
    if after is not None:
        beyond = ">" if ascending else "<"
        moment = "toDateTime({after_time:UInt32}, 'UTC')"
        # The first condition repeats part of the second, for the index to see.
        conditions += [
            f"timestamp {beyond}= {moment}",
            f"(timestamp, metric_name, resource_id, provider) {beyond} "
            f"({moment}, {{after_metric:String}}, {{after_resource:String}}, "
            "{after_provider:String})",
        ]
        names = ("after_time", "after_metric", "after_resource", "after_provider")
        params |= dict(zip(names, after, strict=True))
    order = ", ".join(
        f"{name} {direction}" for name in ("timestamp", "metric_name", "resource_id", "provider")
    )
    return f"FROM performance_metrics FINAL {where(*conditions)} ORDER BY {order}", params


def _latest(selection: Selection, after: Key | None) -> tuple[str, dict[str, Any]]:
    conditions = [*selection.conditions(), between("start", "end")]
    params = selection.params()
    if after is not None:
        conditions.append(
            "(provider, resource_id, metric_name) > "
            "({after_provider:String}, {after_resource:String}, {after_metric:String})"
        )
        names = ("after_provider", "after_resource", "after_metric")
        params |= dict(zip(names, after, strict=True))
    return (
        f"FROM metrics_latest FINAL {where(*conditions)} "
        "ORDER BY provider, resource_id, metric_name"
    ), params


def slices(
    selection: Selection, *, ascending: bool, after: Key | None
) -> list[tuple[datetime, datetime]]:
    """Growing parts of the window, the last one the whole.

    A page of many series lies in its first hour, and sorting a month to find that is slow.
    Some chosen resources have few points per hour: they are read at once.
    """
    window = selection.window
    parts = []
    if not selection.resource_ids:
        passed = timedelta()
        if after is not None:
            at = int(after[0])
            edge = epoch(window.start) if ascending else epoch(window.end)
            passed = timedelta(seconds=abs(at - edge))
        length = _FIRST_SLICE
        while passed + length < window.duration:
            if ascending:
                parts.append((window.start, window.start + passed + length))
            else:
                parts.append((window.end - passed - length, window.end))
            length *= _WIDEN
    return [*parts, (window.start, window.end)]


def _page(rows: JsonRows, limit: int, key: Callable[[dict[str, Any]], Key]) -> Page:
    if len(rows) <= limit:
        return Page(rows, None)
    shown = rows.first(limit)
    return Page(shown, key(shown.last()))


def _point_key(row: dict[str, Any]) -> Key:
    return _seconds(row["timestamp"]), row["metric_name"], row["resource_id"], row["provider"]


def _latest_key(row: dict[str, Any]) -> Key:
    return row["provider"], row["resource_id"], row["metric_name"]


def _trend_key(row: dict[str, Any]) -> Key:
    return row["metric_name"], row["metric_type"], _seconds(row["bucket_start"])


def _resource_trend_key(row: dict[str, Any]) -> Key:
    return (
        row["metric_name"],
        row["metric_type"],
        row["provider"],
        row["resource_id"],
        _seconds(row["bucket_start"]),
    )


def _seconds(text: str) -> int:
    return epoch(datetime.fromisoformat(text))

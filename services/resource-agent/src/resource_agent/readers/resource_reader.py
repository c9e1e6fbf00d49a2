"""The inventory and its changes out of the store, for the routes to hand on.

Rows leave the engine as JSON text; see `optiinfra_database.json_rows`. What is there now
stands in `resources_latest`. What was there at a moment is put together from the snapshots
of each scope's last complete listing until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optiinfra.catalog import ResourceType
from optiinfra.domain import Change, Window
from optiinfra_database import Store
from optiinfra_database.exports import Export
from optiinfra_database.json_rows import Column, JsonRows, column, json_row, query_rows
from resource_agent.readers import unknown_scopes
from resource_agent.readers.selection import EVERYTHING, Filters, Owner

Key = tuple[str | int, ...]

_WORDS = (
    "resource_id",
    "resource_name",
    "resource_type",
    "status",
    "region",
    "account_id",
    "provider",
    "scope",
)
_NEVER = "toDateTime(0, 'UTC')"
# Qualified, since an answer's own deleted_at is null where there is none.
_THERE = f"state.deleted_at = {_NEVER}"


def _unknown_since(since: str) -> str:
    """Null where the scope is known, and of what is gone, which is known to be gone."""
    return f"if({_THERE}, nullIf({since}, {_NEVER}), NULL)"


def _resource(since: str) -> list[Column]:
    return [
        *(column(name, "String") for name in _WORDS),
        column("first_seen", "DateTime('UTC')"),
        column("last_seen", "DateTime('UTC')"),
        column("deleted_at", "Nullable(DateTime('UTC'))", f"nullIf(deleted_at, {_NEVER})"),
        column("unknown_since", "Nullable(DateTime('UTC'))", _unknown_since(since)),
        column("timestamp", "DateTime('UTC')", "last_seen"),
        column("metadata", "String", raw=True),
    ]


RESOURCE = _resource(unknown_scopes.SINCE)
RESOURCE_AS_OF = _resource(unknown_scopes.SINCE_AS_OF)
CHANGE = [
    column("timestamp", "DateTime('UTC')"),
    column("change", "String"),
    *(column(name, "String") for name in ("resource_id", "resource_name", "resource_type")),
    *(column(name, "String") for name in ("account_id", "provider", "scope", "run_id")),
    column("since", "Nullable(DateTime('UTC'))", f"nullIf(since, {_NEVER})"),
    column("before", "String", raw=True),
    column("after", "String", raw=True),
]


def _count_by(name: str) -> Column:
    return column(
        f"by_{name.removeprefix('resource_')}",
        "Map(String, UInt64)",
        f"sumMap(map({name}, toUInt64(1)))",
    )


_UNKNOWN_SINCE = _unknown_since(unknown_scopes.SINCE)
_MEMBER_WORDS = (*_WORDS[:2], *_WORDS[3:7])
_MEMBER = (
    "Tuple("
    + ", ".join(f"{name} String" for name in _MEMBER_WORDS)
    + ", unknown_since Nullable(DateTime('UTC')))"
)
_QUOTED_MEMBER = _MEMBER.replace("'", "\\'")
_MEMBERS = (
    f"groupArray(CAST(tuple({', '.join(_MEMBER_WORDS)}, {_UNKNOWN_SINCE}), '{_QUOTED_MEMBER}'))"
)
BY_TYPE = [
    column("resource_type", "String"),
    column("count", "UInt64", "count()"),
    column("unknown_count", "UInt64", f"count({_UNKNOWN_SINCE})"),
    _count_by("status"),
    _count_by("region"),
    column(
        "resources", f"Array({_MEMBER})", f"arraySlice(arraySort({_MEMBERS}), 1, {{limit:UInt32}})"
    ),
]

# What is rented is counted once: a machine's own disks and a database's own processors come
# with it, attached volumes are resources of their own, a filesystem lies on a disk that is
# one, and what is terminated or gone takes nothing any more.
_RENTED = f"{_THERE} AND status != 'terminated' AND "
_COMPUTES = _RENTED + "resource_type IN ('compute_instance', 'host', 'database')"
_STORES = _RENTED + (
    "(resource_type = 'database' OR resource_type = 'storage_volume' "
    "AND JSONExtractString(metadata, 'volume_kind') != 'filesystem')"
)
_TOTALS = {
    "vcpus": ("Float64", _COMPUTES),
    "memory_bytes": ("UInt64", _COMPUTES),
    "storage_bytes": ("UInt64", _STORES),
}


_TOTAL_COLUMNS = [
    column(
        "totals",
        f"Tuple({', '.join(f'{name} Nullable({kind})' for name, (kind, _) in _TOTALS.items())})",
        "tuple("
        + ", ".join(
            f"sumIf(JSONExtract(metadata, '{name}', 'Nullable({kind})'), {counted})"
            for name, (kind, counted) in _TOTALS.items()
        )
        + ")",
    ),
    column(
        "unknown",
        f"Tuple({', '.join(f'{name} UInt64' for name in _TOTALS)})",
        "tuple("
        + ", ".join(
            f"countIf({counted} AND JSONExtract(metadata, '{name}', 'Nullable({kind})') IS NULL)"
            for name, (kind, counted) in _TOTALS.items()
        )
        + ")",
    ),
]


def _summary(since: str) -> list[Column]:
    unknown_since = _unknown_since(since)
    return [
        column("resources", "UInt64", "count()"),
        column("unknown_count", "UInt64", f"count({unknown_since})"),
        column("unknown_since", "Nullable(DateTime('UTC'))", f"min({unknown_since})"),
        *(_count_by(name) for name in ("resource_type", "status", "region", "provider")),
        *_TOTAL_COLUMNS,
    ]


SUMMARY = _summary(unknown_scopes.SINCE)
SUMMARY_AS_OF = _summary(unknown_scopes.SINCE_AS_OF)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the sort key of the last one when there are more after it."""

    rows: JsonRows
    next_key: Key | None


@dataclass(frozen=True, slots=True)
class ChangeFilters:
    """What narrows the change log; an empty filter takes everything."""

    changes: Sequence[Change] = ()
    resource_ids: Sequence[str] = ()
    resource_types: Sequence[ResourceType] = ()


class ResourceReader:
    """What `/api/v2/resources` answers, per question one statement."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get_resources(
        self,
        owner: Owner,
        filters: Filters,
        *,
        limit: int,
        as_of: datetime | None = None,
        include_deleted: bool = False,
        after: Key | None = None,
    ) -> Page:
        """Resources in order of id and provider; `after` is that key of a page before.

        What is there now, with `include_deleted` also what was; or what was there `as_of` a
        moment, when nothing is shown as deleted.
        """
        source, params = _resources(owner, filters, as_of, include_deleted, after)
        rows = query_rows(
            self._store,
            f"SELECT {json_row(_columns(as_of))} {source} LIMIT {{limit:UInt32}}",
            params | {"limit": limit + 1},
        )
        return _page(rows, limit, ("resource_id", "provider"))

    def export_resources(
        self,
        owner: Owner,
        filters: Filters,
        *,
        limit: int | None,
        as_of: datetime | None = None,
        include_deleted: bool = False,
    ) -> Export:
        """The same resources as a whole, or the first `limit` of them."""
        source, params = _resources(owner, filters, as_of, include_deleted, None)
        return self._export(_columns(as_of), source, params, limit)

    def get_resource_by_id(
        self, owner: Owner, resource_id: str, *, as_of: datetime | None = None
    ) -> JsonRows:
        """The resource as one row, a deleted one too, or as it was at a moment; no row for an
        unknown one. Of several providers that know the id, the one that saw it last."""
        source, params = _states(owner, as_of, resource_id)
        return query_rows(
            self._store,
            f"SELECT {json_row(_columns(as_of))} {source} "
            "AND resource_id = {resource_id:String} ORDER BY last_seen DESC, provider LIMIT 1",
            params,
        )

    def get_resources_by_type(
        self, owner: Owner, resource_types: Sequence[ResourceType], *, limit: int
    ) -> JsonRows:
        """One row per type: how many there are by status and region, and the first `limit`
        of them by id."""
        source, params = _selected(
            owner, Filters(resource_types=resource_types), as_of=None, include_deleted=False
        )
        return query_rows(
            self._store,
            f"SELECT {json_row(BY_TYPE)} {source} GROUP BY resource_type ORDER BY resource_type",
            params | {"limit": limit},
        )

    def get_resource_changes(
        self,
        owner: Owner,
        window: Window,
        filters: ChangeFilters,
        *,
        limit: int,
        after: Key | None = None,
    ) -> Page:
        """Changes of the window, newest first; then in falling order of id, provider, change
        and the moment of the state before. `after` is that key, moments in epoch seconds."""
        source, params = _changes(owner, window, filters, after)
        rows = query_rows(
            self._store,
            f"SELECT {json_row(CHANGE)} {source} LIMIT {{limit:UInt32}}",
            params | {"limit": limit + 1},
        )
        return _page(rows, limit, _CHANGE_ORDER)

    def export_resource_changes(
        self, owner: Owner, window: Window, filters: ChangeFilters, *, limit: int | None
    ) -> Export:
        """The same changes as a whole, or the newest `limit` of them."""
        source, params = _changes(owner, window, filters, None)
        return self._export(CHANGE, source, params, limit)

    def get_resource_summary(
        self,
        owner: Owner,
        filters: Filters = EVERYTHING,
        *,
        as_of: datetime | None = None,
        include_deleted: bool = False,
    ) -> JsonRows:
        """One row about what `get_resources` lists: how many there are by type, status, region
        and provider, and the totals.

        `unknown_count` of them stand in scopes that nobody has listed completely since
        `unknown_since` or later. A total adds up what is known and is null where nothing is;
        `unknown` counts the resources that belong to a total and do not say.
        """
        source, params = _selected(owner, filters, as_of, include_deleted)
        columns = SUMMARY if as_of is None else SUMMARY_AS_OF
        return query_rows(self._store, f"SELECT {json_row(columns)} {source}", params)

    def _export(
        self, columns: Sequence[Column], source: str, params: dict[str, Any], limit: int | None
    ) -> Export:
        if limit is not None:
            source, params = f"{source} LIMIT {{limit:UInt32}}", params | {"limit": limit}
        return Export(self._store, columns, source, params)


_CHANGE_ORDER = ("timestamp", "resource_id", "provider", "change", "since")


def _columns(as_of: datetime | None) -> Sequence[Column]:
    return RESOURCE if as_of is None else RESOURCE_AS_OF


def _resources(
    owner: Owner,
    filters: Filters,
    as_of: datetime | None,
    include_deleted: bool,
    after: Key | None,
) -> tuple[str, dict[str, Any]]:
    source, params = _selected(owner, filters, as_of, include_deleted)
    if after is not None:
        # The first comparison alone finds the place in the table's key.
        source += (
            " AND resource_id >= {after_id:String} "
            "AND (resource_id, provider) > ({after_id:String}, {after_provider:String})"
        )
        params |= {"after_id": after[0], "after_provider": after[1]}
    return f"{source} ORDER BY resource_id, provider", params


def _selected(
    owner: Owner, filters: Filters, as_of: datetime | None, include_deleted: bool
) -> tuple[str, dict[str, Any]]:
    """What is there or was there at a moment, and what is gone where that is asked for."""
    source, params = _states(owner, as_of)
    conditions, bound = filters.conditions()
    if not include_deleted:
        conditions.append(_THERE)
    return f"{source}{''.join(f' AND {condition}' for condition in conditions)}", params | bound


def _states(
    owner: Owner, as_of: datetime | None, resource_id: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The FROM clause that gives resources the columns of `resources_latest`, ending in a
    WHERE that can be narrowed."""
    owned, params = owner.condition()
    if resource_id is not None:
        params["resource_id"] = resource_id
    if as_of is None:
        return f"FROM resources_latest AS state FINAL WHERE {owned}", params
    one = "" if resource_id is None else " AND resource_id = {resource_id:String}"
    # A listing whose every entry was refused says nothing of what was there. A resource that
    # moved stands in the listings of two scopes: the later one is right.
    return (
        "FROM (WITH listings AS ("
        "SELECT provider, scope, max(window_end) AS seen_at FROM collection_outcomes "
        f"WHERE {owned} AND kind = 'resources' AND status = 'ok' "
        "AND window_end <= toDateTime({as_of:UInt32}, 'UTC') AND (rows > 0 OR empty(dropped)) "
        "GROUP BY provider, scope) "
        f"SELECT {', '.join(_WORDS)}, metadata, first_seen, timestamp AS last_seen, "
        f"{_NEVER} AS deleted_at "
        "FROM (SELECT * FROM resource_metrics FINAL "
        f"WHERE {owned}{one} AND timestamp GLOBAL IN (SELECT seen_at FROM listings) "
        "AND (provider, scope, timestamp) "
        "GLOBAL IN (SELECT provider, scope, seen_at FROM listings) "
        "ORDER BY timestamp DESC LIMIT 1 BY provider, resource_id) AS seen "
        "LEFT JOIN (SELECT provider, resource_id, first_seen FROM resources_latest FINAL "
        f"WHERE {owned}{one}) AS known USING (provider, resource_id)) AS state WHERE true"
    ), params | {"as_of": int(as_of.timestamp())}


def _changes(
    owner: Owner, window: Window, filters: ChangeFilters, after: Key | None
) -> tuple[str, dict[str, Any]]:
    owned, params = owner.condition()
    conditions = [
        owned,
        "timestamp >= toDateTime({start:UInt32}, 'UTC')",
        "timestamp < toDateTime({end:UInt32}, 'UTC')",
    ]
    params |= {"start": int(window.start.timestamp()), "end": int(window.end.timestamp())}
    for column_name, values in (
        ("change", filters.changes),
        ("resource_id", filters.resource_ids),
        ("resource_type", filters.resource_types),
    ):
        if values:
            conditions.append(f"{column_name} IN {{{column_name}s:Array(String)}}")
            params[f"{column_name}s"] = list(values)
    # Qualified, since an answer's own since is null where there is none.
    order = [f"entry.{name}" for name in _CHANGE_ORDER]
    if after is not None:
        conditions.append(
            f"({', '.join(order)}) < (toDateTime({{at:UInt32}}, 'UTC'), {{id:String}}, "
            "{of:String}, {was:String}, toDateTime({before:UInt32}, 'UTC'))"
        )
        params |= dict(zip(("at", "id", "of", "was", "before"), after, strict=True))
    return (
        f"FROM resource_changes AS entry FINAL WHERE {' AND '.join(conditions)} "
        f"ORDER BY {' DESC, '.join(order)} DESC"
    ), params


def _page(rows: JsonRows, limit: int, order: Sequence[str]) -> Page:
    if len(rows) <= limit:
        return Page(rows, None)
    rows = rows.first(limit)
    last = rows.last()
    return Page(rows, tuple(_key_part(name, last[name]) for name in order))


def _key_part(name: str, value: str | None) -> str | int:
    """Times as epoch seconds; a change without a state before has since 0."""
    if name in ("timestamp", "since"):
        return int(datetime.fromisoformat(value).timestamp()) if value else 0
    return str(value)

"""Puts a complete listing of a scope into the inventory, and what it changed into the log.

Three inserts, in this order: the snapshot (`resource_metrics`), the changes
(`resource_changes`), the states (`resources_latest`). A write may be cut off anywhere; the
next listing of the scope then finds changes that the states do not know of, applies them
first, and so neither logs a change twice nor loses one. A large listing is written part by
part, each as if it were a scope of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from data_collector.storage.inventory_diff import ResourceChange, State, compare, replay
from data_collector.storage.inventory_listing import Description, Listing, Part, read_listing
from data_collector.storage.report import WriteReport
from optiinfra.accounts import Account
from optiinfra.domain import Change, DropReason, Resource, Scope
from optiinfra_database.client import Store
from optiinfra_database.tables import (
    RESOURCE_CHANGES,
    RESOURCE_METRICS,
    RESOURCES_LATEST,
    table_name,
)

#: Resources per part of a listing: few parts, and memory that stays flat.
PART = 2000
#: Ids per look-up: they travel as one bound parameter, which a server takes up to 1 MiB of.
_IDS_PER_QUERY = 500

#: Both sides count alike: CRC32() is zlib's.
_OF_PART = (
    "customer_id = {customer:String} AND provider = {provider:String} "
    "AND CRC32(resource_id) % {parts:UInt32} = {part:UInt32} "
)
_OF_SCOPE = _OF_PART + "AND scope = {scope:String} "
_STATE = (
    "SELECT resource_id, scope, resource_name, resource_type, status, region, metadata, "
    "toUnixTimestamp(first_seen), toUnixTimestamp(last_seen), toUnixTimestamp(deleted_at) "
    "FROM resources_latest FINAL WHERE "
)


class InventoryWriter:
    """Writes complete listings; safe to share between threads, but for one scope at a time."""

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        part: int = PART,
    ) -> None:
        self._store = store
        self._now = now
        self._part = part

    def write_resource_metrics(
        self,
        *,
        account: Account,
        scope: Scope,
        run_id: str,
        seen_at: datetime,
        resources: Iterable[Resource],
        unreadable: Iterable[str] = (),
        written_until: datetime | None = None,
    ) -> WriteReport:
        """Write a listing of `scope` that ended without an error; an empty one is evidence too.

        `unreadable` are ids that the provider named without being able to describe them:
        their last state stands. `written_until` is the moment of a listing of the scope that
        is known to be written whole, None while there is none. Times are kept in whole
        seconds. A listing older than the scope's last one changes nothing: its resources are
        counted as `too_old`. Raises StoreUnavailableError when the store does not take it;
        taking the listing again puts that right.
        """
        report = WriteReport()
        whole_until = int(written_until.timestamp()) if written_until else 0
        for part, listing in read_listing(resources, unreadable, most=self._part):
            moment = int(seen_at.timestamp())
            report.add(self._write(account, scope, part, run_id, moment, listing, whole_until))
        return report

    def last_listed(self, account: Account, scope: Scope) -> datetime | None:
        """The moment of the newest listing that anything of the scope is stored from."""
        moment = self._last_listed(_scoped(account, scope, Part()))
        return datetime.fromtimestamp(moment, UTC) if moment else None

    def _write(
        self,
        account: Account,
        scope: Scope,
        part: Part,
        run_id: str,
        moment: int,
        listing: Listing,
        whole_until: int,
    ) -> WriteReport:
        scoped = _scoped(account, scope, part)
        last_listed = self._last_listed(scoped)
        logged = self._changes_after(scoped, whole_until)
        if max([last_listed, *(change.timestamp for change in logged)]) > moment:
            stale = Counter({DropReason.TOO_OLD: len(listing.resources)})
            return WriteReport(0, listing.dropped + stale)
        stored = self._states(
            scoped, listing.resources.keys() | {change.resource_id for change in logged}
        )
        known = replay(stored, logged, scope=scope.name)
        result = compare(known, listing, scope=scope.name, seen_at=moment)
        states = {
            resource_id: state
            for resource_id, state in result.states.items()
            if state != stored.get(resource_id)
        }
        now = self._now()
        owner = {
            "customer_id": account.customer_id,
            "provider": account.provider,
            "account_id": account.account_id,
        }
        listed = owner | {"scope": scope.name}
        snapshot = {**listing.resources, **result.standing}
        self._insert(RESOURCE_METRICS, _snapshot(snapshot, listed, moment, now))
        self._insert(RESOURCE_CHANGES, _log(result.changes, listed, run_id))
        self._insert(RESOURCES_LATEST, _latest(states, owner, moment))
        report = WriteReport(len(listing.resources), listing.dropped)
        if result.outdated:
            report.dropped[DropReason.TOO_OLD] += result.outdated
        return report

    def _insert(self, schema: pa.Schema, columns: Mapping[str, Any]) -> None:
        table = _table(schema, columns)
        if table.num_rows:
            self._store.insert_arrow(table_name(schema), table)

    def _last_listed(self, scoped: Mapping[str, Any]) -> int:
        """When states of this part of the scope were last written, 0 if it has none."""
        rows = self._store.query(
            "SELECT max(toUnixTimestamp(greatest(last_seen, deleted_at))) "
            f"FROM resources_latest FINAL WHERE {_OF_SCOPE}",
            scoped,
        )
        return int(rows[0][0])

    def _changes_after(self, scoped: Mapping[str, Any], moment: int) -> list[ResourceChange]:
        """Changes that the states may not know of: they are later than what is written whole,
        or have landed since."""
        rows = self._store.query(
            "SELECT toUnixTimestamp(timestamp), change, resource_id, resource_name, "
            "resource_type, before, after, toUnixTimestamp(since) FROM resource_changes FINAL "
            f"WHERE {_OF_SCOPE} AND greatest(toDateTime(recorded_at, 'UTC'), timestamp) "
            "> toDateTime({moment:UInt32}, 'UTC')",
            {**scoped, "moment": moment},
        )
        return [
            ResourceChange(timestamp, Change(change), *rest) for timestamp, change, *rest in rows
        ]

    def _states(self, scoped: Mapping[str, Any], ids: Iterable[str]) -> dict[str, State]:
        """The states of what this part of the scope has, and of `ids` in whatever scope they
        were."""
        there = self._store.query(
            _STATE + _OF_SCOPE + "AND deleted_at = toDateTime(0, 'UTC')", scoped
        )
        states = dict(map(_state, there))
        for some in _batches(sorted(set(ids) - states.keys())):
            others = self._store.query(
                _STATE + _OF_PART + "AND resource_id IN {ids:Array(String)}",
                {**scoped, "ids": some},
            )
            states.update(map(_state, others))
        return states


def _scoped(account: Account, scope: Scope, part: Part) -> dict[str, Any]:
    return {
        "customer": account.customer_id,
        "provider": account.provider,
        "scope": scope.name,
        "part": part.number,
        "parts": part.of,
    }


def _state(row: Sequence[Any]) -> tuple[str, State]:
    resource_id, scope, name, kind, status, region, metadata, *times = row
    return resource_id, State(scope, Description(name, kind, status, region, metadata), *times)


def _batches(ids: list[str]) -> Iterator[list[str]]:
    return (ids[at : at + _IDS_PER_QUERY] for at in range(0, len(ids), _IDS_PER_QUERY))


def _snapshot(
    resources: Mapping[str, Description], scope: Mapping[str, str], moment: int, now: datetime
) -> dict[str, Any]:
    seen = resources.values()
    return {
        **scope,
        "timestamp": moment,
        "collected_at": int(now.timestamp()),
        "resource_id": list(resources),
        "metric_type": [one.resource_type for one in seen],
        **_described(seen),
    }


def _log(
    changes: Sequence[ResourceChange], scope: Mapping[str, str], run_id: str
) -> dict[str, Any]:
    return {
        **scope,
        "run_id": run_id,
        "timestamp": [entry.timestamp for entry in changes],
        "change": [str(entry.change) for entry in changes],
        "resource_id": [entry.resource_id for entry in changes],
        "resource_name": [entry.resource_name for entry in changes],
        "resource_type": [entry.resource_type for entry in changes],
        "before": [entry.before for entry in changes],
        "after": [entry.after for entry in changes],
        "since": [entry.since for entry in changes],
    }


def _latest(states: Mapping[str, State], owner: Mapping[str, str], moment: int) -> dict[str, Any]:
    values = states.values()
    return {
        **owner,
        # Of two writes the one of the later listing stands, whenever it comes and whatever
        # its writer's clock says.
        "updated_at": datetime.fromtimestamp(moment, UTC),
        "resource_id": list(states),
        "scope": [state.scope for state in values],
        "first_seen": [state.first_seen for state in values],
        "last_seen": [state.last_seen for state in values],
        "deleted_at": [state.deleted_at for state in values],
        **_described([state.description for state in values]),
    }


def _described(descriptions: Iterable[Description]) -> dict[str, list[str]]:
    fields = ("resource_name", "resource_type", "status", "region", "metadata")
    descriptions = list(descriptions)
    return {field: [getattr(one, field) for one in descriptions] for field in fields}


def _table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """An Arrow table; a single value stands for the whole column."""
    length = len(columns["resource_id"])
    return pa.Table.from_arrays(
        [_array(field.type, columns[field.name], length) for field in schema], schema=schema
    )


def _array(kind: pa.DataType, column: Any, length: int) -> pa.Array:
    values = column if isinstance(column, list) else [column] * length
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)

"""What a complete listing of a scope changes, as pure functions.

Nothing here knows a table. `compare` takes what was known before and what a listing saw;
`replay` brings what was known up to date with changes that were logged by a write that was
cut off before it could store the states they lead to, or held up until others had listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from data_collector.storage.inventory_listing import Description, Listing, canonical_json
from optiinfra.domain import Change

#: Metadata that moves by itself. It is stored as the listing gives it and is no change.
VOLATILE_METADATA = frozenset(
    {"boot_time", "free_bytes", "pending_charges", "uptime", "uptime_seconds", "used_bytes"}
)

_Json = dict[str, Any]
_FIELDS = ("resource_name", "resource_type", "region")


@dataclass(frozen=True, slots=True)
class State:
    """The last known state of a resource; times in epoch seconds.

    `deleted_at` is 0 for a resource that is there, else the moment of the complete listing
    of its scope that lacked it.
    """

    scope: str
    description: Description
    first_seen: int
    last_seen: int
    deleted_at: int = 0

    @property
    def as_of(self) -> int:
        """The moment of the listing that this state comes from."""
        return max(self.last_seen, self.deleted_at)


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One entry of the change log; times in epoch seconds, `before` and `after` JSON text.

    `since` is the moment of the state before, 0 for a resource never seen before. A
    creation's `after` and a deletion's `before` hold the whole state; the other changes
    hold only what differs, a key that is missing on one side being absent there.
    """

    timestamp: int
    change: Change
    resource_id: str
    resource_name: str
    resource_type: str
    before: str
    after: str
    since: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to log and what to store.

    `standing` are resources of the scope that the listing neither describes nor proves to
    be gone: their last description stands. `outdated` counts resources known from a later
    listing.
    """

    changes: list[ResourceChange]
    states: dict[str, State]
    standing: dict[str, Description]
    outdated: int


def compare(
    known: Mapping[str, State], listing: Listing, *, scope: str, seen_at: int
) -> Comparison:
    """Compare a complete listing of `scope` with what was known before.

    `known` must hold every resource that the scope had and every listed one that was seen
    before, in whatever scope. A resource is deleted when it was in this scope and the
    listing lacks it. One that another scope has listed since is left to that scope.
    """
    changes: list[ResourceChange] = []
    states: dict[str, State] = {}
    standing: dict[str, Description] = {}
    outdated = 0
    for resource_id, description in listing.resources.items():
        before = known.get(resource_id)
        if before and before.as_of > seen_at:
            outdated += 1
            continue
        changes += _differences(resource_id, before, description, seen_at)
        first_seen = before.first_seen if before else seen_at
        states[resource_id] = State(scope, description, first_seen, seen_at)
    for resource_id, before in known.items():
        if resource_id in listing.resources or before.as_of > seen_at:
            continue
        states[resource_id] = before
        if before.scope != scope or before.deleted_at:
            continue
        if listing.anonymous or resource_id in listing.refused:
            standing[resource_id] = before.description
            continue
        states[resource_id] = replace(before, deleted_at=seen_at)
        changes.append(
            _change(
                Change.DELETED,
                resource_id,
                before.description,
                timestamp=seen_at,
                since=before.last_seen,
                before=_whole(before.description),
            )
        )
    return Comparison(changes, states, standing, outdated)


def replay(
    states: Mapping[str, State], logged: Iterable[ResourceChange], *, scope: str
) -> dict[str, State]:
    """The states as the log tells of them, given every change of the scope that they may not
    know of.

    What the log tells last is known, also where the state is newer: either the state knows of
    it, or the change has landed late, after somebody had listed again without knowing. Then
    the next listing logs what leads back. A resource that another scope has listed since is
    that scope's, and a change of one that has no state is passed over: nothing is known to
    apply it to.
    """
    current = dict(states)
    for change in sorted(logged, key=lambda entry: entry.timestamp):
        stored = states.get(change.resource_id)
        if stored and stored.as_of >= change.timestamp and stored.scope != scope:
            continue
        state = current.get(change.resource_id)
        if change.change is Change.CREATED:
            current[change.resource_id] = _created(state, change, scope)
        elif state:
            current[change.resource_id] = _changed(state, change, scope)
    return current


def _differences(
    resource_id: str, before: State | None, after: Description, seen_at: int
) -> list[ResourceChange]:
    if before is None or before.deleted_at:
        since = before.deleted_at if before else 0
        return [
            _change(
                Change.CREATED,
                resource_id,
                after,
                timestamp=seen_at,
                since=since,
                after=_whole(after),
            )
        ]
    old, new = before.description, after
    changes = []
    if old.status != new.status:
        changes.append(
            _change(
                Change.STATUS_CHANGED,
                resource_id,
                new,
                timestamp=seen_at,
                since=before.last_seen,
                before={"status": old.status},
                after={"status": new.status},
            )
        )
    if replace(old, status=new.status) != new:  # as text, before anything is parsed
        was, now = _differing(_config(old), _config(new))
        if was or now:
            changes.append(
                _change(
                    Change.CONFIG_CHANGED,
                    resource_id,
                    new,
                    timestamp=seen_at,
                    since=before.last_seen,
                    before=was,
                    after=now,
                )
            )
    return changes


def _differing(old: _Json, new: _Json) -> tuple[_Json, _Json]:
    """Each side's entries that the other has not or has with another value."""
    return (
        {key: value for key, value in old.items() if key not in new or new[key] != value},
        {key: value for key, value in new.items() if key not in old or old[key] != value},
    )


def _config(description: Description) -> _Json:
    """What counts as configuration. The fields' own names win over metadata's."""
    metadata = json.loads(description.metadata)
    counted = {key: value for key, value in metadata.items() if key not in VOLATILE_METADATA}
    return counted | {field: getattr(description, field) for field in _FIELDS}


def _whole(description: Description) -> _Json:
    return {
        "resource_name": description.resource_name,
        "status": description.status,
        "region": description.region,
        "metadata": json.loads(description.metadata),
    }


def _change(
    change: Change,
    resource_id: str,
    description: Description,
    *,
    timestamp: int,
    since: int,
    before: _Json | None = None,
    after: _Json | None = None,
) -> ResourceChange:
    return ResourceChange(
        timestamp=timestamp,
        change=change,
        resource_id=resource_id,
        resource_name=description.resource_name,
        resource_type=description.resource_type,
        before="null" if before is None else canonical_json(before),
        after="null" if after is None else canonical_json(after),
        since=since,
    )


def _created(before: State | None, change: ResourceChange, scope: str) -> State:
    whole = json.loads(change.after)
    description = Description(
        resource_name=whole["resource_name"],
        resource_type=change.resource_type,
        status=whole["status"],
        region=whole["region"],
        metadata=canonical_json(whole["metadata"]),
    )
    first_seen = before.first_seen if before else change.timestamp
    last_seen = max(before.last_seen if before else 0, change.timestamp)
    return State(scope, description, first_seen, last_seen)


def _changed(before: State, change: ResourceChange, scope: str) -> State:
    if change.change is Change.DELETED:
        return replace(before, deleted_at=change.timestamp)
    description = before.description
    old, new = json.loads(change.before), json.loads(change.after)
    if change.change is Change.STATUS_CHANGED:
        description = replace(description, status=new["status"])
    else:
        metadata = json.loads(description.metadata)
        kept = {key: value for key, value in metadata.items() if key not in old}
        fields = {key: new.pop(key) for key in _FIELDS if key in new}
        description = replace(description, **fields, metadata=canonical_json(kept | new))
    last_seen = max(before.last_seen, change.timestamp)
    return replace(before, scope=scope, description=description, last_seen=last_seen)

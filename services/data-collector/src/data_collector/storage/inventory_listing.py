"""What a provider listed, made safe to store: validation, canonical JSON, one entry per id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import DropReason, Resource

_TYPES = frozenset(ResourceType)
_STATUSES = frozenset(ResourceStatus)


@dataclass(frozen=True, slots=True)
class Description:
    """A resource as the tables hold it. `metadata` is canonical JSON text, so that equal
    texts mean equal metadata."""

    resource_name: str
    resource_type: str
    status: str
    region: str
    metadata: str


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete listing of a scope.

    `refused` holds ids that were there without a usable description: nothing new is known
    of them, least of all that they are gone. `anonymous` tells that an entry had no usable
    id, and then nobody can say which known resource the listing lacks.
    """

    resources: Mapping[str, Description]
    refused: frozenset[str]
    anonymous: bool
    dropped: Counter[DropReason]


def read_listing(resources: Iterable[Resource], unreadable: Iterable[str] = ()) -> Listing:
    """Validate what was listed. Of several entries with one id the last one stands.

    `unreadable` are ids that the provider itself could not describe.
    """
    usable: dict[str, Description] = {}
    refused = set(unreadable)
    anonymous = False
    dropped: Counter[DropReason] = Counter()
    for resource in resources:
        if not _is_text(resource.resource_id):
            anonymous = True
            dropped[DropReason.INVALID] += 1
            continue
        description = _describe(resource)
        if description is None:
            refused.add(resource.resource_id)
            dropped[DropReason.INVALID] += 1
            continue
        if resource.resource_id in usable:
            dropped[DropReason.DUPLICATE] += 1
        usable[resource.resource_id] = description
    return Listing(usable, frozenset(refused - usable.keys()), anonymous, dropped)


def _describe(resource: Resource) -> Description | None:
    if resource.resource_type not in _TYPES or resource.status not in _STATUSES:
        return None
    try:
        metadata = canonical_json(_known(resource.metadata))
        f"{metadata}{resource.resource_name}{resource.region}".encode()
    except (TypeError, ValueError):  # not JSON, NaN, or a lone surrogate
        return None
    return Description(
        resource_name=resource.resource_name,
        resource_type=str(resource.resource_type),
        status=str(resource.status),
        region=resource.region,
        metadata=metadata,
    )


def canonical_json(value: Mapping[str, object]) -> str:
    """JSON text with sorted keys. Raises TypeError or ValueError for what JSON cannot hold."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _known(metadata: Mapping[str, object]) -> dict[str, object]:
    """The metadata without nulls: what is not known is left out."""
    return {
        key: _known(value) if isinstance(value, Mapping) else value
        for key, value in metadata.items()
        if value is not None
    }


def _is_text(value: str) -> bool:
    try:
        return bool(value.strip()) and bool(value.encode())
    except UnicodeEncodeError:
        return False

"""What a provider listed, made safe to store: validation, canonical JSON, one entry per id.

A large listing is worked through in parts, so that it takes no more memory than a small one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

from data_collector.packing import Bins
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import DropReason, Resource

_TYPES = frozenset(ResourceType)
_STATUSES = frozenset(ResourceStatus)
#: A power of two. A listing has no more parts than that, and each is made of whole bins.
_BINS = 64


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
class Part:
    """The resources whose id has a CRC-32 that leaves `number` when divided by `of`."""

    number: int = 0
    of: int = 1

    def holds(self, resource_id: str) -> bool:
        return crc32(resource_id.encode()) % self.of == self.number


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete listing of one part of a scope.

    `refused` holds ids that were there without a usable description: nothing new is known
    of them, least of all that they are gone. `anonymous` tells that an entry had no usable
    id, and then nobody can say which known resource the listing lacks.
    """

    resources: Mapping[str, Description]
    refused: frozenset[str]
    anonymous: bool
    dropped: Counter[DropReason]


def read_listing(
    resources: Iterable[Resource], unreadable: Iterable[str] = (), *, most: int
) -> Iterator[tuple[Part, Listing]]:
    """Validate what was listed, and give it back in one part, or in as many as make each hold
    about `most` resources. Of several entries with one id the last one stands.

    `unreadable` are ids that the provider itself could not describe.
    """
    entries: Bins[tuple[str, Description | None]] = Bins(_BINS)
    nameless: Counter[DropReason] = Counter()
    for resource in resources:
        if _is_text(resource.resource_id):
            place = crc32(resource.resource_id.encode()) % _BINS
            entries.put(place, (resource.resource_id, _describe(resource)))
        else:
            nameless[DropReason.INVALID] += 1
    parts = 1
    while parts < _BINS and parts * most < len(entries):
        parts *= 2
    unreadable = list(unreadable)
    for number in range(parts):
        part = Part(number, parts)
        usable: dict[str, Description] = {}
        refused = {one for one in unreadable if part.holds(one)}
        dropped = Counter(nameless if number == 0 else ())
        for place in range(number, _BINS, parts):
            for resource_id, description in entries.bin(place):
                if description is None:
                    refused.add(resource_id)
                    dropped[DropReason.INVALID] += 1
                    continue
                if resource_id in usable:
                    dropped[DropReason.DUPLICATE] += 1
                usable[resource_id] = description
        yield (
            part,
            Listing(usable, frozenset(refused - usable.keys()), bool(nameless), dropped),
        )


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

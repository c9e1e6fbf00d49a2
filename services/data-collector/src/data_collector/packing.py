"""Records that wait in this process's memory, packed into a small part of their room.

A listing of a large fleet is kept for minutes and looked at twice; unpacked it would take
kilobytes for each resource all the while.
"""

from __future__ import annotations

import pickle
import random
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

#: Records that are unpacked at once.
PAGE = 500
#: Records of one bin that wait unpacked.
_OPEN = 64


class Packed(Generic[T]):
    """A sequence of records that takes little room and is gone through from its beginning."""

    def __init__(self, records: Iterable[T]) -> None:
        self._pages = [_pack(page) for page in pages(records)]

    def __iter__(self) -> Iterator[T]:
        return _unpacked(self._pages)

    def shuffled(self) -> Iterator[T]:
        """The records, with their pages in another order each time."""
        return _unpacked(random.sample(self._pages, len(self._pages)))


class Bins(Generic[T]):
    """Records that are put into one of `count` bins each, and taken out a bin at a time."""

    def __init__(self, count: int) -> None:
        self._open: list[list[T]] = [[] for _ in range(count)]
        self._packed: list[list[bytes]] = [[] for _ in range(count)]
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def put(self, number: int, record: T) -> None:
        """Into the bin of that number, after what is in it."""
        records = self._open[number]
        records.append(record)
        self._held += 1
        if len(records) == _OPEN:
            self._packed[number].append(_pack(records))
            records.clear()

    def bin(self, number: int) -> Iterator[T]:
        """What was put into a bin, in that order."""
        yield from _unpacked(self._packed[number])
        yield from self._open[number]


def pages(records: Iterable[T]) -> Iterator[list[T]]:
    """The records in lists of PAGE."""
    source = iter(records)
    while page := list(islice(source, PAGE)):
        yield page


def _unpacked(packed: Iterable[bytes]) -> Iterator[T]:
    for page in packed:
        yield from _unpack(page)


def _pack(records: list[T]) -> bytes:
    return zlib.compress(pickle.dumps(records), level=1)


def _unpack(packed: bytes) -> list[T]:
    records: list[T] = pickle.loads(zlib.decompress(packed))  # noqa: S301  # packed above
    return records

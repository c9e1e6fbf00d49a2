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


class Packed(Generic[T]):
    """A sequence of records that takes little room and is gone through from its beginning."""

    def __init__(self, records: Iterable[T]) -> None:
        self._pages = [zlib.compress(pickle.dumps(page), level=1) for page in pages(records)]

    def __iter__(self) -> Iterator[T]:
        return self._unpacked(self._pages)

    def shuffled(self) -> Iterator[T]:
        """The records, with their pages in another order each time."""
        return self._unpacked(random.sample(self._pages, len(self._pages)))

    @staticmethod
    def _unpacked(packed: Iterable[bytes]) -> Iterator[T]:
        for page in packed:
            yield from pickle.loads(zlib.decompress(page))  # noqa: S301  # packed above


def pages(records: Iterable[T]) -> Iterator[list[T]]:
    """The records in lists of PAGE."""
    source = iter(records)
    while page := list(islice(source, PAGE)):
        yield page

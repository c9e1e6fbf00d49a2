"""Counting what is asked of a provider, so that its bill is known before it comes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Calls:
    """The calls made for one scope, by API operation. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    @contextmanager
    def made(self, operation: str, units: int = 1) -> Iterator[None]:
        """Wrap the call itself; a call that fails was made, and is billed, all the same.

        `units` is what the provider bills by (metrics requested, series returned); 1 where
        it bills by the call.
        """
        with self._lock:
            self._counts[operation] += units
        yield

    def counts(self) -> Mapping[str, int]:
        """What was made so far, by operation."""
        with self._lock:
            return dict(self._counts)

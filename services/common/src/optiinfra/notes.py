"""What the collecting processes remember together from one cycle to the next.

All of it may be lost at any moment; nothing becomes wrong by that, it is asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol


class Notes(Protocol):
    """Small values by name, each kept for a while."""

    def get(self, name: str) -> str | None:
        """The last value, None where there is none or it was lost."""
        ...

    def put(self, name: str, value: str, lifetime: timedelta) -> None:
        """Keep a value."""
        ...


class MemoryNotes:
    """For everything in one process. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, tuple[float, str]] = {}

    def get(self, name: str) -> str | None:
        with self._lock:
            until, value = self._values.get(name, (0.0, ""))
            return value if until > self._clock() else None

    def put(self, name: str, value: str, lifetime: timedelta) -> None:
        with self._lock:
            now = self._clock()
            for old in [key for key, (until, _) in self._values.items() if until <= now]:
                del self._values[old]
            self._values[name] = now + lifetime.total_seconds(), value


class DraftNotes:
    """Notes of one collection, which others see only once what it yielded is in the store."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._drafts: dict[str, tuple[str, timedelta]] = {}

    def get(self, name: str) -> str | None:
        draft = self._drafts.get(name)
        return draft[0] if draft else self._notes.get(name)

    def put(self, name: str, value: str, lifetime: timedelta) -> None:
        self._drafts[name] = value, lifetime

    def keep(self) -> None:
        """Hand on what was put."""
        for name, (value, lifetime) in self._drafts.items():
            self._notes.put(name, value, lifetime)

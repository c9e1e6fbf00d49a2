"""What one process remembers of accounts: which resources have metrics, and machine sizes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from data_collector.collectors.azure.performance import Target
from data_collector.collectors.azure.resources import Sizes
from optiinfra.errors import OptiInfraError, TransientError

Targets = Sequence[Target]


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    targets: Targets | None = None
    listed_at: float = 0.0


class Inventory:
    """The last listings. Bounded; safe to share between threads.

    A listing serves metrics only: to say what is gone takes one made for that.
    """

    #: Seconds: as long as the scopes of one run may take, and less than the usual interval, so
    #: that every cycle sees what was made since the one before.
    LIFETIME = 12 * 60.0

    def __init__(self, capacity: int = 256, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, listing: Callable[[], Targets]) -> Targets:
        """The account's targets, listed now where the last listing is too old.

        While none can be made the last one serves on. Of several threads that ask at once,
        one lists and the others wait for it.
        """
        entry = self._entry(key)
        with entry.lock:
            age = self._clock() - entry.listed_at
            if entry.targets is None or not 0 <= age < self.LIFETIME:
                try:
                    entry.targets = listing()
                    entry.listed_at = self._clock()
                except TransientError:
                    if entry.targets is None:
                        raise
            return entry.targets

    def put(self, key: Hashable, targets: Targets) -> None:
        """Keep a listing that was made for another purpose."""
        entry = self._entry(key)
        with entry.lock:
            entry.targets = targets
            entry.listed_at = self._clock()

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
            return entry


class SizeBook:
    """The sizes of each region's machines. Bounded; safe to share between threads."""

    #: Seconds: a size never changes, new ones come every few weeks.
    LIFETIME = 24 * 3600.0

    def __init__(self, capacity: int = 1024, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._sizes: OrderedDict[Hashable, tuple[float, Sizes]] = OrderedDict()

    def get(self, key: Hashable, listing: Callable[[], Sizes]) -> Sizes:
        """The sizes, listed now where they are older than a day.

        Where that fails the old ones serve, and without any the error is raised.
        """
        with self._lock:
            listed_at, known = self._sizes.get(key, (float("-inf"), None))
        if known is not None and self._clock() - listed_at < self.LIFETIME:
            return known
        try:
            sizes = listing()
        except OptiInfraError:
            if known is None:
                raise
            return known
        with self._lock:
            self._sizes[key] = (self._clock(), sizes)
            self._sizes.move_to_end(key)
            while len(self._sizes) > self._capacity:
                self._sizes.popitem(last=False)
        return sizes

"""What a collecting process remembers from one cycle to the next, and work side by side.

All of it may be lost at any moment; nothing becomes wrong by that, it is asked again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R")


class Memory(Generic[K, V]):
    """The last value of each key. Bounded; safe to share between threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def put(self, key: K, value: V) -> None:
        """Keep a value; the key that was put longest ago makes room."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._capacity:
                self._values.popitem(last=False)

    def get(self, key: K) -> V | None:
        """The value, however old."""
        with self._lock:
            return self._values.get(key)

    def get_or_put(self, key: K, make: Callable[[], V]) -> V:
        """The value, made where there is none; two threads get the same one."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                while len(self._values) > self._capacity:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]


def concurrently(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """The results of `work`, as they come.

    Takes from `items` only as fast as results are taken, so that no more than twice `workers`
    are ever under way or waiting. The first error that `work` raises ends it.
    """
    pending: set[Future[R]] = set()
    with ThreadPoolExecutor(workers, thread_name_prefix="vultr") as pool:
        try:
            for item in items:
                pending.add(pool.submit(work, item))
                if len(pending) >= 2 * workers:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()

"""Waiting for a provider without hanging with it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

from optiinfra.errors import TransientError

T = TypeVar("T")

#: Longer than any wait that is meant: a page, its retries and the turn at a shared limit.
SILENCE = timedelta(minutes=5)
#: Items that a provider may be ahead of who takes them.
_AHEAD = 256
_LOOK_SECONDS = 1.0


class Patience:
    """Takes a provider's items from a thread of its own, and leaves it when it falls silent.

    No thread can be stopped. One that was left ends whenever its provider does, and while it
    has not, its key is refused: what hangs costs a thread once and never a worker. Safe to
    share between threads.
    """

    def __init__(self, silence: timedelta = SILENCE) -> None:
        self._silence = silence
        self._left: dict[str, threading.Thread] = {}

    def items(self, key: str, produce: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What `produce` yields and raises; TransientError once nothing came for long."""
        left = self._left.get(key)
        if left and left.is_alive():
            raise TransientError("an earlier attempt still hangs; a restart of the worker ends it")
        source = _Source(produce)
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(source.run,), name=key, daemon=True)
        thread.start()
        try:
            while (handed := source.take(self._silence)) is not None:
                yield handed.item
        except Empty:
            self._left[key] = thread
            raise TransientError(
                f"the provider gave no sign for {self._silence.total_seconds():.0f} s"
            ) from None
        finally:
            source.unwanted.set()


@dataclass(frozen=True, slots=True)
class _Handed(Generic[T]):
    item: T


class _Source(Generic[T]):
    """What one thread puts and another takes."""

    def __init__(self, produce: Callable[[], Iterator[T]]) -> None:
        self.unwanted = threading.Event()
        self._produce = produce
        self._queue: Queue[_Handed[T] | BaseException | None] = Queue(_AHEAD)

    def run(self) -> None:
        try:
            for item in self._produce():
                if not self._put(_Handed(item)):
                    return
            self._put(None)
        except BaseException as error:  # sys.exit in somebody's SDK must not pass for an end
            self._put(error)

    def _put(self, entry: _Handed[T] | BaseException | None) -> bool:
        while not self.unwanted.is_set():
            try:
                self._queue.put(entry, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False

    def take(self, silence: timedelta) -> _Handed[T] | None:
        """The next item, None at the end; raises what the provider raised, or Empty."""
        entry = self._queue.get(timeout=silence.total_seconds())
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, BaseException):
            raise RuntimeError(f"the provider ended with {type(entry).__name__}") from entry
        return entry

"""Agreement within one process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from data_collector.coordination.contract import RECOVERY, SLOWEST, have_patience
from optiinfra.calls import Limit


class MemoryCoordination:
    """For everything in one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._locks: dict[str, tuple[str, float]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._attempts: dict[str, Counter[str]] = {}
        self._stopped: dict[str, str] = {}

    def acquire(self, name: str, owner: str, lifetime: timedelta) -> str:
        with self._mutex:
            now = self._clock()
            holder, until = self._locks.get(name, (owner, now))
            if holder == owner or until <= now:
                holder = owner
                self._locks[name] = (owner, now + lifetime.total_seconds())
            return holder

    def release(self, name: str, owner: str) -> None:
        with self._mutex:
            if self._locks.get(name, ("", 0.0))[0] == owner:
                del self._locks[name]
                self._attempts.pop(owner, None)
                self._stopped.pop(owner, None)

    def expect(self, run_id: str, scopes: list[str], lifetime: timedelta) -> None:
        with self._mutex:
            self._waiting[run_id] = set(scopes)

    def attempt(self, run_id: str, scope: str) -> int:
        with self._mutex:
            attempts = self._attempts.setdefault(run_id, Counter())
            attempts[scope] += 1
            return attempts[scope]

    def expects(self, run_id: str, scope: str) -> bool:
        with self._mutex:
            return scope in self._waiting.get(run_id, ())

    def finished(self, run_id: str, scope: str) -> bool:
        with self._mutex:
            waiting = self._waiting.get(run_id)
            if waiting is None or scope not in waiting:
                return False
            waiting.discard(scope)
            if waiting:
                return False
            del self._waiting[run_id]
            return True

    def stop(self, run_id: str, why: str) -> None:
        with self._mutex:
            self._stopped.setdefault(run_id, why)

    def stopped(self, run_id: str) -> str:
        with self._mutex:
            return self._stopped.get(run_id, "")


class MemoryBudgets:
    """Paces the calls of one process; satisfies `optiinfra.calls.Limiter`."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._mutex = threading.Lock()
        self._pace: dict[str, float] = {}
        self._free_at: dict[str, float] = {}

    def wait(self, limit: Limit) -> None:
        with self._mutex:
            now = self._clock()
            turn = max(self._free_at.get(limit.name, now), now)
            have_patience(limit, turn - now)
            pace = self._pace.get(limit.name, limit.per_second)
            self._free_at[limit.name] = turn + 1 / pace
        self._sleep(turn - now)

    def throttled(self, limit: Limit, retry_after: timedelta | None) -> None:
        pause = retry_after.total_seconds() if retry_after else 0.0
        with self._mutex:
            pace = self._pace.get(limit.name, limit.per_second)
            self._pace[limit.name] = max(pace / 2, limit.per_second * SLOWEST)
            later = self._clock() + pause
            self._free_at[limit.name] = max(self._free_at.get(limit.name, later), later)

    def succeeded(self, limit: Limit) -> None:
        with self._mutex:
            pace = self._pace.get(limit.name, limit.per_second)
            self._pace[limit.name] = min(pace + limit.per_second * RECOVERY, limit.per_second)

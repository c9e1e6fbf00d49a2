"""What the processes of a collector agree on: who collects what now, and what is left.

In one process plain memory does; over many, Redis holds the same few keys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from optiinfra.errors import BrokerUnavailableError


class Coordination(Protocol):
    """Locks with an owner and a lifetime, and the scopes that a run still waits for."""

    def acquire(self, name: str, owner: str, lifetime: timedelta) -> str:
        """Take the lock if it is free; returns who holds it now, which may be `owner`."""
        ...

    def release(self, name: str, owner: str) -> None:
        """Give the lock back; nothing happens when somebody else holds it by now."""
        ...

    def expect(self, run_id: str, scopes: list[str], lifetime: timedelta) -> None:
        """A run waits for these scopes."""
        ...

    def finished(self, run_id: str, scope: str) -> bool:
        """Strike a scope off; true for the call that struck off the last one."""
        ...

    def stop(self, run_id: str, why: str) -> None:
        """No scope of this run should begin any more."""
        ...

    def stopped(self, run_id: str) -> str:
        """Why the run was stopped; empty while it was not."""
        ...


class MemoryCoordination:
    """For everything in one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._locks: dict[str, tuple[str, float]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._stopped: dict[str, str] = {}

    def acquire(self, name: str, owner: str, lifetime: timedelta) -> str:
        with self._mutex:
            now = self._clock()
            holder, until = self._locks.get(name, (owner, now))
            if until <= now:
                holder = owner
                self._locks[name] = (owner, now + lifetime.total_seconds())
            return holder

    def release(self, name: str, owner: str) -> None:
        with self._mutex:
            if self._locks.get(name, ("", 0.0))[0] == owner:
                del self._locks[name]
                self._stopped.pop(owner, None)

    def expect(self, run_id: str, scopes: list[str], lifetime: timedelta) -> None:
        with self._mutex:
            self._waiting[run_id] = set(scopes)

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


class RedisCoordination:
    """For several processes; raises BrokerUnavailableError when Redis does not answer."""

    _RELEASE = """
    if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
    return 0
    """

    def __init__(self, url: str) -> None:
        import redis

        self._errors = redis.exceptions.RedisError
        self._redis = redis.Redis.from_url(
            url, decode_responses=True, socket_connect_timeout=3, socket_timeout=5
        )
        self._release = self._redis.register_script(self._RELEASE)

    def acquire(self, name: str, owner: str, lifetime: timedelta) -> str:
        with self._named_errors():
            # SET ... NX GET answers with the holder before, or nothing when it was free.
            holder = self._redis.set(_key("lock", name), owner, nx=True, get=True, px=lifetime)
            return str(holder) if holder else owner

    def release(self, name: str, owner: str) -> None:
        with self._named_errors():
            self._release(keys=[_key("lock", name)], args=[owner])

    def expect(self, run_id: str, scopes: list[str], lifetime: timedelta) -> None:
        with self._named_errors(), self._redis.pipeline() as pipe:
            pipe.sadd(_key("waiting", run_id), *scopes)
            pipe.pexpire(_key("waiting", run_id), lifetime)
            pipe.execute()

    def finished(self, run_id: str, scope: str) -> bool:
        with self._named_errors(), self._redis.pipeline() as pipe:
            pipe.srem(_key("waiting", run_id), scope)
            pipe.scard(_key("waiting", run_id))
            removed, left = pipe.execute()
            return bool(removed) and not left

    def stop(self, run_id: str, why: str) -> None:
        with self._named_errors():
            self._redis.set(_key("stopped", run_id), why, nx=True, px=timedelta(hours=2))

    def stopped(self, run_id: str) -> str:
        with self._named_errors():
            return str(self._redis.get(_key("stopped", run_id)) or "")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise BrokerUnavailableError("the broker does not answer") from error


def connect_coordination(broker: str) -> Coordination:
    """The coordination that goes with a broker URL."""
    return MemoryCoordination() if broker.startswith("memory:") else RedisCoordination(broker)


def _key(*parts: str) -> str:
    return ":".join(("optiinfra", *parts))

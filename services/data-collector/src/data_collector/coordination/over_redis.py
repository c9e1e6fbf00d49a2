"""Agreement between processes, over Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import redis

from data_collector.coordination.contract import (
    PATIENCE_SECONDS,
    RECOVERY,
    SLOWEST,
    have_patience,
)
from optiinfra.calls import Limit
from optiinfra.errors import BrokerUnavailableError

#: What is remembered of a run; longer than any run.
_KEPT = timedelta(hours=2)


class RedisCoordination:
    """For several processes; raises BrokerUnavailableError when Redis does not answer."""

    _ACQUIRE = """
    local holder = redis.call('get', KEYS[1]) or ARGV[1]
    if holder == ARGV[1] then redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) end
    return holder
    """
    _RELEASE = """
    if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
    return 0
    """

    def __init__(self, url: str) -> None:
        self._redis = _connect(url)
        self._acquire = self._redis.register_script(self._ACQUIRE)
        self._release = self._redis.register_script(self._RELEASE)

    def acquire(self, name: str, owner: str, lifetime: timedelta) -> str:
        with _named_errors():
            milliseconds = int(lifetime.total_seconds() * 1000)
            return str(self._acquire(keys=[_key("lock", name)], args=[owner, milliseconds]))

    def release(self, name: str, owner: str) -> None:
        with _named_errors():
            self._release(keys=[_key("lock", name)], args=[owner])

    def expect(self, run_id: str, scopes: list[str], lifetime: timedelta) -> None:
        with _named_errors(), self._redis.pipeline() as pipe:
            pipe.sadd(_key("waiting", run_id), *scopes)
            pipe.pexpire(_key("waiting", run_id), lifetime)
            pipe.execute()

    def attempt(self, run_id: str, scope: str) -> int:
        with _named_errors(), self._redis.pipeline() as pipe:
            pipe.hincrby(_key("attempts", run_id), scope, 1)
            pipe.pexpire(_key("attempts", run_id), _KEPT)
            count, _ = pipe.execute()
            return int(count)

    def expects(self, run_id: str, scope: str) -> bool:
        with _named_errors():
            return bool(self._redis.sismember(_key("waiting", run_id), scope))

    def finished(self, run_id: str, scope: str) -> bool:
        with _named_errors(), self._redis.pipeline() as pipe:
            pipe.srem(_key("waiting", run_id), scope)
            pipe.scard(_key("waiting", run_id))
            removed, left = pipe.execute()
            return bool(removed) and not left

    def stop(self, run_id: str, why: str) -> None:
        with _named_errors():
            self._redis.set(_key("stopped", run_id), why, nx=True, px=_KEPT)

    def stopped(self, run_id: str) -> str:
        with _named_errors():
            return str(self._redis.get(_key("stopped", run_id)) or "")


class RedisBudgets:
    """Paces the calls of every worker together; satisfies `optiinfra.calls.Limiter`.

    The arithmetic of MemoryBudgets runs inside Redis, by its clock, in one step.
    """

    _SCRIPT = """
    local now = redis.call('TIME')
    now = now[1] + now[2] / 1000000
    local known = redis.call('HMGET', KEYS[1], 'pace', 'free_at')
    local limit = tonumber(ARGV[2])
    local pace = tonumber(known[1] or limit)
    local free_at = tonumber(known[2] or now)
    local wait = 0
    if ARGV[1] == 'wait' then
        wait = math.max(free_at - now, 0)
        if wait > tonumber(ARGV[3]) then return tostring(wait) end
        free_at = now + wait + 1 / pace
    elseif ARGV[1] == 'throttled' then
        pace = math.max(pace / 2, limit * tonumber(ARGV[4]))
        free_at = math.max(free_at, now + tonumber(ARGV[3]))
    else
        pace = math.min(pace + limit * tonumber(ARGV[3]), limit)
    end
    redis.call('HSET', KEYS[1], 'pace', tostring(pace), 'free_at', string.format('%.6f', free_at))
    redis.call('EXPIRE', KEYS[1], 3600)
    return tostring(wait)
    """

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._redis = _connect(url)
        self._step = self._redis.register_script(self._SCRIPT)
        self._sleep = sleep

    def wait(self, limit: Limit) -> None:
        seconds = self._do(limit, "wait", PATIENCE_SECONDS)
        have_patience(limit, seconds)
        self._sleep(seconds)

    def throttled(self, limit: Limit, retry_after: timedelta | None) -> None:
        pause = retry_after.total_seconds() if retry_after else 0.0
        self._do(limit, "throttled", pause, SLOWEST)

    def succeeded(self, limit: Limit) -> None:
        self._do(limit, "succeeded", RECOVERY)

    def _do(self, limit: Limit, what: str, *numbers: float) -> float:
        with _named_errors():
            answer = self._step(
                keys=[_key("budget", limit.name)], args=[what, limit.per_second, *numbers]
            )
        return float(answer)


class RedisNotes:
    """Notes of every worker together; while Redis is away, nobody remembers anything."""

    def __init__(self, url: str) -> None:
        self._redis = _connect(url)

    def get(self, name: str) -> str | None:
        try:
            value = self._redis.get(_key("notes", name))
        except redis.RedisError:
            return None
        return None if value is None else str(value)

    def put(self, name: str, value: str, lifetime: timedelta) -> None:
        with suppress(redis.RedisError):
            self._redis.set(_key("notes", name), value, px=lifetime)


def _connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, decode_responses=True, socket_connect_timeout=3, socket_timeout=5
    )


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise BrokerUnavailableError("the broker does not answer") from error


def _key(*parts: str) -> str:
    return ":".join(("optiinfra", *parts))

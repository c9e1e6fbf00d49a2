"""A provider with a history, late points and corrections, all pure functions of a seed.

What a cloud would answer at any moment can be computed, so a test knows what must be in the
store after crashes, overlaps and catch-up (`truth`).
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from optiinfra.accounts import Account
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Gap, Kind, Resource, Scope, Series, Window
from optiinfra.errors import ThrottledError, TransientError
from optiinfra.provider import Check, Timing

T = TypeVar("T")

METRICS = ("cpu_utilization", "memory_utilization", "network_in_bytes_per_sec")

TIMING = Timing(
    period=timedelta(minutes=5),
    delay=timedelta(minutes=3),
    settling=timedelta(minutes=30),
    history=timedelta(days=14),
    chunk=timedelta(days=1),
)
_PERIOD = int(TIMING.period.total_seconds())
_DELAY = int(TIMING.delay.total_seconds())
_SETTLING = int(TIMING.settling.total_seconds())


class SimulatedOptions(BaseModel):
    """The size of the simulated account and how unkind it is.

    `late_rate`: share of points published after the delay, but before they settle.
    `fail_rate`: share of calls that are throttled. `drop_rate`: share of calls whose answer
    breaks off half way. The rates of faults count calls in this process.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int = Field(default=0, ge=0)
    scopes: int = Field(default=2, ge=1)
    resources: int = Field(default=5, ge=1)
    late_rate: float = Field(default=0.05, ge=0, le=1)
    fail_rate: float = Field(default=0.0, ge=0, le=1)
    drop_rate: float = Field(default=0.0, ge=0, le=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class SimulatedProvider:
    """Satisfies `optiinfra.provider.Provider`. `clock` says what time it is."""

    name: str = "simulated"
    kinds: frozenset[Kind] = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
    timing: Timing = TIMING
    options: type[BaseModel] = SimulatedOptions
    clock: Callable[[], datetime] = _utc_now
    _asked: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """`part-0`, `part-1` and so on, the same for every kind."""
        if kind not in self.kinds:
            return []
        return [
            Scope(f"{self.name}/{account.account_id}/part-{part}", {"part": str(part)})
            for part in range(_options(account).scopes)
        ]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """What is published of the window at the clock's time."""
        answer = list(_published(account, scope, window, self.clock()))
        yield from self._delivered(account, scope, "query", answer)

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        """The resources that exist at the clock's time."""
        now = np.array([int(self.clock().timestamp())], dtype=np.int64)
        options = _options(account)
        yield from self._delivered(
            account,
            scope,
            "list",
            [
                Resource(
                    resource_id=_resource_id(scope, number),
                    resource_name=f"machine-{number}",
                    resource_type=ResourceType.COMPUTE_INSTANCE,
                    status=ResourceStatus.RUNNING,
                    region=f"region-{scope.attributes['part']}",
                    metadata={"tags": {"team": f"team-{number % 3}"}, "vcpus": 2 ** (number % 5)},
                )
                for number in range(options.resources)
                if _alive(options.seed, number, now)[0]
            ],
        )

    def price(self, calls: Mapping[str, int]) -> float:
        """A cent for a thousand calls."""
        return sum(calls.values()) / 100_000

    def check(self, account: Account) -> Iterator[Check]:
        """Nothing is ever missing."""
        yield Check("simulated account", ok=True)

    def truth(self, account: Account, window: Window, at: datetime) -> list[Series]:
        """The points that a store must hold of the window when it was last collected `at`."""
        return [
            series
            for scope in self.scopes(account, Kind.PERFORMANCE)
            for series in _published(account, scope, window, at)
        ]

    def _delivered(
        self, account: Account, scope: Scope, operation: str, answer: Sequence[T]
    ) -> Iterator[T]:
        """The answer to one call, or half of it, or none, as the options have it."""
        options = _options(account)
        with self._lock:
            self._asked += 1
            luck = _uniform(options.seed, f"luck/{scope.name}", np.array([self._asked]))[0]
        with account.calls.made(operation):
            if luck < options.fail_rate:
                raise ThrottledError(f"{scope.name}: slow down", timedelta(milliseconds=1))
        if luck < options.fail_rate + options.drop_rate:
            yield from answer[: len(answer) // 2]
            raise TransientError(f"{scope.name}: the connection was lost")
        yield from answer


def _options(account: Account) -> SimulatedOptions:
    return SimulatedOptions.model_validate(account.options)


def _resource_id(scope: Scope, number: int) -> str:
    return f"{scope.name}/machine-{number}"


def _published(account: Account, scope: Scope, window: Window, at: datetime) -> Iterator[Series]:
    """The points of a scope that the provider has published at `at`, by series."""
    options, now = _options(account), int(at.timestamp())
    first = max(int(window.start.timestamp()), int((at - TIMING.history).timestamp()))
    buckets = np.arange(
        -(-first // _PERIOD) * _PERIOD, int(window.end.timestamp()), _PERIOD, dtype=np.int64
    )
    for number in range(options.resources):
        alive = _alive(options.seed, number, buckets)
        for metric in METRICS:
            name = f"{_resource_id(scope, number)}/{metric}"
            seen = alive & (_publication(options, name, buckets) <= now)
            if not seen.any():
                continue
            times = buckets[seen]
            values = 1 + 98 * _uniform(options.seed, name, times)
            # A provisional value is too low, as a sum still being added up is.
            settled = times + _PERIOD + _SETTLING <= now
            yield Series(
                metric=metric,
                resource_id=_resource_id(scope, number),
                resource_name=f"machine-{number}",
                resource_type=ResourceType.COMPUTE_INSTANCE,
                timestamps=times,
                values=np.where(settled, values, values / 2),
                metadata={"statistic": "average"},
            )


def _publication(
    options: SimulatedOptions, name: str, buckets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """When each bucket is published: after the delay, or late, but before it settles."""
    usual = buckets + _PERIOD + _DELAY
    late = _uniform(options.seed, f"late/{name}", buckets) < options.late_rate
    extra = (_SETTLING - _DELAY) * _uniform(options.seed, f"by/{name}", buckets)
    return np.where(late, usual + extra.astype(np.int64), usual)


def _alive(seed: int, number: int, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a resource exists at each time. Machine 0 always does, others come and go."""
    if number == 0:
        return np.ones(len(times), dtype=np.bool_)
    cycle = (number + 2) * 6 * 3600
    offset = (seed + 1) * number * 7919
    return (times // _PERIOD * _PERIOD + offset) % cycle < 0.8 * cycle


def _uniform(seed: int, name: str, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each number, by hashing it with a name (splitmix64)."""
    salt = np.uint64(zlib.crc32(name.encode()) << 16 ^ seed)
    with np.errstate(over="ignore"):
        z = (numbers.astype(np.uint64) + salt) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


provider = SimulatedProvider()

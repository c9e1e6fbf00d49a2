"""A provider that sends everything a real one ever got wrong. Deterministic from a seed.

The bad values stand beside good ones, so a test can say exactly what must be stored (`truth`)
and how much must be dropped: one point per series and fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import inf, nan

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from optiinfra.accounts import Account
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import NAIVE_TIME, Gap, GapReason, Kind, Resource, Scope, Series, Window
from optiinfra.errors import DeniedError, ThrottledError, TransientError
from optiinfra.provider import Check, Timing


class Fault(StrEnum):
    """What the provider gets wrong."""

    NAN = "nan"
    INFINITY = "infinity"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE = "duplicate"
    NAIVE_TIME = "naive_time"
    FUTURE = "future"
    UNSORTED = "unsorted"
    UNKNOWN_METRIC = "unknown_metric"
    GAP = "gap"
    THROTTLED = "throttled"
    DENIED = "denied"
    MID_SCOPE = "mid_scope"
    HALF_PAGE = "half_page"


#: Faults that cut a scope short. Each has a scope of its own, beside the one of the values.
SCOPE_FAULTS = (Fault.THROTTLED, Fault.DENIED, Fault.MID_SCOPE, Fault.HALF_PAGE)

_TIMING = Timing(
    period=timedelta(minutes=5),
    delay=timedelta(minutes=1),
    settling=timedelta(minutes=15),
    history=timedelta(days=14),
    chunk=timedelta(days=1),
)
_METRICS = ("cpu_utilization", "memory_utilization", "network_in_bytes_per_sec")


class HostileOptions(BaseModel):
    """How many resources each scope has, and which faults to commit; all by default."""

    model_config = ConfigDict(extra="forbid")

    seed: int = Field(default=0, ge=0)
    resources: int = Field(default=4, ge=1)
    faults: list[Fault] = list(Fault)


@dataclass
class HostileProvider:
    """Satisfies `optiinfra.provider.Provider`, and little beyond it."""

    name: str = "hostile"
    kinds: frozenset[Kind] = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
    timing: Timing = _TIMING
    options: type[BaseModel] = HostileOptions

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """`values`, and one scope for each fault that cuts a scope short."""
        if kind not in self.kinds:
            return []
        faults = _options(account).faults
        names = ["values", *(fault for fault in SCOPE_FAULTS if fault in faults)]
        return [Scope(f"{self.name}/{account.account_id}/{n}", {"part": n}) for n in names]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """Good points in every bucket but the last, which holds the bad ones.

        A series arrives in two pages. `mid_scope` breaks off with whole series missing,
        `half_page` between the two pages of one.
        """
        options, part = _options(account), scope.attributes["part"]
        with account.calls.made("page"):
            _refuse(part)
        for index, good in enumerate(self._good(account, scope, window)):
            if part == Fault.MID_SCOPE and index == 1:
                raise TransientError(f"{scope.name}: the connection was lost")
            middle = len(good.timestamps) // 2
            yield _page(good, good.timestamps[:middle], good.values[:middle])
            if part == Fault.HALF_PAGE and index == 1:
                raise TransientError(f"{scope.name}: the page ends in its middle")
            times, values = good.timestamps[middle:], good.values[middle:]
            if part == "values":
                times, values = _spoilt(times, values, window, options.faults)
            yield _page(good, times, values)
            if part == "values" and Fault.UNKNOWN_METRIC in options.faults:
                yield Series(
                    "flux_capacitance",
                    good.resource_id,
                    good.resource_name,
                    good.resource_type,
                    good.timestamps[:1],
                    good.values[:1],
                )
            if part == "values" and Fault.GAP in options.faults:
                yield Gap(
                    GapReason.NOT_YET_PUBLISHED,
                    "the last bucket is not published",
                    good.resource_id,
                    good.metric,
                )

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        """The scope's resources; a scope with a fault breaks off after the first."""
        part = scope.attributes["part"]
        with account.calls.made("list"):
            _refuse(part)
        for number in range(_options(account).resources):
            if number == 1 and part in (Fault.MID_SCOPE, Fault.HALF_PAGE):
                raise TransientError(f"{scope.name}: the second page did not come")
            yield Resource(
                resource_id=_resource_id(scope, number),
                resource_name=f'\'; DROP TABLE "{part}" -- {number}',
                resource_type=ResourceType.COMPUTE_INSTANCE,
                status=ResourceStatus.RUNNING,
                region="nowhere",
                metadata={"tags": {"quote'": '"', "snow": "\N{SNOWMAN}"}, "vcpus": number + 1},
            )

    def price(self, calls: Mapping[str, int]) -> float:
        """A dollar for a thousand calls."""
        return sum(calls.values()) / 1000

    def check(self, account: Account) -> Iterator[Check]:
        """Always found wanting."""
        yield Check("goodwill", ok=False, advice="expect none")

    def truth(self, account: Account, window: Window) -> list[Series]:
        """What must be stored of a window of two buckets or more, of all scopes together."""
        stored: list[Series] = []
        for scope in self.scopes(account, Kind.PERFORMANCE):
            good = list(self._good(account, scope, window))
            match scope.attributes["part"]:
                case "values":
                    stored += good
                case Fault.MID_SCOPE:
                    stored += good[:1]
                case Fault.HALF_PAGE:
                    middle = len(good[1].timestamps) // 2
                    stored.append(good[0])
                    stored.append(
                        _page(good[1], good[1].timestamps[:middle], good[1].values[:middle])
                    )
        return stored

    def _good(self, account: Account, scope: Scope, window: Window) -> Iterator[Series]:
        options = _options(account)
        times = np.arange(
            int(window.start.timestamp()),
            int((window.end - self.timing.period).timestamp()),
            int(self.timing.period.total_seconds()),
            dtype=np.int64,
        )
        for number in range(options.resources):
            for order, metric in enumerate(_METRICS):
                generator = np.random.default_rng([options.seed, number, order])
                offset = generator.uniform(1, 50)
                yield Series(
                    metric=metric,
                    resource_id=_resource_id(scope, number),
                    resource_name=f'\'; DROP TABLE "{scope.attributes["part"]}" -- {number}',
                    resource_type=ResourceType.COMPUTE_INSTANCE,
                    timestamps=times,
                    values=(offset + times // 300 % 40).astype(np.float64),
                    metadata={"statistic": "average"},
                )


def _options(account: Account) -> HostileOptions:
    return HostileOptions.model_validate(account.options)


def _resource_id(scope: Scope, number: int) -> str:
    return f"/{scope.name}/a b%2F'{number}"


def _refuse(part: str) -> None:
    if part == Fault.THROTTLED:
        raise ThrottledError("slow down", retry_after=timedelta(milliseconds=1))
    if part == Fault.DENIED:
        raise DeniedError("not for you")


def _page(series: Series, times: NDArray[np.int64], values: NDArray[np.float64]) -> Series:
    return Series(
        series.metric,
        series.resource_id,
        series.resource_name,
        series.resource_type,
        times,
        values,
        series.metadata,
    )


def _spoilt(
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    window: Window,
    faults: Sequence[Fault],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The page with one bad point for each fault behind the good ones."""
    last = int((window.end - _TIMING.period).timestamp())
    bad = {
        Fault.NAN: (last, nan),
        Fault.INFINITY: (last, inf),
        Fault.OUT_OF_RANGE: (last, -1.0),
        Fault.NAIVE_TIME: (NAIVE_TIME, 1.0),
        Fault.FUTURE: (last + 10 * 365 * 86_400, 1.0),
    }
    points = [point for fault, point in bad.items() if fault in faults]
    if Fault.DUPLICATE in faults and len(times):
        points.append((int(times[0]), float(values[0])))
    times = np.append(times, np.array([time for time, _ in points], dtype=np.int64))
    values = np.append(values, np.array([value for _, value in points], dtype=np.float64))
    return (times[::-1], values[::-1]) if Fault.UNSORTED in faults else (times, values)


provider = HostileProvider()

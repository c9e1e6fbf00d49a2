"""The plugin object: scopes, and fetch joined to normalise.

The counters of a machine become rates over the time since the reading before, which is kept
in this process's memory.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from data_collector import node_exporter
from data_collector.collectors.host import performance, resources
from data_collector.collectors.host.session import read_local
from data_collector.machine import Reading, rates
from optiinfra.accounts import Account
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window
from optiinfra.errors import (
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)
from optiinfra.provider import Check, Timing

#: A machine can only be read now.
TIMING = Timing(
    period=timedelta(minutes=1),
    delay=timedelta(0),
    settling=timedelta(0),
    history=timedelta(0),
    chunk=timedelta(days=1),
)
#: Seconds: the span of the first rates, when there is no reading before.
FIRST_SPAN = 1.0
#: Seconds: a reading older than this has no part in a rate: the longest collection interval is an
#: hour, so one collection may be missed; a longer mean would pass for the present.
OLDEST_READING = 2 * 3600.0
#: Tasks wait in a queue, so a window may be over by the time it is collected; beyond this it
#: asks for the past.
LATENESS = timedelta(minutes=15)


def _target(url: str) -> str:
    """The URL as it is. ValueError, without the URL, where it is no usable target."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be a URL like http://10.0.0.5:9100/metrics")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or a password")
    return url


class HostOptions(BaseModel):
    """The keys of a `host` account: node_exporter URLs; none means this machine."""

    model_config = ConfigDict(extra="forbid")

    targets: list[Annotated[str, AfterValidator(_target)]] = []

    @field_validator("targets")
    @classmethod
    def _one_per_machine(cls, targets: list[str]) -> list[str]:
        for where, count in Counter(map(node_exporter.address, targets)).items():
            if count > 1:
                raise ValueError(f"{where} stands {count} times; one machine is one target")
        return targets


class ReadingMemory:
    """The last reading of each machine. Bounded; safe to share between threads."""

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._readings: OrderedDict[tuple[str, str], Reading] = OrderedDict()

    def put(self, key: tuple[str, str], reading: Reading) -> None:
        """Keep a reading; the machine that was read longest ago makes room."""
        with self._lock:
            self._readings[key] = reading
            self._readings.move_to_end(key)
            while len(self._readings) > self._capacity:
                self._readings.popitem(last=False)

    def get(self, key: tuple[str, str]) -> Reading | None:
        """The last reading, however old."""
        with self._lock:
            return self._readings.get(key)


@dataclass
class HostProvider:
    """Collects hosts. Satisfies `optiinfra.provider.Provider`.

    `pause` waits between the two readings of a machine's first collection.
    """

    name: str = "host"
    kinds: frozenset[Kind] = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
    timing: Timing = TIMING
    options: type[BaseModel] = HostOptions
    pause: Callable[[float], None] = time.sleep
    memory: ReadingMemory = field(default_factory=ReadingMemory)

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """One scope per machine, the same for every kind."""
        if kind not in self.kinds:
            return []
        prefix = f"{self.name}/{account.account_id}"
        targets: list[str] = account.options.get("targets", [])
        if not targets:
            return [Scope(f"{prefix}/{socket.gethostname()}")]
        return [
            Scope(f"{prefix}/{node_exporter.address(target)}", {"target": target})
            for target in targets
        ]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """The machine as it is now, stamped with the last bucket of the window.

        A target that stopped answering gets availability 0 before the TransientError, where
        this process has seen it answer; nobody knows the id of one never seen.
        """
        if datetime.now(UTC) - window.end > LATENESS:
            yield Gap(GapReason.UNSUPPORTED, "a host can only be read now, not in the past")
            return
        stamp = window.end - self.timing.period
        key = (account.customer_id, scope.name)
        try:
            previous, current = self._two_readings(account, scope)
        except ThrottledError:
            raise  # it answered
        except TransientError:
            seen = self.memory.get(key)
            if seen is not None and "target" in scope.attributes:
                yield performance.availability(seen.machine, 0.0, stamp)
            raise
        yield from performance.normalise(current, rates(previous, current), stamp)

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        """The machine and what is in it.

        TransientError where an exporter could not read a part: the listing is not complete.
        """
        region = "remote" if "target" in scope.attributes else "local"
        reading = _read(account, scope)
        yield from resources.normalise(reading, region)
        if reading.failed:
            raise TransientError(
                f"{scope.name}: the exporter could not read {', '.join(reading.failed)}"
            )

    def price(self, calls: Mapping[str, int]) -> float:
        """Nothing: a machine answers for free."""
        return 0.0

    def check(self, account: Account) -> Iterator[Check]:
        """One check per machine: whether it can be read."""
        for scope in self.scopes(account, Kind.PERFORMANCE):
            what = f"read {scope.attributes.get('target', 'this machine')}"
            try:
                _read(account, scope)
            except OptiInfraError as error:
                yield Check(what, ok=False, advice=str(error))
            else:
                yield Check(what, ok=True)

    def _two_readings(self, account: Account, scope: Scope) -> tuple[Reading, Reading]:
        """The reading before and one made now, at least FIRST_SPAN apart."""
        key = (account.customer_id, scope.name)
        previous, current = self.memory.get(key), _read(account, scope)
        if (
            previous is None
            or previous.machine.machine_id != current.machine.machine_id
            or not FIRST_SPAN <= current.taken_at - previous.taken_at <= OLDEST_READING
        ):
            self.pause(FIRST_SPAN)
            previous, current = current, _read(account, scope)
        self.memory.put(key, current)
        return previous, current


def _read(account: Account, scope: Scope) -> Reading:
    """The scope's machine, now.

    UnsupportedError where the scope is another worker's own machine: this one would be
    stored under the other's name.
    """
    if target := scope.attributes.get("target"):
        return node_exporter.scrape(target, account.calls)
    if not scope.name.endswith(f"/{socket.gethostname()}"):
        raise UnsupportedError(
            f"{scope.name} can only be read on that machine; run node_exporter there and name "
            "it in targets"
        )
    return read_local(account.calls)

"""The seam that a provider plugs into. Core code never names one.

A distribution announces its provider in the entry-point group `optiinfra.providers`; the
entry maps the name to an object that satisfies `Provider`. The object must be importable
without the provider's SDK, which loads when the provider first runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import entry_points
from math import ceil
from typing import Protocol

from pydantic import BaseModel

from optiinfra.accounts import Account
from optiinfra.domain import Gap, Kind, ListedAt, Resource, Scope, Series, Window
from optiinfra.errors import ConfigError

ENTRY_POINT_GROUP = "optiinfra.providers"


@dataclass(frozen=True, slots=True)
class Timing:
    """When a provider's points exist.

    `period`: the bucket width asked for. `delay`: how long after its end a bucket is
    published at all. `settling`: how long after its end it may still change; younger points
    are stored as provisional and read again. `history`: how far back the provider answers,
    which bounds catch-up; zero means it can only be read now, and then a window is the
    bucket that holds the present moment. `chunk`: the longest window asked for at once.
    """

    period: timedelta
    delay: timedelta
    settling: timedelta
    history: timedelta
    chunk: timedelta

    def reaching_back(self, window: Window, settling: timedelta) -> Window:
        """The window for a metric whose own `settling` is longer: it begins as many periods
        earlier, since the planner reads again only what has not settled by this one."""
        late = max(settling - self.settling, timedelta())
        return Window(window.start - ceil(late / self.period) * self.period, window.end)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an account needs, and whether it has it."""

    what: str
    ok: bool
    advice: str = ""


class Provider(Protocol):
    """What a provider offers. It holds no state of an account; every call names one.

    The collect and list methods are generators that do the network in *fetch* functions
    and translate in pure *normalise* functions, yielding as answers arrive. They raise
    only the errors of `optiinfra.errors`. A generator that ends has been complete but for
    the gaps it yielded; one that raises leaves what it yielded valid.
    """

    name: str
    kinds: frozenset[Kind]
    timing: Timing
    options: type[BaseModel]

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """The parts of the account that are collected as one."""
        ...

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """Every point of the window, in canonical metrics and units."""
        ...

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap | ListedAt]:
        """Every resource of the scope. Ending without an error proves completeness.

        A listing that was made shortly before, and given to no run yet, says first when.
        """
        ...

    def price(self, calls: Mapping[str, int]) -> float:
        """What the billed units of calls cost in USD, as far as the provider publishes it."""
        ...

    def check(self, account: Account) -> Iterator[Check]:
        """Credentials and permissions, one by one, with what to do about a missing one."""
        ...


def installed_providers() -> list[str]:
    """Names of the providers that are installed here, without loading any."""
    return sorted(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))


@cache
def load_provider(name: str) -> Provider:
    """The provider's plugin object. Raises ConfigError where none of that name is installed."""
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        plugin: Provider = entry.load()
        return plugin
    raise ConfigError(
        f"provider {name!r} is not installed; installed: {', '.join(installed_providers())}"
    )


def options_model(name: str) -> type[BaseModel]:
    """The model of the keys that only this provider understands in the accounts file."""
    return load_provider(name).options

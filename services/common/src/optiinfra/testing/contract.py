"""The contract that every provider keeps, checked on a real account, a fake or a recording.

A provider's test is one line: `assert violations(provider, account) == []`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from optiinfra.accounts import Account
from optiinfra.catalog import METRICS, ResourceStatus, ResourceType
from optiinfra.domain import (
    Gap,
    GapReason,
    Kind,
    ListedAt,
    Resource,
    Scope,
    Series,
    Window,
    floor_time,
)
from optiinfra.errors import OptiInfraError
from optiinfra.provider import Provider, Timing


class Rule(StrEnum):
    """One clause of the contract."""

    IDENTITY = "name, kinds, timing and options are usable"
    SCOPES = "scopes are unique, stable and begin with <provider>/<account>/"
    ANSWERS = "series, resources and gaps only"
    CATALOG = "a series is a catalog metric of a resource type that can have it"
    WORDS = "types, statuses and reasons are canonical, ids are not empty"
    METADATA = "metadata is JSON without null and empty strings"
    INVENTORY = "every series belongs to a listed resource, and no resource is listed twice"
    ERRORS = "only the errors of optiinfra.errors are raised"
    CALLS = "what is asked of the provider is counted, and has a price"
    REPEATABLE = "a window collected twice has the same keys"


@dataclass(frozen=True, slots=True)
class Violation:
    """A clause that was broken, and where."""

    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one scope answered, and the error that cut it short."""

    scope: Scope
    items: Sequence[object]
    error: Exception | None


def sample_window(timing: Timing, now: datetime | None = None) -> Window:
    """A window that the provider can answer now: four published buckets, or the present one."""
    now = now or datetime.now(UTC)
    if not timing.history:
        start = floor_time(now, timing.period)
        return Window(start, start + timing.period)
    end = floor_time(now - timing.delay, timing.period)
    return Window(end - 4 * timing.period, end)


def violations(
    provider: Provider, account: Account, window: Window | None = None
) -> list[Violation]:
    """Every breach of the contract by the provider on this account, the empty list if none."""
    found = list(_identity(provider))
    if found:
        return found
    window = window or sample_window(provider.timing)
    found += _scopes(provider, account)
    before = sum(account.calls.counts().values())
    collected = _collect(provider, account, window)
    listed = _list(provider, account)
    answers = [*collected, *listed]
    asked = sum(account.calls.counts().values()) - before
    for answer in answers:
        found += _answer(answer)
    found += _inventory(collected, listed)
    if any(answer.items or answer.error for answer in answers) and not asked:
        found.append(Violation(Rule.CALLS, "no call was counted"))
    if provider.price(account.calls.units()) < 0:
        found.append(Violation(Rule.CALLS, "the price is below zero"))
    found += _repeatable(collected, _collect(provider, account, window))
    found += _check(provider, account)
    return found


def _identity(provider: Provider) -> Iterator[Violation]:
    timing = provider.timing
    if not provider.name.isidentifier() or provider.name != provider.name.lower():
        yield Violation(Rule.IDENTITY, f"the name {provider.name!r} is no lower-case word")
    if not provider.kinds or not all(isinstance(kind, Kind) for kind in provider.kinds):
        yield Violation(Rule.IDENTITY, "kinds must be some of Kind")
    if timing.period <= timedelta(0) or timing.period.microseconds:
        yield Violation(Rule.IDENTITY, "the period must be some whole seconds")
    elif timing.chunk < timing.period:
        yield Violation(Rule.IDENTITY, "a chunk must hold a period")
    if min(timing.delay, timing.settling, timing.history) < timedelta(0):
        yield Violation(Rule.IDENTITY, "delay, settling and history must not be negative")
    if timing.history and timing.history <= timing.delay + timing.settling:
        yield Violation(Rule.IDENTITY, "history must reach beyond delay and settling")
    if not issubclass(provider.options, BaseModel):
        yield Violation(Rule.IDENTITY, "options must be a pydantic model")
    elif provider.options.model_config.get("extra") != "forbid":
        yield Violation(Rule.IDENTITY, "options must forbid keys that nobody reads")


def _scopes(provider: Provider, account: Account) -> Iterator[Violation]:
    prefix = f"{provider.name}/{account.account_id}/"
    for kind in sorted(provider.kinds):
        names = [scope.name for scope in provider.scopes(account, kind)]
        if names != [scope.name for scope in provider.scopes(account, kind)]:
            yield Violation(Rule.SCOPES, f"{kind}: asked twice, answered differently")
        for name, count in Counter(names).items():
            if count > 1:
                yield Violation(Rule.SCOPES, f"{kind}: {name} stands {count} times")
            if not name.startswith(prefix) or name == prefix:
                yield Violation(Rule.SCOPES, f"{kind}: {name} does not begin with {prefix}")


def _collect(provider: Provider, account: Account, window: Window) -> list[_Answer]:
    if Kind.PERFORMANCE not in provider.kinds:
        return []
    return [
        _drained(scope, provider.collect_performance(account, scope, window))
        for scope in provider.scopes(account, Kind.PERFORMANCE)
    ]


def _list(provider: Provider, account: Account) -> list[_Answer]:
    if Kind.RESOURCES not in provider.kinds:
        return []
    return [
        _drained(scope, provider.list_resources(account, scope))
        for scope in provider.scopes(account, Kind.RESOURCES)
    ]


def _drained(scope: Scope, answers: Iterator[object]) -> _Answer:
    items: list[object] = []
    try:
        items.extend(answers)
    except Exception as error:  # whatever it is, it is judged below
        return _Answer(scope, items, error)
    return _Answer(scope, items, None)


def _answer(answer: _Answer) -> Iterator[Violation]:
    where = answer.scope.name
    if answer.error is not None and not isinstance(answer.error, OptiInfraError):
        yield Violation(Rule.ERRORS, f"{where}: {type(answer.error).__name__}: {answer.error}")
    for item in answer.items:
        match item:
            case Series():
                yield from _series(item, where)
            case Resource():
                yield from _resource(item, where)
            case Gap():
                if item.reason not in set(GapReason) or not item.detail:
                    yield Violation(Rule.WORDS, f"{where}: a gap must say its reason in words")
            case ListedAt():
                if item is not answer.items[0]:
                    yield Violation(Rule.ANSWERS, f"{where}: says late when it was listed")
            case _:
                yield Violation(Rule.ANSWERS, f"{where}: {type(item).__name__}")


def _series(series: Series, where: str) -> Iterator[Violation]:
    what = f"{where}: {series.metric} of {series.resource_id}"
    metric = METRICS.get(series.metric)
    if metric is None:
        yield Violation(Rule.CATALOG, f"{what} is not in the catalog")
    elif series.resource_type not in metric.entities:
        yield Violation(Rule.CATALOG, f"{what}: a {series.resource_type} cannot have it")
    if series.timestamps.dtype != "int64" or series.values.dtype != "float64":
        yield Violation(Rule.CATALOG, f"{what}: columns must be int64 and float64")
    if not series.resource_id or not series.resource_name:
        yield Violation(Rule.WORDS, f"{what}: id and name must not be empty")
    yield from _metadata(series.metadata, what)


def _resource(resource: Resource, where: str) -> Iterator[Violation]:
    what = f"{where}: {resource.resource_id}"
    if resource.resource_type not in set(ResourceType):
        yield Violation(Rule.WORDS, f"{what}: type {resource.resource_type}")
    if resource.status not in set(ResourceStatus):
        yield Violation(Rule.WORDS, f"{what}: status {resource.status}")
    if not resource.resource_id or not resource.resource_name or not resource.region:
        yield Violation(Rule.WORDS, f"{what}: id, name and region must not be empty")
    yield from _metadata(resource.metadata, what)


def _metadata(metadata: Mapping[str, object], what: str) -> Iterator[Violation]:
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield Violation(Rule.METADATA, f"{what}: {error}")
    for key, value in metadata.items():
        if value is None or value == "":
            yield Violation(Rule.METADATA, f"{what}: {key} is {value!r}")


def _inventory(collected: Sequence[_Answer], listed: Sequence[_Answer]) -> Iterator[Violation]:
    resources = [r for answer in listed for r in answer.items if isinstance(r, Resource)]
    types = {resource.resource_id: resource.resource_type for resource in resources}
    for resource_id, count in Counter(resource.resource_id for resource in resources).items():
        if count > 1:
            yield Violation(Rule.INVENTORY, f"{resource_id} is listed {count} times")
    if not listed or any(answer.error for answer in listed):
        return  # an incomplete listing proves nothing
    owners = {
        (series.resource_id, series.resource_type)
        for answer in collected
        for series in answer.items
        if isinstance(series, Series) and len(series.timestamps)
    }
    for resource_id, resource_type in sorted(owners):
        if resource_id not in types:
            yield Violation(Rule.INVENTORY, f"{resource_id} has series and is not listed")
        elif types[resource_id] != resource_type:
            yield Violation(
                Rule.INVENTORY,
                f"{resource_id} is listed as {types[resource_id]} and measured as {resource_type}",
            )


def _repeatable(first: Sequence[_Answer], second: Sequence[_Answer]) -> Iterator[Violation]:
    for one, other in zip(first, second, strict=True):
        if one.error or other.error:
            continue
        if _keys(one) != _keys(other):
            yield Violation(
                Rule.REPEATABLE,
                f"{one.scope.name}: {len(_keys(one) ^ _keys(other))} points in one answer only",
            )


def _keys(answer: _Answer) -> set[tuple[str, str, int]]:
    return {
        (series.metric, series.resource_id, timestamp)
        for series in answer.items
        if isinstance(series, Series)
        for timestamp in series.timestamps.tolist()
    }


def _check(provider: Provider, account: Account) -> Iterator[Violation]:
    try:
        checks = list(provider.check(account))
    except Exception as error:  # a check tells what is wrong, it does not fail
        yield Violation(Rule.ERRORS, f"check: {type(error).__name__}: {error}")
        return
    if not checks:
        yield Violation(Rule.WORDS, "check: an account needs something, say what")
    for check in checks:
        if not check.what or not (check.ok or check.advice):
            yield Violation(Rule.WORDS, "check: what is missing needs a name and advice")

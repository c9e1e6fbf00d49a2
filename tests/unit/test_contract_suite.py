"""The contract suite finds what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from optiinfra.accounts import Account
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window
from optiinfra.provider import Check, Timing
from optiinfra.testing.contract import Rule, sample_window, violations
from optiinfra.testing.hostile import HostileProvider
from optiinfra.testing.simulated import SimulatedProvider

NOW = datetime(2026, 11, 20, 9, 17, 31, tzinfo=UTC)


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _LooseOptions(BaseModel):
    pass


class Sound:
    """A provider that keeps the contract; each test breaks one thing."""

    def __init__(self) -> None:
        self.name = "sound"
        self.kinds = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
        self.timing = Timing(*(timedelta(minutes=m) for m in (5, 1, 15, 600, 60)))
        self.options: type[BaseModel] = _Options
        self.scope_names = ["sound/main/one"]
        self.series = [_series()]
        self.resources: list[object] = [_resource()]
        self.error: Exception | None = None
        self.counted = True
        self.cents = 0.0
        self.checks = [Check("key", ok=True)]

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        return [Scope(name) for name in self.scope_names]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        if self.counted:
            with account.calls.made("query"):
                pass
        yield from self.series
        if self.error:
            raise self.error

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        yield from self.resources  # type: ignore[misc]  # one test sends what is no resource

    def price(self, calls: Mapping[str, int]) -> float:
        return self.cents

    def check(self, account: Account) -> Iterator[Check]:
        yield from self.checks


def _series(
    metric: str = "cpu_utilization",
    resource_id: str = "i-1",
    resource_type: str = "compute_instance",
    metadata: Mapping[str, object] | None = None,
) -> Series:
    return Series(
        metric,
        resource_id,
        "web",
        resource_type,
        np.array([1_700_000_100], dtype=np.int64),
        np.array([5.0]),
        metadata or {},
    )


def _resource(
    resource_type: str = "compute_instance",
    status: str = "running",
    region: str = "eu-1",
    metadata: Mapping[str, object] | None = None,
) -> Resource:
    return Resource("i-1", "web", resource_type, status, region, metadata or {})


def broken(provider: Sound) -> set[Rule]:
    return {v.rule for v in violations(provider, Account("acme", "main", "sound"))}


def test_a_sound_provider_breaks_no_rule() -> None:
    assert violations(Sound(), Account("acme", "main", "sound")) == []


def _set(**changes: object) -> Callable[[Sound], None]:
    def apply(provider: Sound) -> None:
        vars(provider).update(changes)

    return apply


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        (Rule.IDENTITY, _set(name="Not A Word")),
        (Rule.IDENTITY, _set(kinds=frozenset())),
        (Rule.IDENTITY, _set(options=_LooseOptions)),
        (Rule.IDENTITY, _set(timing=Timing(*(timedelta(minutes=m) for m in (5, 1, 15, 10, 60))))),
        (Rule.IDENTITY, _set(timing=Timing(*(timedelta(minutes=m) for m in (5, 1, 15, 600, 1))))),
        (Rule.SCOPES, _set(scope_names=["elsewhere/main/one"])),
        (Rule.SCOPES, _set(scope_names=["sound/main/"])),
        (Rule.CATALOG, _set(series=[_series(metric="flux_capacitance")])),
        (Rule.CATALOG, _set(series=[_series(metric="lb_latency")])),
        (Rule.METADATA, _set(series=[_series(metadata={"statistic": ""})])),
        (Rule.METADATA, _set(resources=[_resource(metadata={"vcpus": None})])),
        (Rule.METADATA, _set(resources=[_resource(metadata={"created_at": NOW})])),
        (Rule.METADATA, _set(resources=[_resource(metadata={"load": float("nan")})])),
        (Rule.WORDS, _set(resources=[_resource(status="RUNNABLE")])),
        (Rule.WORDS, _set(resources=[_resource(region="")])),
        (Rule.WORDS, _set(resources=[_resource(), Gap(GapReason.DENIED, "")])),
        (Rule.WORDS, _set(checks=[])),
        (Rule.WORDS, _set(checks=[Check("key", ok=False)])),
        (Rule.ANSWERS, _set(resources=[_resource(), {"id": "i-2"}])),
        (Rule.INVENTORY, _set(resources=[])),
        (Rule.INVENTORY, _set(resources=[_resource(), _resource()])),
        (Rule.INVENTORY, _set(resources=[_resource(resource_type="host")])),
        (Rule.ERRORS, _set(error=KeyError("Datapoints"))),
        (Rule.CALLS, _set(counted=False)),
        (Rule.CALLS, _set(cents=-0.01)),
    ],
)
def test_each_breach_is_found_and_named(rule: Rule, spoil: Callable[[Sound], None]) -> None:
    provider = Sound()
    spoil(provider)
    assert broken(provider) == {rule}


def test_a_scope_that_stands_twice_is_found() -> None:
    provider = Sound()
    provider.scope_names *= 2
    assert Rule.SCOPES in broken(provider)


def test_an_answer_that_changes_its_points_is_found() -> None:
    provider = Sound()
    answers = iter([[_series()], []])

    def collect(account: Account, scope: Scope, window: Window) -> Iterator[Series | Gap]:
        with account.calls.made("query"):
            yield from next(answers)

    provider.collect_performance = collect  # type: ignore[method-assign]
    assert broken(provider) == {Rule.REPEATABLE}


def test_the_sample_window_is_one_that_the_provider_has_published() -> None:
    window = sample_window(SimulatedProvider().timing, NOW)
    assert window.end == datetime(2026, 11, 20, 9, 10, tzinfo=UTC)
    assert window.duration == timedelta(minutes=20)
    zero = timedelta(0)
    present = Timing(timedelta(minutes=1), zero, zero, zero, timedelta(days=1))
    assert sample_window(present, NOW).start == datetime(2026, 11, 20, 9, 17, tzinfo=UTC)


def test_hostile_sends_an_unknown_metric_when_asked_to() -> None:
    provider = HostileProvider()
    account = Account("acme", "main", "hostile", options={"faults": ["unknown_metric"]})
    assert {v.rule for v in violations(provider, account)} == {Rule.CATALOG}

"""The hostile and the simulated provider do what they promise to the tests that use them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optiinfra.accounts import Account
from optiinfra.catalog import METRICS
from optiinfra.domain import NAIVE_TIME, Kind, Series, Window
from optiinfra.errors import DeniedError, OptiInfraError, ThrottledError, TransientError
from optiinfra.testing.hostile import SCOPE_FAULTS, Fault, HostileProvider
from optiinfra.testing.simulated import TIMING, SimulatedProvider

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(hours=1), NOW)
Points = dict[tuple[str, str, int], float]


def hostile(*faults: Fault, **options: object) -> Account:
    return Account("acme", "main", "hostile", options={"faults": list(faults), **options})


def simulated(**options: object) -> Account:
    return Account("acme", "main", "simulated", options=options)


def points(answer: list[Series]) -> Points:
    return {
        (series.metric, series.resource_id, time): value
        for series in answer
        for time, value in zip(series.timestamps.tolist(), series.values.tolist(), strict=True)
    }


def collected(
    provider: HostileProvider | SimulatedProvider, account: Account, window: Window
) -> tuple[list[Series], list[OptiInfraError]]:
    found: list[Series] = []
    errors: list[OptiInfraError] = []
    for scope in provider.scopes(account, Kind.PERFORMANCE):
        try:
            for item in provider.collect_performance(account, scope, window):
                if isinstance(item, Series):
                    found.append(item)
        except OptiInfraError as error:
            errors.append(error)
    return found, errors


def is_storable(key: tuple[str, str, int], value: float) -> bool:
    metric, _, time = key
    return (
        metric in METRICS
        and METRICS[metric].low <= value <= METRICS[metric].high
        and bool(np.isfinite(value))
        and time != NAIVE_TIME
        and time < NOW.timestamp()
    )


@settings(deadline=None)
@given(faults=st.sets(st.sampled_from(Fault)), seed=st.integers(0, 1000))
def test_of_what_hostile_sends_the_good_points_are_the_truth(faults: set[Fault], seed: int) -> None:
    provider, account = HostileProvider(), hostile(*sorted(faults), seed=seed)
    found, _ = collected(provider, account, WINDOW)
    good = {key: value for key, value in points(found).items() if is_storable(key, value)}
    assert good == points(provider.truth(account, WINDOW))
    assert good


def test_hostile_commits_each_fault_of_values() -> None:
    provider = HostileProvider()
    found, errors = collected(provider, hostile(*Fault), WINDOW)
    pages = [series for series in found if series.resource_id.startswith("/hostile/main/values")]
    values = np.concatenate([series.values for series in pages])
    times = np.concatenate([series.timestamps for series in pages])
    assert np.isnan(values).any()
    assert np.isinf(values).any()
    assert (values < 0).any()
    assert (times == NAIVE_TIME).any()
    assert (times > NOW.timestamp()).any()
    assert any((np.diff(series.timestamps) < 0).any() for series in pages)
    assert any(len(set(s.timestamps.tolist())) < len(s.timestamps) for s in pages)
    assert [type(error) for error in errors] == [
        ThrottledError,
        DeniedError,
        TransientError,
        TransientError,
    ]


def test_hostile_without_faults_behaves() -> None:
    provider, account = HostileProvider(), hostile()
    found, errors = collected(provider, account, WINDOW)
    assert errors == []
    assert all(is_storable(key, value) for key, value in points(found).items())
    assert len(provider.scopes(account, Kind.RESOURCES)) == 1


def test_hostile_breaks_off_a_listing() -> None:
    provider, account = HostileProvider(), hostile(*SCOPE_FAULTS)
    outcomes = {}
    for scope in provider.scopes(account, Kind.RESOURCES):
        listing = provider.list_resources(account, scope)
        first = None
        try:
            first = next(listing)
            list(islice(listing, 10))
            outcomes[scope.attributes["part"]] = "whole"
        except OptiInfraError:
            outcomes[scope.attributes["part"]] = "cut" if first else "refused"
    assert outcomes == {
        "values": "whole",
        "throttled": "refused",
        "denied": "refused",
        "mid_scope": "cut",
        "half_page": "cut",
    }


def test_simulated_answers_the_truth_of_the_moment() -> None:
    provider = SimulatedProvider(clock=lambda: NOW)
    found, errors = collected(provider, simulated(), WINDOW)
    assert errors == []
    assert points(found) == points(provider.truth(simulated(), WINDOW, NOW))


def test_simulated_publishes_nothing_before_its_delay_and_nothing_beyond_its_history() -> None:
    provider = SimulatedProvider()
    long = Window(NOW - timedelta(days=20), NOW)
    times = [time for _, _, time in points(provider.truth(simulated(), long, NOW))]
    newest = NOW - TIMING.period - TIMING.delay
    assert NOW - TIMING.history <= datetime.fromtimestamp(min(times), UTC)
    assert datetime.fromtimestamp(max(times), UTC) <= newest


def test_simulated_points_come_late_change_and_then_settle() -> None:
    provider, account = SimulatedProvider(), simulated(late_rate=0.5)
    window = Window(NOW, NOW + timedelta(hours=1))
    early = points(provider.truth(account, window, window.end + TIMING.delay))
    settled = points(provider.truth(account, window, window.end + TIMING.settling))
    later = points(provider.truth(account, window, window.end + timedelta(days=3)))
    assert early.keys() < settled.keys()
    assert any(early[key] != settled[key] for key in early)
    assert settled == later


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 13 * 24))
def test_simulated_truth_of_a_window_is_that_of_its_parts(seed: int, hours: int) -> None:
    provider, account = SimulatedProvider(), simulated(seed=seed, resources=3)
    whole = Window(NOW - timedelta(hours=hours + 1), NOW - timedelta(hours=hours))
    parts = [points(provider.truth(account, p, NOW)) for p in whole.chunks(timedelta(minutes=20))]
    merged = {key: value for part in parts for key, value in part.items()}
    assert merged == points(provider.truth(account, whole, NOW))


def test_simulated_resources_come_and_go() -> None:
    clock = [NOW]
    provider, account = SimulatedProvider(clock=lambda: clock[0]), simulated(scopes=1)
    scope = provider.scopes(account, Kind.RESOURCES)[0]
    seen = set()
    for hour in range(0, 96, 6):
        clock[0] = NOW + timedelta(hours=hour)
        listing = provider.list_resources(account, scope)
        seen.add(frozenset(resource.resource_id for resource in listing))
    assert len(seen) > 3
    assert all(f"{scope.name}/machine-0" in listing for listing in seen)


@pytest.mark.parametrize(
    ("fault", "error"), [("fail_rate", ThrottledError), ("drop_rate", TransientError)]
)
def test_simulated_faults_cut_answers_as_often_as_asked(
    fault: str, error: type[OptiInfraError]
) -> None:
    provider = SimulatedProvider(clock=lambda: NOW)
    account = simulated(scopes=100, resources=1, **{fault: 0.3})
    found, errors = collected(provider, account, WINDOW)
    assert {type(e) for e in errors} == {error}
    assert 15 <= len(errors) <= 45
    assert points(found).items() < points(provider.truth(account, WINDOW, NOW)).items()

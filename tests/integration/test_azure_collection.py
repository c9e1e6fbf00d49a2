"""Azure end to end: what is in the store is what the fake holds, through all its moods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
import stamina
from fakes.azure import SQL, SUBSCRIPTION, VM, AzureFake, Faults, fleet
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collector import Clock, Points, TestCollector

from data_collector.collectors.azure import AzureProvider
from data_collector.collectors.azure.inventory import Inventory, SizeBook
from optiinfra.accounts import Account
from optiinfra.domain import Gap, Kind, Resource, ScopeStatus, floor_time
from optiinfra.errors import OptiInfraError
from optiinfra_database import Store

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PERIOD = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[AzureFake]:
    with AzureFake(page_rows=5) as fake:
        yield fake


def account(fake: AzureFake, **options: object) -> Account:
    return Account(
        "acme",
        "core",
        "azure",
        options={"subscription_id": SUBSCRIPTION, **options},
        credentials={"anonymous": True},
        endpoints={"management": fake.url, "metrics": fake.url},
    )


def collector(store: Store, fake: AzureFake, clock: Clock, **options: object) -> TestCollector:
    def seconds() -> float:
        return clock.now.timestamp()

    provider = AzureProvider(inventory=Inventory(clock=seconds), sizes=SizeBook(clock=seconds))
    return TestCollector(store, provider, account(fake, **options), clock)


def assert_same(stored: Points, truth: Points) -> None:
    assert stored.keys() == truth.keys()
    keys = sorted(truth)
    np.testing.assert_allclose(
        [stored[key] for key in keys], [truth[key] for key in keys], rtol=1e-9, atol=1e-6
    )


def collected(of: TestCollector) -> set[ScopeStatus]:
    return {outcome.status for outcome in of.collect(Kind.PERFORMANCE)}


def test_one_machine_from_the_fake_to_the_store(store: Store) -> None:
    clock = Clock()
    with AzureFake(fleet(1, types=[VM]), clock=clock) as fake:
        azure = collector(store, fake, clock)
        [outcome] = azure.collect(Kind.PERFORMANCE)
        assert outcome.status is ScopeStatus.OK
        assert outcome.scope == "azure/core/eastus/metrics"
        end = floor_time(clock.now - 3 * MINUTE, PERIOD)
        truth = fake.truth(floor_time(clock.now - 24 * HOUR, PERIOD), end)
        assert_same(azure.stored_points(), truth)
        assert {metric for metric, _, _ in truth} >= {"cpu_utilization", "memory_utilization"}
        [listed] = azure.collect(Kind.RESOURCES)
        assert (listed.status, listed.rows) == (ScopeStatus.OK, 1)


@pytest.mark.parametrize("granularity", ["PT5M", "PT1M"])
def test_every_point_once_under_throttling_drops_late_points_and_an_outage(
    store: Store, granularity: str
) -> None:
    clock = Clock()
    began = clock.now
    faults = Faults(late=0.2)
    bodies = fleet(14 if granularity == "PT1M" else 26)
    with AzureFake(bodies, clock=clock, faults=faults, page_rows=10, seed=5) as fake:
        azure = collector(store, fake, clock, granularity=granularity)
        # The first success says from where on every point is owed.
        assert collected(azure) == {ScopeStatus.OK}
        faults.throttle, faults.drop, faults.cut = 0.2, 0.05, 0.02
        for _ in range(4):
            clock.forward(15 * MINUTE)
            collected(azure)
        faults.outage = True
        for _ in range(2):
            clock.forward(HOUR)
            assert collected(azure) == {ScopeStatus.FAILED}
        faults.outage = False
        clock.forward(5 * MINUTE)
        while collected(azure) != {ScopeStatus.OK}:
            clock.forward(MINUTE)
        end = floor_time(clock.now - 3 * MINUTE, PERIOD)
        step = 60 if granularity == "PT1M" else 300
        truth = fake.truth(floor_time(began - 24 * HOUR, PERIOD), end, step=step)
    assert_same(azure.stored_points(), truth)
    assert fake.requests["metrics"] > 0


def test_a_types_own_delay_decides_what_is_settled_and_how_far_back_is_read(
    store: Store,
) -> None:
    """Databases whose every point comes 70 minutes late, beside machines."""
    clock = Clock()
    began = clock.now
    bodies = fleet(2, types=[VM, SQL], regions=["eastus"])
    with AzureFake(bodies, clock=clock, held_back={SQL: 70 * 60}) as fake:
        azure = collector(store, fake, clock, settling_minutes={"sql_databases": 110})
        for _ in range(3):
            assert collected(azure) == {ScopeStatus.OK}
            clock.forward(40 * MINUTE)
        assert collected(azure) == {ScopeStatus.OK}
        start = floor_time(began - 24 * HOUR, PERIOD)
        truth = fake.truth(start, floor_time(clock.now - 3 * MINUTE, PERIOD))
        stored = azure.stored_points()
        assert_same({k: v for k, v in stored.items() if k[2] >= start.timestamp()}, truth)
    rows = store.query(
        "SELECT metric_type, max(toUnixTimestamp(timestamp)) FROM performance_metrics FINAL "
        "WHERE settled AND metric_name = 'cpu_utilization' GROUP BY metric_type"
    )
    now = int(floor_time(clock.now, PERIOD).timestamp())
    newest = {kind: now - at for kind, at in rows}
    assert newest == {"compute_instance": (15 + 5) * 60, "database": (110 + 5) * 60}


def test_the_inventory_is_what_the_fake_holds(store: Store) -> None:
    clock = Clock()
    with AzureFake(fleet(36), clock=clock, page_rows=7) as fake:
        azure = collector(store, fake, clock)
        [outcome] = azure.collect(Kind.RESOURCES)
        assert (outcome.status, outcome.rows) == (ScopeStatus.OK, 36)
        rows = store.query(
            "SELECT resource_id, region FROM resources_latest FINAL "
            "WHERE deleted_at = toDateTime(0, 'UTC')"
        )
        assert sorted((row[0], row[1]) for row in rows) == sorted(fake.inventory().items())
        azure.collect(Kind.PERFORMANCE)
        measured = {resource_id for _, resource_id, _ in azure.stored_points()}
        assert measured <= fake.inventory().keys()


@settings(max_examples=200, deadline=None)
@given(
    faults=st.builds(
        Faults,
        throttle=st.sampled_from([0.0, 0.3, 0.8]),
        drop=st.sampled_from([0.0, 0.2]),
        cut=st.sampled_from([0.0, 0.2, 0.5]),
        lose_page=st.booleans(),
        truncate=st.booleans(),
        hide_subscription=st.booleans(),
    ),
    count=st.integers(0, 12),
    seed=st.integers(0, 10_000),
)
def test_a_listing_that_ends_is_complete(
    shared_fake: AzureFake, faults: Faults, count: int, seed: int
) -> None:
    fake = shared_fake
    fake.faults = faults
    fake.reseed(seed)
    fake.bodies = {body["id"].lower(): body for body in fleet(count)}
    provider = AzureProvider()
    [scope] = provider.scopes(account(fake), Kind.RESOURCES)
    listed: list[Resource | Gap] = []
    try:
        listed.extend(provider.list_resources(account(fake), scope))
    except OptiInfraError:
        return
    found = {item.resource_id: item.region for item in listed if isinstance(item, Resource)}
    assert found == fake.inventory()
    assert not faults.truncate
    assert not faults.hide_subscription


def test_a_denied_region_stops_no_other(store: Store) -> None:
    clock = Clock()
    with AzureFake(fleet(24), clock=clock, faults=Faults(denied_regions={"eastus"})) as fake:
        outcomes = {
            outcome.scope: outcome
            for outcome in collector(store, fake, clock).collect(Kind.PERFORMANCE)
        }
    assert outcomes["azure/core/eastus/metrics"].status is ScopeStatus.DENIED
    assert "Monitoring Reader at subscription scope" in outcomes["azure/core/eastus/metrics"].error
    assert outcomes["azure/core/westeurope/metrics"].status is ScopeStatus.OK


def test_a_region_that_azure_does_not_know_stops_no_other(store: Store) -> None:
    clock = Clock()
    faults = Faults(unknown_regions={"eastus"})
    with AzureFake(fleet(24), clock=clock, faults=faults) as fake:
        azure = collector(store, fake, clock)
        statuses = {outcome.scope: outcome.status for outcome in azure.collect(Kind.PERFORMANCE)}
        regions = {fake.inventory()[resource_id] for _, resource_id, _ in azure.stored_points()}
    assert regions == {"westeurope"}
    assert statuses == {
        "azure/core/eastus/metrics": ScopeStatus.FAILED,
        "azure/core/westeurope/metrics": ScopeStatus.OK,
    }

"""The provider `azure` keeps the contract against its fake, whatever the fake does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import stamina
from fakes.azure import SUBSCRIPTION, AzureFake, Faults, fleet

from data_collector.collectors.azure import AzureProvider
from optiinfra.accounts import Account
from optiinfra.domain import Kind
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
)
from optiinfra.testing.contract import violations


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


def account(fake: AzureFake, **options: object) -> Account:
    model = AzureProvider().options.model_validate({"subscription_id": SUBSCRIPTION, **options})
    return Account(
        "acme",
        "core",
        "azure",
        options=model.model_dump(),
        credentials={"anonymous": True},
        endpoints={"management": fake.url, "metrics": fake.url},
    )


def test_a_fleet_of_everything() -> None:
    with AzureFake(fleet(60), page_rows=25) as fake:
        assert violations(AzureProvider(), account(fake)) == []


def test_one_minute_buckets() -> None:
    with AzureFake(fleet(24)) as fake:
        assert violations(AzureProvider(), account(fake, granularity="PT1M")) == []


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(denied_regions={"eastus"}), id="no Monitoring Reader"),
        pytest.param(Faults(deny_skus=True), id="no sizes"),
        pytest.param(Faults(series_limit=20), id="small batches only"),
        pytest.param(Faults(throttle=0.2, drop=0.05, cut=0.05), id="bad weather"),
        pytest.param(Faults(twice_encoded=True), id="JSON in JSON"),
    ],
)
def test_trouble_breaks_no_rule(faults: Faults) -> None:
    with AzureFake(fleet(24), faults=faults, page_rows=10) as fake:
        assert violations(AzureProvider(), account(fake)) == []


@pytest.mark.parametrize(
    ("faults", "error", "says"),
    [
        (Faults(outage=True), TransientError, "does not answer"),
        (Faults(cut=1.0), TransientError, "does not answer"),
        (Faults(throttle=1.0), ThrottledError, "slow down"),
        (Faults(html=True), ContractError, "a web page"),
        (Faults(redirect=True), ContractError, "302"),
        (Faults(expired_token=True), CredentialError, "ExpiredAuthenticationToken"),
        (Faults(deny_graph=True), DeniedError, "grant Reader"),
        (Faults(hide_subscription=True), DeniedError, "grant Reader"),
        (Faults(truncate=True), ContractError, "cut its answer short"),
        (Faults(lose_page=True), TransientError, "10 of 25 rows"),
    ],
)
def test_what_makes_a_listing_worthless_is_named_everywhere(
    faults: Faults, error: type[OptiInfraError], says: str
) -> None:
    provider = AzureProvider()
    with AzureFake(fleet(24), faults=faults, page_rows=10) as fake:
        [scope] = provider.scopes(account(fake), Kind.RESOURCES)
        with pytest.raises(error, match=says):
            list(provider.list_resources(account(fake), scope))
        with pytest.raises(error, match=says):
            provider.scopes(account(fake), Kind.PERFORMANCE)
        [check] = provider.check(account(fake))
    assert not check.ok
    assert says in check.advice


def test_an_expired_token_and_a_wrong_clock() -> None:
    faults = Faults(expired_token=True, clock_off=timedelta(hours=2))
    with AzureFake(fleet(2), faults=faults) as fake:
        [check] = AzureProvider().check(account(fake))
    assert not check.ok
    assert "clock is" in check.advice

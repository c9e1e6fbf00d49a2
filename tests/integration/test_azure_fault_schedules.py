"""Schedules of faults on Azure's listings: nothing that lives is ever deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from fakes.azure import SUBSCRIPTION, AzureFake
from fakes.azure_listings import ListedCloud, reached
from support.fault_schedules import PART, PARTS, Fault, StoreBooks, Tally, survive

from data_collector.collectors.azure import AzureProvider
from optiinfra.accounts import Account
from optiinfra_database import Store


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


@pytest.fixture(scope="module")
def provider() -> AzureProvider:
    return AzureProvider()


@pytest.fixture(scope="module")
def fake() -> AzureFake:
    return AzureFake(page_rows=3)


def follow(
    number: int, provider: AzureProvider, fake: AzureFake, store: Store | None = None
) -> Tally:
    """The schedule on one subscription, whose clients are made once for all of them."""
    account = Account(
        f"acme-{number}" if store else "acme",
        "core",
        "azure",
        options={"subscription_id": SUBSCRIPTION},
        credentials={"anonymous": True},
        endpoints={"management": fake.url, "metrics": fake.url},
    )
    cloud = ListedCloud(fake, number)
    books = StoreBooks(store, account.customer_id) if store else None
    with reached(cloud):
        return survive(number, cloud, provider, account, books=books)


@pytest.mark.parametrize("first", PARTS)
def test_nothing_that_lives_is_deleted(
    provider: AzureProvider, fake: AzureFake, first: int
) -> None:
    tally = sum((follow(number, provider, fake) for number in range(first, first + PART)), Tally())
    assert tally.struck == set(Fault)
    assert tally.incomplete > PART
    assert tally.survived > PART / 4
    assert tally.deleted > PART


def test_nor_in_the_store(provider: AzureProvider, fake: AzureFake, store: Store) -> None:
    for number in range(1000, 1008):
        follow(number, provider, fake, store)

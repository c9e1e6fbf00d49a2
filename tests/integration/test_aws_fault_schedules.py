"""Schedules of faults on AWS's listings: nothing that lives is ever deleted."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import stamina
from fakes.aws_listings import REGION, ListedCloud, ListedSession
from support.fault_schedules import PART, PARTS, Fault, StoreBooks, Tally, survive

from data_collector.collectors.aws import AwsProvider
from optiinfra.accounts import Account
from optiinfra.domain import Kind
from optiinfra_database import Store


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


@pytest.fixture(scope="module")
def session() -> ListedSession:
    return ListedSession(ListedCloud())


def follow(number: int, session: ListedSession, store: Store | None = None) -> Tally:
    """The schedule on two of the services, which are all listed in their own way."""
    provider = AwsProvider(session=session)
    account = Account(
        f"acme-{number}",
        "prod",
        "aws",
        options={"regions": [REGION]},
        credentials={"anonymous": True},
        endpoints={"default": "http://127.0.0.1:9"},
    )
    scopes = random.Random(number).sample(provider.scopes(account, Kind.RESOURCES), 2)
    session.cloud = ListedCloud([scope.attributes["service"] for scope in scopes])
    books = StoreBooks(store, account.customer_id) if store else None
    return survive(number, session.cloud, provider, account, scopes=scopes, books=books)


@pytest.mark.parametrize("first", PARTS)
def test_nothing_that_lives_is_deleted(session: ListedSession, first: int) -> None:
    tally = sum((follow(number, session) for number in range(first, first + PART)), Tally())
    assert tally.struck == set(Fault)
    assert tally.incomplete > PART
    assert tally.survived > PART / 2
    assert tally.deleted > PART


def test_nor_in_the_store(store: Store, session: ListedSession) -> None:
    for number in range(1000, 1008):
        follow(number, session, store)

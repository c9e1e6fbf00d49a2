"""Schedules of faults on Vultr's listings: nothing that lives is ever deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from fakes.vultr_listings import ListedCloud, reached
from support.collector import Clock
from support.fault_schedules import PART, PARTS, Fault, StoreBooks, Tally, survive

from data_collector.collectors.vultr import VultrProvider
from optiinfra.accounts import Account
from optiinfra_database import Store


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


def follow(number: int, store: Store | None = None) -> Tally:
    """The schedule on one account, by a collector that remembers nothing of another one."""
    clock = Clock()
    account = Account(
        f"acme-{number}" if store else "acme",
        "edge",
        "vultr",
        options={"per_page": 2},
        credentials={"anonymous": True},
        endpoints={"default": "http://127.0.0.1:1"},
    )
    cloud = ListedCloud()
    books = StoreBooks(store, account.customer_id) if store else None
    with reached(cloud):
        return survive(number, cloud, VultrProvider(clock=clock), account, books=books, clock=clock)


@pytest.mark.parametrize("first", PARTS)
def test_nothing_that_lives_is_deleted(first: int) -> None:
    tally = sum((follow(number) for number in range(first, first + PART)), Tally())
    assert tally.struck == set(Fault)
    assert tally.incomplete > PART
    assert tally.survived > PART / 4
    assert tally.deleted > PART / 4


def test_nor_in_the_store(store: Store) -> None:
    for number in range(1000, 1004):
        follow(number, store)

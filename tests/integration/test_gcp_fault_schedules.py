"""Schedules of faults on Google's listings: nothing that lives is ever deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from fakes.gcp_listings import ListedCloud, reached
from support.fault_schedules import PART, PARTS, Fault, StoreBooks, Tally, survive

from data_collector.collectors.gcp import GcpProvider
from optiinfra.accounts import Account
from optiinfra_database import Store

OPTIONS = GcpProvider.options.model_validate({"project": "acme-web"}).model_dump()


class Project:
    """The project of the schedule at hand, behind clients that are made once for all of them."""

    def __init__(self) -> None:
        self.provider = GcpProvider()
        self.cloud = ListedCloud()

    def follow(self, number: int, store: Store | None = None) -> Tally:
        account = Account(
            f"acme-{number}" if store else "acme",
            "web",
            "gcp",
            options=OPTIONS,
            credentials={"anonymous": True},
            endpoints=dict.fromkeys(("monitoring", "asset", "compute"), "http://127.0.0.1:1"),
        )
        self.cloud = ListedCloud()
        books = StoreBooks(store, account.customer_id) if store else None
        return survive(number, self.cloud, self.provider, account, books=books)


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    made = Project()
    with reached(lambda: made.cloud), stamina.set_testing(True, attempts=4, cap=True):
        yield made


@pytest.mark.parametrize("first", PARTS)
def test_nothing_that_lives_is_deleted(project: Project, first: int) -> None:
    tally = sum((project.follow(number) for number in range(first, first + PART)), Tally())
    assert tally.struck == set(Fault)
    assert tally.incomplete > PART
    assert tally.survived > PART / 4
    assert tally.deleted > PART / 4


def test_nor_in_the_store(project: Project, store: Store) -> None:
    for number in range(1000, 1004):
        project.follow(number, store)

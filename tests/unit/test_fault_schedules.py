"""The schedules of faults find a provider that takes half a listing for a whole one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from support.fault_schedules import Fault, StoreBooks, Tally, Trouble, Weather, survive
from support.inventory import resource

from optiinfra.accounts import Account
from optiinfra.domain import Gap, Kind, Resource, Scope
from optiinfra.errors import DeniedError, TransientError
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store

ACCOUNT = Account("acme", "prod", "simulated")
SCOPES = [Scope("simulated/prod/a"), Scope("simulated/prod/b")]
PAGE = 2


@dataclass
class PagedCloud:
    """Two scopes of instances, listed page by page."""

    weather: Weather = field(default_factory=Weather)
    fleets: dict[str, dict[str, str]] = field(
        default_factory=lambda: {one.name: {} for one in SCOPES}
    )
    made: int = 0

    def create(self, pick: int) -> None:
        self.made += 1
        self.fleets[SCOPES[pick % 2].name][f"i-{self.made}"] = "running"

    def delete(self, resource_id: str) -> None:
        for fleet in self.fleets.values():
            fleet.pop(resource_id, None)

    def change_status(self, resource_id: str) -> None:
        other = {"running": "stopped", "stopped": "running"}
        for fleet in self.fleets.values():
            if resource_id in fleet:
                fleet[resource_id] = other[fleet[resource_id]]

    def truth(self, scope: str) -> Mapping[str, str]:
        return dict(self.fleets[scope])

    def page(self, scope: str, first: int) -> list[Resource]:
        match self.weather.fault():
            case None:
                page = sorted(self.fleets[scope].items())[first : first + PAGE]
                return [resource(key, status=status) for key, status in page]
            case Fault.DENIED:
                raise DeniedError("not permitted")
            case fault:
                raise TransientError(fault)


class PagedProvider(SimulatedProvider):
    """Lists the cloud's pages; `forgiving` takes a page that fails for the last one."""

    def __init__(self, cloud: PagedCloud, *, forgiving: bool = False) -> None:
        super().__init__()
        self._cloud, self._forgiving = cloud, forgiving

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        return SCOPES

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        first = 0
        while True:
            try:
                page = self._cloud.page(scope.name, first)
            except TransientError:
                if not self._forgiving:
                    raise
                return
            yield from page
            if len(page) < PAGE:
                return
            first += PAGE


def follow(number: int, *, forgiving: bool = False) -> Tally:
    cloud = PagedCloud()
    return survive(number, cloud, PagedProvider(cloud, forgiving=forgiving), ACCOUNT)


def test_an_honest_provider_survives_every_schedule() -> None:
    tally = sum((follow(number) for number in range(100)), Tally())
    assert tally.complete > 500
    assert tally.incomplete > 200
    assert tally.deleted > 50
    assert tally.struck == set(Fault)


def test_the_same_schedules_through_the_store(store: Store) -> None:
    for number in range(3):
        cloud = PagedCloud()
        account = Account(f"acme-{number}", "prod", "simulated")
        books = StoreBooks(store, account.customer_id)
        assert survive(number, cloud, PagedProvider(cloud), account, books=books) == follow(number)


def test_one_that_swallows_an_error_is_found_and_its_schedule_named() -> None:
    with pytest.raises(AssertionError, match=r"deleted while it lives: schedule \d+, "):
        sum((follow(number, forgiving=True) for number in range(100)), Tally())


def test_a_listing_that_fails_without_a_fault_is_found() -> None:
    class Broken(PagedProvider):
        def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
            raise TransientError("always")

    with pytest.raises(AssertionError, match="incomplete without a fault"):
        survive(0, PagedCloud(), Broken(PagedCloud()), ACCOUNT)


def test_a_fault_lasts_as_many_requests_as_the_schedule_says() -> None:
    weather = Weather([Trouble(Fault.DROP, after=1, times=2)])
    assert [weather.fault() for _ in range(4)] == [None, Fault.DROP, Fault.DROP, None]
    assert weather.struck == {Fault.DROP}

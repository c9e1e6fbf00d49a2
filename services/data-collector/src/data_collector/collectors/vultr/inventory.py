"""The API's listings, asked for and normalised, and kept for as long as they tell the present."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from data_collector.collectors.vultr import resources
from data_collector.collectors.vultr.memory import Memory
from data_collector.collectors.vultr.options import VultrOptions
from data_collector.collectors.vultr.performance import PERIOD, Target
from data_collector.collectors.vultr.resources import PLAN_KEYS, Plan, Service, Sizes
from data_collector.collectors.vultr.session import Session
from data_collector.packing import Packed
from optiinfra.accounts import Account
from optiinfra.domain import Resource
from optiinfra.errors import TransientError

#: A listing younger than this, a bucket's width, tells the state in a bucket.
LISTING_LIFE = PERIOD
#: Plans change with the vendor's price list.
PLAN_LIFE = timedelta(days=1)

_Entry = tuple[Resource, Target]
_Key = tuple[str, str, str]


@dataclass
class Listing:
    """A complete listing and when it began.

    `unseen` says that no run for the inventory has been given it.
    """

    began: datetime
    _entries: Packed[_Entry]
    unseen: bool = True

    def resources(self) -> Iterator[Resource]:
        """What is listed, for the inventory."""
        return (resource for resource, _ in self._entries)

    def targets(self, *, shuffled: bool = False) -> Iterator[Target]:
        """What is listed, to be measured."""
        entries = self._entries.shuffled() if shuffled else self._entries
        return (target for _, target in entries)


@dataclass
class Inventory:
    """Lists services, each once in a cycle, whichever kind of run comes first."""

    clock: Callable[[], datetime]
    _listings: Memory[_Key, Listing] = field(default_factory=lambda: Memory(1024))
    _turns: Memory[_Key, threading.Lock] = field(default_factory=lambda: Memory(1024))
    _plans: Memory[tuple[str, str, int], tuple[datetime, Mapping[str, Plan]]] = field(
        default_factory=lambda: Memory(64)
    )

    def targets(
        self, account: Account, session: Session, service: Service, options: VultrOptions
    ) -> Listing:
        """A listing made just now, for whichever kind, or a new one."""
        with self._turn(account, session, service):
            known = self._young(account, session, service)
            return known or self._list(account, session, service, options)

    def unseen(
        self, account: Account, session: Session, service: Service, options: VultrOptions
    ) -> Listing:
        """A listing made just now for the metrics alone, or a new one.

        Each is given out once: who asks again wants to know what has changed since.
        """
        with self._turn(account, session, service):
            listing = self._young(account, session, service)
            if listing is None or not listing.unseen:
                listing = self._list(account, session, service, options)
            listing.unseen = False
            return listing

    def _turn(self, account: Account, session: Session, service: Service) -> threading.Lock:
        """Who comes while the service is being listed waits, and gets that listing."""
        return self._turns.get_or_put(_key(account, session, service), threading.Lock)

    def _young(self, account: Account, session: Session, service: Service) -> Listing | None:
        known = self._listings.get(_key(account, session, service))
        if known and timedelta(0) <= self.clock() - known.began < LISTING_LIFE:
            return known
        return None

    def _list(
        self, account: Account, session: Session, service: Service, options: VultrOptions
    ) -> Listing:
        listing = Listing(self.clock(), Packed(self._entries(session, service, options)))
        if not session.clock_is_off:
            self._listings.put(_key(account, session, service), listing)
        return listing

    def _entries(
        self, session: Session, service: Service, options: VultrOptions
    ) -> Iterator[_Entry]:
        """Every entry with what is listed inside it; an id stands once in a listing."""
        seen: set[str] = set()
        sizes: Sizes | None = None
        per_page = options.per_page if service.paged else None
        for top in session.items(service.path, service.key, service.operation, per_page):
            sizes = sizes or self._sizes(session, service, options)
            for native in (top, *resources.children(service, top)):
                resource = service.normalise(native, sizes)
                if resource.resource_id not in seen:
                    seen.add(resource.resource_id)
                    yield resource, Target.of(resource, native)

    def _sizes(self, session: Session, service: Service, options: VultrOptions) -> Sizes:
        """The plans that a service's sizes need. Old ones do while new ones cannot be had."""
        gigabyte = options.gigabyte_bytes
        if not service.plans:
            return Sizes(gigabyte)
        key, now = (session.url, service.plans, gigabyte), self.clock()
        known = self._plans.get(key)
        if known is None or not timedelta(0) <= now - known[0] < PLAN_LIFE:
            try:
                listing = session.items(
                    service.plans, PLAN_KEYS[service.plans], "list_plans", options.per_page
                )
                known = now, {native["id"]: resources.plan(native, gigabyte) for native in listing}
                self._plans.put(key, known)
            except TransientError:
                if known is None:
                    raise
        return Sizes(gigabyte, known[1])


def _key(account: Account, session: Session, service: Service) -> _Key:
    return account.customer_id, f"{account.account_id} {session.url}", service.name

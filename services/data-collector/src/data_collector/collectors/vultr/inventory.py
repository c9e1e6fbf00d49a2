"""The API's listings, asked for and normalised, and kept for as long as they tell the present."""

from __future__ import annotations

import pickle
import random
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from data_collector.collectors.vultr import resources
from data_collector.collectors.vultr.memory import Memory
from data_collector.collectors.vultr.options import VultrOptions
from data_collector.collectors.vultr.performance import PERIOD, Target
from data_collector.collectors.vultr.resources import PLAN_KEYS, Plan, Service, Sizes
from data_collector.collectors.vultr.session import Native, Session
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

    Packed page by page, so that a large fleet takes little room while it waits. `unseen` says
    that no run for the inventory has been given it, and that every size in it is known.
    """

    began: datetime
    _pages: Sequence[bytes]
    unseen: bool

    def resources(self) -> Iterator[Resource]:
        """What is listed, for the inventory."""
        return (resource for resource, _ in self._entries(self._pages))

    def targets(self, *, shuffled: bool = False) -> Iterator[Target]:
        """What is listed, to be measured."""
        pages = random.sample(self._pages, len(self._pages)) if shuffled else self._pages
        return (target for _, target in self._entries(pages))

    @staticmethod
    def _entries(pages: Sequence[bytes]) -> Iterator[_Entry]:
        for page in pages:
            yield from pickle.loads(zlib.decompress(page))  # noqa: S301  # packed below


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
        began = self.clock()
        pages: list[bytes] = []
        seen: set[str] = set()
        sizes: Sizes | None = None
        per_page = options.per_page if service.paged else None
        for natives in session.pages(service.path, service.key, service.operation, per_page):
            if natives and sizes is None:
                sizes = self._sizes(session, service, options)
            pages.append(_packed(_entries(service, natives, sizes, seen) if sizes else []))
        listing = Listing(began, pages, unseen=True)
        if not session.clock_is_off:
            self._listings.put(_key(account, session, service), listing)
        return listing

    def _sizes(self, session: Session, service: Service, options: VultrOptions) -> Sizes:
        """The plans that a service's sizes need. Old ones do while new ones cannot be had."""
        gigabyte = options.gigabyte_bytes
        if not service.plans:
            return Sizes(gigabyte)
        key, now = (session.url, service.plans, gigabyte), self.clock()
        known = self._plans.get(key)
        if known is None or not timedelta(0) <= now - known[0] < PLAN_LIFE:
            try:
                pages = session.pages(
                    service.plans, PLAN_KEYS[service.plans], "list_plans", options.per_page
                )
                plans = {one["id"]: resources.plan(one, gigabyte) for page in pages for one in page}
                known = now, plans
                self._plans.put(key, known)
            except TransientError:
                if known is None:
                    raise
        return Sizes(gigabyte, known[1])


def _entries(
    service: Service, natives: Sequence[Native], sizes: Sizes, seen: set[str]
) -> Iterator[_Entry]:
    """The entries of a page with what is listed inside them; an id stands once in a listing."""
    for top in natives:
        for native in (top, *resources.children(service, top)):
            resource = service.normalise(native, sizes)
            if resource.resource_id not in seen:
                seen.add(resource.resource_id)
                yield resource, Target.of(resource, native)


def _packed(entries: Iterator[_Entry] | Sequence[_Entry]) -> bytes:
    return zlib.compress(pickle.dumps(list(entries)), level=1)


def _key(account: Account, session: Session, service: Service) -> _Key:
    return account.customer_id, f"{account.account_id} {session.url}", service.name

"""The API's listings, asked for and normalised, and what is kept of them for the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from data_collector.collectors.vultr import resources
from data_collector.collectors.vultr.memory import Memory
from data_collector.collectors.vultr.options import VultrOptions
from data_collector.collectors.vultr.performance import PERIOD, Target
from data_collector.collectors.vultr.resources import PLAN_KEYS, Plan, Service, Sizes
from data_collector.collectors.vultr.session import Session
from optiinfra.accounts import Account
from optiinfra.domain import Resource
from optiinfra.errors import TransientError

#: A listing younger than this, a bucket's width, tells the state in a bucket.
LISTING_LIFE = PERIOD
#: Plans change with the vendor's price list.
PLAN_LIFE = timedelta(days=1)


@dataclass
class Inventory:
    """Lists services, and remembers what the metrics need of each listing."""

    clock: Callable[[], datetime]
    _listings: Memory[tuple[str, str, str], tuple[datetime, Sequence[Target]]] = field(
        default_factory=lambda: Memory(1024)
    )
    _plans: Memory[tuple[str, str, int], tuple[datetime, Mapping[str, Plan]]] = field(
        default_factory=lambda: Memory(64)
    )

    def targets(
        self, account: Account, session: Session, service: Service, options: VultrOptions
    ) -> Sequence[Target]:
        """What a listing holds to be measured: one made just now, for whichever kind, or a
        new one.
        """
        known = self._listings.get(_key(account, session, service))
        if known and timedelta(0) <= self.clock() - known[0] < LISTING_LIFE:
            return known[1]
        plain = Sizes(options.gigabyte_bytes)  # no metric asks for plans
        return [
            target for _, target in self._list(account, session, service, options, lambda: plain)
        ]

    def resources(
        self, account: Account, session: Session, service: Service, options: VultrOptions
    ) -> Iterator[Resource]:
        """Every resource, as pages arrive. Always asked for anew, since what a listing lacks is
        deleted, and an older one lacks what another process has seen since.
        """
        for resource, _ in self._list(
            account, session, service, options, lambda: self._sizes(session, service, options)
        ):
            yield resource

    def _list(
        self,
        account: Account,
        session: Session,
        service: Service,
        options: VultrOptions,
        find_sizes: Callable[[], Sizes],
    ) -> Iterator[tuple[Resource, Target]]:
        started = self.clock()
        targets: dict[str, Target] = {}
        sizes: Sizes | None = None
        per_page = options.per_page if service.paged else None
        for top in session.items(service.path, service.key, service.operation, per_page):
            sizes = sizes or find_sizes()
            for native in (top, *resources.children(service, top)):
                resource = service.normalise(native, sizes)
                if resource.resource_id not in targets:
                    target = Target.of(resource, native)
                    targets[resource.resource_id] = target
                    yield resource, target
        if not session.clock_is_off:
            self._listings.put(_key(account, session, service), (started, tuple(targets.values())))

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


def _key(account: Account, session: Session, service: Service) -> tuple[str, str, str]:
    return account.customer_id, f"{account.account_id} {session.url}", service.name

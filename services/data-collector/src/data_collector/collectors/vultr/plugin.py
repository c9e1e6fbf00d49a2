"""The plugin object: scopes, and what is collected for each.

Vultr keeps no history of anything but bandwidth, so the timing is that of a source that can
only be read now: a watermark says when the account was last read, never that everything before
it is there. Bandwidth comes in whole days, each asked for again on the days after it, and after
a restart as far back as the account's options say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from pydantic import BaseModel

from data_collector.collectors.vultr import exporter, performance, readings
from data_collector.collectors.vultr.exporter import Exporters
from data_collector.collectors.vultr.inventory import Inventory, Listing
from data_collector.collectors.vultr.options import NodeExporterOptions, VultrOptions
from data_collector.collectors.vultr.performance import PERIOD
from data_collector.collectors.vultr.readings import Cycle
from data_collector.collectors.vultr.resources import (
    BARE_METALS,
    DATABASES,
    INSTANCES,
    KUBERNETES,
    LOAD_BALANCERS,
    SERVICES,
    Service,
)
from data_collector.collectors.vultr.session import Clients, Session, is_loopback
from optiinfra.accounts import Account
from optiinfra.catalog import ResourceStatus
from optiinfra.domain import Gap, GapReason, Kind, ListedAt, Resource, Scope, Series, Window
from optiinfra.errors import ContractError, CredentialError, OptiInfraError
from optiinfra.provider import Check, Timing

TIMING = Timing(
    period=PERIOD,
    delay=timedelta(0),
    settling=timedelta(0),
    history=timedelta(0),
    chunk=timedelta(days=1),
)
#: Tasks wait in a queue; beyond this a window asks for the past.
LATENESS = timedelta(minutes=15)
#: Exporters that are read at once.
SCRAPE_WORKERS = 32
#: Seconds after which a scope begins no further request per resource; well below the interval.
PATIENCE_SECONDS = 480.0
#: How many exporters a check asks.
CHECKED_EXPORTERS = 5

_SERVICES: Mapping[Kind, Sequence[Service]] = {
    Kind.PERFORMANCE: (INSTANCES, BARE_METALS, DATABASES, LOAD_BALANCERS, KUBERNETES),
    Kind.RESOURCES: tuple(SERVICES.values()),
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class VultrProvider:
    """Collects Vultr accounts. Satisfies `optiinfra.provider.Provider`.

    `clock` says what time it is and `monotonic` how much of it goes by; `workers` bounds the
    exporters that are read at once.
    """

    name: str = "vultr"
    kinds: frozenset[Kind] = frozenset(_SERVICES)
    timing: Timing = TIMING
    options: type[BaseModel] = VultrOptions
    clock: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    workers: int = SCRAPE_WORKERS
    exporters: Exporters = field(default_factory=Exporters)
    _clients: Clients = field(default_factory=Clients, init=False, repr=False)
    _inventory: Inventory = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._inventory = Inventory(self.clock)

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """One scope per listing of the API. Blocks and VPCs, which have no metric at all, have
        none for performance.
        """
        return [
            Scope(f"{self.name}/{account.account_id}/{service.name}", {"service": service.name})
            for service in _SERVICES.get(kind, ())
        ]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """The state now, stamped with the last bucket of the window, and the whole days of
        bandwidth that are due.
        """
        if self.clock() - window.end > LATENESS:
            yield Gap(GapReason.UNSUPPORTED, "Vultr can only be read now, not in the past")
            return
        service = SERVICES[scope.attributes["service"]]
        options = VultrOptions.model_validate(account.options)
        session = self._session(account)
        patience = self.monotonic() + PATIENCE_SECONDS
        listing = self._inventory.targets(account, session, service, options)
        _refuse_skew(session)
        cycle = Cycle(
            account=account,
            session=session,
            options=options,
            stamp=window.end - PERIOD,
            may_go_on=lambda: self.monotonic() < patience,
        )
        for target in listing.targets():
            yield performance.availability(target, cycle.stamp)
        first = next(listing.targets(), None)
        if first and service in (INSTANCES, BARE_METALS):
            yield from self._machines(cycle, service, listing)
        elif first:
            yield from performance.unpublished(first.type)
        if service is DATABASES:
            yield from readings.database_usage(cycle, listing)

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap | ListedAt]:
        """Every resource of one listing."""
        service = SERVICES[scope.attributes["service"]]
        options = VultrOptions.model_validate(account.options)
        listing = self._inventory.unseen(account, self._session(account), service, options)
        yield ListedAt(listing.began)
        yield from listing.resources()

    def price(self, calls: Mapping[str, int]) -> float:
        """Nothing: Vultr charges for no call."""
        return 0.0

    def check(self, account: Account) -> Iterator[Check]:
        """The key, each listing that it must be able to read, the clock, some exporters."""
        options = VultrOptions.model_validate(account.options)
        try:
            session = self._session(account)
            for service in SERVICES.values():
                yield _check_listing(session, service)
        except CredentialError as error:
            yield Check("API key", ok=False, advice=str(error))
            return
        yield Check("API key", ok=True)
        try:
            _refuse_skew(session)
        except ContractError as error:
            yield Check("clock", ok=False, advice=str(error))
        else:
            yield Check("clock", ok=True)
        if options.node_exporter:
            yield self._check_exporters(account, session, options, options.node_exporter)

    def _session(self, account: Account) -> Session:
        return Session(account, self._clients.of(account), self.clock)

    def _machines(self, cycle: Cycle, service: Service, listing: Listing) -> Iterator[Series | Gap]:
        """The exporters' readings, and bandwidth of the instances that run none.

        An instance's network comes from one of the two and never from both: a day's mean would
        stand where the reading of midnight belongs.
        """
        exporting = cycle.options.node_exporter
        if exporting:
            yield from readings.exported(cycle, self.exporters, exporting, listing, self.workers)
            for target in listing.targets():
                if not exporter.selected(target, exporting):
                    yield from performance.without_agent(target.resource_id)
        else:
            yield from performance.without_agent()
        others = (one for one in listing.targets() if not exporter.selected(one, exporting))
        yield from readings.bandwidth(cycle, service, others, self.clock())

    def _check_exporters(
        self,
        account: Account,
        session: Session,
        options: VultrOptions,
        exporting: NodeExporterOptions,
    ) -> Check:
        what = f"read node_exporter on port {exporting.port}"
        try:
            listing = self._inventory.targets(account, session, INSTANCES, options)
        except OptiInfraError as error:
            return Check(what, ok=False, advice=str(error))
        running = (
            target
            for target in listing.targets()
            if target.status is ResourceStatus.RUNNING and exporter.selected(target, exporting)
        )
        agents = list(islice(running, CHECKED_EXPORTERS))
        if not agents:
            return Check(what, ok=False, advice="no running instance bears any of its tags")
        problems = []
        for target in agents:
            try:
                where = exporter.url(target, exporting, loopback=is_loopback(session.url))
                self.exporters.read(where, account.calls)
            except OptiInfraError as error:
                problems.append(f"{target.name}: {error}")
        return Check(what, ok=not problems, advice="; ".join(problems))


def _check_listing(session: Session, service: Service) -> Check:
    what = f"list {service.name}"
    query = {"per_page": 1} if service.paged else None
    try:
        session.get(service.path, service.operation, query)
    except CredentialError:
        raise
    except OptiInfraError as error:
        return Check(what, ok=False, advice=str(error))
    return Check(what, ok=True)


def _refuse_skew(session: Session) -> None:
    if session.skew is not None and session.clock_is_off:
        raise ContractError(
            f"this machine's clock is {session.skew.total_seconds():+.0f} s off that of "
            f"{session.url}; its readings would stand in the wrong buckets"
        )

"""The plugin object: scopes, and fetch joined to normalise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from pydantic import BaseModel

from data_collector.collectors.azure import resources
from data_collector.collectors.azure.batches import RegionReader
from data_collector.collectors.azure.fetch import GET_BATCH, get_batch, list_rows, list_skus
from data_collector.collectors.azure.inventory import Inventory, SizeBook, Targets
from data_collector.collectors.azure.metrics import NAMESPACES, queries
from data_collector.collectors.azure.options import AzureOptions, options_of
from data_collector.collectors.azure.performance import Target
from data_collector.collectors.azure.resources import Row, Sizes
from data_collector.collectors.azure.session import Session, Sessions, identity
from optiinfra.accounts import Account
from optiinfra.domain import Gap, Kind, Resource, Scope, Series, Window, floor_time
from optiinfra.errors import ContractError, CredentialError, OptiInfraError
from optiinfra.provider import Check, Timing

log = structlog.get_logger()

#: Azure publishes no figures: points are usually there within three minutes, and the account's
#: options say when those of each type of resource have settled. Platform metrics are kept for
#: 93 days; the last of them are left alone. A chunk bounds the size of an answer, which has no
#: pages.
TIMING = Timing(
    period=timedelta(minutes=5),
    delay=timedelta(minutes=3),
    settling=timedelta(minutes=30),
    history=timedelta(days=90),
    chunk=timedelta(hours=6),
)


@dataclass
class AzureProvider:
    """Collects Azure subscriptions. Satisfies `optiinfra.provider.Provider`.

    `usd_per_1000_metric_calls` is what a metrics call costs; Microsoft bills metric reads but
    the figure is known from third parties only.
    """

    name: str = "azure"
    kinds: frozenset[Kind] = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
    timing: Timing = TIMING
    options: type[BaseModel] = AzureOptions
    usd_per_1000_metric_calls: float = 0.01
    inventory: Inventory = field(default_factory=Inventory)
    sizes: SizeBook = field(default_factory=SizeBook)
    sessions: Sessions = field(default_factory=Sessions)

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """One scope for all resources; for performance one per region that has any."""
        prefix = f"{self.name}/{account.account_id}"
        if kind is Kind.RESOURCES:
            return [Scope(f"{prefix}/resources")]
        if kind is not Kind.PERFORMANCE:
            return []
        regions = sorted({target.region for target in self._targets(account)})
        return [Scope(f"{prefix}/{region}/metrics", {"region": region}) for region in regions]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """The platform metrics of one region's resources."""
        region, options = scope.attributes["region"], options_of(account)
        targets = [target for target in self._targets(account) if target.region == region]
        asked = TIMING.reaching_back(window, options.settling_minutes.longest)
        with self._session(account) as session:
            fetch = partial(get_batch, session, account, region)
            yield from RegionReader(fetch, options, asked).read(targets)

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        """Every resource of the subscription, always listed anew: a listing that is minutes
        old could lack what another has seen since."""
        targets: list[Target] = []
        with self._session(account) as session:
            sizes = _Sizes(self.sizes, session, account)
            for row in list_rows(session, account):
                try:
                    resource = resources.normalise(row, sizes.of(row))
                    target = resources.target(row)
                except (AttributeError, KeyError, TypeError) as error:
                    # Left out it would pass for deleted.
                    raise ContractError(
                        f"{scope.name}: a {row['type']} of unknown shape: {row['name']}"
                    ) from error
                if target is not None:
                    targets.append(target)
                yield resource
        self.inventory.put(identity(account), targets)

    def price(self, calls: Mapping[str, int]) -> float:
        """Metric reads are billed by the call; Resource Graph and Resource Manager are free."""
        return calls.get(GET_BATCH, 0) * self.usd_per_1000_metric_calls / 1000

    def check(self, account: Account) -> Iterator[Check]:
        """Credentials and both roles, the metrics of each region, and the sizes."""
        try:
            with self._session(account) as session:
                rows = list(list_rows(session, account))
        except CredentialError as error:
            yield Check("credentials", ok=False, advice=str(error))
            return
        except OptiInfraError as error:
            yield Check("list resources (Reader)", ok=False, advice=str(error))
            return
        yield Check("credentials", ok=True)
        yield Check("list resources (Reader)", ok=True)
        targets = [target for row in rows if (target := resources.target(row))]
        for region in sorted({target.region for target in targets}):
            sample = next(target for target in targets if target.region == region)
            yield self._checked(
                f"read metrics of {region} (Monitoring Reader)",
                partial(self._sample, account, sample),
            )
        machines = {resources.region(row) for row in rows if resources.instance_type(row)}
        for region in sorted(machines)[:1]:
            yield self._checked(
                "list machine sizes (Reader)", partial(self._region_sizes, account, region)
            )

    def _checked(self, what: str, attempt: Callable[[], object]) -> Check:
        try:
            attempt()
        except OptiInfraError as error:
            return Check(what, ok=False, advice=str(error))
        return Check(what, ok=True)

    def _sample(self, account: Account, target: Target) -> None:
        """One call for one resource."""
        options = options_of(account)
        namespace = next(one for one in NAMESPACES if one.name == target.namespace)
        query = next(queries(namespace, granularity=options.bucket, names_per_call=1))
        end = floor_time(datetime.now(UTC) - TIMING.delay, TIMING.period)
        window = Window(end - TIMING.period, end)
        with self._session(account) as session:
            get_batch(session, account, target.region, query, [target.resource_id], window)

    def _region_sizes(self, account: Account, region: str) -> None:
        with self._session(account) as session:
            _listed_sizes(session, account, region)

    def _targets(self, account: Account) -> Targets:
        """The account's resources that have metrics, as of this cycle."""

        def listing() -> Targets:
            with self._session(account) as session:
                rows = list_rows(session, account)
                return [target for row in rows if (target := resources.target(row))]

        return self.inventory.get(identity(account), listing)

    @contextmanager
    def _session(self, account: Account) -> Iterator[Session]:
        """The account's session; its secrets are read again after they were refused."""
        try:
            yield self.sessions.of(account)
        except CredentialError:
            self.sessions.forget(account)
            raise


class _Sizes:
    """The machine sizes of the regions of one listing; what cannot be had is unknown."""

    def __init__(self, book: SizeBook, session: Session, account: Account) -> None:
        self._book = book
        self._session = session
        self._account = account
        self._known: dict[str, Sizes] = {}

    def of(self, row: Row) -> Sizes:
        """The sizes of the row's region; none where it is no machine."""
        if not resources.instance_type(row):
            return {}
        region = resources.region(row)
        if region not in self._known:
            self._known[region] = self._listed(region)
        return self._known[region]

    def _listed(self, region: str) -> Sizes:
        try:
            return self._book.get(
                (identity(self._account), region),
                partial(_listed_sizes, self._session, self._account, region),
            )
        except OptiInfraError as error:
            log.warning("sizes_unknown", account=self._account.account_id, error=str(error))
            return {}


def _listed_sizes(session: Session, account: Account, region: str) -> Sizes:
    return resources.sizes_of(list_skus(session, account, region))

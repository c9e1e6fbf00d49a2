"""The plugin object: scopes, and fetch joined to normalise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field

from data_collector.collectors.gcp import performance, resources
from data_collector.collectors.gcp.inventory import ASSET, COMPUTE, FRESH_FOR, Inventories, Listing
from data_collector.collectors.gcp.metrics import (
    INGEST_DELAYS,
    PLAN,
    SAMPLE_PERIOD,
    Item,
    Query,
)
from data_collector.collectors.gcp.session import (
    PERMISSIONS,
    SERIES_RETURNED,
    Session,
    Sessions,
    account_key,
)
from optiinfra.accounts import Account
from optiinfra.calls import Calls
from optiinfra.catalog import ResourceStatus
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)
from optiinfra.provider import Check, Timing

log = structlog.get_logger()

TIMING = Timing(
    period=timedelta(minutes=5),
    # Google promises most metrics within 165 to 240 seconds.
    delay=timedelta(minutes=4),
    # Reading again is free (series are billed, not points): leave room for late ones.
    settling=timedelta(minutes=15),
    # Six weeks is how long Google keeps the full resolution.
    history=timedelta(days=42),
    # 72 buckets: a page holds 1,388 series, and what is added up in memory stays small.
    chunk=timedelta(hours=6),
)
#: One collection ends by then, below the shortest interval; what is left is the next one's.
COLLECTION_DEADLINE = timedelta(minutes=8)
#: Items of the plan that fail one after the other until the provider counts as away.
PATIENCE = 3
#: USD per series returned (2025-10-02). The first million per billing account and month is
#: free, which one account cannot know.
PRICE_PER_SERIES = 0.50 / 1_000_000
#: How long the declared publication delays are believed, and how long their absence.
DELAYS_FOR = timedelta(days=1)
ASK_AGAIN_AFTER = timedelta(hours=1)

ROLES: Mapping[str, str] = {
    "monitoring": "roles/monitoring.viewer",
    "compute": "roles/compute.viewer",
    "asset": "roles/cloudasset.viewer",
}
#: Canonical codes (google.rpc.Code) of a part of an answer that failed.
_REASONS = {7: GapReason.DENIED, 8: GapReason.THROTTLED}


class GcpOptions(BaseModel):
    """The keys of a `gcp` account.

    The rates are what the project's quotas allow; they differ where one was raised.
    `metric_types` renames metric types that Google calls differently in a project, and
    `gke_memory_type` is the value of the label `memory_type` that stands for memory in use
    that cannot be reclaimed.
    """

    model_config = ConfigDict(extra="forbid")

    # A project's id, not its number: it stands in metric labels. `example.com:web` is one too.
    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:-]{2,98}[a-z0-9]$")]
    monitoring_calls_per_minute: int = Field(default=6000, ge=1)
    compute_calls_per_minute: int = Field(default=750, ge=1)
    asset_calls_per_minute: int = Field(default=400, ge=1)
    metric_types: dict[
        Annotated[str, Field(pattern=r"^[\w./-]+$")], Annotated[str, Field(pattern=r"^[\w./-]+$")]
    ] = {}
    gke_memory_type: Annotated[str, Field(pattern=r"^[\w-]+$")] = "non-evictable"


class PublicationDelays:
    """How long each metric type takes to be published, as its descriptor says.

    Asked for once a day and family of metrics; a default stands in where that fails. Safe to
    share between threads.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._families: dict[str, tuple[datetime, Mapping[str, timedelta]]] = {}

    def of(self, session: Session, calls: Calls, metric_type: str) -> timedelta:
        """From a sample's end until it is visible, the sample's own width included."""
        prefix = next(prefix for prefix in INGEST_DELAYS if metric_type.startswith(prefix))
        with self._lock:
            until, declared = self._families.get(prefix, (self._now(), {}))
            if until <= self._now():
                lifetime = DELAYS_FOR
                try:
                    declared = session.publication(calls, prefix)
                except OptiInfraError as error:
                    if isinstance(error, CredentialError):
                        raise
                    log.warning("gcp_default_delays", metrics=prefix, error=str(error))
                    lifetime, declared = ASK_AGAIN_AFTER, {}
                self._families[prefix] = (self._now() + lifetime, declared)
        default = timedelta(seconds=INGEST_DELAYS[prefix] + SAMPLE_PERIOD)
        return declared.get(metric_type, default)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class GcpProvider:
    """Collects Google Cloud projects. Satisfies `optiinfra.provider.Provider`."""

    name: str = "gcp"
    kinds: frozenset[Kind] = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
    timing: Timing = TIMING
    options: type[BaseModel] = GcpOptions
    now: Callable[[], datetime] = _utc_now
    _sessions: Sessions = field(init=False, repr=False)
    _inventories: Inventories = field(init=False, repr=False)
    _delays: PublicationDelays = field(init=False, repr=False)
    _unknown_statuses: set[tuple[str, str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._sessions = Sessions()
        self._inventories = Inventories(self.now)
        self._delays = PublicationDelays(self.now)
        self._unknown_statuses = set()

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """The project's monitoring; its Compute Engine and what Asset inventory knows."""
        services = {
            Kind.PERFORMANCE: ["monitoring"],
            Kind.RESOURCES: [COMPUTE, ASSET],
        }.get(kind, [])
        return [
            Scope(f"{self.name}/{account.account_id}/{service}", {"service": service})
            for service in services
        ]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """Every item of the plan, one after the other, then why resources have no points.

        An item that fails is a gap; DeniedError and CredentialError end the collection, and so
        do failures one after the other.
        """
        session = self._session(account)
        try:
            yield from _Collection(self, account, session, window).run()
        except CredentialError:
            self._sessions.forget(account)
            raise

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        """Every resource of the service, listed now. Raises where anything is missing."""
        session = self._session(account)
        try:
            listing = self.listing(
                account, session, scope.attributes["service"], not_before=self.now()
            )
        except CredentialError:
            self._sessions.forget(account)
            raise
        for resource in listing.resources:
            self._report_unknown_status(resource)
            yield resource

    def price(self, calls: Mapping[str, int]) -> float:
        """By the series that ListTimeSeries returned; everything else is free."""
        return PRICE_PER_SERIES * calls.get(SERIES_RETURNED, 0)

    def check(self, account: Account) -> Iterator[Check]:
        """The credentials, then each permission by the smallest request that needs it."""
        try:
            session = self._session(account)
            session.authorise()
        except OptiInfraError as error:
            self._sessions.forget(account)
            yield Check("credentials", ok=False, advice=str(error))
            return
        yield Check("credentials", ok=True)
        for operation, permission in PERMISSIONS.items():
            try:
                session.probe(account.calls, operation)
            except DeniedError as error:
                role = ROLES[operation.partition(".")[0]]
                advice = f"{error}; grant {role} on the project, or a role with {permission}"
                yield Check(permission, ok=False, advice=advice)
            except OptiInfraError as error:
                yield Check(permission, ok=False, advice=f"could not be asked: {error}")
            else:
                yield Check(permission, ok=True)

    def listing(
        self, account: Account, session: Session, service: str, *, not_before: datetime
    ) -> Listing:
        """A listing of the service that began at `not_before` or later."""
        return self._inventories.listing(
            account_key(account),
            session,
            account.calls,
            account.options["project"],
            service,
            not_before=not_before,
        )

    def delay(self, account: Account, session: Session, item: Item) -> timedelta:
        """How long after its end the slowest metric type of the item is published."""
        return max(self._delays.of(session, account.calls, query.type) for query in item.queries)

    def _session(self, account: Account) -> Session:
        return self._sessions.get(account)

    def _report_unknown_status(self, resource: Resource) -> None:
        native = resource.metadata.get("native_status")
        if resource.status != ResourceStatus.UNKNOWN or native is None:
            return
        unknown = (str(resource.resource_type), str(native))
        if unknown not in self._unknown_statuses:
            self._unknown_statuses.add(unknown)
            log.warning("gcp_unknown_status", resource_type=unknown[0], status=unknown[1])


class _Collection:
    """One pass over the plan for one account and window."""

    def __init__(
        self, provider: GcpProvider, account: Account, session: Session, window: Window
    ) -> None:
        self._provider = provider
        self._account = account
        self._session = session
        self._window = window
        self._began = provider.now()
        self._ends_at = time.monotonic() + COLLECTION_DEADLINE.total_seconds()
        self._listing_failed: OptiInfraError | None = None
        self._looked_again = False
        self._index = self._listed(not_before=self._began - FRESH_FOR)
        self._reading = performance.Reading(
            project=account.options["project"],
            window=window,
            period=provider.timing.period,
            names=self._name_of,
            volume_of=self._volume_of,
        )
        self._failed: set[str] = set()
        self._codes: set[int] = set()

    def run(self) -> Iterator[Series | Gap]:
        in_a_row = 0
        for item in PLAN:
            metrics = sorted({row.canonical for row in item.rows})
            error = yield from self._measure(item)
            in_a_row = in_a_row + 1 if error else 0
            if error and in_a_row == PATIENCE:
                raise error
            if error:
                self._failed.update(metrics)
                for metric in metrics:
                    yield Gap(_reason(error), str(error), metric_name=metric)
        if self._listing_failed:
            yield Gap(
                _reason(self._listing_failed),
                f"volumes cannot be told apart: {self._listing_failed}",
            )
        else:
            yield from performance.explained_gaps(
                self._index, self._reading, self._window, self._failed
            )

    def _measure(self, item: Item) -> Generator[Series | Gap, None, OptiInfraError | None]:
        """The series of one item, and the error that cut it short."""
        if time.monotonic() > self._ends_at:
            return TransientError("no time is left in this collection")
        self._codes.clear()
        self._reading.unplaced = 0
        try:
            delay = self._provider.delay(self._account, self._session, item)
            self._reading.settling = delay
            self._reading.window = self._provider.timing.reaching_back(self._window, delay)
            answers = [self._pages(query) for query in item.queries]
            yield from self._reading.normalise(item, *answers)
        except UnsupportedError:
            return None  # the project has nothing that has it
        except (TransientError, ContractError) as error:
            return error
        for metric in sorted({row.canonical for row in item.rows}):
            for code in sorted(self._codes):
                reason = _REASONS.get(code, GapReason.FAILED)
                yield Gap(reason, f"a part of the answer failed (code {code})", "", metric)
            if self._reading.unplaced:
                count = self._reading.unplaced
                yield Gap(GapReason.UNSUPPORTED, f"{count} series name no resource", "", metric)
        return None

    def _pages(self, query: Query) -> Iterator[performance.Page]:
        window, period = self._reading.window, self._provider.timing.period
        for page in self._session.time_series(self._account.calls, query, window, period):
            self._codes.update(page.failed)
            yield page.series

    def _name_of(self, resource_id: str) -> str:
        return self._index.name(resource_id)

    def _volume_of(self, instance_id: str, device: str) -> resources.Volume | None:
        """The volume behind a device. One that the listing lacks may be younger than it."""
        if not self._looked_again and not self._index.knows_device(instance_id, device):
            self._looked_again = True
            again = self._listed(not_before=self._began)
            if not self._listing_failed:
                self._index = again
        return self._index.volume(instance_id, device)

    def _listed(self, *, not_before: datetime) -> resources.Index:
        """What is known of the account. Without its listing, volumes cannot be told apart."""
        self._listing_failed = None
        listed: list[Iterable[Resource]] = []
        for service in (COMPUTE, ASSET):
            try:
                listing = self._provider.listing(
                    self._account, self._session, service, not_before=not_before
                )
                listed.append(listing.resources)
            except CredentialError:
                raise
            except OptiInfraError as error:
                if service == COMPUTE:
                    self._listing_failed = error
        return resources.Index(chain.from_iterable(listed))


def _reason(error: OptiInfraError) -> GapReason:
    match error:
        case ThrottledError():
            return GapReason.THROTTLED
        case DeniedError():
            return GapReason.DENIED
        case TransientError():
            return GapReason.FAILED
        case _:
            return GapReason.UNSUPPORTED

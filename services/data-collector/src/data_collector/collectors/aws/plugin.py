"""The plugin object: scopes, and fetch joined to normalise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from data_collector.collectors.aws import policy
from data_collector.collectors.aws.cloudwatch import GET_METRIC_DATA, PRICE, answers
from data_collector.collectors.aws.inventory import SERVICES, Inventory, Listing
from data_collector.collectors.aws.metrics import AGENT_CANONICAL
from data_collector.collectors.aws.options import AwsOptions, options_of
from data_collector.collectors.aws.performance import Assembler, agent_finds, observed
from data_collector.collectors.aws.queries import AgentFinds, Measure, Query, plan, selected
from data_collector.collectors.aws.session import Session
from optiinfra.accounts import Account
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window
from optiinfra.errors import (
    ContractError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)
from optiinfra.provider import Check, Timing

#: CloudWatch publishes most buckets within five minutes of their end; the account's options say
#: when each namespace's have settled. What settles sooner is read again all the same: that costs
#: nothing, since AWS bills by the metric and not by the point. Buckets of five minutes are kept
#: for 63 days. A chunk of twelve hours is answered in one page.
TIMING = Timing(
    period=timedelta(minutes=5),
    delay=timedelta(minutes=5),
    settling=timedelta(minutes=30),
    history=timedelta(days=63),
    chunk=timedelta(hours=12),
)
#: Buckets of one minute are kept this long.
MINUTES_KEPT = timedelta(days=15)
#: Services whose resources have metrics.
_MEASURED = ("ec2", "ebs", "rds", "elb", "eks")
#: How often what CloudWatch failed to answer is asked for, in all.
_TRIES = 3


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class AwsProvider:
    """Collects AWS accounts. Satisfies `optiinfra.provider.Provider`."""

    name: str = "aws"
    kinds: frozenset[Kind] = frozenset({Kind.PERFORMANCE, Kind.RESOURCES})
    timing: Timing = TIMING
    options: type[BaseModel] = AwsOptions
    clock: Callable[[], datetime] = _utc_now
    session: Session = field(default_factory=Session, repr=False)
    inventory: Inventory = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.inventory = Inventory(self.session, self.clock)

    def scopes(self, account: Account, kind: Kind) -> Sequence[Scope]:
        """Region by region; for resources each service of a region."""
        if kind not in self.kinds:
            return []
        regions = options_of(account).regions or self.inventory.regions(account)
        prefix = f"{self.name}/{account.account_id}"
        if kind is Kind.PERFORMANCE:
            return [Scope(f"{prefix}/{region}", {"region": region}) for region in regions]
        return [
            Scope(f"{prefix}/{region}/{service}", {"region": region, "service": service})
            for region in regions
            for service in SERVICES
        ]

    def collect_performance(
        self, account: Account, scope: Scope, window: Window
    ) -> Iterator[Series | Gap]:
        """Every metric of every resource of the region."""
        region, options = scope.attributes["region"], options_of(account)
        window = TIMING.reaching_back(window, options.settling_minutes.longest)
        listings: dict[str, Listing] = {}
        yield from self._list(account, region, listings)
        for listing in listings.values():
            for target in listing.targets:
                yield from observed(target, listing.listed_at, int(TIMING.period.total_seconds()))
        yield from _unasked(listings, options)
        agent: AgentFinds = {}
        if options.agent_metrics and "ec2" in listings:
            try:
                agent = self._agent_finds(account, region)
            except (DeniedError, TransientError) as error:
                yield Gap(_reason(error), f"the agent's metrics cannot be listed: {error}")
        floor = 300 if self.clock() - window.start > MINUTES_KEPT else 60
        measures: Iterable[Measure | Gap] = _planned(listings, window, options, agent, floor)
        for attempt in range(_TRIES):
            assembler = Assembler(last_try=attempt == _TRIES - 1)
            gaps: deque[Gap] = deque()
            queries = _queries(measures, gaps)
            for query, result in answers(self.session, account, region, queries, window):
                while gaps:
                    yield gaps.popleft()
                yield from assembler.take(query, result)
            yield from gaps
            measures = assembler.again
            if not measures:
                return

    def list_resources(self, account: Account, scope: Scope) -> Iterator[Resource | Gap]:
        """Everything of one service in one region."""
        yield from self.inventory.listed(
            account, scope.attributes["region"], scope.attributes["service"]
        )

    def price(self, calls: Mapping[str, int]) -> float:
        """CloudWatch bills each metric requested; describing resources is free."""
        return calls.get(GET_METRIC_DATA.operation, 0) * PRICE

    def check(self, account: Account) -> Iterator[Check]:
        """The credentials, then each permission of the minimal policy."""
        yield from policy.checks(self.session, account, self.clock())

    def _list(self, account: Account, region: str, listings: dict[str, Listing]) -> Iterator[Gap]:
        """Fill in the listings. A service that cannot be listed is a gap, none at all an error."""
        error: OptiInfraError | None = None
        for service in _MEASURED:
            try:
                listings[service] = self.inventory.known(account, region, service)
            except (DeniedError, UnsupportedError, TransientError, ContractError) as fault:
                error = error or fault
                yield Gap(_reason(fault), f"{service} cannot be listed: {fault}")
        if error and not listings:
            raise error

    def _agent_finds(self, account: Account, region: str) -> AgentFinds:
        return agent_finds(self.inventory.agent_metrics(account, region))


def _reason(error: OptiInfraError) -> GapReason:
    if isinstance(error, DeniedError):
        return GapReason.DENIED
    if isinstance(error, UnsupportedError):
        return GapReason.UNSUPPORTED
    return GapReason.THROTTLED if isinstance(error, ThrottledError) else GapReason.FAILED


def _unasked(listings: Mapping[str, Listing], options: AwsOptions) -> Iterator[Gap]:
    """What only an agent knows, said once for all instances where nobody asked for it."""
    instances = listings.get("ec2")
    if instances and instances.targets and not options.agent_metrics:
        for metric in AGENT_CANONICAL:
            yield Gap(
                GapReason.NO_AGENT,
                "needs the CloudWatch agent on the instances and the option agent_metrics",
                metric_name=metric,
            )


def _planned(
    listings: Mapping[str, Listing],
    window: Window,
    options: AwsOptions,
    agent: AgentFinds,
    floor: int,
) -> Iterator[Measure | Gap]:
    for item in selected(listings, window):
        if isinstance(item, Gap):
            yield item
        else:
            yield from plan(item, options, agent, floor=floor)


def _queries(items: Iterable[Measure | Gap], gaps: deque[Gap]) -> Iterator[Query]:
    """The queries of the measures; gaps go aside, to be yielded between answers."""
    for item in items:
        if isinstance(item, Gap):
            gaps.append(item)
        else:
            yield from (Query(item, part) for part in range(len(item.parts)))

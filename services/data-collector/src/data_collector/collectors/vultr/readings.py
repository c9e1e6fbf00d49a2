"""What is asked resource by resource: bandwidth, database usage, exporters. *Fetch* joined to
*normalise*, side by side, where one that fails is a gap and stops none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import TypeVar
from urllib.parse import quote

from data_collector.collectors.vultr import exporter, performance
from data_collector.collectors.vultr.asked import Asked
from data_collector.collectors.vultr.exporter import Exporters
from data_collector.collectors.vultr.inventory import Listing
from data_collector.collectors.vultr.memory import concurrently
from data_collector.collectors.vultr.metrics import BANDWIDTH
from data_collector.collectors.vultr.options import NodeExporterOptions, VultrOptions
from data_collector.collectors.vultr.performance import Days, Target
from data_collector.collectors.vultr.resources import BARE_METALS, Service
from data_collector.collectors.vultr.session import Session, is_loopback
from data_collector.machine import rates
from optiinfra.accounts import Account
from optiinfra.catalog import ResourceStatus
from optiinfra.domain import Gap, GapReason, Series
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)

T = TypeVar("T")
Answers = Sequence[Series | Gap]

#: Requests to the API under way at once. Its rate is the true bound, and a few reach it.
API_WORKERS = 8
#: Without `date_range` an answer reaches back about a month, and its first day may be cut.
METAL_DAYS = 28

#: What a failed request for one resource means for its metrics.
_REASONS: tuple[tuple[type[OptiInfraError], GapReason], ...] = (
    (ThrottledError, GapReason.THROTTLED),
    (DeniedError, GapReason.DENIED),
    (UnsupportedError, GapReason.NOT_COLLECTED),  # gone since it was listed
)
#: Gaps that the next cycle can close.
_PASSING = frozenset({GapReason.THROTTLED, GapReason.FAILED})


@dataclass(frozen=True, slots=True)
class Cycle:
    """One collection of one scope. `stamp` is the bucket of its readings; `may_go_on` says
    whether there is still time to begin another request.
    """

    account: Account
    session: Session
    options: VultrOptions
    stamp: datetime
    may_go_on: Callable[[], bool]

    def key(self, target: Target) -> tuple[str, str, str]:
        """What identifies a resource among those of all accounts."""
        return self.account.customer_id, self.account.account_id, target.resource_id

    def each(
        self, items: Iterable[T], work: Callable[[T], Answers], workers: int, *metrics: str
    ) -> Iterator[Series | Gap]:
        """The answers of `work` for every item, as they come, until time is up."""
        begun = left = 0
        source = iter(items)

        def in_time() -> Iterable[T]:
            nonlocal begun, left
            for item in source:
                if not self.may_go_on():
                    left = 1 + sum(1 for _ in source)
                    return
                begun += 1
                yield item

        for answers in concurrently(work, in_time(), workers):
            yield from answers
        if left:
            detail = f"{left} of {begun + left} were left for the next cycle"
            for metric in metrics or ("",):
                yield Gap(GapReason.NOT_COLLECTED, detail, metric_name=metric)

    def attempt(
        self, target: Target, produce: Callable[[], Iterable[Series | Gap]], *metrics: str
    ) -> Answers:
        """What `produce` gives, or gaps for the target's `metrics` where it fails.

        Refused credentials are raised: they are everybody's.
        """
        try:
            return list(produce())
        except CredentialError:
            raise
        except OptiInfraError as error:
            reason = next(
                (reason for kind, reason in _REASONS if isinstance(error, kind)),
                GapReason.FAILED,
            )
            return [target.gap(reason, str(error), metric) for metric in metrics]


def database_usage(cycle: Cycle, listing: Listing) -> Iterator[Series | Gap]:
    """The usage of every running database: one call each, since the API offers no other way."""

    def read(target: Target) -> Answers:
        path = f"/databases/{quote(target.native_id, safe='')}/usage"
        return cycle.attempt(
            target,
            lambda: performance.database_usage(
                target,
                cycle.session.get(path, "get_database_usage"),
                cycle.stamp,
                cycle.options.gigabyte_bytes,
            ),
            *performance.USAGE_METRICS,
        )

    running = (one for one in listing.targets() if one.status is ResourceStatus.RUNNING)
    yield from cycle.each(running, read, API_WORKERS, *performance.USAGE_METRICS)


def exported(
    cycle: Cycle,
    exporters: Exporters,
    options: NodeExporterOptions,
    listing: Listing,
    workers: int,
) -> Iterator[Series | Gap]:
    """The readings of every running instance's exporter; one that is not there is a gap.

    Those that answered lately come first; among the others nobody is always the last to be asked.
    """
    loopback = is_loopback(cycle.session.url)

    def read(target: Target) -> Answers:
        key = cycle.key(target)
        try:
            where = exporter.url(target, options, loopback=loopback)
            before, now = exporters.two_readings(key, where, cycle.account.calls)
        except ThrottledError as error:
            return [target.gap(GapReason.THROTTLED, str(error))]
        except TransientError as error:
            lost = exporters.answered_before(key)
            return [target.gap(GapReason.FAILED if lost else GapReason.NO_AGENT, str(error))]
        except DeniedError as error:
            return [target.gap(GapReason.DENIED, str(error))]
        except (UnsupportedError, ContractError) as error:
            return [target.gap(GapReason.NO_AGENT, str(error))]
        return list(performance.machine(target, now, rates(before, now), cycle.stamp))

    def running(targets: Iterable[Target], *, answered: bool) -> Iterator[Target]:
        return (
            one
            for one in targets
            if one.status is ResourceStatus.RUNNING
            and exporter.selected(one, options)
            and exporters.answered_before(cycle.key(one)) is answered
        )

    known = running(listing.targets(), answered=True)
    unknown = running(listing.targets(shuffled=True), answered=False)
    yield from cycle.each(chain(known, unknown), read, workers)


def bandwidth(
    cycle: Cycle, service: Service, targets: Iterable[Target], now: datetime
) -> Iterator[Series | Gap]:
    """The days that are due, of the targets that have any: each is asked once for each day that
    was published, by whichever process, which is noted.
    """
    options = cycle.options
    settling = timedelta(hours=options.bandwidth_settling_hours)
    is_metal = service is BARE_METALS
    longest = min(options.bandwidth_days, METAL_DAYS) if is_metal else options.bandwidth_days
    published = Days.published(now, timedelta(hours=options.bandwidth_delay_hours), longest)
    asked = Asked(
        cycle.account.notes,
        f"vultr/bandwidth/{cycle.account.customer_id}/{cycle.account.account_id}/{service.name}",
        cycle.stamp,
        unsettled=-(-options.bandwidth_settling_hours // 24),
    )

    def due() -> Iterator[tuple[Target, Days]]:
        for target in targets:
            days = asked.due(target.resource_id, published)
            if days and target.status is not ResourceStatus.PENDING:
                yield target, days

    def ask(item: tuple[Target, Days]) -> Answers:
        target, days = item
        path = f"{service.path}/{quote(target.native_id, safe='')}/bandwidth"
        # From the day before the first one on: if the range is counted back from this very
        # moment, its first day is cut.
        query = None if is_metal else {"date_range": (now.date() - days.first).days + 1}
        answers = cycle.attempt(
            target,
            lambda: performance.bandwidth(
                target, cycle.session.get(path, "get_bandwidth", query), days, settling
            ),
            *BANDWIDTH,
        )
        if not any(isinstance(one, Gap) and one.reason in _PASSING for one in answers):
            asked.answered(target.resource_id, days)
        return answers

    yield from cycle.each(due(), ask, API_WORKERS, *BANDWIDTH)
    asked.note()

"""The metrics of one region: batches filled, sent, cut in halves where refused, normalised."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from data_collector.collectors.azure import performance
from data_collector.collectors.azure.errors import RefusedError
from data_collector.collectors.azure.metrics import NAMESPACES, Query, queries
from data_collector.collectors.azure.options import AzureOptions
from data_collector.collectors.azure.performance import Target
from optiinfra.domain import Gap, GapReason, Series, Window
from optiinfra.errors import ThrottledError, TransientError

#: Calls that fail one after the other before the rest is left to the next run.
FAILURES = 3
#: Seconds that one region may take, well below the usual interval.
BUDGET = 8 * 60.0
#: Refused calls of one region that are looked into. Each culprit costs one or two dozen to
#: find; a fault of everything would cost thousands, and shows by nothing being answered.
REFUSALS = 300
REFUSALS_UNANSWERED = 40

_METRICS_OF = {namespace.name: len(namespace.metrics) for namespace in NAMESPACES}


class Fetch(Protocol):
    """One metrics call."""

    def __call__(
        self, query: Query, resource_ids: Sequence[str], window: Window
    ) -> Sequence[Mapping[str, Any]]: ...


@dataclass
class RegionReader:
    """Reads the metrics of one region's targets for one window."""

    fetch: Fetch
    options: AzureOptions
    window: Window
    clock: Callable[[], float] = time.monotonic
    _failed_in_a_row: int = field(default=0, init=False)
    _failure: TransientError | None = field(default=None, init=False)
    _answers: int = field(default=0, init=False)
    _refusals: int = field(default=0, init=False)
    _given_up: RefusedError | None = field(default=None, init=False)
    #: Metrics that Azure said it does not have, by namespace.
    _absent: dict[str, set[str]] = field(default_factory=dict, init=False)

    def read(self, targets: Sequence[Target]) -> Iterator[Series | Gap]:
        """Every metric of every target, as answers arrive.

        A batch that fails or is refused becomes gaps and the others go on. Where no call at all
        is answered the error is raised: TransientError, or the refusal. TransientError too
        where several calls fail in a row or the time is up, and ThrottledError at once.
        """
        started = self.clock()
        for namespace in NAMESPACES:
            members = [target for target in targets if target.namespace == namespace.name]
            plan = list(
                queries(
                    namespace,
                    granularity=self.options.bucket,
                    names_per_call=self.options.metric_names_per_call,
                )
            )
            for first in range(0, len(members), self.options.batch_size):
                batch = members[first : first + self.options.batch_size]
                if self.clock() - started > BUDGET:
                    raise TransientError(f"no end within {BUDGET:.0f} s; the next run goes on")
                yield from self._batch(plan, batch)
        failure = self._failure or self._given_up
        if failure and not self._answers:
            raise failure

    def _batch(self, plan: Sequence[Query], batch: Sequence[Target]) -> Iterator[Series | Gap]:
        """What several queries say of one batch; a gap that all of them have is told once."""
        told: set[Gap] = set()
        for query in plan:
            for item in self._answered(query, batch):
                if isinstance(item, Gap):
                    if item in told:
                        continue
                    told.add(item)
                yield item

    def _answered(self, query: Query, batch: Sequence[Target]) -> Iterator[Series | Gap]:
        """One query's answer, put together from smaller ones where it is refused."""
        absent = [metric for metric in query.metrics if metric.name in self._absent_of(query)]
        if absent:
            yield from performance.gaps(
                GapReason.UNSUPPORTED, "Azure Monitor has no such metric", batch, absent
            )
            query = query.without([metric.name for metric in absent])
        if not query.metrics:
            return
        try:
            values = self.fetch(query, [target.resource_id for target in batch], self.window)
        except RefusedError as error:
            yield from self._refused(error, query, batch)
            return
        except ThrottledError:
            raise
        except TransientError as error:
            yield from self._failed(error, query, batch)
            return
        self._failed_in_a_row = 0
        self._answers += 1
        yield from performance.normalise(values, query, batch, self.window, self.options)

    def _failed(
        self, error: TransientError, query: Query, batch: Sequence[Target]
    ) -> Iterator[Gap]:
        """Gaps in place of one answer, unless there have been too many of them in a row."""
        self._failure = error
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILURES:
            raise error
        whole = len(query.metrics) == _METRICS_OF[query.namespace]
        missing = () if whole else query.metrics
        yield from performance.gaps(GapReason.FAILED, str(error), batch, missing)

    def _refused(
        self, error: RefusedError, query: Query, batch: Sequence[Target]
    ) -> Iterator[Series | Gap]:
        """Try again with less: without metrics that Azure says do not exist, then with half
        of the resources, at last with half of the metrics of one."""
        self._refusals += 1
        most = REFUSALS if self._answers else REFUSALS_UNANSWERED
        unknown = [
            name
            for name in query.names
            if error.valid_names and name.lower() not in error.valid_names
        ]
        if unknown:
            self._absent_of(query).update(unknown)
            yield from self._answered(query, batch)
        elif self._refusals > most or (len(batch) == 1 and len(query.names) == 1):
            self._given_up = error
            yield from performance.gaps(GapReason.UNSUPPORTED, str(error), batch, query.metrics)
        elif len(batch) > 1:
            middle = len(batch) // 2
            yield from self._answered(query, batch[:middle])
            yield from self._answered(query, batch[middle:])
        else:
            middle = len(query.names) // 2
            yield from self._answered(query.without(query.names[middle:]), batch)
            yield from self._answered(query.without(query.names[:middle]), batch)

    def _absent_of(self, query: Query) -> set[str]:
        return self._absent.setdefault(query.namespace, set())

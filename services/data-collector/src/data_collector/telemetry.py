"""What an operator's Prometheus sees of the collector.

A worker has no port to be scraped at, so everything here comes from what all workers share:
the ledger's totals in the store and the queue. Whoever serves the API tells it, and a second
one tells the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from data_collector.planner import published_until
from data_collector.runtime import Runtime
from data_collector.storage.ledger_totals import AccountKind, ScopeTotals, Usage
from optiinfra.domain import Kind
from optiinfra.errors import BrokerUnavailableError, StoreError
from optiinfra.provider import load_provider

#: How old an answer may be: several scrapers cost the store one reading.
CACHE_SECONDS = 10.0

_ACCOUNT = ("customer_id", "provider", "account_id", "kind")


def collector_registry(runtime: Runtime, waiting_tasks: Callable[[], int]) -> CollectorRegistry:
    """The collector's own measures; `waiting_tasks` says how many tasks nobody has taken.

    It may raise BrokerUnavailableError.
    """
    registry = CollectorRegistry()
    registry.register(_SharedState(runtime, waiting_tasks))
    return registry


class _SharedState(Collector):
    """Reads the shared state when it is scraped."""

    def __init__(self, runtime: Runtime, waiting_tasks: Callable[[], int]) -> None:
        self._runtime = runtime
        self._waiting_tasks = waiting_tasks
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._metrics: list[Metric] = []

    def describe(self) -> Sequence[Metric]:
        """Nothing beforehand: registering must not ask the store."""
        return ()

    def collect(self) -> Sequence[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at >= CACHE_SECONDS:
                self._metrics = [*self._of_ledger(), *self._of_queue()]
                self._read_at = time.monotonic()
            return self._metrics

    def _of_ledger(self) -> Iterator[Metric]:
        now = datetime.now(UTC)
        up = GaugeMetricFamily("optiinfra_store_up", "Whether the store answers")
        try:
            usage = self._runtime.totals.usage(now.date().replace(day=1))
            scopes = self._runtime.totals.scopes()
        except StoreError:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield from _counters(usage)
        yield from _standings(self._configured(), scopes, now)

    def _configured(self) -> list[AccountKind]:
        return [
            AccountKind(account.customer_id, account.provider, account.account_id, kind)
            for account in self._runtime.accounts.accounts()
            for kind in sorted(load_provider(account.provider).kinds)
        ]

    def _of_queue(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("optiinfra_broker_up", "Whether the broker answers")
        waiting = GaugeMetricFamily("optiinfra_queue_tasks", "Tasks that no worker has taken yet")
        try:
            waiting.add_metric((), self._waiting_tasks())
            up.add_metric((), 1)
        except BrokerUnavailableError:
            up.add_metric((), 0)
        yield up
        yield waiting


def _counters(usage: dict[AccountKind, Usage]) -> Iterator[Metric]:
    """Counted from the beginning of the UTC month, when they start anew as after a restart."""
    outcomes = _counter("optiinfra_scope_outcomes", "Collected scopes by outcome", "status")
    calls = _counter("optiinfra_provider_api_calls", "Requests made to providers", "operation")
    throttles = _counter("optiinfra_provider_api_throttles", "Answers that asked to slow down")
    price = _counter("optiinfra_provider_api_price_usd", "Estimated price of the requests")
    rows = _counter("optiinfra_rows_written", "Rows written to the store")
    dropped = _counter("optiinfra_values_dropped", "Values refused by the writer", "reason")
    for of, used in usage.items():
        account = _labels(of)
        for counter, by_label in (
            (outcomes, used.outcomes),
            (calls, used.api_calls),
            (dropped, used.dropped),
        ):
            for label, count in by_label.items():
                counter.add_metric((*account, label), count)
        throttles.add_metric(account, used.throttles)
        price.add_metric(account, used.price_usd)
        rows.add_metric(account, used.rows)
    yield from (outcomes, calls, throttles, price, rows, dropped)


def _standings(
    configured: Sequence[AccountKind], scopes: dict[AccountKind, ScopeTotals], now: datetime
) -> Iterator[Metric]:
    statuses = GaugeMetricFamily(
        "optiinfra_scopes", "Scopes by their last outcome", labels=[*_ACCOUNT, "status"]
    )
    freshness = GaugeMetricFamily(
        "optiinfra_freshness_seconds",
        "Age of the newest data, of the scope furthest behind",
        labels=_ACCOUNT,
    )
    backlog = GaugeMetricFamily(
        "optiinfra_backlog_seconds",
        "Time span that the provider has published and nobody has collected yet",
        labels=_ACCOUNT,
    )
    last_success = GaugeMetricFamily(
        "optiinfra_last_success_timestamp_seconds",
        "When a scope last came back complete, 0 for never",
        labels=_ACCOUNT,
    )
    for of in configured:
        account = _labels(of)
        totals = scopes.get(of, ScopeTotals(None, None, {}))
        for status, count in totals.statuses.items():
            statuses.add_metric((*account, status), count)
        completed_at = totals.completed_at
        last_success.add_metric(account, completed_at.timestamp() if completed_at else 0)
        until = totals.collected_until
        if until is None:
            continue
        freshness.add_metric(account, (now - until).total_seconds())
        if of.kind is Kind.PERFORMANCE:
            behind = published_until(now, load_provider(of.provider).timing) - until
            backlog.add_metric(account, max(behind, timedelta()).total_seconds())
    yield from (statuses, freshness, backlog, last_success)


def _counter(name: str, meaning: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, meaning, labels=[*_ACCOUNT, *labels])


def _labels(of: AccountKind) -> tuple[str, str, str, str]:
    return of.customer_id, of.provider, of.account_id, of.kind

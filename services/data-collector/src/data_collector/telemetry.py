"""What an operator's Prometheus sees of the collector."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from data_collector.storage.run_ledger import Outcome, Run

REGISTRY = CollectorRegistry()

ROWS_WRITTEN = Counter(
    "optiinfra_rows_written",
    "Rows written to the store",
    ["provider", "kind"],
    registry=REGISTRY,
)
VALUES_DROPPED = Counter(
    "optiinfra_values_dropped",
    "Values refused by the writer",
    ["provider", "reason"],
    registry=REGISTRY,
)
OUTCOMES = Counter(
    "optiinfra_scope_outcomes",
    "Collected scopes by outcome",
    ["provider", "kind", "status"],
    registry=REGISTRY,
)
API_CALLS = Counter(
    "optiinfra_provider_api_calls",
    "Requests made to providers",
    ["provider", "call"],
    registry=REGISTRY,
)
PRICE = Counter(
    "optiinfra_provider_api_price_usd",
    "Estimated price of what was asked of providers",
    ["provider"],
    registry=REGISTRY,
)


def count(run: Run, outcome: Outcome) -> None:
    """Add what came of one scope."""
    OUTCOMES.labels(run.provider, run.kind, outcome.status).inc()
    ROWS_WRITTEN.labels(run.provider, run.kind).inc(outcome.rows)
    PRICE.labels(run.provider).inc(outcome.price_usd)
    for reason, values in outcome.dropped.items():
        VALUES_DROPPED.labels(run.provider, reason).inc(values)
    for call, made in outcome.api_calls.items():
        API_CALLS.labels(run.provider, call).inc(made)

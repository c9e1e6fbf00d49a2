"""Putting performance data and its ledger into a store, as the collector would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from optiinfra.catalog import METRICS
from optiinfra_database import Store
from optiinfra_database.directory import Directory
from optiinfra_database.tables import PERFORMANCE_METRICS


def at(text: str) -> datetime:
    """A moment of UTC, like `at("2026-11-20 09:15")`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def put_customer(store: Store, customer_id: str, *providers: str) -> None:
    """Make a customer known, with one account per provider."""
    Directory(store).announce([(customer_id, provider, "main") for provider in providers])


def put_points(
    store: Store,
    timestamps: Sequence[datetime],
    values: Sequence[float],
    *,
    customer_id: str = "acme",
    provider: str = "aws",
    resource_id: str = "i-1",
    resource_name: str = "web",
    metric: str = "cpu_utilization",
    metric_type: str = "compute_instance",
    collected_at: datetime | None = None,
    settled: bool = True,
    metadata: str = "{}",
) -> None:
    """Insert one series; `collected_at` is now unless given."""
    count = len(values)
    collected = int((collected_at or datetime.now(UTC)).timestamp())
    columns = {
        "timestamp": [int(moment.timestamp()) for moment in timestamps],
        "customer_id": [customer_id] * count,
        "provider": [provider] * count,
        "account_id": ["main"] * count,
        "metric_type": [metric_type] * count,
        "resource_id": [resource_id] * count,
        "resource_name": [resource_name] * count,
        "metric_name": [metric] * count,
        "metric_value": list(values),
        "unit": [METRICS[metric].unit.value] * count,
        "settled": [settled] * count,
        "metadata": [metadata] * count,
        "collected_at": [collected] * count,
    }
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in PERFORMANCE_METRICS]
    store.insert_arrow(
        "performance_metrics", pa.Table.from_arrays(arrays, schema=PERFORMANCE_METRICS)
    )


def put_outcome(
    store: Store,
    window: tuple[datetime, datetime],
    *,
    status: str = "ok",
    customer_id: str = "acme",
    provider: str = "aws",
    scope: str = "aws/main/us-east-1",
    run_id: str = "run-1",
    collected_until: datetime | None = None,
    finished_at: datetime | None = None,
    error: str = "",
) -> None:
    """Record what came of one scope and window; by default finished a minute after its end."""
    start, end = window
    finished = finished_at or end + timedelta(minutes=1)
    until = collected_until or (
        end if status in ("ok", "partial") else datetime(1970, 1, 1, tzinfo=UTC)
    )
    row = {
        "customer_id": customer_id,
        "provider": provider,
        "account_id": "main",
        "kind": "performance",
        "scope": scope,
        "run_id": run_id,
        "window_start": start,
        "window_end": end,
        "status": status,
        "collected_until": until,
        "rows": 1 if status in ("ok", "partial") else 0,
        "error": error,
        "started_at": finished - timedelta(seconds=5),
        "finished_at": finished,
    }
    store.insert("collection_outcomes", list(row), [list(row.values())])


def put_gap(
    store: Store,
    window: tuple[datetime, datetime],
    *,
    reason: str,
    resource_id: str = "",
    metric_name: str = "",
    detail: str = "",
    customer_id: str = "acme",
    provider: str = "aws",
    scope: str = "aws/main/us-east-1",
    run_id: str = "run-1",
    recorded_at: datetime | None = None,
) -> None:
    """Record what a collected window does not hold."""
    row = {
        "customer_id": customer_id,
        "provider": provider,
        "account_id": "main",
        "scope": scope,
        "reason": reason,
        "resource_id": resource_id,
        "metric_name": metric_name,
        "window_start": window[0],
        "window_end": window[1],
        "detail": detail,
        "run_id": run_id,
        "recorded_at": recorded_at or window[1] + timedelta(seconds=30),
    }
    store.insert("collection_gaps", list(row), [list(row.values())])


def refresh_rollups(store: Store, covers_until: datetime) -> None:
    """Compute every rollup bucket again from the points."""
    sketch = "quantilesDDState(0.01, 0.5, 0.95, 0.99)(metric_value)"
    store.command(
        "INSERT INTO metrics_1h (customer_id, provider, metric_name, metric_type, bucket, unit, "
        "points, total, lowest, highest, sketch, resources, computed_at) "
        "SELECT customer_id, provider, metric_name, metric_type, "
        "toStartOfHour(timestamp) AS hour, any(unit), count(), sum(metric_value), "
        f"min(metric_value), max(metric_value), {sketch}, "
        "uniqCombined64State(12)(toString(resource_id)), now64(3) "
        "FROM performance_metrics FINAL "
        "GROUP BY customer_id, provider, metric_name, metric_type, hour"
    )
    store.command(
        "INSERT INTO metrics_1d (customer_id, provider, metric_name, resource_id, bucket, "
        "resource_name, metric_type, unit, points, total, lowest, highest, last_value, last_at, "
        "sketch, computed_at) "
        "SELECT customer_id, provider, metric_name, resource_id, "
        "toStartOfDay(timestamp) AS day, any(resource_name), any(metric_type), any(unit), "
        "count(), sum(metric_value), min(metric_value), max(metric_value), "
        f"argMax(metric_value, timestamp), max(timestamp), {sketch}, now64(3) "
        "FROM performance_metrics FINAL "
        "GROUP BY customer_id, provider, metric_name, resource_id, day"
    )
    store.insert(
        "rollup_refreshes",
        ["covers_until", "hours", "finished_at"],
        [[covers_until, 1, covers_until + timedelta(seconds=1)]],
    )

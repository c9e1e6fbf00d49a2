"""A store of a given size: one fixed customer, and as much around it as the size asks for.

The fixed customer has the same machines at every size. A larger store holds more customers
and an older history, of everybody.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from benchmarks.fleet import SLOTS_PER_DAY, Replay, replay, table, weeks
from benchmarks.sources import STEP, Source
from data_collector.storage.rollups import Rollups
from optiinfra_database import Store
from optiinfra_database.directory import Directory

CUSTOMER = "acme"
PROVIDER = "azure"
_MACHINES = 60
_MACHINES_OF_OTHERS = 20
_PROVIDERS = ("aws", "azure", "gcp")
_SERIES_PER_INSERT = 400
_DAYS = ((2_000_000, 7), (20_000_000, 30))
_MOST_DAYS = 60
_RETENTION = timedelta(days=90)


def fill(store: Store, sources: Sequence[Source], points: int, *, end: datetime) -> int:
    """Replace everything in the store by about `points` points up to `end`; how many it has."""
    _empty(store)
    last = int(end.timestamp()) // STEP
    days = next((days for limit, days in _DAYS if points <= limit), _MOST_DAYS)
    first = last - days * SLOTS_PER_DAY
    series = _fleets(sources, points, first, last)
    for start, stop in weeks(first, last):
        for begin in range(0, len(series), _SERIES_PER_INSERT):
            rows = table(series[begin : begin + _SERIES_PER_INSERT], start, stop)
            store.insert_arrow("performance_metrics", rows)
    customers = sorted({(one.customer_id, one.provider, one.account_id) for one in series})
    Directory(store).announce(customers)
    _fill_ledger(store, days, end)
    _fill_inventory(store, days, end)
    _settle(store)
    Rollups(store, retention=_RETENTION).refresh(end)
    ((stored,),) = store.query("SELECT count() FROM performance_metrics")
    return int(stored)


def _fleets(sources: Sequence[Source], points: int, first: int, last: int) -> list[Replay]:
    series = replay(
        sources,
        customer_id=CUSTOMER,
        provider=PROVIDER,
        machines=_MACHINES,
        first=first,
        last=last,
    )
    number = 0
    while len(series) * (last - first) < points:
        series += replay(
            sources,
            customer_id=f"customer-{number:03}",
            provider=_PROVIDERS[number % len(_PROVIDERS)],
            machines=_MACHINES_OF_OTHERS,
            first=first,
            last=last,
            seed=len(series),
        )
        number += 1
    return series


def _empty(store: Store) -> None:
    for (name,) in store.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND engine LIKE '%MergeTree' AND name != 'schema_migrations'"
    ):
        store.command(f"TRUNCATE TABLE {name}")


def _fill_ledger(store: Store, days: int, end: datetime) -> None:
    """A successful outcome of each kind for every account and quarter of an hour."""
    for kind, scope in (("performance", "eu-west-1"), ("resources", "eu-west-1/compute")):
        store.command(
            """
            INSERT INTO collection_outcomes (customer_id, provider, account_id, kind, scope,
                run_id, window_start, window_end, status, collected_until, rows, dropped,
                api_calls, price_usd, error_class, error, started_at, finished_at)
            SELECT customer_id, provider, account_id, {kind:String},
                concat(provider, '/', account_id, '/', {scope:String}),
                concat('run-', toString(number)),
                {end:DateTime('UTC')} - toIntervalMinute(15 * (number + 1)) AS opened,
                opened + toIntervalMinute(15) AS closed, 'ok', closed, 1000, map(),
                map('metrics:read', 7), 0.01, '', '', closed + 120, closed + 121
            FROM accounts CROSS JOIN numbers({windows:UInt32}) AS counted
            """,
            {"kind": kind, "scope": scope, "end": end, "windows": days * 96},
        )


def _fill_inventory(store: Store, days: int, end: datetime) -> None:
    """Each machine that has points: its state, a snapshot every quarter hour, some changes."""
    began = end - timedelta(days=days)
    store.command(
        """
        INSERT INTO resources_latest (customer_id, provider, resource_id, account_id, scope,
            resource_name, resource_type, status, region, metadata, first_seen, last_seen,
            deleted_at, updated_at)
        SELECT customer_id, provider, resource_id, any(account_id),
            concat(provider, '/', any(account_id), '/eu-west-1/compute'), any(resource_name),
            any(metric_type), if(cityHash64(resource_id) % 9 = 0, 'stopped', 'running'),
            'eu-west-1', concat('{"created_at":"2025-01-01T00:00:00Z","instance_type":"m5.large",',
            '"memory_bytes":8589934592,"native_status":"running","tags":{"env":"prod","name":"',
            any(resource_name), '","owner":"team-',
            toString(cityHash64(resource_id) % 7), '"},"vcpus":2,"zone":"eu-west-1a"}'),
            {began:DateTime('UTC')}, {end:DateTime('UTC')}, toDateTime(0, 'UTC'), now64(3)
        FROM metrics_latest FINAL GROUP BY customer_id, provider, resource_id
        """,
        {"began": began, "end": end},
    )
    store.command(
        """
        INSERT INTO resource_metrics (timestamp, customer_id, provider, account_id, scope,
            metric_type, resource_id, resource_name, resource_type, status, region, metadata,
            collected_at)
        SELECT {end:DateTime('UTC')} - toIntervalMinute(15 * number) AS listed, customer_id,
            provider, account_id, scope, resource_type, resource_id, resource_name,
            resource_type, status, region, metadata, listed + 1
        FROM resources_latest FINAL CROSS JOIN numbers({snapshots:UInt32}) AS counted
        SETTINGS max_partitions_per_insert_block = 0
        """,
        {"end": end, "snapshots": days * 96},
    )
    store.command(
        """
        INSERT INTO resource_changes (timestamp, customer_id, provider, account_id, scope,
            change, resource_id, resource_name, resource_type, before, after, since, run_id,
            recorded_at)
        SELECT {end:DateTime('UTC')} - toIntervalMinute(
                15 * (1 + cityHash64(resource_id, number) % ({days:UInt32} * 96))) AS moment,
            customer_id, provider, account_id, scope, 'status_changed', resource_id,
            resource_name, resource_type, '{"status":"running"}', '{"status":"stopped"}',
            moment - 900, concat('run-', toString(number)), moment + 1
        FROM resources_latest FINAL CROSS JOIN numbers({days:UInt32}) AS counted
        """,
        {"end": end, "days": days},
    )


def _settle(store: Store) -> None:
    """Let the merges that the load has started come to their end."""
    for (name,) in store.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND engine LIKE 'Replacing%'"
    ):
        store.command(f"OPTIMIZE TABLE {name}")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ((merges,),) = store.query("SELECT count() FROM system.merges")
        if not merges:
            return
        time.sleep(0.5)


def quarter_hour() -> datetime:
    """The last quarter of an hour, where a schedule would have read up to."""
    return datetime.fromtimestamp(int(time.time()) // 900 * 900, UTC)

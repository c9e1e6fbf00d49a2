"""A cluster of two shards answers as one store does.

Both get the same rows in the same way. See `support.cluster_http` for what of a cluster is
played here and what is not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from support.collector import Clock, TestCollector
from support.inventory import list_scope, resource
from support.points import put_points
from support.processes import TESTS
from support.servers import cluster_server

from data_collector.storage.ledger_totals import LedgerTotals
from data_collector.storage.rollups import Rollups
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Window
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store, connect, migrate
from optiinfra_database.directory import Directory
from optiinfra_database.migrate import status
from performance_agent.readers.coverage_reader import CoverageReader
from performance_agent.readers.performance_reader import PerformanceReader, Sort
from performance_agent.readers.selection import Selection
from resource_agent.readers.resource_reader import ChangeFilters, ResourceReader
from resource_agent.readers.selection import Filters, Owner

# The cluster is filled once, by one worker.
pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.thorough]

NOW = datetime.now(UTC).replace(microsecond=0)
WINDOW = Window(NOW - timedelta(days=6), NOW)
ACME = Selection("acme", ["simulated"], WINDOW)
OWNER = Owner("acme", ["simulated"])
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with cluster_server(tmp_path_factory.mktemp("cluster")) as server:
        store = connect(server.url)
        migrate(store)
        yield store
        store.close()


@pytest.fixture(scope="module")
def both(migrated_store: Store, cluster: Store) -> Sequence[Store]:
    """One server and the cluster with the same rows; no test here changes them."""
    for store in (migrated_store, cluster):
        for (name,) in store.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() "
            "AND engine LIKE '%MergeTree' AND name NOT LIKE 'schema_migrations%'"
        ):
            store.command(f"TRUNCATE TABLE {name}")
        fill(store)
    return migrated_store, cluster


def fill(store: Store) -> None:
    """Two customers, collected over three days; points that were corrected; rollups."""
    clock = Clock(NOW - timedelta(days=4))
    for customer in ("acme", "umbrella"):
        account = Account(
            customer_id=customer,
            account_id="prod",
            provider="simulated",
            options={"seed": 7, "scopes": 2, "resources": 7, "late_rate": 0.1},
        )
        Directory(store).announce([(customer, "simulated", "prod")])
        clock.now = NOW - timedelta(days=4)
        collector = TestCollector(store, SimulatedProvider(clock=clock), account, clock)
        for _ in range(3):
            collector.collect(Kind.PERFORMANCE)
            collector.collect(Kind.RESOURCES)
            clock.forward(timedelta(hours=18))
    put_points(store, [NOW - HOUR] * 2, [1.0, 2.0], provider="simulated", collected_at=NOW)
    put_points(
        store, [NOW - HOUR], [3.0], provider="simulated", collected_at=NOW + timedelta(seconds=5)
    )
    prod = Account(customer_id="acme", account_id="prod", provider="simulated")
    for hours, ids in ((5, range(20)), (4, range(5, 25)), (3, range(10, 25))):
        list_scope(
            store,
            NOW - timedelta(hours=hours),
            *(resource(f"i-{number}", metadata={"vcpus": number}) for number in ids),
            account=prod,
            scope="simulated/prod/listed",
        )
    Rollups(store, retention=timedelta(days=90)).refresh(NOW)


PERFORMANCE: dict[str, Any] = {
    "points": lambda reader: reader.get_performance_metrics(ACME, ascending=True, limit=5000).rows,
    "page": lambda reader: reader.get_performance_metrics(ACME, ascending=False, limit=50).next_key,
    "points of some resources": lambda reader: (
        reader.get_performance_metrics(
            replace(ACME, resource_ids=["i-1", "sim-0-1"]), ascending=True, limit=5000
        ).rows
    ),
    "latest": lambda reader: reader.get_latest_performance(ACME, limit=500).rows,
    "trends": lambda reader: (
        reader.get_performance_trends(ACME, bucket=HOUR, by_resource=False, limit=5000).rows
    ),
    "trends of short ranges": lambda reader: (
        reader.get_performance_trends(
            replace(ACME, window=Window(NOW - timedelta(days=2), NOW)),
            bucket=HOUR,
            by_resource=False,
            limit=5000,
        ).rows
    ),
    "trends by resource": lambda reader: (
        reader.get_performance_trends(
            ACME, bucket=timedelta(days=1), by_resource=True, limit=5000
        ).rows
    ),
    "by resource": lambda reader: (
        reader.get_performance_by_resource(ACME, sort=Sort.RESOURCE_ID, limit=500).rows
    ),
    "summary": lambda reader: reader.get_performance_summary(ACME),
}
RESOURCES: dict[str, Any] = {
    "list": lambda reader: reader.get_resources(OWNER, Filters(), limit=500).rows,
    "with deleted": lambda reader: (
        reader.get_resources(OWNER, Filters(), limit=500, include_deleted=True).rows
    ),
    "as of": lambda reader: (
        reader.get_resources(
            OWNER, Filters(), limit=500, as_of=NOW - timedelta(hours=4, minutes=30)
        ).rows
    ),
    "one as of": lambda reader: reader.get_resource_by_id(
        OWNER, "i-2", as_of=NOW - timedelta(hours=4, minutes=30)
    ),
    "one": lambda reader: reader.get_resource_by_id(OWNER, "i-12"),
    "by type": lambda reader: reader.get_resources_by_type(OWNER, (), limit=100),
    "changes": lambda reader: (
        reader.get_resource_changes(OWNER, WINDOW, ChangeFilters(), limit=500).rows
    ),
    "summary": lambda reader: reader.get_resource_summary(OWNER),
}


def answers(both: Sequence[Store], reader: Any, question: Any) -> list[str]:
    """What each of the two answers, but for the ids of runs and the last digits of a mean,
    which depend on the order of a sum."""
    return [
        re.sub(
            r"\d+\.\d{6,}",
            lambda number: f"{float(number[0]):.9g}",
            re.sub(r'"run_id":"\w+"', "", str(question(reader(store)))),
        )
        for store in both
    ]


@pytest.mark.parametrize("question", PERFORMANCE)
def test_performance_answers_are_the_same(both, question):
    alone, cluster = answers(both, PerformanceReader, PERFORMANCE[question])
    assert alone == cluster
    assert len(alone) > 20


@pytest.mark.parametrize("question", RESOURCES)
def test_inventory_answers_are_the_same(both, question):
    alone, cluster = answers(both, ResourceReader, RESOURCES[question])
    assert alone == cluster
    assert len(alone) > 20


def test_coverage_is_the_same(both):
    alone, cluster = answers(
        both,
        lambda store: CoverageReader(store, timedelta(minutes=15)),
        lambda reader: reader.get_coverage("acme", ["simulated"], WINDOW),
    )
    assert alone == cluster


def test_the_bill_is_the_same(both):
    month = (NOW - timedelta(days=4)).date().replace(day=1)
    alone, cluster = (
        LedgerTotals(store, interval=timedelta(minutes=15)).usage(month) for store in both
    )
    assert alone == cluster
    assert alone


def test_rows_lie_on_both_shards_and_each_key_on_one(cluster):
    shards = cluster.query(
        "SELECT shardNum() AS shard, uniqExact(resource_id), count() FROM performance_metrics "
        "GROUP BY shard ORDER BY shard"
    )
    assert [shard for shard, _, _ in shards] == [1, 2]
    ((spread,),) = cluster.query(
        "SELECT max(shards) FROM (SELECT uniqExact(shard) AS shards FROM "
        "(SELECT shardNum() AS shard, customer_id, resource_id FROM performance_metrics) "
        "GROUP BY customer_id, resource_id)"
    )
    assert spread == 1


def test_what_would_be_asked_of_each_shard_alone_is_refused(cluster):
    """So that a statement that forgets GLOBAL is found here and not at a customer's."""
    with pytest.raises(DatabaseError, match="Double-distributed"):
        cluster.query(
            "SELECT count() FROM resource_metrics WHERE resource_id IN "
            "(SELECT resource_id FROM resources_latest)"
        )


def test_migrations_are_recorded_once_and_retention_follows_the_settings(cluster):
    assert {entry.state for entry in status(cluster)} == {"applied"}
    assert migrate(cluster, retention_days=30) == []
    ((kept,),) = cluster.query(
        "SELECT extract(engine_full, 'toIntervalDay\\((\\d+)\\)') FROM system.tables "
        "WHERE database = currentDatabase() AND name = 'performance_metrics_local'"
    )
    assert kept == "30"
    migrate(cluster)


def test_a_start_asks_nothing_of_every_server(cluster, monkeypatch):
    """It would wait for one that is away."""
    asked: list[str] = []
    monkeypatch.setattr(cluster, "command", asked.append)
    assert migrate(cluster) == []
    assert asked == []


def test_the_engine_makes_replicated_tables_of_the_rendered_statements(tmp_path: Path):
    """With a Keeper of its own; a process apart, since nothing but DDL works there."""
    script = TESTS / "support" / "replicated_ddl.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    engines = dict(line.split("\t") for line in done.stdout.splitlines())
    assert engines["performance_metrics"] == "Distributed", done.stderr
    local = {name: engine for name, engine in engines.items() if name.endswith("_local")}
    assert local
    assert all(engine.startswith("Replicated") for engine in local.values())

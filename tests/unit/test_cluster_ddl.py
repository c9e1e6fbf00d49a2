"""What the migrations' statements are on a cluster."""

from __future__ import annotations

import re

import pytest
from support.golden import REPOSITORY

from optiinfra_database.cluster import LOCAL, on_cluster
from optiinfra_database.migrate import load_migrations

STATEMENTS = [text for migration in load_migrations() for text in migration.statements()]
TABLES = [text for text in STATEMENTS if text.startswith("CREATE TABLE")]


def rendered(statement: str) -> list[str]:
    return on_cluster(statement, cluster="fleet", database="metrics")


def columns_of(clause: str, text: str) -> set[str]:
    found = re.search(clause, text, re.MULTILINE)
    assert found
    return {name.strip() for name in found[1].split(",")}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: text.split("(")[0].strip())
def test_every_statement_of_the_migrations_has_a_form_on_a_cluster(statement):
    for one in rendered(statement):
        assert " ON CLUSTER fleet" in one
        may_run_again = "IF NOT EXISTS" in one or "MODIFY COLUMN" in one
        assert may_run_again


@pytest.mark.parametrize("table", TABLES, ids=lambda text: text.split()[2])
def test_all_versions_of_a_key_belong_to_one_shard(table):
    """Else FINAL, which each shard computes for itself, leaves several versions of a key."""
    local, distributed = rendered(table)
    sharded_by = columns_of(r"cityHash64\((.+?)\)", distributed)
    assert sharded_by <= columns_of(r"^ORDER BY \(?(.+?)\)?$", local)
    if "resource_id" in columns_of(r"^ORDER BY \(?(.+?)\)?$", local):
        assert sharded_by == {"customer_id", "resource_id"}


@pytest.mark.parametrize("table", TABLES, ids=lambda text: text.split()[2])
def test_rows_are_replicated_and_reached_through_the_plain_name(table):
    name = table.split()[2]
    local, distributed = rendered(table)
    assert f"{name}{LOCAL} ON CLUSTER" in local
    assert re.search(
        r"ENGINE = Replicated\w*MergeTree\('/clickhouse/tables/{shard}/{database}/{table}', "
        r"'{replica}'",
        local,
    )
    assert "non_replicated" not in local
    assert f"TABLE IF NOT EXISTS {name} ON CLUSTER fleet AS {name}{LOCAL}" in distributed
    assert f"ENGINE = Distributed(fleet, metrics, {name}{LOCAL}, " in distributed


def test_a_version_column_stays_behind_the_replica():
    (local, _) = rendered("CREATE TABLE t\n(a Int8)\nENGINE = ReplacingMergeTree(a)\nORDER BY a")
    assert "'{replica}', a)" in local


def test_a_view_feeds_its_shard_from_its_shard():
    (view,) = rendered("CREATE MATERIALIZED VIEW v TO t AS\nSELECT a FROM s\nLIMIT 1 BY a")
    assert view == (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER fleet TO t_local AS\n"
        "SELECT a FROM s_local\nLIMIT 1 BY a"
    )


def test_a_column_is_added_to_both_tables():
    assert rendered("ALTER TABLE t\n    ADD COLUMN IF NOT EXISTS a Int8") == [
        "ALTER TABLE t_local ON CLUSTER fleet ADD COLUMN IF NOT EXISTS a Int8",
        "ALTER TABLE t ON CLUSTER fleet ADD COLUMN IF NOT EXISTS a Int8",
    ]


def test_what_only_rows_have_changes_where_rows_are():
    assert rendered("ALTER TABLE t MODIFY TTL a + toIntervalDay(1)") == [
        "ALTER TABLE t_local ON CLUSTER fleet MODIFY TTL a + toIntervalDay(1)"
    ]


@pytest.mark.parametrize("statement", ["DROP TABLE t", "CREATE VIEW v AS SELECT 1"])
def test_a_statement_without_a_known_form_is_refused(statement):
    with pytest.raises(ValueError, match="no form on a cluster"):
        rendered(statement)


def test_a_subquery_over_another_table_is_asked_once_for_all_shards():
    """ClickHouse refuses one that forgot it, on a cluster only."""
    texts = [
        path.read_text()
        for folder in ("database", "services")
        for path in (REPOSITORY / folder).glob("**/src/**/*.py")
        if path.parent.name in ("storage", "readers", "optiinfra_database")
    ]
    assert any("GLOBAL IN (SELECT" in text for text in texts)
    for text in texts:
        assert not re.search(r"(?<!GLOBAL )\bIN \(SELECT", text)

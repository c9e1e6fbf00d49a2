"""Migrations: applied once, repeatable after a cut, refused where they would do harm."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module

import pyarrow as pa
import pytest

from optiinfra.errors import StoreError, StoreUnavailableError
from optiinfra_database import Store, connect, migrate
from optiinfra_database.migrate import (
    SUMMARY_RETENTION_DAYS,
    Migration,
    load_migrations,
    require_migrated,
    status,
)
from optiinfra_database.tables import WRITTEN_FROM_ARROW, table_name

LEDGER = "schema_migrations"
STATEMENTS = [text for migration in load_migrations() for text in migration.statements()]


@pytest.fixture
def empty(migrated_store: Store) -> Iterator[Store]:
    """Another database of the same store, without a table."""
    name = "migrations_test"
    migrated_store.command(f"DROP DATABASE IF EXISTS {name}")
    server = os.environ.get("OPTIINFRA_TEST_STORE")
    store = connect(
        f"{server.rpartition('/')[0]}/{name}"
        if server
        else f"{migrated_store.where}?database={name}"
    )
    yield store
    store.close()
    migrated_store.command(f"DROP DATABASE {name}")


def shipping(monkeypatch: pytest.MonkeyPatch, migrations: Sequence[Migration]) -> None:
    """Let the installed version ship these."""
    module = import_module("optiinfra_database.migrate")
    monkeypatch.setattr(module, "load_migrations", lambda: list(migrations))


def tables(store: Store) -> set[str]:
    rows = store.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    return {name for (name,) in rows} - {LEDGER}


def states(store: Store) -> set[str]:
    return {entry.state for entry in status(store)}


def retention(store: Store) -> dict[str, int]:
    """Days by table, for tables whose rows expire."""
    rows = store.query(
        "SELECT name, extract(engine_full, 'toIntervalDay\\((\\d+)\\)') AS days "
        "FROM system.tables WHERE database = currentDatabase() AND days != ''"
    )
    return {name: int(days) for name, days in rows}


def test_what_is_shipped_is_numbered_without_a_gap():
    shipped = [migration.version for migration in load_migrations()]
    assert shipped == list(range(1, len(shipped) + 1))


def test_a_look_at_the_status_makes_no_table_but_the_ledger(empty):
    assert states(empty) == {"pending"}
    assert tables(empty) == set()


def test_each_is_applied_once_and_recorded(empty):
    assert [done.version for done in migrate(empty)] == [m.version for m in load_migrations()]
    assert migrate(empty) == []
    recorded = status(empty)
    assert {entry.state for entry in recorded} == {"applied"}
    assert all(entry.applied_at and entry.applied_at.tzinfo for entry in recorded)
    rows = empty.query(f"SELECT version, name, checksum FROM {LEDGER} FINAL ORDER BY version")
    assert rows == [(m.version, m.name, m.checksum) for m in load_migrations()]


@pytest.mark.parametrize("after", range(len(STATEMENTS)))
def test_one_that_was_cut_off_is_run_again(empty, migrated_store, monkeypatch, after):
    done = 0
    run = empty.command

    def cut_off(sql: str) -> None:
        nonlocal done
        if sql.startswith(("CREATE", "ALTER")) and LEDGER not in sql:
            if done == after:
                raise KeyboardInterrupt
            done += 1
        run(sql)

    with monkeypatch.context() as patch:
        patch.setattr(empty, "command", cut_off)
        with pytest.raises(KeyboardInterrupt):
            migrate(empty)
    assert len(tables(empty)) == sum(text.startswith("CREATE") for text in STATEMENTS[:after])
    assert "in_progress" in states(empty)
    assert migrate(empty)
    assert states(empty) == {"applied"}
    assert tables(empty) == tables(migrated_store)


def test_an_applied_file_that_was_changed_is_refused(empty, monkeypatch):
    migrate(empty)
    first, *others = load_migrations()
    changed = replace(first, sql=first.sql.replace("Float64", "Float32"))
    shipping(monkeypatch, [changed, *others])
    with pytest.raises(StoreError, match=r"0001 performance was changed after it was applied"):
        migrate(empty)


def test_one_that_never_ended_can_be_mended(empty, monkeypatch):
    first, *others = load_migrations()
    broken = replace(first, sql=first.sql + "CREATE TABLE broken (a Nothing_of_this_name);")
    shipping(monkeypatch, [broken, *others])
    with pytest.raises(Exception, match="Nothing_of_this_name"):
        migrate(empty)
    shipping(monkeypatch, [first, *others])
    assert states(empty) == {"in_progress", "pending"}
    migrate(empty)
    assert states(empty) == {"applied"}


def test_versions_before_and_after_a_migration_meet_the_store(empty, monkeypatch):
    migrate(empty)
    newest = load_migrations()[-1].version
    shipping(monkeypatch, load_migrations()[:-1])
    assert migrate(empty) == []
    assert {entry.state for entry in status(empty)} == {"applied"}
    require_migrated(empty)
    shipping(monkeypatch, [*load_migrations(), Migration(newest + 1, "later", "SELECT 1")])
    with pytest.raises(StoreUnavailableError, match=f"lacks migration {newest + 1:04}"):
        require_migrated(empty)


def test_a_migration_only_adds():
    """The version before works on the migrated store until its last process is replaced."""
    taking = re.compile(
        r"\b(DROP|RENAME|CLEAR|DETACH|TRUNCATE|MODIFY COLUMN(?! \w+ DEFAULT))\b", re.IGNORECASE
    )
    for migration in load_migrations():
        for statement in migration.statements():
            assert not taking.search(statement), f"{migration.version:04}: {statement[:60]}"


def test_a_new_file_is_applied_to_a_store_in_use(empty, monkeypatch):
    migrate(empty)
    shipped = load_migrations()
    version = shipped[-1].version + 1
    sql = "-- A column; later.\nALTER TABLE accounts ADD COLUMN IF NOT EXISTS note String;\n"
    shipping(monkeypatch, [*shipped, Migration(version, "note", sql)])
    assert [entry.state for entry in status(empty)][-1] == "pending"
    assert [done.version for done in migrate(empty)] == [version]
    assert empty.query("SELECT count(note) FROM accounts") == [(0,)]


def test_retention_follows_the_settings_in_both_directions(empty):
    migrate(empty)
    by_default = retention(empty)
    summaries = {name for name, days in by_default.items() if days == SUMMARY_RETENTION_DAYS}
    assert summaries == {"metrics_1h", "metrics_1d", "collection_usage"}
    for days in (7, 500, 90):
        migrate(empty, retention_days=days)
        assert retention(empty) == {
            name: max(days, SUMMARY_RETENTION_DAYS) if name in summaries else days
            for name in by_default
        }
    assert retention(empty) == by_default


def test_rows_beyond_a_shorter_retention_go(empty):
    migrate(empty)
    empty.command(
        "INSERT INTO rollup_refreshes SELECT now() - toIntervalDay(number * 20), 1, now() "
        "FROM numbers(3)"
    )
    migrate(empty, retention_days=30)
    empty.command("OPTIMIZE TABLE rollup_refreshes FINAL")
    assert empty.query("SELECT count() FROM rollup_refreshes") == [(2,)]


_COMPATIBLE = {
    "LowCardinality(String)": (pa.dictionary(pa.int32(), pa.string()), pa.string()),
    "String": (pa.string(), pa.dictionary(pa.int32(), pa.string())),
    "Float64": (pa.float64(),),
    "Bool": (pa.bool_(),),
    "DateTime('UTC')": (pa.uint32(),),
    "DateTime64(3, 'UTC')": (pa.timestamp("ms", "UTC"),),
}


@pytest.mark.parametrize("schema", WRITTEN_FROM_ARROW, ids=table_name)
def test_declared_columns_are_the_real_ones(store, schema):
    real = store.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() "
        "AND table = {table:String} AND default_kind = '' ORDER BY position",
        {"table": table_name(schema)},
    )
    assert [name for name, _ in real] == schema.names
    for name, type in real:
        assert schema.field(name).type in _COMPATIBLE[type], f"{name} is {type}"


@pytest.mark.parametrize("schema", WRITTEN_FROM_ARROW, ids=table_name)
def test_a_declared_row_is_taken_as_it_is(store, schema):
    now = 1_790_000_000  # not expired, not of the future
    plain = {pa.uint32(): now, pa.float64(): 1.5, pa.bool_(): True}
    values = {
        field.name: plain.get(field.type, now * 1000 if pa.types.is_timestamp(field.type) else "é'")
        for field in schema
    }
    rows = pa.table({name: pa.array([value]) for name, value in values.items()}).cast(schema)
    store.insert_arrow(table_name(schema), rows)
    (found,) = store.stream_arrow(f"SELECT {', '.join(schema.names)} FROM {table_name(schema)}")
    stored = found.to_pydict()
    for name, value in values.items():
        assert stored[name] == [value] or pa.types.is_timestamp(schema.field(name).type), name
        if pa.types.is_timestamp(schema.field(name).type):
            assert stored[name][0].timestamp() == now

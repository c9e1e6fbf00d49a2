"""What an address of a store means, and that its password stays out of sight."""

from __future__ import annotations

import traceback

import pytest

from optiinfra.errors import ConfigError, StoreError
from optiinfra_database import connect
from optiinfra_database.client import DEFAULT_DATABASE

PASSWORD = "planted-p4ssword"


@pytest.mark.parametrize(
    ("dsn", "directory"),
    [
        ("chdb://{here}/deep/store", "deep/store"),
        ("chdb://relative/store", "relative/store"),
        ("chdb://./store", "store"),
        ("chdb://~/store", "home/store"),
        ("chdb://{here}/a b%20c", "a b%20c"),
        ("chdb://{here}/up/../store", "store"),
    ],
)
def test_a_directory_is_made_where_the_address_says(tmp_path, monkeypatch, dsn, directory):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    store = connect(dsn.format(here=tmp_path), create_database=False)
    assert store.where == f"chdb://{tmp_path / directory}"
    assert (tmp_path / directory).is_dir()
    assert store.database == DEFAULT_DATABASE


@pytest.mark.parametrize(
    ("dsn", "where", "database"),
    [
        ("clickhouse://db.example", "clickhouse://db.example:8123", DEFAULT_DATABASE),
        ("clickhouse://db.example/", "clickhouse://db.example:8123", DEFAULT_DATABASE),
        ("clickhouse://u:p@db.example:9000/acme", "clickhouse://db.example:9000", "acme"),
        ("clickhouses://db.example/acme_2", "clickhouses://db.example:8443", "acme_2"),
        ("clickhouse:///acme", "clickhouse://localhost:8123", "acme"),
    ],
)
def test_a_server_has_ports_and_a_database_by_default(dsn, where, database):
    store = connect(dsn, create_database=False)
    assert (store.where, store.database) == (where, database)


@pytest.mark.parametrize(
    ("options", "database"),
    [
        ("?database=acme_metrics", "acme_metrics"),
        ("?database=", DEFAULT_DATABASE),
        ("?", DEFAULT_DATABASE),
    ],
)
def test_an_embedded_store_can_hold_another_database(tmp_path, options, database):
    assert connect(f"chdb://{tmp_path}{options}", create_database=False).database == database


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("", "has no scheme"),
        ("/var/lib/optiinfra", "has no scheme"),
        ("postgres://db/optiinfra", "postgres:// is no known scheme"),
        ("CHDB://store", "CHDB:// is no known scheme"),
        ("chdb://", "needs a directory"),
        ("chdb://?database=x", "needs a directory"),
        ("clickhouse://db:http/optiinfra", "host and port"),
        ("clickhouse://db:99999/optiinfra", "host and port"),
        ("clickhouse://[db/optiinfra", "host and port"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(dsn, told):
    with pytest.raises(ConfigError, match="OPTIINFRA_STORE") as refused:
        connect(dsn, create_database=False)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "name", ["a-b", "a.b", "a b", "1a", "café", "a;DROP DATABASE b", "a'", "a/b", "%60a%60"]
)
def test_a_database_name_is_never_sql(tmp_path, name):
    for dsn in (
        f"clickhouse://db/{name}",
        f"chdb://{tmp_path}?database={name.replace(';', '%3B')}",
    ):
        with pytest.raises(ConfigError, match="database name"):
            connect(dsn, create_database=False)


@pytest.mark.parametrize("name", ["a-b", "a b", "1a", "a;DROP DATABASE b", "'"])
def test_a_cluster_name_is_never_sql(name):
    with pytest.raises(ConfigError, match="cluster name"):
        connect(f"clickhouse://db/m?cluster={name.replace(';', '%3B')}", create_database=False)


def test_a_directory_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=f"{tmp_path}/file/store"):
        connect(f"chdb://{tmp_path}/file/store")


def test_a_store_shows_where_it_is_and_no_password():
    store = connect(f"clickhouse://collector:{PASSWORD}@db.example/acme", create_database=False)
    assert store.where == "clickhouse://db.example:8123"
    assert PASSWORD not in repr(store) + str(store) + repr(vars(store))


@pytest.mark.parametrize(
    "dsn",
    [
        f"collector:{PASSWORD}@db.example:8123/acme",
        f"clickhous://collector:{PASSWORD}@db.example/acme",
        f"clickhouse://collector:{PASSWORD}@db.example:port/acme",
        f"clickhouse://collector:{PASSWORD}#1@db.example/acme",
        f"clickhouse://collector:{PASSWORD}/1@db.example/acme",
        f"clickhouse://collector:[{PASSWORD}@db.example/acme",
        f"clickhouse://collector:{PASSWORD}@db.example/no-name",
        f"clickhouse://collector:{PASSWORD}\N{FULLWIDTH QUESTION MARK}@db.example/acme",
        f"clickhouse://collector:{PASSWORD}@127.0.0.1:1/acme",
    ],
)
def test_no_error_shows_the_password(dsn):
    with pytest.raises((ConfigError, StoreError)) as refused:
        connect(dsn)
    error: BaseException | None = refused.value
    while error:
        # Lines of source are not the fault; what the errors and their causes say would be.
        assert PASSWORD not in "".join(traceback.format_exception_only(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

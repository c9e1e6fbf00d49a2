"""What guards the store itself: limits on a query, a user who may only read, and TLS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from kombu import Connection
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from support.api import Api
from support.points import put_customer, put_points
from support.servers import Server, clickhouse_server, redis_server

from data_collector.celery_app import configuration
from data_collector.coordination import connect_coordination
from optiinfra.collector_client import CollectorClient
from optiinfra.errors import (
    BrokerUnavailableError,
    ConfigError,
    QueryTooLargeError,
    StoreError,
    StoreUnavailableError,
)
from optiinfra.settings import Settings
from optiinfra_database import Store, connect, migrate
from performance_agent.main import create_app as performance_app
from resource_agent.main import create_app as resource_app


class TestLimits:
    """Somebody who asks for too much is told so, and nobody else feels it."""

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT number FROM numbers(2000000)",
            "SELECT groupArray(toString(rand64())) FROM numbers(100000000)",
        ],
        ids=["rows of the answer", "memory"],
    )
    def test_an_answer_has_limits(self, store: Store, sql: str) -> None:
        with pytest.raises(QueryTooLargeError, match="shorter range"):
            store.query_bytes(sql, format="TSVRaw")
        store.ping()

    def test_an_export_may_be_as_long_as_it_likes(self, store: Store) -> None:
        pieces = store.stream_bytes("SELECT number FROM numbers(2000000)", format="TSVRaw")
        assert sum(piece.count(b"\n") for piece in pieces) == 2_000_000

    def test_an_export_over_its_memory_is_told_too(self, store: Store) -> None:
        sql = (
            "SELECT groupArray(toString(rand64())) FROM numbers(100000000) "
            "SETTINGS max_memory_usage = 100000000"
        )
        with pytest.raises(QueryTooLargeError):
            list(store.stream_bytes(sql, format="TSVRaw"))

    @pytest.mark.parametrize("form", ["json", "csv", "ndjson", "parquet"])
    def test_a_request_over_them_is_422_and_says_what_to_do(
        self, store: Store, form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_customer(store, "acme", "aws")
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        times = [now - timedelta(minutes=minute) for minute in range(1, 100)]
        put_points(store, times, [1.0] * 99)
        for limits in ("ANSWER_LIMITS", "EXPORT_LIMITS"):
            monkeypatch.setattr(f"optiinfra_database.client.{limits}", {"max_rows_to_read": 5})
        bounded = connect(_address(store), create_database=False)
        api = Api(performance_app(Settings(), bounded, CollectorClient("http://collector")))
        answer = api.get(f"/api/v2/performance/acme/aws/metrics?format={form}")
        bounded.close()
        assert answer.status_code == 422
        assert "shorter range" in answer.json()["detail"]


def _address(store: Store) -> str:
    if not store.where.startswith("chdb:"):
        pytest.skip("the address of a server does not hold its password")
    return store.where


READER = "reader:of-everything"


class TestReader:
    """The agents need no user who may write."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with clickhouse_server(tmp_path_factory.mktemp("store"), reader=READER) as running:
            owner = connect(running.url)
            migrate(owner)
            put_customer(owner, "acme", "aws")
            now = datetime.now(UTC).replace(second=0, microsecond=0)
            times = [now - timedelta(minutes=minute) for minute in range(1, 50)]
            put_points(owner, times, [1.0] * 49)
            owner.close()
            running.url = running.url.replace("default:", READER)
            yield running

    @pytest.fixture
    def reading(self, server: Server) -> Iterator[Store]:
        store = connect(server.url, create_database=False)
        yield store
        store.close()

    @pytest.mark.parametrize("form", ["json", "csv", "ndjson", "parquet"])
    @pytest.mark.parametrize(
        "path",
        [
            "/api/v2/performance/acme/aws/metrics",
            "/api/v2/performance/acme/aws/latest",
            "/api/v2/performance/acme/aws/trends",
            "/api/v2/performance/acme/aws/by-resource",
            "/api/v2/performance/acme/aws/summary",
            "/api/v2/resources/acme/aws/list",
            "/api/v2/resources/acme/aws/changes",
        ],
    )
    def test_every_list_is_answered_in_every_form(
        self, reading: Store, path: str, form: str
    ) -> None:
        make = performance_app if "performance" in path else resource_app
        api = Api(make(Settings(), reading, CollectorClient("http://collector")))
        assert api.get(f"{path}?format={form}").status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/health/ready",
            "/api/v2/performance/acme/all/coverage",
            "/api/v2/resources/acme/all/by-type",
            "/api/v2/resources/acme/all/summary",
        ],
    )
    def test_and_so_is_the_rest(self, reading: Store, path: str) -> None:
        make = performance_app if "performance" in path else resource_app
        api = Api(make(Settings(), reading, CollectorClient("http://collector")))
        assert api.get(path).status_code == 200

    @pytest.mark.parametrize(
        "sql",
        [
            "TRUNCATE TABLE performance_metrics",
            "DROP TABLE performance_metrics",
            "CREATE TABLE more (n UInt8) ENGINE = Memory",
            "INSERT INTO collection_runs (run_id) VALUES ('x')",
            "ALTER TABLE accounts DELETE WHERE 1",
            "SET readonly = 0",
        ],
    )
    def test_nothing_can_be_written(self, reading: Store, sql: str) -> None:
        with pytest.raises(StoreError, match="refused the user"):
            reading.command(sql)
        assert reading.query("SELECT count() FROM performance_metrics") == [(49,)]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate, another one's, and a server's with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


class TestStoreOverTls:
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        store = tmp_path_factory.mktemp("store")
        with clickhouse_server(store, certificate=folder / "server.pem") as running:
            yield running.url

    def test_is_used_with_its_authority(self, url: str, folder: Path) -> None:
        store = connect(f"{url}?ca_cert={folder}/ca.pem")
        assert store.query("SELECT 1") == [(1,)]
        assert list(store.stream_bytes("SELECT 1", format="TSVRaw")) == [b"1\n"]
        store.close()

    @pytest.mark.parametrize("query", ["", "?ca_cert={folder}/other-ca.pem"])
    def test_is_refused_without(self, url: str, folder: Path, query: str) -> None:
        with pytest.raises(StoreUnavailableError):
            connect(url + query.format(folder=folder))

    def test_a_name_that_the_certificate_lacks_is_refused(self, url: str, folder: Path) -> None:
        with pytest.raises(StoreUnavailableError):
            connect(f"{url.replace('localhost', '127.0.0.1')}?ca_cert={folder}/ca.pem")

    def test_verification_cannot_be_turned_off(self, url: str) -> None:
        for option in ("verify=false", "ca_cert=/nowhere.pem"):
            with pytest.raises(ConfigError, match="ca_cert"):
                connect(f"{url}?{option}")


class TestBrokerOverTls:
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        data = tmp_path_factory.mktemp("redis")
        with redis_server(data, certificate=folder / "server.pem") as running:
            yield running.url

    def test_is_used_with_its_authority(self, url: str, folder: Path) -> None:
        trusted = f"{url}?ssl_ca_certs={folder}/ca.pem"
        assert connect_coordination(trusted).acquire("lock", "me", timedelta(seconds=5)) == "me"
        with _connection(trusted) as connection, connection.SimpleQueue("tls") as queue:
            queue.put({"over": "tls"})
            assert queue.get(timeout=5).payload == {"over": "tls"}

    @pytest.mark.parametrize("query", ["", "?ssl_ca_certs={folder}/other-ca.pem"])
    def test_is_refused_without(self, url: str, folder: Path, query: str) -> None:
        untrusted = url + query.format(folder=folder)
        with pytest.raises(BrokerUnavailableError):
            connect_coordination(untrusted).acquire("lock", "me", timedelta(seconds=5))
        with _connection(untrusted) as connection, pytest.raises(OperationalError):
            connection.ensure_connection(max_retries=1)


def _connection(url: str) -> Connection:
    """As Celery connects with our settings."""
    settings = Settings(broker=SecretStr(url))
    return Connection(url, ssl=configuration(settings)["broker_use_ssl"])

"""The store over ClickHouse's HTTP interface: what the embedded engine does, it does too."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.processes import free_port
from support.servers import Server, clickhouse_server

from optiinfra.errors import StoreError, StoreUnavailableError
from optiinfra_database import Store, connect, migrate
from optiinfra_database.migrate import status
from optiinfra_database.tables import PERFORMANCE_METRICS

USER, PASSWORD = "collector", "p@ss:/?#"
ESCAPED_PASSWORD = "p%40ss%3A%2F%3F%23"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    credentials = f"{USER}:{PASSWORD}"
    with clickhouse_server(tmp_path_factory.mktemp("server"), credentials) as running:
        running.url = running.url.replace(PASSWORD, ESCAPED_PASSWORD)
        yield running


@pytest.fixture(scope="module")
def remote(server: Server) -> Iterator[Store]:
    store = connect(server.url)
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def words(remote: Store) -> str:
    """An empty table of numbered words."""
    remote.command("DROP TABLE IF EXISTS words")
    remote.command("CREATE TABLE words (n UInt32, word String) ENGINE = MergeTree ORDER BY n")
    return "words"


def test_migrations_are_applied_once(remote):
    assert {entry.state for entry in status(remote)} == {"applied"}
    assert migrate(remote) == []


def test_retention_is_set_as_on_the_embedded_engine(remote):
    migrate(remote, retention_days=30)
    ((engine,),) = remote.query(
        "SELECT engine_full FROM system.tables "
        "WHERE database = currentDatabase() AND name = 'performance_metrics'"
    )
    assert "toIntervalDay(30)" in engine


def test_columnar_rows_are_in_the_store_when_the_insert_returns(remote):
    remote.command("TRUNCATE TABLE performance_metrics")
    count = 10_000
    numbers = [n / 3 for n in range(count)]
    values: dict[str, list[Any]] = {
        "timestamp": [int(NOON.timestamp()) + 60 * n for n in range(count)],
        "metric_value": numbers,
        "settled": [n % 2 == 0 for n in range(count)],
        "collected_at": [int(NOON.timestamp())] * count,
    }
    rows = pa.table(
        {
            field.name: pa.array(values.get(field.name, [f"a {field.name}"] * count)).cast(
                field.type
            )
            for field in PERFORMANCE_METRICS
        }
    )
    remote.insert_arrow("performance_metrics", rows)
    assert remote.query(
        "SELECT count(), sum(metric_value), countIf(settled), min(timestamp), any(unit) "
        "FROM performance_metrics"
    ) == [(count, pytest.approx(sum(numbers)), count // 2, NOON, "a unit")]
    assert remote.query("SELECT count() FROM metrics_latest FINAL") == [(1,)]


def test_few_rows_keep_types_nulls_and_maps(remote):
    remote.command("DROP TABLE IF EXISTS kinds")
    remote.command(
        "CREATE TABLE kinds (at DateTime64(3, 'UTC'), until Nullable(DateTime64(3, 'UTC')), "
        "calls Map(LowCardinality(String), UInt64)) ENGINE = MergeTree ORDER BY at"
    )
    row = (NOON.replace(microsecond=123000), None, {"list": 3, "it's": 1})
    remote.insert("kinds", ["at", "until", "calls"], [row])
    assert remote.query("SELECT * FROM kinds") == [row]


def test_an_answer_comes_whole_or_in_pieces_and_is_the_same(remote):
    sql = "SELECT number, concat('row ', toString(number)) AS word FROM numbers({count:UInt64})"
    for format in ("TSVRaw", "CSV", "JSONEachRow"):
        whole = remote.query_bytes(sql, {"count": 300_000}, format=format)
        pieces = list(remote.stream_bytes(sql, {"count": 300_000}, format=format))
        assert len(pieces) > 1
        assert b"".join(pieces) == whole
        assert whole.count(b"\n") == 300_000
    assert json.loads(remote.query_bytes(sql, {"count": 1}, format="JSONEachRow")) == {
        "number": 0,
        "word": "row 0",
    }


def test_arrow_comes_batch_by_batch(remote):
    batches = list(remote.stream_arrow("SELECT number FROM numbers({n:UInt64})", {"n": 200_000}))
    assert len(batches) > 1
    numbers = pa.Table.from_batches(batches)["number"]
    assert pa.compute.sum(numbers).as_py() == sum(range(200_000))


def test_an_empty_answer_has_no_rows_in_any_form(remote):
    sql = "SELECT number FROM numbers(10) WHERE number > {least:UInt64}"
    assert remote.query(sql, {"least": 99}) == []
    assert remote.query_bytes(sql, {"least": 99}, format="TSVRaw") == b""
    assert list(remote.stream_bytes(sql, {"least": 99}, format="TSVRaw")) == []
    assert sum(batch.num_rows for batch in remote.stream_arrow(sql, {"least": 99})) == 0


@pytest.mark.parametrize(
    "text",
    [
        "it's",
        'a "quoted" one',
        "back\\slash \\' \\n",
        "tab\tnewline\ncarriage\rreturn",
        "a NUL \0 inside",
        "naïve 数据 🦄",
        "'; DROP TABLE words; --",
        "{word:String} %(word)s %s ?",
        "a%2Fb&query=SELECT+1#x",
        "",
    ],
)
def test_a_bound_value_is_only_ever_a_value(remote, words, text):
    remote.insert(words, ["n", "word"], [[1, text]])
    assert remote.query("SELECT n FROM words WHERE word = {word:String}", {"word": text}) == [(1,)]
    assert remote.query(
        "SELECT {word:String}, {list:Array(String)}", {"word": text, "list": [text]}
    ) == [(text, [text])]
    piece = b"".join(
        remote.stream_bytes("SELECT hex({word:String})", {"word": text}, format="TSVRaw")
    )
    assert bytes.fromhex(piece.decode()) == text.encode()


@given(text=st.text(max_size=50))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_comes_back_as_it_went(remote, text):
    assert remote.query("SELECT {word:String}", {"word": text}) == [(text,)]


def test_more_values_than_an_address_can_hold(remote):
    ids = [f"/subscriptions/{n:040d}/it's" for n in range(2000)]
    assert remote.query(
        "SELECT length({ids:Array(String)}), {ids:Array(String)}[-1]", {"ids": ids}
    ) == [(2000, ids[-1])]


def test_threads_share_a_store(remote):
    def ask(number: int) -> Any:
        return remote.query("SELECT {n:UInt64} + sleepEachRow(0.01)", {"n": number})[0][0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == list(range(40))


def test_a_wrong_statement_raises_the_servers_own_error(remote):
    with pytest.raises(DatabaseError, match="UNKNOWN_IDENTIFIER"):
        remote.query("SELECT nothing_of_this_name")


def test_an_answer_that_breaks_off_is_told_and_never_taken_for_whole(remote):
    sql = "SELECT throwIf(number = 900000, 'broken') FROM numbers(1000000)"
    with pytest.raises(StoreUnavailableError, match="broke off"):
        list(remote.stream_bytes(sql, format="TSVRaw"))
    with pytest.raises(StoreUnavailableError, match="broke off"):
        list(remote.stream_arrow(sql))
    remote.ping()


def test_a_query_over_its_time_is_told(remote):
    with pytest.raises(StoreUnavailableError, match="more time, memory or rows"):
        remote.query(
            "SELECT sleepEachRow(1) FROM numbers(3) "
            "SETTINGS max_execution_time = 1, max_block_size = 1"
        )


@pytest.mark.parametrize("user", ["collector:wrong-password", "stranger:p%40ss", "collector"])
def test_a_refused_user_is_told_clearly_and_without_the_password(server, user):
    address = server.url.rpartition("@")[2]
    with pytest.raises(StoreError, match="refused the user") as refused:
        connect(f"clickhouse://{user}@{address}")
    assert not isinstance(refused.value, StoreUnavailableError), "asking again does not help"
    assert f"clickhouse://{address.partition('/')[0]}" in str(refused.value)
    assert "wrong-password" not in str(refused.value)


def test_a_database_that_is_not_there_yet_is_told(server):
    later = connect(server.url.rpartition("/")[0] + "/later", create_database=False)
    with pytest.raises(StoreUnavailableError, match="optiinfra migrate"):
        later.ping()
    connect(server.url.rpartition("/")[0] + "/later").close()
    later.ping()
    with pytest.raises(StoreUnavailableError, match="optiinfra migrate"):
        later.query("SELECT count() FROM performance_metrics")


def test_no_server_is_unavailable():
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        connect(f"clickhouse://default@127.0.0.1:{free_port()}/optiinfra_metrics")


def test_a_server_that_closes_every_connection_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            connect(f"clickhouse://127.0.0.1:{listener.getsockname()[1]}/optiinfra_metrics")


def test_a_server_that_is_no_clickhouse_is_told():
    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        with pytest.raises(StoreUnavailableError, match="as ClickHouse"):
            connect(f"clickhouse://127.0.0.1:{stranger.server_port}/optiinfra_metrics")
        stranger.shutdown()


def test_a_store_outlives_its_servers_restart(tmp_path):
    server = clickhouse_server(tmp_path)
    with server:
        store = connect(server.url)
        migrate(store)
        store.ping()
        server.stop()
        with pytest.raises(StoreUnavailableError):
            store.ping()
        server.start()
        store.ping()
        assert {entry.state for entry in status(store)} == {"applied"}
        store.close()

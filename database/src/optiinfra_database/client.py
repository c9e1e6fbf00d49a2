"""The only way to ClickHouse: one `Store` over the embedded engine, a server or a cluster.

`connect` takes `chdb:///<dir>` (the engine inside this process), `clickhouse://` or
`clickhouses://user:password@host:port/database` (a server, through HTTP), with
`?cluster=<name>` any server of a cluster. The same SQL runs on all of them. Values reach SQL
only as server-side bound parameters, `{name:Type}`.

Readers need no right but to select, and work for a user whose profile says `readonly=2`:
what a session says of itself (formats and limits) are settings, which `readonly=1` refuses.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Protocol
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.binding import bind_query
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    OperationalError,
    ProgrammingError,
)
from urllib3.exceptions import HTTPError

from optiinfra.errors import (
    ConfigError,
    QueryTooLargeError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)
from optiinfra.tracing import outgoing, streamed

DEFAULT_DATABASE = "optiinfra_metrics"

Params = Mapping[str, Any]

# What every session says. FINAL filters on the sorting key before it merges; JSON comes out
# as the API promises it.
SESSION_SETTINGS: dict[str, Any] = {
    "optimize_move_to_prewhere_if_final": 1,
    "date_time_output_format": "iso",
    "output_format_json_escape_forward_slashes": 0,
    "output_format_json_quote_denormals": 0,
    "output_format_json_quote_64bit_integers": 0,
    # CustomSeparated is how JSON rows leave the engine: unescaped and joined by commas.
    "format_custom_escaping_rule": "Raw",
    "format_custom_row_after_delimiter": "",
    "format_custom_row_between_delimiter": ",\n",
    "max_bytes_before_external_sort": 500_000_000,
    "max_bytes_before_external_group_by": 1_000_000_000,
}
# No query may take the machine, whoever wrote it: seconds and bytes. Somebody waits for an
# answer; an export takes its time, and a stream holds little of it.
WORK_LIMITS = {"max_execution_time": 120, "max_memory_usage": 4_000_000_000}
ANSWER_LIMITS = {
    "max_execution_time": 30,
    "max_memory_usage": 2_000_000_000,
    "max_rows_to_read": 5_000_000_000,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 500_000_000,
}
EXPORT_LIMITS = {"max_execution_time": 600, "max_memory_usage": 4_000_000_000}

# What every session on a cluster says besides. Rows are on their shard when an insert
# returns. INSERT ... SELECT groups rows of all shards and stores each where its key belongs:
# left to the shards, each would group and store its own part. Shards that cannot hold what a
# query asks for are not asked.
CLUSTER_SETTINGS: dict[str, Any] = {
    "distributed_foreground_insert": 1,
    "parallel_distributed_insert_select": 0,
    "optimize_skip_unused_shards": 1,
}

#: Rows, execution time, estimated time, memory, bytes, rows or bytes of the result.
_OVER_LIMIT = {158, 159, 160, 241, 307, 396}
#: Memory that others use, not this query.
_OF_ALL = re.compile(r"\((total|for user)\)|User memory limit")
#: What passes, or what somebody else does something about.
_UNAVAILABLE = {
    243: ": no space left on its disk",
    **dict.fromkeys((209, 210, 279, 425), " does not answer"),  # timeouts, network
    **dict.fromkeys(
        (60, 81),  # unknown table, unknown database
        " lacks the database or a table; the data collector makes them when it starts, and so "
        "does `optiinfra migrate`",
    ),
}
_NOT_LET_IN = {164, 192, 193, 194, 497, 516}  # read-only, user, password, missing right


class Store:
    """A pool of connections to one database; safe to share between threads.

    Raises StoreUnavailableError where asking again later can help (no answer, disk full)
    and StoreError where it cannot. A wrong statement raises the driver's own error.
    """

    def __init__(self, engine: _Engine, database: str) -> None:
        self._engine = engine
        self.database = database
        self.cluster = engine.cluster
        self._work = _Pool(engine, database, WORK_LIMITS)
        self._answers = _Pool(engine, database, ANSWER_LIMITS)

    @property
    def where(self) -> str:
        """What an operator would call this store; holds no password."""
        return self._engine.where

    def query(self, sql: str, params: Params | None = None) -> Sequence[Sequence[Any]]:
        """The rows of a small answer as tuples; times are aware."""
        with self._work.client(_verb(sql)) as client:
            rows: Sequence[Sequence[Any]] = client.query(
                sql, parameters=dict(params or {})
            ).result_rows
            return rows

    def query_bytes(self, sql: str, params: Params | None = None, *, format: str) -> bytes:
        """The whole answer as the engine formats it, e.g. `TSVRaw`, `JSONEachRow`.

        Raises QueryTooLargeError when it takes more than ANSWER_LIMITS allow.
        """
        with self._answers.client(_verb(sql)) as client:
            return client.raw_query(sql, parameters=dict(params or {}), fmt=format)

    def stream_bytes(
        self, sql: str, params: Params | None = None, *, format: str
    ) -> Iterator[bytes]:
        """The answer in pieces as the engine makes them. For row formats without a header."""
        pieces = self._engine.stream(sql, dict(params or {}), format, self.database)
        return streamed(f"clickhouse {_verb(sql)}", pieces)

    def stream_arrow(self, sql: str, params: Params | None = None) -> Iterator[pa.RecordBatch]:
        """The answer as Arrow batches, one engine block at a time."""
        batches = self._engine.stream_arrow(sql, dict(params or {}), self.database)
        return streamed(f"clickhouse {_verb(sql)}", batches)

    def command(self, sql: str, params: Params | None = None) -> None:
        """Run a statement that answers nothing: DDL, INSERT ... SELECT."""
        with self._work.client(_verb(sql)) as client:
            client.command(sql, parameters=dict(params or {}))

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        """Insert a columnar table; the rows are in the store when this returns."""
        with self._work.client(f"INSERT {table}") as client:
            client.insert_arrow(table, rows, settings={"async_insert": 0})

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert a few rows, as the run ledger does."""
        # The driver's own insert asks for the table's columns first, each time.
        objects = (dict(zip(columns, row, strict=True)) for row in rows)
        lines = "\n".join(json.dumps(one, default=datetime.isoformat) for one in objects)
        with self._work.client(f"INSERT {table}") as client:
            client.raw_insert(
                table,
                list(columns),
                lines.encode(),
                fmt="JSONEachRow",
                settings={"async_insert": 0, "date_time_input_format": "best_effort"},
            )

    def ping(self) -> None:
        """Raise StoreUnavailableError or StoreError when the store does not answer."""
        with self._work.client("ping") as client:
            client.query("SELECT 1")

    def close(self) -> None:
        """Close idle connections; with the last one the embedded engine lets go of its lock."""
        self._work.close()
        self._answers.close()


class _Pool:
    """Connections whose queries have the same limits."""

    def __init__(self, engine: _Engine, database: str, limits: Mapping[str, int]) -> None:
        self._engine = engine
        self._database = database
        self._limits = limits
        self._idle: LifoQueue[Client] = LifoQueue()
        self._closed = False

    @contextmanager
    def client(self, what: str) -> Iterator[Client]:
        """A connection for one statement, which a trace calls `what`."""
        with _named_errors(self._engine.where), outgoing(f"clickhouse {what}"):
            try:
                client = self._idle.get_nowait()
            except Empty:
                client = self._engine.open(self._database, self._limits)
            try:
                yield client
            finally:
                if self._closed:
                    client.close()
                else:
                    self._idle.put(client)

    def close(self) -> None:
        self._closed = True
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return


class _Engine(Protocol):
    where: str
    cluster: str

    def open(self, database: str | None, limits: Mapping[str, int]) -> Client: ...
    def stream(self, sql: str, params: Params, format: str, database: str) -> Iterator[bytes]: ...
    def stream_arrow(self, sql: str, params: Params, database: str) -> Iterator[pa.RecordBatch]: ...


def connect(dsn: str, *, create_database: bool = True) -> Store:
    """A store for `dsn`. Makes the directory and the database where they are not there.

    Raises ConfigError for a DSN it does not understand, StoreError when the directory is
    locked by another process or not writable, StoreUnavailableError when no server answers.
    """
    scheme, separator, _ = dsn.partition("://")
    engine: _Engine
    if scheme == "chdb":
        location, _, options = dsn.removeprefix("chdb://").partition("?")
        if not location:
            raise ConfigError(
                "OPTIINFRA_STORE: chdb:// needs a directory, chdb:///var/lib/optiinfra"
            )
        database = parse_qs(options).get("database", [DEFAULT_DATABASE])[0]
        engine = _Embedded(Path(location))
    elif scheme in ("clickhouse", "clickhouses"):
        engine = _Server(dsn)
        database = unquote(urlsplit(dsn).path.strip("/")) or DEFAULT_DATABASE
    else:
        # Without a scheme the text may begin with a password.
        named = f"{scheme}:// is no known scheme" if separator else "has no scheme"
        raise ConfigError(
            f"OPTIINFRA_STORE: {named}; use chdb:///<dir>, "
            "clickhouse://user:password@host:8123/database or clickhouses:// for TLS"
        )
    for what, name in (("database", database), ("cluster", engine.cluster)):
        if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ConfigError(
                f"OPTIINFRA_STORE: a {what} name has letters, digits and _ only, no digit first"
            )
    if create_database:
        with _named_errors(engine.where):
            client = engine.open(None, WORK_LIMITS)
            try:
                # Looked for first: what a cluster does everywhere waits for every server, and
                # a start must not fail for one that is away.
                if not client.query(f"EXISTS DATABASE {database}").result_rows[0][0]:
                    everywhere = f" ON CLUSTER {engine.cluster}" if engine.cluster else ""
                    client.command(f"CREATE DATABASE IF NOT EXISTS {database}{everywhere}")
                return Store(engine, database)
            finally:
                client.close()
    return Store(engine, database)


class _Embedded:
    """chDB: ClickHouse in this process, its data in one directory that it locks."""

    cluster = ""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.expanduser().resolve()
        self.where = f"chdb://{self._directory}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"store directory {self._directory} cannot be made ({error.strerror}); "
                "set OPTIINFRA_STORE to a writable one"
            ) from error
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise StoreError(
                f"store directory {self._directory} is not writable; give this user write "
                "access or set OPTIINFRA_STORE to another one"
            )
        self._refuse_when_locked()

    def _refuse_when_locked(self) -> None:
        """The engine would refuse as well, but without saying who holds the directory."""
        try:
            status = (self._directory / "status").open(encoding="utf-8")
        except FileNotFoundError:
            return
        with status:
            holder = re.search(r"PID: (\d+)", status.read())
            try:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if holder and int(holder[1]) != os.getpid():
                    raise StoreLockedError(
                        f"store {self.where} is in use by another process (pid {holder[1]}); "
                        "stop that one or set OPTIINFRA_STORE to another directory"
                    ) from error

    def open(self, database: str | None, limits: Mapping[str, int]) -> Client:
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(self._directory),
            database=database,
            settings={**SESSION_SETTINGS, **limits},
            tz_mode="aware",
        )

    def stream(self, sql: str, params: Params, format: str, database: str) -> Iterator[bytes]:
        # The driver streams only some formats of this engine and reads the others whole;
        # the engine's own interface gives every row format block by block.
        import chdb

        with _named_errors(self.where):
            connection = chdb.connect(str(self._directory))  # type: ignore[no-untyped-call]  # untyped package
            try:
                connection.query(f"USE {database}")
                for name, value in {**SESSION_SETTINGS, **EXPORT_LIMITS}.items():
                    connection.query(f"SET {name} = '{value}'")
                bound, binds = bind_query(sql, dict(params))
                names = {name.removeprefix("param_"): value for name, value in binds.items()}
                with connection.send_query(bound, format, params=names) as blocks:
                    for block in blocks:
                        yield block.bytes()
            except RuntimeError as error:
                code = re.search(r"Code: (\d+)", str(error))
                named = _named(int(code[1]), str(error), self.where) if code else None
                raise named or StoreError(f"{self.where}: {error}") from error
            finally:
                connection.close()

    def stream_arrow(self, sql: str, params: Params, database: str) -> Iterator[pa.RecordBatch]:
        # Each block is an Arrow stream of its own here.
        for block in self.stream(sql, params, "ArrowStream", database):
            with pa.ipc.open_stream(block) as reader:
                yield from reader


class _Server:
    """A ClickHouse server or cluster, over its HTTP interface."""

    def __init__(self, dsn: str) -> None:
        try:
            parts = urlsplit(dsn)
            port = parts.port
        except ValueError:
            # Its text may quote the password.
            raise ConfigError(
                "OPTIINFRA_STORE: host and port cannot be read; in user and password write "
                "the characters @ : / ? # [ ] % percent-encoded, as %40 for @"
            ) from None
        secure = parts.scheme == "clickhouses"
        self._arguments: dict[str, Any] = {
            "host": parts.hostname or "localhost",
            "port": port or (8443 if secure else 8123),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "interface": "https" if secure else "http",
        }
        self.where = f"{parts.scheme}://{self._arguments['host']}:{self._arguments['port']}"
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.cluster = options.pop("cluster", "")
        self._settings = SESSION_SETTINGS | (CLUSTER_SETTINGS if self.cluster else {})
        if secure and "ca_cert" in options:
            self._arguments["ca_cert"] = _readable(options.pop("ca_cert"))
        if options:
            # Not named: what stands behind a ? may be the end of a password.
            raise ConfigError(
                "OPTIINFRA_STORE: behind a ? only cluster=<name> is known and, with "
                "clickhouses://, ca_cert=/path/of/ca.pem; in user and password write ? as %3F"
            )

    def open(self, database: str | None, limits: Mapping[str, int]) -> Client:
        return clickhouse_connect.get_client(
            **self._arguments,
            database=database or "__default__",
            settings={**self._settings, **limits},
            tz_mode="aware",
            autogenerate_session_id=False,
            connect_timeout=5,
        )

    def stream(self, sql: str, params: Params, format: str, database: str) -> Iterator[bytes]:
        with _named_errors(self.where):
            client = self.open(database, EXPORT_LIMITS)
            try:
                with client.raw_stream(sql, parameters=dict(params), fmt=format) as source:
                    while piece := source.read(1 << 20):
                        yield piece
            finally:
                client.close()

    def stream_arrow(self, sql: str, params: Params, database: str) -> Iterator[pa.RecordBatch]:
        with _named_errors(self.where):
            client = self.open(database, EXPORT_LIMITS)
            try:
                with client.query_arrow_stream(sql, parameters=dict(params)) as batches:
                    yield from batches
            finally:
                client.close()


def _verb(sql: str) -> str:
    return sql.split(maxsplit=1)[0]


def _readable(path: str) -> str:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"OPTIINFRA_STORE: ca_cert={path} cannot be read ({error.strerror})"
        ) from error
    return path


@contextmanager
def _named_errors(where: str) -> Iterator[None]:
    """Turn the driver's errors into what to do about them; statements' own errors pass."""
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailableError(f"store {where} does not answer") from error
    except ProgrammingError as error:
        raise StoreError(f"store {where} cannot be opened: {error}") from error
    except HTTPError as error:
        raise StoreUnavailableError(f"store {where} broke off its answer") from error
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code is None and type(error) is DatabaseError:
            raise StoreUnavailableError(f"store {where} does not answer as ClickHouse") from error
        named = _named(code or 0, str(error), where)
        if named is None:
            raise
        raise named from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreUnavailableError(
                f"store {where}: no space left on its disk or in the temporary directory"
            ) from error
        raise


def _named(code: int, text: str, where: str) -> StoreError | None:
    """What the server's error code asks to be done; None where it is the statement's fault."""
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"store {where}{_UNAVAILABLE[code]}")
    if code in _OVER_LIMIT and _OF_ALL.search(text):
        return StoreUnavailableError(f"store {where}: all queries together have no memory left")
    if code in _OVER_LIMIT:
        return QueryTooLargeError(
            f"store {where}: the query took more time, memory or rows than one may; ask for a "
            "shorter range or fewer resources"
        )
    if code in _NOT_LET_IN:
        return StoreError(
            f"store {where} refused the user; check user and password in OPTIINFRA_STORE "
            "and the user's grants"
        )
    return None

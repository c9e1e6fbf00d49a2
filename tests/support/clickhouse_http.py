"""A ClickHouse server for tests: its HTTP interface over the embedded engine.

    python -m support.clickhouse_http <store directory> <port> [--user name:password]
        [--reader name:password] [--certificate file.pem]

A reader is a user whose profile says `readonly=2`. With a certificate it speaks TLS.

It prints `ready` once it answers. It speaks what ClickHouse's drivers need: a statement in
the body or in `query`, `param_<name>`, `database`, settings as URL parameters, form fields,
inserts with their data behind the statement, compressed bodies, chunked answers, exceptions
before and in the middle of an answer. Answers are never compressed and Native ones carry no
block header, which drivers negotiate.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import signal
import ssl
import uuid
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import pyarrow as pa

# What the HTTP interface takes for itself; every other URL parameter is a setting.
_TRANSPORT = {
    "buffer_size",
    "client_protocol_version",
    "compress",
    "database",
    "decompress",
    "default_format",
    "password",
    "query",
    "query_id",
    "quota_key",
    "role",
    "session_id",
    "user",
    "wait_end_of_query",
}
# The engine streams each block as a file of its own: fine where a file has no frame.
_UNFRAMED = {
    "CSV",
    "JSONEachRow",
    "Native",
    "RowBinary",
    "TSV",
    "TSVRaw",
    "TabSeparated",
    "TabSeparatedRaw",
}
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_ANSWERS_ROWS = re.compile(rb"\s*\(?\s*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN)\b", re.I)
_INSERTED = re.compile(
    rb"\s*(INSERT\s+INTO\s+[^;]*?)\s+FORMAT\s+(\w+)[ \t]*\n(.*)", re.I | re.DOTALL
)
_AUTHENTICATION_FAILED = 516
# As ClickHouse's exceptionCodeToHTTPStatus has it, for the codes that tests can meet.
_STATUS_OF_CODE = {
    6: 400,  # CANNOT_PARSE_TEXT
    27: 400,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    36: 400,  # BAD_ARGUMENTS
    47: 404,  # UNKNOWN_IDENTIFIER
    53: 400,  # TYPE_MISMATCH
    60: 404,  # UNKNOWN_TABLE
    62: 400,  # SYNTAX_ERROR
    81: 404,  # UNKNOWN_DATABASE
    115: 404,  # UNKNOWN_SETTING
    159: 408,  # TIMEOUT_EXCEEDED
    164: 500,  # READONLY
    _AUTHENTICATION_FAILED: 403,
}


def _connect(directory: str) -> Any:
    return chdb.connect(directory)  # type: ignore[no-untyped-call]  # untyped package


class Engine:
    """The embedded engine; each statement has a session of its own."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        # The engine lives as long as one connection does.
        self._anchor = _connect(directory)
        self.version, self.timezone = (
            self._anchor.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        )

    @contextmanager
    def session(
        self, database: str, settings: Mapping[str, str], *, readonly: bool
    ) -> Iterator[Any]:
        """A connection that uses the database and has the settings."""
        connection = _connect(self._directory)
        try:
            if readonly:
                connection.query("SET readonly = 2")
            connection.query(f"USE `{database.replace('`', '')}`")
            if settings:
                assignments = (f"{name} = {_quoted(value)}" for name, value in settings.items())
                connection.query(f"SET {', '.join(assignments)}")
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        self._anchor.close()


class Handler(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    engine: Engine
    #: Whether `name:password` may only read.
    users: Mapping[str, bool]

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._send(200, b"Ok.\n")
        else:
            self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not worth a line each."""

    def _answer(self, body: bytes) -> None:
        fields = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get_content_type() == "multipart/form-data":
            fields |= self._form(body)
            body = b""
        user = self._user(fields)
        if user not in self.users:
            self._fail(
                f"Code: {_AUTHENTICATION_FAILED}. DB::Exception: Authentication failed: password "
                "is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
            )
            return
        statement = b"\n".join(filter(None, (fields.get("query", "").encode(), body)))
        bound = {k.removeprefix("param_"): v for k, v in fields.items() if k[:6] == "param_"}
        settings = {
            k: v for k, v in fields.items() if k not in _TRANSPORT and not k.startswith("param_")
        }
        try:
            with self.engine.session(
                fields.get("database", "default"), settings, readonly=self.users[user]
            ) as session:
                self._run(session, statement, bound, fields)
        except ConnectionError:
            self.close_connection = True
        except RuntimeError as error:
            self._fail(str(error))

    def _run(
        self, session: Any, statement: bytes, bound: Mapping[str, str], fields: Mapping[str, str]
    ) -> None:
        named = _FORMAT.search(statement)
        format = named[1].decode() if named else fields.get("default_format", "TabSeparated")
        headers = {"X-ClickHouse-Query-Id": fields.get("query_id") or str(uuid.uuid4())}
        if data := _INSERTED.match(statement):
            self._send(200, b"", headers | _summary(_insert(session, data)))
            return
        if not _ANSWERS_ROWS.match(statement):
            self._send(200, b"", headers | _summary(session.query(statement, params=bound)))
            return
        headers |= {"X-ClickHouse-Format": format}
        waits = fields.get("wait_end_of_query") == "1"
        if not waits and format in _UNFRAMED | {"ArrowStream"}:
            with session.send_query(statement, format, params=bound) as blocks:
                pieces: Iterator[bytes] = (block.bytes() for block in blocks)
                if format == "ArrowStream":
                    pieces = _joined(pieces)
                # Until the first piece an exception is an answer of its own.
                first = next(pieces, b"")
                if first:
                    self._stream(first, pieces, headers)
                    return
        # Also for a stream without rows, which has its frame all the same.
        result = session.query(statement, format, params=bound)
        self._send(200, result.bytes(), headers | _summary(result))

    def _stream(self, first: bytes, rest: Iterator[bytes], headers: Mapping[str, str]) -> None:
        tag = uuid.uuid4().hex[:16]
        self._head(
            200, {**headers, "Transfer-Encoding": "chunked", "X-ClickHouse-Exception-Tag": tag}
        )
        try:
            self._chunk(first)
            for piece in filter(None, rest):
                self._chunk(piece)
        except RuntimeError as error:
            # Too late for a status: the exception goes into the body, which then breaks off.
            message = self._message(str(error))
            end = f"{message}\n{len(message.encode())} {tag}\r\n__exception__\r\n"
            self._chunk(f"\r\n__exception__\r\n{tag}\r\n{end}".encode())
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _fail(self, text: str) -> None:
        message = self._message(text)
        code = int(re.findall(r"Code: (\d+)", message)[0])
        status = _STATUS_OF_CODE.get(code, 500)
        self._send(status, message.encode() + b"\n", {"X-ClickHouse-Exception-Code": str(code)})

    def _message(self, text: str) -> str:
        found = re.search(r"Code: \d+\..*", text, re.DOTALL)
        told = found[0] if found else f"Code: 1001. DB::Exception: {text} (STD_EXCEPTION)"
        return f"{told} (version {self.engine.version})"

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, {**(headers or {}), "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("X-ClickHouse-Timezone", self.engine.timezone)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _user(self, fields: Mapping[str, str]) -> str:
        authorization = self.headers.get("Authorization", "")
        if authorization.startswith("Basic "):
            return b64decode(authorization[6:]).decode()
        name = self.headers.get("X-ClickHouse-User") or fields.get("user", "default")
        return f"{name}:{self.headers.get('X-ClickHouse-Key') or fields.get('password', '')}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        encoding = self.headers.get("Content-Encoding")
        if not encoding or not body:
            return body
        return bytes(pa.CompressedInputStream(pa.BufferReader(body), encoding).read())

    def _form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        fields = {}
        for part in BytesParser().parsebytes(head + body).walk():
            value = part.get_payload(decode=True)
            if isinstance(value, bytes):  # the whole has none of its own
                fields[str(part.get_param("name", header="content-disposition"))] = value.decode()
        return fields


class Server(ThreadingHTTPServer):
    """Listens on loopback."""

    daemon_threads = True
    request_queue_size = 128


def _insert(session: Any, statement: re.Match[bytes]) -> Any:
    """The engine takes data behind a statement for text; from a file it takes any bytes."""
    into, format, data = statement.groups()
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return session.query(b"%b FROM INFILE '%b' FORMAT %b" % (into, file.name.encode(), format))


def _joined(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """One Arrow stream of the streams that the engine makes, one per block."""
    sink = io.BytesIO()
    writer = None
    for block in blocks:
        with pa.ipc.open_stream(block) as reader:
            writer = writer or pa.ipc.new_stream(sink, reader.schema)
            for batch in reader:
                writer.write_batch(batch)
        yield sink.getvalue()
        sink.seek(0)
        sink.truncate()
    if writer:
        writer.close()
        yield sink.getvalue()


def _summary(result: Any) -> dict[str, str]:
    counts = {
        "read_rows": result.rows_read(),
        "read_bytes": result.bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "elapsed_ns": int(result.elapsed() * 1e9),
    }
    return {"X-ClickHouse-Summary": json.dumps({name: str(n) for name, n in counts.items()})}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("port", type=int)
    parser.add_argument("--user", default="default:")
    parser.add_argument("--reader")
    parser.add_argument("--certificate")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    Handler.engine = Engine(given.directory)
    Handler.users = {given.user: False} | ({given.reader: True} if given.reader else {})
    with Server(("127.0.0.1", given.port), Handler) as server:
        if given.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(given.certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        print("ready", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            Handler.engine.close()


if __name__ == "__main__":
    main()

"""Secrets are planted wherever one can come in; nothing that goes out says any of them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr
from support.processes import Standalone, environment, free_port, run, standalone

from optiinfra.accounts import AccountBook
from optiinfra.collector_client import CollectorClient
from optiinfra.errors import OptiInfraError
from optiinfra.provider import options_model
from optiinfra.settings import Settings, load_settings
from optiinfra.web.keys import KeySet
from optiinfra_database import connect


@dataclass
class Planted:
    """The secrets by the place where they were put, and all that was heard since."""

    words: dict[str, str] = field(default_factory=dict)
    heard: dict[str, str] = field(default_factory=dict)

    def plant(self, place: str) -> str:
        self.words[place] = f"planted-{secrets.token_hex(12)}"
        return self.words[place]

    def hear(self, source: str, text: str) -> None:
        self.heard[source] = self.heard.get(source, "") + text

    def found(self) -> list[tuple[str, str]]:
        """(place, source) of every secret that came out."""
        return [
            (place, source)
            for place, word in self.words.items()
            for source, text in self.heard.items()
            if word in text
        ]


class Echo(BaseHTTPRequestHandler):
    """A cloud of the worst manners: it refuses, and tells all that it was told."""

    statuses = (401, 403)
    asked = 0

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("latin-1")
        told = f"{self.requestline} {dict(self.headers)} {body}"
        answer = json.dumps({"error": told, "error_description": told, "message": told})
        status = self.statuses[Echo.asked % 2]
        if "Action=" in body:  # the older half of AWS, which speaks XML
            error = f"<Error><Code>AccessDenied</Code><Message>{escape(told)}</Message></Error>"
            status, answer = 403, f"<ErrorResponse>{error}</ErrorResponse>"
        Echo.asked += 1
        self.send_response(status, "Denied")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def folder(planted: Planted, tmp_path: Path, echo: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Accounts of three clouds with planted credentials, in the environment and in files."""
    monkeypatch.setenv("VULTR_KEY", planted.plant("vultr key in the environment"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", planted.plant("AWS key in the environment"))
    monkeypatch.setenv("AWS_SESSION_TOKEN", planted.plant("AWS session in the environment"))
    (tmp_path / "external-id").write_text(planted.plant("external id in a file"))
    (tmp_path / "vultr-key").write_text(planted.plant("vultr key in a file"))
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    planted.words["GCP key in a file"] = pem.decode().splitlines()[3]
    key = {
        "type": "service_account",
        "client_email": "collector@acme.iam.gserviceaccount.com",
        "token_uri": f"{echo}/token",
        "private_key": pem.decode(),
        "private_key_id": planted.plant("GCP key id in a file"),
    }
    (tmp_path / "gcp.json").write_text(json.dumps(key))
    here = f"file:{tmp_path}"
    role = f"{{role_arn: 'arn:aws:iam::123456789012:role/r', external_id: '{here}/external-id'}}"
    (tmp_path / "accounts.yaml").write_text(
        f"""
customers:
  acme:
    accounts:
      - {{id: edge, provider: vultr, credentials: {{api_key: env:VULTR_KEY}},
          endpoints: {{default: '{echo}'}}}}
      - {{id: edge-2, provider: vultr, credentials: {{api_key: '{here}/vultr-key'}},
          endpoints: {{default: '{echo}'}}}}
      - {{id: role, provider: aws, regions: [us-east-1], endpoints: {{default: '{echo}'}},
          credentials: {role}}}
      - {{id: web, provider: gcp, project: acme-web,
          credentials: {{service_account_file: '{here}/gcp.json'}}}}
"""
    )
    return tmp_path


def test_commands_tell_none(planted: Planted, folder: Path) -> None:
    secret = planted.plant("JWT secret in the environment") + "-of-32-characters"
    password = planted.plant("store password")
    closed = f"127.0.0.1:{free_port()}"
    commands = [
        (["accounts", "check"], {}),
        (["collect", "--provider", "vultr"], {}),
        (["runs", "--customer", "acme"], {}),
        (["migrate"], {"store": f"clickhouse://u:{password}@{closed}/db"}),
        (["migrate"], {"store": f"clickhouse://u:{password}@{closed}/db?{password}"}),
        (["migrate"], {"store": f"clickhous://u:{password}@{closed}/db"}),
        (["migrate"], {"store": f"clickhouse://u@{closed}/db", "store_password": password}),
        (["collect", "--provider", "vultr"], {"broker": f"redis://:{password}@{closed}/0"}),
        (["standalone"], {"jwt_secret": planted.plant("short JWT secret")[:20]}),
        (["standalone"], {"jwt_jwks_url": f"ftp://u:{planted.plant('JWKS password')}@host/keys"}),
    ]
    for arguments, changed in commands:
        given = {"auth": "jwt", "jwt_secret": secret} | changed
        ended = run(folder, *arguments, **given)
        planted.hear(
            f"optiinfra {' '.join(arguments)} {list(changed)}", ended.stdout + ended.stderr
        )
    planted.words["short JWT secret"] = planted.words["short JWT secret"][:20]
    assert planted.found() == []
    assert Echo.asked > 0
    told = "".join(planted.heard.values())
    for account in ("acme/vultr/edge", "acme/aws/role", "acme/gcp/web"):
        assert account in told, "it was tried and told of"


def test_a_server_tells_none(planted: Planted, folder: Path) -> None:
    (folder / "jwt").write_text(planted.plant("JWT secret in a file") + "-of-32-characters")
    given = {
        "auth": "jwt",
        "jwt_secret_file": str(folder / "jwt"),
        "log_format": "json",
        "cors_origins": "https://page.example.org",
    }
    token = run(folder, "token", "--customer", "*", "--role", "owner", **given).stdout.strip()
    planted.words["a token that is let in"] = token.split(".")[2]
    expired = planted.plant("a token that is not")
    with standalone(folder, **given) as server:
        good = {"Authorization": f"Bearer {token}"}
        document = server.get("/openapi.json").json()
        planted.hear("documents", json.dumps(document) + server.get("/docs").text)
        for path, methods in document["paths"].items():
            address = path.replace("{customer_id}", "acme").replace("{provider}", "all")
            for headers, query in (
                (good, ""),
                (good, "?limit=none&cursor=x"),
                (good, f"?token={token}"),
                ({}, f"?access_token={token}"),
                ({"Authorization": f"Bearer {expired}"}, ""),
                ({"Authorization": f"Basic {expired}", "X-Request-ID": "x y"}, ""),
                ({"Authorization": expired}, "?format=csv"),
            ):
                for method in methods:
                    answer = httpx.request(
                        method, server.url + address + query, headers=headers, timeout=30
                    )
                    planted.hear(f"{method} {path}", f"{answer.headers} {answer.text}")
        body = {"customer_id": "acme", "provider": "vultr"}
        triggered = httpx.post(
            f"{server.url}/api/v2/collections", json=body, headers=good, timeout=30
        )
        for run_id in triggered.json()["run_ids"]:
            planted.hear("runs", _ended(server, run_id, good))
        planted.hear("health and measures", server.get("/health/ready").text)
        planted.hear("health and measures", server.get("/metrics").text)
        process = psutil.Process(server.process.pid)
        for one in (process, *process.children(recursive=True)):
            planted.hear("process list", " ".join(one.cmdline()))
            # What comes by file stays out of the environment, which children inherit.
            inherited = "".join(one.environ().values())
            assert planted.words["JWT secret in a file"] not in inherited
        server.stop()
        planted.hear("log", server.output.read_text())
    planted.hear("store", _everything_stored(folder))
    assert planted.found() == []
    assert len(planted.heard["log"]) > 1000
    assert "acme" in planted.heard["store"]


def _ended(server: Standalone, run_id: str, headers: dict[str, str]) -> str:
    while True:
        answer = server.get(f"/api/v2/collections/{run_id}", headers=headers)
        if answer.json()["status"] not in ("queued", "running"):
            return answer.text


def _everything_stored(folder: Path) -> str:
    """Every row of every table, from a process of its own: the engine opens one directory."""
    program = (
        "import os, sys\n"
        "from optiinfra_database import connect\n"
        "store = connect(os.environ['OPTIINFRA_STORE'])\n"
        "names = store.query('SELECT name FROM system.tables WHERE database = currentDatabase()')\n"
        "for (name,) in names:\n"
        "    sys.stdout.buffer.write(store.query_bytes(f'SELECT * FROM {name}', format='TSVRaw'))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment(folder),
        capture_output=True,
        check=True,
        timeout=120,
    ).stdout.decode("utf-8", "replace")


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "data_collector.main"],
        ["-m", "performance_agent.main"],
        ["-m", "celery", "-A", "data_collector.celery_app", "worker", "--pool", "solo"],
    ],
    ids=lambda command: command[-1],
)
def test_services_without_store_and_broker_tell_none(
    planted: Planted, tmp_path: Path, command: list[str]
) -> None:
    closed = f"127.0.0.1:{free_port()}"
    given = {
        "store": f"clickhouse://u:{planted.plant('store password')}@{closed}/db",
        "broker": f"redis://:{planted.plant('broker password')}@{closed}/0",
        "data_collector_url": f"http://u:{planted.plant('collector password')}@{closed}",
        "port": str(free_port()),
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment(tmp_path, **given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with suppress(httpx.TransportError):
        while process.poll() is None and "performance_agent" in command[-1]:
            with suppress(httpx.ConnectError):
                url = f"http://127.0.0.1:{given['port']}"
                planted.hear("answer", httpx.get(f"{url}/health/ready", timeout=30).text)
                planted.hear("answer", httpx.get(f"{url}/api/v2/performance/a/b/latest").text)
                trigger = {"customer_id": "acme", "provider": "aws"}
                where = f"{url}/api/v2/performance/trigger-collection"
                planted.hear("answer", httpx.post(where, json=trigger, timeout=30).text)
                break
    if "celery" in command:
        # Until it has told that it cannot connect.
        for line in process.stdout:
            planted.hear("output", line)
            if "annot connect" in line or "rror" in line:
                break
    if "main" not in command[-1] or "performance" in command[-1]:
        process.terminate()
    planted.hear("output", process.communicate(timeout=60)[0])
    assert len(planted.heard["output"]) > 20
    assert planted.found() == []


def test_no_repr_and_no_error_tells_one(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = planted.plant("password")
    settings = Settings(
        store=SecretStr(f"clickhouse://u:{password}@db/x"),
        broker=SecretStr(f"redis://:{password}@redis/0"),
        store_password=SecretStr(password),
        jwt_secret=SecretStr(password * 2),
        jwt_jwks_url=f"https://u:{password}@issuer/keys",
        data_collector_url=f"http://u:{password}@collector",
    )
    store = connect(settings.store.get_secret_value(), create_database=False)
    for thing in (
        settings,
        store,
        CollectorClient(settings.data_collector_url),
        KeySet(str(settings.jwt_jwks_url)),
    ):
        planted.hear("repr", f"{thing!r} {thing!s} {thing.__class__}")
    monkeypatch.setenv("KEY", password)
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(
        "customers: {acme: {accounts: [{id: a, provider: vultr, credentials: {api_key: env:KEY}}]}}"
    )
    (account,) = AccountBook(accounts, options_model).accounts()
    planted.hear("repr", f"{account!r} {account!s} {account.secret('api_key')!r}")
    assert account.secret("api_key").get_secret_value() == password
    for entry in (
        f"credentials: {{api_key: {password}}}",
        f"endpoints: {{default: 'https://u:{password}@vultr.example'}}",
        f"endpoints: {{default: 'https://{password}@vultr.example'}}",
    ):
        accounts.write_text(
            f"customers: {{acme: {{accounts: [{{id: a, provider: vultr, {entry}}}]}}}}"
        )
        with pytest.raises(OptiInfraError) as refused:
            AccountBook(accounts, options_model).accounts()
        planted.hear("errors", str(refused.value))
    for name, value in (
        ("PORT", password),
        ("JWT_SECRET", password[:20]),
        ("CORS_ORIGINS", f"https://u:{password}@page.example.org"),
        ("JWT_JWKS_URL", f"ftp://{password}"),
    ):
        with monkeypatch.context() as changed:
            changed.setenv("OPTIINFRA_AUTH", "jwt")
            changed.setenv("OPTIINFRA_JWT_SECRET", "s" * 32)
            changed.setenv(f"OPTIINFRA_{name}", value)
            with pytest.raises(OptiInfraError) as refused:
                load_settings()
        planted.hear("errors", f"{refused.value} {refused.value!r}")
    assert planted.found() == []
    assert os.environ["KEY"] == password

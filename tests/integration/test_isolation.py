"""Whatever is asked, in whatever words: nobody reads what belongs to another customer.

Every customer's data holds a word of its own that no request ever says, so that a leak is
that word in an answer. OPTIINFRA_TEST_ISOLATION_REQUESTS sets how many are asked.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import jwt
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp, Message
from support.inventory import list_scope, resource
from support.points import put_gap, put_outcome, put_points

from data_collector.celery_app import app as celery
from data_collector.runtime import Runtime, build_runtime, use_runtime
from data_collector.storage.run_ledger import RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind
from optiinfra.settings import Settings
from optiinfra.web.auth import Role, issue_token
from optiinfra_database import Store
from optiinfra_standalone.server import create_app

REQUESTS = int(os.environ.get("OPTIINFRA_TEST_ISOLATION_REQUESTS", "2000"))
SECRET = "s" * 32
#: What each customer's data says, and no request.
WORDS = {"acme": "quagga", "rival": "thylacine", "acme-2": "aurochs"}
CUSTOMERS = list(WORDS)
AT_ONCE = 8


@dataclass(frozen=True)
class Asked:
    """One request as it stands on the wire, whether its token is good, and for whose data."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_let_in: bool
    sees: frozenset[str]

    @property
    def path(self) -> str:
        """As a server reads it: without its percent signs."""
        return unquote(self.target.partition(b"?")[0].decode("ascii"))


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    @property
    def text(self) -> bytes:
        """What it says, also where it says it packed."""
        head = b"\n".join(name + b": " + value for name, value in self.headers)
        if self.body.startswith(b"PAR1"):
            rows = pq.read_table(io.BytesIO(self.body)).to_pylist()
            return head + json.dumps(rows, default=str).encode()
        return head + self.body


def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    accounts = tmp_path_factory.mktemp("isolation") / "accounts.yaml"
    accounts.write_text(
        "customers:\n"
        + "".join(
            f"  {customer}:\n    accounts:\n      - id: main\n        provider: vultr\n"
            f"        credentials: {{api_key: env:KEY_OF_{word.upper()}}}\n"
            f"        endpoints: {{default: 'https://{word}.example'}}\n"
            for customer, word in WORDS.items()
        )
    )
    return Settings(
        auth="jwt",
        jwt_secret=SecretStr(SECRET),
        accounts=accounts,
        triggers_per_minute=10**6,
        exports_per_minute=10**6,
    )


def fill(store: Store, customer: str, word: str) -> str:
    """Put the customer's word wherever data of a customer can stand; the id of a run."""
    account = Account(customer_id=customer, account_id="main", provider="vultr")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    times = [now - timedelta(minutes=5 * back) for back in range(1, 13)]
    for number in (1, 2):
        put_points(
            store,
            times,
            [float(number)] * len(times),
            customer_id=customer,
            provider="vultr",
            resource_id=f"{customer}/i-{number}",
            resource_name=f"{word} {number}",
            metadata=json.dumps({"note": word}),
        )
    owner: dict[str, Any] = {"customer_id": customer, "provider": "vultr", "scope": f"x/{word}"}
    put_outcome(store, (times[-1], times[0]), error=word, status="partial", **owner)
    put_gap(store, (times[-1], times[0]), reason="denied", detail=word, **owner)
    for minute, status in ((60, "running"), (30, "stopped")):
        found = [
            resource(
                f"{customer}/i-{number}",
                resource_name=f"{word} {number}",
                status=status,
                metadata={"tags": {"team": word}, "vcpus": number},
            )
            for number in (1, 2)
        ]
        list_scope(store, now - timedelta(minutes=minute), *found, account=account, scope="vultr/x")
    run = new_run(account, Kind.PERFORMANCE, word, None)
    RunLedger(store).record_run(run)
    return run.run_id


@pytest.fixture(scope="module")
def runtime(migrated_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Nobody works here: what is triggered stays queued, in memory."""
    built = build_runtime(settings(tmp_path_factory), migrated_store)
    use_runtime(built)
    yield built
    use_runtime(None)
    celery.control.purge()


async def ask(app: ASGIApp, asked: Asked) -> Answer:
    """As a server hands it over: httpx would tidy the address up first."""
    path, _, query = asked.target.partition(b"?")
    answer = Answer()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": asked.headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    unsent = [asked.body]

    async def receive() -> Message:
        if unsent:
            return {"type": "http.request", "body": unsent.pop(), "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


class Stranger:
    """Makes up requests, most of them not quite right."""

    def __init__(
        self, seed: int, paths: Sequence[tuple[str, str]], runs: Sequence[str], cursors: list[str]
    ) -> None:
        self._random = random.Random(seed)
        self._paths = paths
        self._runs = runs
        self._cursors = cursors

    def request(self) -> Asked:
        pick = self._random
        method, template = pick.choice(self._paths)
        if pick.random() < 0.05:
            method = pick.choice(["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST", "GET"])
        authorization, is_let_in, sees = self._token()
        headers = [(b"host", b"localhost"), *self._headers()]
        if authorization is not None:
            headers.append((b"authorization", authorization.encode("latin-1")))
        body = b""
        if method == "POST":
            body = self._body()
            headers += [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]
        target = self._bent(self._path(template))
        if method != "POST" or pick.random() < 0.2:
            target += self._query()
        return Asked(method, target.encode("ascii"), headers, body, is_let_in, sees)

    def _token(self) -> tuple[str | None, bool, frozenset[str]]:
        pick = self._random
        customers = pick.choice([["acme"]] * 6 + [["rival"]] * 2 + [["acme", "acme-2"], ["*"], []])
        role = pick.choice(list(Role))
        good = issue_token(
            Settings(jwt_secret=SecretStr(SECRET)),
            customers=customers,
            role=role,
            subject="somebody",
            lifetime=timedelta(minutes=50),
        )
        sees = frozenset(CUSTOMERS if customers == ["*"] else customers)
        if pick.random() < 0.8:
            return pick.choice(["Bearer", "bearer", "BEARER"]) + " " + good, True, sees
        claims = jwt.decode(good, options={"verify_signature": False})
        past = datetime.now(UTC) - timedelta(hours=1)
        head, payload, signature = good.split(".")
        everything = base64.urlsafe_b64encode(
            json.dumps(claims | {"customers": ["*"], "role": "owner"}).encode()
        )
        bad = pick.choice(
            [
                None,
                "",
                "Bearer",
                f"Basic {good}",
                f"Token {good}",
                f"Bearer {good[:-2]}",
                f"Bearer {head}.{payload}.",
                f"Bearer {head}.{everything.decode().rstrip('=')}.{signature}",
                f"Bearer {jwt.encode(claims | {'exp': past}, SECRET, algorithm='HS256')}",
                f"Bearer {jwt.encode(claims, 'x' * 32, algorithm='HS256')}",
                f"Bearer {jwt.encode(claims, SECRET * 2, algorithm='HS512')}",
                f"Bearer {jwt.encode(claims, '', algorithm='none')}",
                "Bearer " + "".join(chr(pick.randrange(33, 255)) for _ in range(40)),
                "Bearer " + "A" * 10_000,
            ]
        )
        return bad, False, frozenset()

    def _customer(self) -> str:
        """A customer's name as it may stand in an address."""
        pick = self._random
        name = pick.choice(["acme", *CUSTOMERS])
        other = pick.choice(CUSTOMERS)
        if pick.random() < 0.75:
            return name
        return pick.choice(
            [
                "".join(f"%{ord(letter):02x}" for letter in name),
                "".join(f"%25{ord(letter):02x}" for letter in name),
                name.upper(),
                name.title(),
                f"{name}%00",
                f"{name}%00{other}",
                f"%20{name}",
                f"{name}%20",
                f"{name}.",
                f"{name}%2F..%2F{other}",
                f"{name}/../{other}",
                f"{name}%252F..%252F{other}",
                f"..%2F{other}",
                f"%2e%2e/{other}",
                f"./{other}",
                f"{name},{other}",
                f"{name};{other}",
                f"{name}%27--",
                f"{name}%27%20OR%201%3D1--",
                f"%7B{name}%7D",
                "*",
                "%2A",
                "%25",
                "_" * len(name),
                "",
                quote(name.replace("a", "\u0430")),
                quote(f"{name[0]}\u200b{name[1:]}"),
                quote("".join(chr(ord(letter) + 0xFEE0) for letter in name)),
            ]
        )

    def _path(self, template: str) -> str:
        pick = self._random
        names = {
            "{customer_id}": self._customer(),
            "{provider}": pick.choice(
                ["vultr"] * 12
                + ["all"] * 6
                + ["ALL", "aws", "*", "..", "%2e%2e", "vultr%2Fall", "%00"]
            ),
            "{run_id}": pick.choice([*self._runs, "x", "%27", self._runs[0].upper(), "*"]),
            "{resource_id}": pick.choice(
                [f"{name}/i-1" for name in CUSTOMERS]
                + [f"{name}%2Fi-2" for name in CUSTOMERS]
                + ["../" + CUSTOMERS[1] + "/i-1", "list", "i-1", "%25", "%27%20OR%20%271%27=%271"]
            ),
        }
        for name, value in names.items():
            template = template.replace(name, value)
        return template

    def _bent(self, path: str) -> str:
        pick = self._random
        if pick.random() < 0.9:
            return path
        return pick.choice(
            [
                path + "/",
                path + "%2F",
                path + "//",
                path.replace("/", "//", 2),
                "/" + path,
                path.replace("/api/", "/API/"),
                path.replace("/v2/", "/v2/../v2/"),
                path.replace("/v2/", "/%76%32/"),
                path.replace("/api/", "/x/../api/"),
                path.replace("/api/", "/api%2F"),
                path + ";x=1",
                path + "%00",
                path + ".json",
                path[: pick.randrange(1, len(path))].rstrip("%0123456789abcdefABCDEF") or "/",
            ]
        )

    def _query(self) -> str:
        pick = self._random
        chosen = pick.choices(
            [
                "",
                "format=csv",
                "format=ndjson",
                "format=parquet",
                f"customer_id={self._customer()}",
                f"customer_id={pick.choice(CUSTOMERS)}&customer_id={self._customer()}",
                f"provider={pick.choice(['vultr', 'all', 'aws'])}",
                f"resource_id={quote(pick.choice(CUSTOMERS))}%2Fi-1",
                "resource_id=%27%20OR%201=1--",
                "timeframe=24h",
                "timeframe=7d",
                "limit=1",
                "limit=10000",
                f"cursor={self._cursor()}",
                f"cursor={self._cursor()}&limit=1",
                "q=i-",
                "q=%25",
                "tag=team:%25",
                "include_deleted=true",
                f"as_of={(datetime.now(UTC) - timedelta(minutes=40)):%Y-%m-%dT%H:%M:%SZ}",
                "group_by=resource",
                "order=asc",
                f"token={'x' * 20}",
                "%00=%00&=&&",
            ],
            [40] + [6] * 3 + [1] * 20,
            k=pick.choice([1, 1, 1, 1, 2, 3]),
        )
        return "?" + "&".join(filter(None, chosen))

    def _cursor(self) -> str:
        """Of another question, of another customer, or altered."""
        pick = self._random
        cursor = pick.choice(self._cursors)
        if pick.random() < 0.5:
            return cursor
        raw = bytearray(base64.urlsafe_b64decode(cursor + "=="))
        raw[pick.randrange(len(raw))] ^= 1 << pick.randrange(8)
        return base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")

    def _body(self) -> bytes:
        pick = self._random
        wish: dict[str, Any] = {
            "customer_id": pick.choice([*CUSTOMERS, *CUSTOMERS, "*", "ACME", "acme\0", "", None]),
            "provider": pick.choice(["vultr", "vultr", "all", "aws", "../", 1]),
        }
        if pick.random() < 0.3:
            wish |= pick.choice(
                [
                    {"account_id": "main"},
                    {"kinds": ["performance"]},
                    {"customer_id": CUSTOMERS},
                    {"customers": CUSTOMERS},
                ]
            )
        text = json.dumps(wish)
        if pick.random() < 0.1:
            # The same name twice: who reads the first and who reads the last must agree.
            text = text[:-1] + f', "customer_id": "{pick.choice(CUSTOMERS)}"}}'
        return text.encode()[: pick.choice([None] * 9 + [10])]

    def _headers(self) -> list[tuple[bytes, bytes]]:
        other = self._random.choice(CUSTOMERS).encode()
        return self._random.choice(
            [
                [],
                [],
                [(b"accept", b"text/csv")],
                [(b"accept", b"application/x-ndjson")],
                [(b"x-customer-id", other)],
                [(b"x-original-url", b"/api/v2/accounts/" + other)],
                [(b"x-forwarded-prefix", b"/api")],
                [(b"x-http-method-override", b"GET")],
                [(b"x-request-id", other)],
            ]
        )


def leaks(asked: Asked, answer: Answer) -> list[str]:
    """The customers whose data is in the answer although the caller may not see it."""
    text = answer.text
    return [
        customer
        for customer, word in WORDS.items()
        if customer not in asked.sees and word.encode() in text.lower()
    ]


def cursors_of(app: ASGIApp) -> list[str]:
    """Cursors of every customer, honestly come by."""
    found = []
    for customer in CUSTOMERS:
        token = issue_token(
            Settings(jwt_secret=SecretStr(SECRET)),
            customers=[customer],
            role=Role.VIEWER,
            subject="s",
            lifetime=timedelta(minutes=50),
        )
        for path in (
            "performance/{}/all/metrics",
            "performance/{}/all/latest",
            "resources/{}/all/list",
        ):
            asked = Asked(
                "GET",
                f"/api/v2/{path.format(customer)}?limit=1".encode(),
                [(b"authorization", f"Bearer {token}".encode())],
                b"",
                True,
                frozenset([customer]),
            )
            found.append(json.loads(asyncio.run(ask(app, asked)).body)["next_cursor"])
    return found


def test_no_answer_holds_another_customer_s_data(runtime: Runtime, store: Store) -> None:
    runtime.announce_accounts()
    runs = [fill(store, customer, word) for customer, word in WORDS.items()]
    app = create_app(runtime)
    document = app.openapi()
    paths = [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/api/")
    ]
    stranger = Stranger(20261121, paths, runs, cursors_of(app))
    statuses: Counter[int] = Counter()
    told: Counter[str] = Counter()

    async def worker(share: int) -> None:
        for _ in range(share):
            asked = stranger.request()
            answer = await ask(app, asked)
            assert not leaks(asked, answer), (asked, answer)
            assert answer.status < 500, (asked, answer)
            if not asked.is_let_in and asked.path.startswith("/api/"):
                assert answer.status == 401, (asked, answer)
            if answer.status == 202:
                # Lost to the last of two names, as every reader of JSON here reads it.
                assert json.loads(asked.body)["customer_id"] in asked.sees, asked
            statuses[answer.status] += 1
            told.update(word for word in WORDS.values() if word.encode() in answer.text.lower())

    async def everybody() -> None:
        await asyncio.gather(*(worker(REQUESTS // AT_ONCE) for _ in range(AT_ONCE)))

    asyncio.run(everybody())
    print(f"{statuses.total()} requests, 0 leaks; {dict(statuses)}; own data in {dict(told)}")
    # They came through to the data, and not only as far as the door.
    assert statuses[200] > REQUESTS / 20
    assert {200, 202, 400, 401, 403, 404, 422} <= statuses.keys()
    assert all(told[word] > REQUESTS / 400 for word in WORDS.values())


def test_every_route_of_every_service_refuses_without_a_token(
    runtime: Runtime, store: Store
) -> None:
    app = create_app(runtime)
    routes = [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    guarded = [route for route in routes if route[1].startswith("/api/")]
    # The rest is what a probe, a Prometheus and a newcomer need.
    assert set(routes) - set(guarded) == {
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }
    for method, path in guarded:
        target = path.replace("{", "").replace("}", "").encode()
        asked = Asked(method, target, [], b"", is_let_in=False, sees=frozenset())
        assert asyncio.run(ask(app, asked)).status == 401, path


def test_a_viewer_starts_nothing(runtime: Runtime, store: Store) -> None:
    runtime.announce_accounts()
    app = create_app(runtime)
    token = issue_token(
        runtime.settings,
        customers=["*"],
        role=Role.VIEWER,
        subject="s",
        lifetime=timedelta(minutes=5),
    )
    headers = [
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", b"application/json"),
    ]
    body = b'{"customer_id": "acme", "provider": "all"}'
    changing = [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method != "get"
    ]
    assert len(changing) >= 3
    for method, path in changing:
        asked = Asked(method, path.encode(), headers, body, is_let_in=True, sees=frozenset())
        assert asyncio.run(ask(app, asked)).status == 403, path
    assert store.query("SELECT count() FROM collection_runs") == [(0,)]

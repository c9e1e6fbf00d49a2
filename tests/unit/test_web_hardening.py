"""What stands around every request: headers, bounds, other origins, and /docs."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, SecretStr
from support.api import Api
from support.processes import free_port

from optiinfra.settings import Settings
from optiinfra.web.app import create_service
from optiinfra.web.hardening import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_URL_BYTES
from optiinfra.web.process import SERVER_OPTIONS

GUARDED = Settings(auth="jwt", jwt_secret=SecretStr("s" * 32))


class Nobody:
    def providers(self, customer_id: str) -> list[str]:
        return []

    def cached(self, customer_id: str) -> list[str]:
        return []


class Note(BaseModel):
    text: str


def service(settings: Settings | None = None) -> FastAPI:
    router = APIRouter(prefix="/api")

    @router.post("/notes")
    def note(note: Note) -> int:
        return len(note.text)

    @router.get("/fault")
    def fault() -> None:
        raise RuntimeError("of ours")

    return create_service(
        title="<t>",
        description="d",
        routers=[router],
        settings=settings or Settings(),
        readiness={},
        directory=Nobody(),
    )


@pytest.fixture(scope="module")
def api() -> Api:
    return Api(service())


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/fault", 500), ("/api/nowhere", 404), ("/nowhere", 404), ("/docs", 200)],
)
def test_every_answer_tells_browsers_to_be_careful(api: Api, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer.headers


def test_data_is_kept_by_nobody_and_runs_nothing(api: Api) -> None:
    answer = api.get("/api/nowhere")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_browser_that_came_over_tls_is_told_to_stay_there(api: Api) -> None:
    answer = api.get("https://test/api/nowhere")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_docs_load_nothing_from_elsewhere_and_run_nothing_inline(api: Api) -> None:
    page = api.get("/docs")
    assert "&lt;t&gt;" in page.text
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith("/docs/"), link
        assert api.get(link).status_code == 200, link
    assert "<script>" not in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")


class TestBounds:
    def test_the_largest_body_is_taken(self, api: Api) -> None:
        text = "x" * (MAX_BODY_BYTES - len('{"text":""}'))
        assert api.post("/api/notes", json={"text": text}).json() == len(text)

    def test_a_larger_one_is_413(self, api: Api) -> None:
        answer = api.post("/api/notes", json={"text": "x" * MAX_BODY_BYTES})
        assert answer.status_code == answer.json()["status"] == 413
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_also_where_its_length_is_not_told(self, api: Api) -> None:
        asked = 0

        async def pieces():
            nonlocal asked
            for _ in range(1000):
                asked += 1
                yield b"x" * 4096

        answer = api.post(
            "/api/notes", content=pieces(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == answer.json()["status"] == 413
        assert asked <= MAX_BODY_BYTES // 4096 + 1, "read on after the bound"

    def test_a_long_address_is_414_and_long_headers_are_431(self, api: Api) -> None:
        assert api.get("/health/live?x=" + "y" * MAX_URL_BYTES).status_code == 414
        answer = api.get("/health/live", headers={"X-Long": "y" * MAX_HEADER_BYTES})
        assert answer.status_code == answer.json()["status"] == 431


ORIGIN = {"Origin": "https://page.example.org"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "Authorization",
}


class TestOtherOrigins:
    def test_are_refused_unless_set(self, api: Api) -> None:
        preflight = api.request("OPTIONS", "/api/notes", headers=PREFLIGHT)
        for answer in (preflight, api.get("/health/live", headers=ORIGIN)):
            assert not [name for name in answer.headers if name.startswith("access-control")]

    def test_are_let_in_when_set_and_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(
            "OPTIINFRA_CORS_ORIGINS", "https://page.example.org, http://127.0.0.1:5173"
        )
        api = Api(service(Settings(auth="jwt", jwt_secret=SecretStr("s" * 32))))
        preflight = api.request("OPTIONS", "/api/notes", headers=PREFLIGHT)
        assert preflight.status_code == 200
        # A page must be able to read the 401 that tells it to send a token.
        refused = api.get("/api/notes", headers=ORIGIN)
        assert refused.status_code == 401
        for answer in (preflight, refused):
            assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example.org"
            assert "Access-Control-Allow-Credentials" not in answer.headers
        other = api.get("/health/live", headers={"Origin": "https://evil.example.org"})
        assert "Access-Control-Allow-Origin" not in other.headers


class TestBeforeTheBody:
    """Who has no token is refused before a byte of what he sends is looked at."""

    @pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"text": 1}', b'{"text": "x"}'])
    def test_every_body_without_a_token_is_401(self, body: bytes) -> None:
        read = False

        async def content():
            nonlocal read
            read = True
            yield body

        answer = Api(service(GUARDED)).post("/api/notes", content=content())
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert not read

    @pytest.mark.parametrize("path", ["/api/nowhere", "/api/", "/api/notes/../x", "/api//notes"])
    def test_what_lies_under_api_is_not_told_to_strangers(self, path: str) -> None:
        assert Api(service(GUARDED)).get(path).status_code == 401


class TestEndlessHead:
    """Over a socket: what the application never gets to see."""

    @pytest.fixture
    def port(self) -> Iterator[int]:
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(service(), port=port, **SERVER_OPTIONS))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
        yield port
        server.should_exit = True
        thread.join()

    @pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX-Endless: "])
    def test_is_cut_off(self, port: int, start: bytes) -> None:
        pieces = 100 * MAX_HEADER_BYTES // 4096
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            sent = 0
            with suppress(ConnectionError):
                client.sendall(start)
                while sent < pieces:
                    client.sendall(b"x" * 4096)
                    sent += 1
        assert sent < pieces

    def test_many_requests_on_one_connection_are_none(self, port: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(20):
                answer = client.get("/health/live", headers={"X-Long": "y" * 20_000})
                assert answer.status_code == 200
                assert "server" not in answer.headers
                big = client.post("/api/notes", json={"text": "x" * 60_000})
                assert big.json() == 60_000

"""Signing keys at a URL: they rotate, their server goes away, and tokens lie about them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from pydantic import SecretStr

from optiinfra.settings import Settings
from optiinfra.web.auth import create_authenticator
from optiinfra.web.keys import FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, KeySet
from optiinfra.web.problems import Problem

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
OLD = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEW = ec.generate_private_key(ec.SECP256R1())


class Server:
    """Serves a key set that the test changes, and counts who asks."""

    def __init__(self) -> None:
        self.body = b"{}"
        self.status = 200
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/jwks.json"
        Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def publish(self, **keys: Key) -> None:
        self.body = json.dumps(
            {"keys": [_public(key) | {"kid": kid, "use": "sig"} for kid, key in keys.items()]}
        ).encode()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _public(key: Key) -> dict[str, Any]:
    maker = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return dict(json.loads(maker.to_jwk(key.public_key())))  # type: ignore[arg-type]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.publish(old=OLD)
    yield running
    running.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def signed(key: Any = OLD, kid: str | None = "old", algorithm: str = "RS256", **claims: Any) -> str:
    payload = {
        "sub": "ana",
        "customers": ["acme"],
        "role": "viewer",
        "exp": datetime.now(UTC) + timedelta(minutes=5),
    }
    return jwt.encode(
        payload | claims, key, algorithm=algorithm, headers={"kid": kid} if kid else None
    )


def status(guard: Settings, token: str) -> int:
    """What the whole of the authenticator says to a token."""
    authenticate = create_authenticator(guard)

    async def ask() -> int:
        try:
            await authenticate(f"Bearer {token}")
        except Problem as problem:
            return problem.status
        return 200

    return asyncio.run(ask())


def opens(server: Server, token: str) -> bool:
    """Whether the token is let in; who is not gets a 401 and nothing else."""
    answered = status(Settings(auth="jwt", jwt_jwks_url=server.url), token)
    assert answered in (200, 401)
    return answered == 200


def test_keys_are_read_once_while_they_are_fresh(server: Server, clock: Clock) -> None:
    keys = KeySet(server.url, clock)
    for _ in range(20):
        keys.find(signed())
        clock.now += FRESH_SECONDS / 21
    assert server.asked == 1
    clock.now += FRESH_SECONDS
    keys.find(signed())
    assert server.asked == 2


def test_a_new_key_is_known_with_its_first_token(server: Server, clock: Clock) -> None:
    keys = KeySet(server.url, clock)
    keys.find(signed())
    server.publish(old=OLD, new=NEW)
    clock.now += PAUSE_SECONDS
    assert keys.find(signed(NEW, "new", "ES256")).key_id == "new"
    assert server.asked == 2


def test_a_withdrawn_key_opens_no_longer_than_keys_are_fresh(server: Server, clock: Clock) -> None:
    keys = KeySet(server.url, clock)
    keys.find(signed())
    server.publish(new=NEW)
    clock.now += FRESH_SECONDS
    with pytest.raises(jwt.PyJWKClientError, match="unknown key"):
        keys.find(signed())


def test_tokens_of_strangers_do_not_make_us_knock(server: Server, clock: Clock) -> None:
    keys = KeySet(server.url, clock)
    for number in range(100):
        with pytest.raises(jwt.PyJWKClientError, match="unknown key"):
            keys.find(signed(kid=f"stranger-{number}"))
        clock.now += PAUSE_SECONDS / 50
    assert server.asked == 2


@pytest.mark.parametrize("answer", [(503, b""), (200, b"<html>"), (200, b"[]"), (200, b"{}")])
def test_known_keys_go_on_while_their_server_is_away_and_not_for_ever(
    server: Server, clock: Clock, answer: tuple[int, bytes]
) -> None:
    keys = KeySet(server.url, clock)
    keys.find(signed())
    server.status, server.body = answer
    clock.now += STALE_SECONDS - 1
    assert keys.find(signed()).key_id == "old"
    clock.now += 2
    with pytest.raises(jwt.PyJWKClientConnectionError):
        keys.find(signed())
    server.status = 200
    server.publish(old=OLD)
    clock.now += PAUSE_SECONDS
    assert keys.find(signed()).key_id == "old"


def test_a_server_that_never_answered_is_asked_now_and_then(server: Server, clock: Clock) -> None:
    server.status = 500
    keys = KeySet(server.url, clock)
    for _ in range(5):
        with pytest.raises(jwt.PyJWKClientConnectionError):
            keys.find(signed())
    assert server.asked == 1


class TestForgeries:
    def test_the_real_ones_open(self, server: Server) -> None:
        server.publish(old=OLD, new=NEW)
        assert opens(server, signed())
        assert opens(server, signed(NEW, "new", "ES256"))

    def test_a_public_key_is_no_shared_secret(self, server: Server) -> None:
        pem = OLD.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        # The library refuses to sign so; a forger's does not.
        header = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT","kid":"old"}')
        payload = signed().split(".")[1].encode()
        mac = HMACAlgorithm(HMACAlgorithm.SHA256)
        signature = jwt.utils.base64url_encode(mac.sign(header + b"." + payload, pem))
        assert not opens(server, b".".join((header, payload, signature)).decode())

    @pytest.mark.parametrize(
        "token",
        [
            signed(NEW, "old", "ES256"),
            signed(NEW, "new", "ES256"),
            signed(kid=None),
            signed("", "old", "none"),
            signed("k" * 32, "old", "HS256"),
            signed(algorithm="RS512"),
            signed(algorithm="PS256"),
            signed(exp=datetime.now(UTC) - timedelta(seconds=11)),
            signed(nbf=datetime.now(UTC) + timedelta(seconds=60)),
            signed(customers={"acme": 1}),
            signed(sub=7),
        ],
        ids=[
            "another key's",
            "unpublished key",
            "no key id",
            "none",
            "shared secret",
            "RS512",
            "PS256",
            "expired",
            "not yet",
            "customers no list",
            "subject no text",
        ],
    )
    def test_nothing_else_does(self, server: Server, token: str) -> None:
        assert not opens(server, token)

    def test_clocks_may_differ_by_some_seconds(self, server: Server) -> None:
        assert opens(server, signed(exp=datetime.now(UTC) - timedelta(seconds=5)))
        assert opens(server, signed(nbf=datetime.now(UTC) + timedelta(seconds=5)))

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.one_of(
            st.text(alphabet=st.characters(max_codepoint=255)),
            st.lists(st.binary(max_size=20), min_size=3, max_size=3).map(
                lambda parts: b".".join(map(jwt.utils.base64url_encode, parts)).decode()
            ),
        )
    )
    def test_garbage_is_401_and_never_a_fault(self, server: Server, token: str) -> None:
        assert not opens(server, token)


@pytest.mark.parametrize(
    "token", ["\xff", "a.b.c", "....", "e30.e30.e30", "é" * 5000, "null.null.null"]
)
def test_garbage_against_a_shared_secret_is_401_too(token: str) -> None:
    assert status(Settings(auth="jwt", jwt_secret=SecretStr("s" * 32)), token) == 401

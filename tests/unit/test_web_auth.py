from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import APIRouter
from pydantic import SecretStr
from support.api import Api

from optiinfra.errors import ConfigError
from optiinfra.settings import Settings
from optiinfra.web.app import create_service
from optiinfra.web.auth import CurrentAccess, Role, issue_token

SECRET = "s" * 32
SETTINGS = Settings(auth="jwt", jwt_secret=SecretStr(SECRET))


class Customers:
    """A directory that holds what it is given."""

    def providers(self, customer_id: str) -> list[str]:
        return {"acme": ["aws", "gcp"], "other": ["azure"]}.get(customer_id, [])

    def cached(self, customer_id: str) -> list[str] | None:
        return self.providers(customer_id) or None


def service(settings: Settings) -> Any:
    router = APIRouter(prefix="/api")

    @router.get("/{customer_id}/{provider}")
    def read(access: CurrentAccess) -> dict[str, str]:
        return {"subject": access.principal.subject}

    @router.get("/recent")
    def recent(customer_id: str) -> dict[str, str]:
        return {"customer_id": customer_id}

    @router.post("/change")
    def change(access: CurrentAccess) -> None:
        access.require("acme", "aws", Role.MEMBER)

    return create_service(
        title="t",
        description="d",
        routers=[router],
        settings=settings,
        readiness={},
        directory=Customers(),
    )


def token(*customers: str, role: Role = Role.VIEWER) -> dict[str, str]:
    text = issue_token(
        SETTINGS,
        customers=customers or ["acme"],
        role=role,
        subject="ana",
        lifetime=timedelta(minutes=5),
    )
    return {"Authorization": f"Bearer {text}"}


def claims(**changed: Any) -> dict[str, Any]:
    usual = {
        "sub": "ana",
        "customers": ["acme"],
        "role": "viewer",
        "exp": datetime.now(UTC) + timedelta(minutes=5),
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


@pytest.fixture(scope="module")
def api() -> Api:
    return Api(service(SETTINGS))


def test_issued_token_is_let_in(api: Api) -> None:
    response = api.get("/api/acme/aws", headers=token())
    assert (response.status_code, response.json()) == (200, {"subject": "ana"})


@pytest.mark.parametrize(
    ("expected", "named", "status"),
    [
        (None, None, 200),
        (None, "somebody", 401),
        ("optiinfra", None, 401),
        ("optiinfra", "somebody", 401),
        ("optiinfra", ["somebody", "optiinfra"], 200),
    ],
)
def test_a_token_for_another_audience_is_refused(
    expected: str | None, named: str | list[str] | None, status: int
) -> None:
    api = Api(service(SETTINGS.model_copy(update={"jwt_audience": expected})))
    text = jwt.encode(claims(aud=named), SECRET, "HS256")
    response = api.get("/api/acme/aws", headers={"Authorization": f"Bearer {text}"})
    assert response.status_code == status


def test_an_issued_token_names_the_audience() -> None:
    settings = SETTINGS.model_copy(update={"jwt_audience": "optiinfra"})
    text = issue_token(
        settings, customers=["acme"], role=Role.VIEWER, subject="ana", lifetime=timedelta(minutes=5)
    )
    response = Api(service(settings)).get(
        "/api/acme/aws", headers={"Authorization": f"Bearer {text}"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x.y.z"},
    ],
)
def test_without_a_token_it_is_401_and_says_how(api: Api, headers: dict[str, str]) -> None:
    response = api.get("/api/acme/aws", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("payload", "key", "algorithm"),
    [
        (claims(exp=datetime.now(UTC) - timedelta(minutes=1)), SECRET, "HS256"),
        (claims(exp=None), SECRET, "HS256"),
        (claims(sub=None), SECRET, "HS256"),
        (claims(customers=None), SECRET, "HS256"),
        (claims(role=None), SECRET, "HS256"),
        (claims(role="king"), SECRET, "HS256"),
        (claims(role=4), SECRET, "HS256"),
        (claims(customers="acme"), SECRET, "HS256"),
        (claims(), "x" * 64, "HS256"),
        (claims(), SECRET * 2, "HS512"),
        (claims(), "", "none"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_token_that_is_not_quite_right_is_401(
    api: Api, payload: dict[str, Any], key: str, algorithm: str
) -> None:
    text = jwt.encode(payload, key, algorithm=algorithm)
    response = api.get("/api/acme/aws", headers={"Authorization": f"Bearer {text}"})
    assert response.status_code == 401
    assert text not in response.text


def test_another_customer_is_403_whether_it_exists_or_not(api: Api) -> None:
    there = api.get("/api/other/azure", headers=token())
    nowhere = api.get("/api/nobody/azure", headers=token())
    assert there.status_code == nowhere.status_code == 403
    assert there.json() == nowhere.json()


@pytest.mark.parametrize("query", ["customer_id=other", "customer_id=other&customer_id=acme"])
def test_a_customer_in_the_query_is_guarded_too(api: Api, query: str) -> None:
    assert api.get(f"/api/recent?{query}", headers=token()).status_code == 403
    assert api.get("/api/recent?customer_id=acme", headers=token()).status_code == 200


def test_star_sees_every_customer_that_there_is(api: Api) -> None:
    assert api.get("/api/other/azure", headers=token("*")).status_code == 200
    missing = api.get("/api/nobody/azure", headers=token("*"))
    assert missing.status_code == 404
    assert "nobody" in missing.json()["detail"]


def test_unknown_provider_is_404_and_names_those_there_are(api: Api) -> None:
    response = api.get("/api/acme/vultr", headers=token())
    assert response.status_code == 404
    assert "aws, gcp" in response.json()["detail"]
    assert api.get("/api/acme/all", headers=token()).status_code == 200


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.VIEWER, 403), (Role.MEMBER, 200), (Role.ADMIN, 200), (Role.OWNER, 200)],
)
def test_roles_are_ordered(api: Api, role: Role, status: int) -> None:
    assert api.post("/api/change", headers=token(role=role)).status_code == status


def test_health_measures_and_documents_need_no_token(api: Api) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"):
        assert api.get(path).status_code == 200, path


def test_without_authentication_everything_is_allowed() -> None:
    api = Api(service(Settings()))
    assert api.get("/api/acme/aws").status_code == 200
    assert api.post("/api/change").status_code == 200


def test_no_token_can_be_issued_without_a_secret() -> None:
    with pytest.raises(ConfigError, match="OPTIINFRA_JWT_SECRET"):
        issue_token(
            Settings(), customers=["a"], role=Role.OWNER, subject="s", lifetime=timedelta(1)
        )


class TestKeySet:
    """Tokens signed by someone else, whose keys are read from a URL."""

    key = ec.generate_private_key(ec.SECP256R1())

    @pytest.fixture
    def url(self) -> Any:
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        body = json.dumps({"keys": [public | {"kid": "k1", "use": "sig", "alg": "ES256"}]})

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()
        server.server_close()

    def ask(self, url: str, key_id: str) -> int:
        text = jwt.encode(claims(), self.key, algorithm="ES256", headers={"kid": key_id})
        api = Api(service(Settings(auth="jwt", jwt_jwks_url=url)))
        return api.get("/api/acme/aws", headers={"Authorization": f"Bearer {text}"}).status_code

    def test_known_key_is_let_in(self, url: str) -> None:
        assert self.ask(url, "k1") == 200

    def test_unknown_key_is_401(self, url: str) -> None:
        assert self.ask(url, "k2") == 401

    def test_shared_secret_does_not_open_the_door_of_a_key_set(self, url: str) -> None:
        api = Api(service(Settings(auth="jwt", jwt_jwks_url=url)))
        assert api.get("/api/acme/aws", headers=token()).status_code == 401

    def test_key_server_that_is_away_is_503(self) -> None:
        assert self.ask("http://127.0.0.1:9/jwks.json", "k1") == 503

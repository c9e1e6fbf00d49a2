from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pytest
import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel
from support.api import Api

from optiinfra.collector_client import CollectorRefusedError, CollectorUnavailableError
from optiinfra.errors import (
    BrokerUnavailableError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)
from optiinfra.settings import Settings
from optiinfra.web.app import create_service
from optiinfra.web.paging import PageQuery
from optiinfra.web.problems import Problem, invalid_parameter

ERRORS: dict[str, Exception] = {
    "store": StoreUnavailableError("clickhouse://secret-host does not answer"),
    "refused by the store": StoreError("clickhouse://secret-host refused the user"),
    "locked": StoreLockedError("chdb://secret-host is in use"),
    "broker": BrokerUnavailableError("redis://secret-host does not answer"),
    "collector": CollectorUnavailableError("http://secret-host"),
    "fault": RuntimeError("secret-host exploded"),
    "problem": Problem(409, "Conflict", "Twice.", run_id="r1"),
    "parameter": invalid_parameter("color", "is no color"),
    "refused": CollectorRefusedError(404, b'{"status":404}', {"retry-after": "9"}),
}


class Nobody:
    def providers(self, customer_id: str) -> Sequence[str]:
        return []

    def cached(self, customer_id: str) -> Sequence[str] | None:
        return []


class Body(BaseModel):
    number: int


def api(**readiness: Any) -> Api:
    router = APIRouter(prefix="/api")

    @router.get("/raise/{name}")
    def fail(name: str) -> None:
        raise ERRORS[name]

    @router.get("/page")
    async def page(query: Annotated[PageQuery, Query()]) -> dict[str, Any]:
        return structlog.contextvars.get_contextvars()

    @router.post("/body")
    def body(body: Body) -> Body:
        return body

    return Api(
        create_service(
            title="t",
            description="d",
            routers=[router],
            settings=Settings(),
            readiness=readiness,
            directory=Nobody(),
        )
    )


@pytest.mark.parametrize("name", ["store", "refused by the store", "locked", "broker", "collector"])
def test_what_is_away_is_503_with_a_time_to_come_back(name: str) -> None:
    response = api().get(f"/api/raise/{name}")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "secret-host" not in response.text


def test_why_the_store_cannot_be_used_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    api().get("/api/raise/refused by the store")
    assert "refused the user" in caplog.text


def test_a_fault_is_500_without_internals_and_still_has_its_id() -> None:
    response = api().get("/api/raise/fault", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == "abc-1"
    assert "secret-host" not in response.text


def test_problem_carries_its_own_members() -> None:
    response = api().get("/api/raise/problem")
    assert response.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Twice.",
        "run_id": "r1",
    }


def test_collector_s_refusal_is_handed_on() -> None:
    response = api().get("/api/raise/refused")
    assert (response.status_code, response.json()) == (404, {"status": 404})
    assert response.headers["Retry-After"] == "9"


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/page?limit=0", ["limit"]),
        ("/api/page?limit=1000000", ["limit"]),
        ("/api/page?limit=many", ["limit"]),
        ("/api/page?colour=red&limit=0", ["limit", "colour"]),
        ("/api/raise/parameter", ["color"]),
    ],
)
def test_422_names_every_wrong_parameter(path: str, parameters: list[str]) -> None:
    response = api().get(path)
    assert response.status_code == 422
    assert [error["parameter"] for error in response.json()["errors"]] == parameters


@pytest.mark.parametrize(
    ("content", "parameter"),
    [(b"{", "body"), (b'{"number": "x"}', "number"), (b"", "body"), (b"\xff\xfe", "body")],
)
def test_a_body_that_cannot_be_used_is_422(content: bytes, parameter: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = api().post("/api/body", content=content, headers=headers)
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == parameter


def test_unknown_path_and_method_are_problems_too() -> None:
    missing = api().get("/nowhere")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)
    refused = api().post("/api/page")
    assert (refused.status_code, refused.json()["status"]) == (405, 405)
    assert refused.headers["Allow"] == "GET"


def test_request_id_is_kept_when_sane_and_made_when_not() -> None:
    kept = api().get("/api/page", headers={"X-Request-ID": "trace.42"})
    assert kept.headers["X-Request-ID"] == "trace.42"
    assert kept.json() == {"request_id": "trace.42"}
    for odd in (b"a b", b"x" * 129, "é".encode()):
        made = api().get("/api/page", headers={"X-Request-ID": odd})
        assert len(made.headers["X-Request-ID"]) == 32


def test_ready_when_every_check_passes() -> None:
    response = api(store=lambda: None).get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_not_ready_names_what_is_away_and_hides_faults() -> None:
    def away() -> None:
        raise StoreError("store chdb:///x is in use by another process")

    def broken() -> None:
        raise RuntimeError("secret")

    response = api(store=away, broker=broken, other=lambda: None).get("/health/ready")
    assert response.status_code == 503
    assert response.json() == {
        "status": "not_ready",
        "not_ready": {
            "store": "store chdb:///x is in use by another process",
            "broker": "failed; see the log",
        },
    }


def test_requests_are_measured_by_route_and_not_by_path() -> None:
    client = api()
    client.get("/api/raise/problem")
    client.get("/nowhere/1")
    client.get("/nowhere/2")
    text = client.get("/metrics").text
    assert (
        'optiinfra_http_requests_total{method="GET",route="/api/raise/{name}",status="409"} 1.0'
        in text
    )
    assert (
        'optiinfra_http_request_seconds_count{method="GET",route="/api/raise/{name}",status="409"}'
        in text
    )
    assert 'optiinfra_http_requests_total{method="any",route="unmatched",status="404"} 2.0' in text


def test_openapi_documents_problems_on_every_route() -> None:
    document = api().get("/openapi.json").json()
    for path in ("/api/page", "/api/raise/{name}"):
        answers = document["paths"][path]["get"]["responses"]
        assert {"401", "403", "404", "422", "500", "503"} <= set(answers)
        assert list(answers["422"]["content"]) == ["application/problem+json"]
    assert "ProblemDocument" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]

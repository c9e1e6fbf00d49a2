"""What is costly has a rate per token; everything else, and everybody else, goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import APIRouter
from pydantic import SecretStr
from support.api import Api

from optiinfra.settings import Settings
from optiinfra.web.app import create_service
from optiinfra.web.auth import Role, issue_token

GUARDED = Settings(
    auth="jwt", jwt_secret=SecretStr("s" * 32), triggers_per_minute=2, exports_per_minute=3
)
CSV = {"Accept": "text/csv"}


class Customers:
    def providers(self, customer_id: str) -> list[str]:
        return ["aws"]

    def cached(self, customer_id: str) -> list[str]:
        return ["aws"]


def service(settings: Settings) -> Api:
    router = APIRouter(prefix="/api")

    @router.post("/start")
    def start() -> str:
        return "started"

    @router.post("/restart")
    def restart() -> str:
        return "started"

    @router.get("/{customer_id}/rows")
    def rows() -> str:
        return "rows"

    return Api(
        create_service(
            title="t",
            description="d",
            routers=[router],
            settings=settings,
            readiness={},
            directory=Customers(),
        )
    )


def token(customer: str, subject: str = "cli") -> dict[str, str]:
    text = issue_token(
        GUARDED,
        customers=[customer],
        role=Role.MEMBER,
        subject=subject,
        lifetime=timedelta(minutes=5),
    )
    return {"Authorization": f"Bearer {text}"}


def statuses(api: Api, times: int, method: str, path: str, headers: dict[str, str]) -> list[int]:
    return [api.request(method, path, headers=headers).status_code for _ in range(times)]


def test_triggers_end_in_429_with_the_time_to_come_back() -> None:
    api = service(GUARDED)
    assert statuses(api, 3, "POST", "/api/start", token("acme")) == [200, 200, 429]
    refused = api.post("/api/start", headers=token("acme"))
    assert refused.json()["status"] == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_a_new_token_of_the_same_caller_brings_no_new_rate() -> None:
    api = service(GUARDED)
    for expected in (200, 200, 429):
        assert api.post("/api/start", headers=token("acme")).status_code == expected


def test_others_and_other_routes_go_on() -> None:
    api = service(GUARDED)
    assert statuses(api, 3, "POST", "/api/start", token("acme"))[-1] == 429
    for headers in (token("other"), token("acme", "ana")):
        assert api.post("/api/start", headers=headers).status_code == 200
    # In standalone a trigger passes the agent's route and the collector's.
    assert api.post("/api/restart", headers=token("acme")).status_code == 200


@pytest.mark.parametrize(("headers", "query"), [(CSV, ""), ({}, "?format=parquet")])
def test_exports_have_a_rate_and_pages_have_none(headers: dict[str, str], query: str) -> None:
    api = service(GUARDED)
    asked = statuses(api, 4, "GET", f"/api/acme/rows{query}", headers | token("acme"))
    assert asked == [200, 200, 200, 429]
    for accept in ("*/*", "application/json", "text/html"):
        pages = statuses(api, 5, "GET", "/api/acme/rows", {"Accept": accept} | token("acme"))
        assert pages == [200] * 5


def test_who_is_refused_anyway_uses_nothing_up() -> None:
    api = service(GUARDED)
    assert set(statuses(api, 5, "GET", "/api/acme/rows?format=csv", token("other"))) == {403}
    assert set(statuses(api, 5, "GET", "/api/acme/rows?format=csv", {})) == {401}
    assert statuses(api, 1, "GET", "/api/other/rows?format=csv", token("other")) == [200]


def test_without_tokens_there_is_nobody_to_count_for() -> None:
    api = service(Settings(triggers_per_minute=1))
    assert statuses(api, 5, "POST", "/api/start", {}) == [200] * 5

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from optiinfra.collector_client import (
    CollectorClient,
    CollectorRefusedError,
    CollectorUnavailableError,
)

BODY = {"customer_id": "acme", "provider": "aws", "kinds": ["performance"]}


def start(handler: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        client = CollectorClient("http://collector", httpx.MockTransport(handler))
        try:
            return await client.start_collection(BODY, headers or {})
        finally:
            await client.aclose()

    return asyncio.run(ask())


def test_wish_and_identity_are_handed_on_and_nothing_else() -> None:
    seen: list[httpx.Request] = []

    def collector(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"run_ids": ["r1"]})

    headers = {"authorization": "Bearer t", "x-request-id": "q1", "cookie": "c"}
    assert start(collector, headers) == {"run_ids": ["r1"]}
    assert seen[0].url.path == "/api/v2/collections"
    assert json.loads(seen[0].content) == BODY
    assert seen[0].headers["authorization"] == "Bearer t"
    assert seen[0].headers["x-request-id"] == "q1"
    assert "cookie" not in seen[0].headers


@pytest.mark.parametrize("status", [403, 404, 422, 503])
def test_refusal_keeps_its_problem(status: int) -> None:
    def collector(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"status": status}, headers={"Retry-After": "5"})

    with pytest.raises(CollectorRefusedError) as refused:
        start(collector)
    assert refused.value.status == status
    assert json.loads(refused.value.body) == {"status": status}
    assert refused.value.headers == {"retry-after": "5"}


def test_no_answer_and_a_broken_one_are_unavailable() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    for collector in (away, lambda _: httpx.Response(500)):
        with pytest.raises(CollectorUnavailableError):
            start(collector)

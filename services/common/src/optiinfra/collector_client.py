"""Asking the data collector to collect, over HTTP.

In standalone the transport is the app itself (`httpx.ASGITransport`), so that the same
request takes the same path without a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import httpx
from opentelemetry import propagate

from optiinfra.errors import OptiInfraError
from optiinfra.tracing import outgoing

_FORWARDED = ("authorization", "x-request-id")
_KEPT = ("retry-after", "www-authenticate")


class CollectorUnavailableError(OptiInfraError):
    """The data collector does not answer now, or not in its own words; ask again."""


class CollectorRefusedError(OptiInfraError):
    """The data collector refused; its problem document is the answer."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(f"the data collector answered {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers)


class CollectorClient:
    """The data collector's REST API, as far as other services need it."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=base_url, transport=transport, timeout=10)

    async def start_collection(
        self, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """`POST /api/v2/collections` on behalf of the caller whose `headers` these are.

        Returns the collector's answer, with `run_ids` in it. Raises CollectorRefusedError
        for a problem that is the caller's or passing (4xx, 503), CollectorUnavailableError
        when nothing sensible comes back.
        """
        forwarded = {name: headers[name] for name in _FORWARDED if name in headers}
        try:
            with outgoing("start collection"):
                propagate.inject(forwarded)
                response = await self._client.post(
                    "/api/v2/collections", json=dict(body), headers=forwarded
                )
        except httpx.TransportError as error:
            raise CollectorUnavailableError(f"data collector: {error}") from error
        if response.is_success:
            return cast("dict[str, Any]", response.json())
        if response.is_client_error or response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
            raise CollectorRefusedError(response.status_code, response.content, kept)
        raise CollectorUnavailableError(f"data collector answered {response.status_code}")

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

"""What stands around every request: headers that a browser obeys, and bounds on its size.

Pure ASGI middlewares, as Starlette's BaseHTTPMiddleware costs a task per request and breaks
streaming.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from optiinfra.web.problems import Problem

#: Where the data is; nothing below it is answered without a token.
API_PREFIX = "/api/"

#: Bodies are small JSON objects; a long URL names resources, and Azure's ids are long.
MAX_BODY_BYTES = 64 * 1024
MAX_URL_BYTES = 32 * 1024
MAX_HEADER_BYTES = 32 * 1024

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: Data is no page: whatever it holds, a browser runs and loads nothing of it.
_DATA = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-store",
}
#: Pages load from their own origin alone.
_PAGE = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_TOO_LARGE = f"A body has {MAX_BODY_BYTES} bytes or less."


class SecurityHeaders:
    """Adds to every answer what a browser should be told; a route's own headers stay."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = _EVERYWHERE | (_DATA if scope["path"].startswith(API_PREFIX) else _PAGE)
        if scope["scheme"] == "https":
            added |= _OVER_TLS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RequestBounds:
    """Refuses what is larger than any honest request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refusal := _refusal(scope):
            await refusal.response()(scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                # FastAPI lets this class pass where it reads a body, and no other.
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, receive_bounded, send)


def _refusal(scope: Scope) -> Problem | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
        return Problem(
            414, "URI Too Long", f"An address has {MAX_URL_BYTES} bytes or less; name less at once."
        )
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        return Problem(
            431,
            "Request Header Fields Too Large",
            f"Headers have {MAX_HEADER_BYTES} bytes or less.",
        )
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        return Problem(413, "Content Too Large", _TOO_LARGE)
    return None

"""A service as a process of its own."""

from __future__ import annotations

from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from optiinfra.settings import Settings
from optiinfra.web.hardening import MAX_HEADER_BYTES, MAX_URL_BYTES


class BoundedHttp(HttpToolsProtocol):
    """HTTP whose requests must come to the end of their headers.

    The parser keeps what it has read so far, and would do so without end. What is complete
    but too long is refused by the application, in its own words.
    """

    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_URL_BYTES + MAX_HEADER_BYTES:
            self.transport.write(STATUS_LINE[431] + b"connection: close\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True


#: How every service talks HTTP. Who asked for what is measured and logged by the application.
SERVER_OPTIONS: dict[str, Any] = {
    "http": BoundedHttp,
    "log_config": None,
    "access_log": False,
    "server_header": False,
}


def serve(app: FastAPI, settings: Settings, *, port: int) -> None:
    """Answer requests until told to stop; `port` is the service's own, unless PORT is set."""
    uvicorn.run(app, host=settings.host, port=settings.port or port, **SERVER_OPTIONS)

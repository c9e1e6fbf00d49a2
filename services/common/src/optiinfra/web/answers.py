"""JSON answers made of rows that are JSON already."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from optiinfra.domain import Window, iso


def list_answer(
    rows: bytes, *, window: Window | None = None, next_cursor: str | None = None, **members: Any
) -> Response:
    """`{"data": [...], "next_cursor": ..., "start": ..., "end": ..., <members>}`.

    `rows` holds JSON objects with commas between them. `members` are JSON values.
    """
    envelope: dict[str, Any] = {"next_cursor": next_cursor}
    if window is not None:
        envelope |= {"start": iso(window.start), "end": iso(window.end)}
    rest = json.dumps(envelope | members, separators=(",", ":")).encode()
    return Response(b"".join((b'{"data":[', rows, b"],", rest[1:])), media_type="application/json")


def object_answer(row: bytes) -> Response:
    """One row as the whole answer."""
    return Response(row, media_type="application/json")

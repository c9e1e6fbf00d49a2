"""JSON answers made of rows that are JSON already."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from optiinfra.domain import Window, iso


def list_answer(
    lines: bytes, *, window: Window | None = None, next_cursor: str | None = None, **members: Any
) -> Response:
    """`{"data": [...], "next_cursor": ..., "start": ..., "end": ..., <members>}`.

    `lines` holds one JSON object per line, each line ended. `members` are JSON values.
    """
    envelope: dict[str, Any] = {"next_cursor": next_cursor}
    if window is not None:
        envelope |= {"start": iso(window.start), "end": iso(window.end)}
    rest = json.dumps(envelope | members, separators=(",", ":")).encode()
    rows = lines.rstrip(b"\n").replace(b"\n", b",\n")
    return Response(b'{"data":[' + rows + b"]," + rest[1:], media_type="application/json")


def object_answer(line: bytes) -> Response:
    """One row as the whole answer."""
    return Response(line.rstrip(b"\n"), media_type="application/json")

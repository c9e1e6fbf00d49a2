"""Cursors: where the next page starts, in words that only this API reads.

A cursor pins the window of the first page, so that points arriving meanwhile neither shift
nor repeat rows, and it is bound to the question it came from: altered or put to another
question it is refused. It holds nothing secret; rows are guarded by the route as always.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from optiinfra.domain import Window
from optiinfra.web.problems import Problem

MAX_LIMIT = 10_000
_DIGEST_BYTES = 12
#: The store counts seconds in 32 bits.
_LAST_SECOND = 2**32 - 1
#: Parameters that may change from page to page.
_FREE = {"limit", "cursor", "format"}


class PageQuery(BaseModel):
    """The parameters of a paged list; endpoints add theirs by inheriting."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=1000, ge=1, le=MAX_LIMIT, description="rows of a page")
    cursor: str | None = Field(
        default=None,
        max_length=4096,
        description="next_cursor of the page before; repeat its other parameters",
    )


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts: after the row with this sort key, within this window."""

    window: Window
    key: tuple[str | int, ...]


def question(path: str, query: BaseModel) -> bytes:
    """What a cursor is bound to: the path and every parameter but limit, cursor, format."""
    return json.dumps(
        [path, _settled(query.model_dump(mode="json", exclude=_FREE))], sort_keys=True
    ).encode()


def encode_cursor(asked: bytes, cursor: Cursor) -> str:
    """The cursor as text for `next_cursor`."""
    window = cursor.window
    payload = json.dumps(
        [int(window.start.timestamp()), int(window.end.timestamp()), *cursor.key],
        separators=(",", ":"),
    ).encode()
    return _text(_digest(asked, payload) + payload)


def decode_cursor(asked: bytes, text: str, key_types: Sequence[type]) -> Cursor:
    """The cursor behind the text. Raises a 400 problem when it is not one of this question."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        digest, payload = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if _text(raw) != text or not compare_digest(digest, _digest(asked, payload)):
            raise _refused()
        start, end, *key = json.loads(payload)
        window = Window(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
    except (ValueError, TypeError, OverflowError, OSError, binascii.Error) as error:
        raise _refused() from error
    if [type(part) for part in key] != list(key_types) or not all(
        0 <= part <= _LAST_SECOND for part in (start, end, *key) if isinstance(part, int)
    ):
        raise _refused()
    return Cursor(window, tuple(key))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _settled(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Repeatable parameters mean the same in any order."""
    return {
        name: sorted(value) if isinstance(value, list) else value
        for name, value in parameters.items()
    }


def _digest(asked: bytes, payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES, key=blake2b(asked).digest()).digest()


def _refused() -> Problem:
    return Problem(
        400,
        "Bad Request",
        "The cursor does not belong to this question or was altered; start again without it, "
        "or repeat the parameters of the page it came with.",
    )

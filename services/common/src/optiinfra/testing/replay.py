"""Recorded answers of real clouds, read back for a provider's normalisers.

A recorder wraps what it stores, each in its own way: the answer lies under `data` or `body`,
or in a cassette of interactions, and times are objects. Here they come out as the provider's
own client would hand them over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: What recorders keep of the response beside its answer.
_BESIDE_AN_ANSWER = {"headers", "status", "status_code"}


class Watched(dict[str, Any]):
    """A body that remembers which of its fields were read."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def unread(bodies: Iterable[Watched]) -> set[str]:
    """Fields that some body has and whose values nobody has read from the body that had them."""
    return {key for body in bodies for key in body.keys() - body.read}


def recorded_answers(folder: Path, pattern: str = "*.json") -> Iterator[Any]:
    """The answers in the files anywhere below `folder` whose names match, in the files' order."""
    for path in sorted(folder.rglob(pattern)):
        yield recorded_answer(path)


def recorded_answer(path: Path) -> Any:
    """The one answer that a file holds, without its recorder's wrapping."""
    document = json.loads(path.read_text(encoding="utf-8"), object_hook=_moment)
    if isinstance(document, dict) and document.keys() & _BESIDE_AN_ANSWER:
        return document.get("data", document.get("body", document))
    return document


def recorded_interaction(path: Path, address: str) -> Any:
    """A cassette's answer to its first request whose address holds `address`, in any case.

    Raises LookupError when there was no such request.
    """
    for interaction in json.loads(path.read_text(encoding="utf-8"))["interactions"]:
        if address.lower() in interaction["request"]["uri"].lower():
            return interaction["response"]["body"]["data"]
    raise LookupError(f"{path.name} has no answer from {address}")


def _moment(entry: dict[str, Any]) -> Any:
    """A time that was stored as its parts, as the time that it was; anything else as it is."""
    if entry.get("__class__") != "datetime":
        return entry
    parts = {key: value for key, value in entry.items() if key not in ("__class__", "tzinfo")}
    return datetime(**parts, tzinfo=UTC)

"""Rows that leave the engine as finished JSON objects.

Building an object per row in Python would cost more than the query. The engine writes each
row as one line of JSON; Python joins lines.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from optiinfra_database.client import Params, Store


@dataclass(frozen=True, slots=True)
class Column:
    """One member of a row: its name, the SQL that gives it, and its ClickHouse type.

    With `raw`, the expression gives JSON text that is spliced in as it is; empty text
    becomes `{}`. Name, expression and type are code, never input.
    """

    name: str
    expression: str
    type: str
    raw: bool = False


def column(name: str, type: str, expression: str | None = None, *, raw: bool = False) -> Column:
    """A column whose expression is its name, unless given."""
    return Column(name, expression or name, type, raw)


def json_row(columns: Sequence[Column]) -> str:
    """The SQL expression that gives a row as the text of one JSON object.

    Raw columns come last in the object. At least one column is not raw.
    """
    plain = [entry for entry in columns if not entry.raw]
    values = ", ".join(entry.expression for entry in plain)
    types = ", ".join(f"{entry.name} {entry.type}" for entry in plain)
    literal = types.replace("\\", "\\\\").replace("'", "\\'")
    json_text = f"toJSONString(CAST(tuple({values}), 'Tuple({literal})'))"
    raw = [entry for entry in columns if entry.raw]
    if not raw:
        return json_text
    # toJSONString would quote text that is JSON already: open the object and append.
    members = ", ".join(
        f"',\"{entry.name}\":', if(empty({entry.expression}), '{{}}', {entry.expression})"
        for entry in raw
    )
    return f"concat(substring({json_text} AS row_text, 1, length(row_text) - 1), {members}, '}}')"


def plain_row(columns: Sequence[Column]) -> str:
    """The same columns as a SELECT list, in the order given."""
    return ", ".join(f"{entry.expression} AS {entry.name}" for entry in columns)


@dataclass(frozen=True)
class JsonRows:
    """JSON objects as the engine wrote them, one per line, with commas between the lines."""

    text: bytes = b""

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _count(self) -> int:
        """Counted once: looking through megabytes takes its time."""
        return self.text.count(b"\n") + 1 if self.text else 0

    def first(self, count: int) -> JsonRows:
        """The first `count` rows, at least one, or all of them when there are no more."""
        end = len(self.text)
        for _ in range(len(self) - count):
            end = self.text.rfind(b",\n", 0, end)
        return self if end == len(self.text) else JsonRows(self.text[:end])

    def last(self) -> dict[str, Any]:
        """The last row, parsed; IndexError when there is none."""
        if not self.text:
            raise IndexError("no rows")
        return cast("dict[str, Any]", json.loads(self.text[self.text.rfind(b"\n") + 1 :]))


def query_rows(store: Store, sql: str, params: Params) -> JsonRows:
    """The answer to a statement whose only column is a `json_row`."""
    return JsonRows(store.query_bytes(sql, params, format="CustomSeparated"))

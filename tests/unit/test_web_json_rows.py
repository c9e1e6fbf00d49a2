from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optiinfra_database.json_rows import JsonRows, column, json_row, plain_row

COLUMNS = [
    column("at", "DateTime('UTC')", "toDateTime(t, 'UTC')"),
    column("name", "String"),
    column("metadata", "String", raw=True),
]


def test_types_with_quotes_are_quoted_once_more() -> None:
    assert "'Tuple(at DateTime(\\'UTC\\'), name String)'" in json_row(COLUMNS)


def test_plain_row_names_every_column_in_order() -> None:
    assert plain_row(COLUMNS) == "toDateTime(t, 'UTC') AS at, name AS name, metadata AS metadata"


@given(st.lists(st.integers()), st.integers(1, 12))
def test_first_keeps_whole_rows(numbers: list[int], count: int) -> None:
    rows = JsonRows(b",\n".join(b'{"n":%d}' % n for n in numbers))
    kept = rows.first(count)
    assert len(rows) == len(numbers)
    assert [row["n"] for row in json.loads(b"[%b]" % kept.text)] == numbers[:count]
    if numbers[:count]:
        assert kept.last() == {"n": numbers[:count][-1]}


def test_no_rows_have_no_last_one() -> None:
    with pytest.raises(IndexError):
        JsonRows().last()

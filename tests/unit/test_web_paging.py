from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from optiinfra.domain import Window
from optiinfra.web.paging import Cursor, PageQuery, decode_cursor, encode_cursor, question
from optiinfra.web.problems import Problem

WINDOW = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
CURSOR = Cursor(WINDOW, (1_795_000_000, "cpu_utilization", "i-1"))
KEY_TYPES = (int, str, str)
ASKED = question("/api/v2/performance/acme/aws/metrics", PageQuery())


class FilteredQuery(PageQuery):
    metric: list[str] = Field(default_factory=list)


keys = st.tuples(st.integers(0, 2**32 - 1), st.text(), st.text())


@given(keys)
def test_cursor_comes_back_as_it_was(key: tuple[int, str, str]) -> None:
    cursor = Cursor(WINDOW, key)
    assert decode_cursor(ASKED, encode_cursor(ASKED, cursor), KEY_TYPES) == cursor


@given(st.data())
def test_any_altered_character_is_refused(data: st.DataObject) -> None:
    text = encode_cursor(ASKED, CURSOR)
    place = data.draw(st.integers(0, len(text) - 1))
    alphabet = string.ascii_letters + string.digits + "-_"
    other = data.draw(st.sampled_from([c for c in alphabet if c != text[place]]))
    with pytest.raises(Problem) as refused:
        decode_cursor(ASKED, text[:place] + other + text[place + 1 :], KEY_TYPES)
    assert refused.value.status == 400


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        decode_cursor(ASKED, text, KEY_TYPES)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "asked",
    [
        question("/api/v2/performance/other/aws/metrics", PageQuery()),
        question("/api/v2/performance/acme/gcp/metrics", PageQuery()),
        question("/api/v2/performance/acme/aws/latest", PageQuery()),
        question("/api/v2/performance/acme/aws/metrics", FilteredQuery(metric=["uptime"])),
    ],
)
def test_cursor_of_another_question_is_refused(asked: bytes) -> None:
    with pytest.raises(Problem) as refused:
        decode_cursor(asked, encode_cursor(ASKED, CURSOR), KEY_TYPES)
    assert refused.value.status == 400


def test_key_of_another_shape_is_refused() -> None:
    text = encode_cursor(ASKED, CURSOR)
    with pytest.raises(Problem):
        decode_cursor(ASKED, text, (str, str, str))


def test_moment_that_the_store_cannot_hold_is_refused() -> None:
    text = encode_cursor(ASKED, Cursor(WINDOW, (-1, "cpu_utilization", "i-1")))
    with pytest.raises(Problem):
        decode_cursor(ASKED, text, KEY_TYPES)


def test_limit_and_the_order_of_repeated_filters_may_change_between_pages() -> None:
    path = "/api/v2/x"
    first = question(path, FilteredQuery(limit=10, metric=["a", "b"]))
    assert question(path, FilteredQuery(limit=99, cursor="c", metric=["b", "a"])) == first


def test_window_of_a_cursor_is_the_first_page_s() -> None:
    cursor = decode_cursor(ASKED, encode_cursor(ASKED, CURSOR), KEY_TYPES)
    assert cursor.window.duration == timedelta(days=1)

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optiinfra.errors import StoreUnavailableError
from optiinfra.web.formats import Format, FormatQuery, negotiate, stream


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Format.JSON),
        ("", Format.JSON),
        ("*/*", Format.JSON),
        ("text/csv", Format.CSV),
        ("TEXT/CSV; charset=utf-8", Format.CSV),
        ("application/x-ndjson", Format.NDJSON),
        ("application/vnd.apache.parquet", Format.PARQUET),
        ("text/html, */*;q=0.8", Format.JSON),
        ("text/csv;q=0.5, application/x-ndjson;q=0.9", Format.NDJSON),
        ("application/json;q=0.1, text/csv", Format.CSV),
        ("text/csv;q=0", Format.JSON),
        ("text/csv;q=nonsense", Format.JSON),
        ("image/png", Format.JSON),
    ],
)
def test_accept_chooses_the_most_wanted_form(accept: str | None, form: Format) -> None:
    assert negotiate(accept) is form


@given(st.text())
def test_any_accept_header_is_understood_somehow(accept: str) -> None:
    assert negotiate(accept) in Format


def test_parameter_wins_over_the_header() -> None:
    assert FormatQuery(format=Format.CSV).chosen("application/x-ndjson") is Format.CSV


class Broken:
    """Fails at its first piece."""

    def csv(self) -> Iterator[bytes]:
        raise StoreUnavailableError("gone")
        yield b""

    ndjson = parquet = csv


def test_an_error_before_the_first_piece_is_raised_and_not_streamed() -> None:
    with pytest.raises(StoreUnavailableError):
        stream(Broken(), Format.CSV, "x")

"""In which form an answer leaves: JSON pages, or the whole as CSV, NDJSON or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse


class Format(StrEnum):
    """The forms by their names in `?format=`."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.NDJSON: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_BY_MEDIA_TYPE = {
    **{media_type: form for form, media_type in MEDIA_TYPES.items()},
    "application/ndjson": Format.NDJSON,
    "application/*": Format.JSON,
    "*/*": Format.JSON,
}


class FormatQuery(BaseModel):
    """The parameter that chooses a form; endpoints add theirs by inheriting."""

    model_config = ConfigDict(extra="forbid")

    format: Format | None = Field(
        default=None,
        description="json, or the whole answer streamed as csv, ndjson or parquet "
        "(then limit counts only when given, and cursor not at all); wins over Accept",
    )

    def chosen(self, accept: str | None) -> Format:
        """The form to answer in, given the request's Accept header."""
        return self.format or negotiate(accept)


class Exportable(Protocol):
    """An answer that can leave as a whole, piece by piece."""

    def csv(self) -> Iterator[bytes]: ...
    def ndjson(self) -> Iterator[bytes]: ...
    def parquet(self) -> Iterator[bytes]: ...


def negotiate(accept: str | None) -> Format:
    """The most wanted form that there is; JSON when none of the wanted ones is."""
    best, best_quality = Format.JSON, 0.0
    for entry in (accept or "").split(","):
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        form = _BY_MEDIA_TYPE.get(media_type)
        quality = _quality(parameters)
        if form is not None and quality > best_quality:
            best, best_quality = form, quality
    return best


def asks_for_export(request: Request) -> bool:
    """Whether the request wants a whole answer streamed, going by its own words alone."""
    named = request.query_params.get("format")
    return (named or negotiate(request.headers.get("accept"))) != Format.JSON


def stream(export: Exportable, form: Format, filename: str) -> StreamingResponse:
    """The whole answer as a download called `filename` with the form's ending.

    The first piece is made before this returns, so that an error becomes a problem answer
    and not a broken download.
    """
    makers = {Format.CSV: export.csv, Format.NDJSON: export.ndjson, Format.PARQUET: export.parquet}
    pieces = makers[form]()
    first = next(pieces, b"")
    return StreamingResponse(
        chain((first,), pieces),
        media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{filename}.{form}"'},
    )


def format_responses() -> dict[int | str, dict[str, Any]]:
    """How OpenAPI documents the forms beside JSON."""
    text = {"schema": {"type": "string"}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {
            "description": "OK",
            "content": {
                MEDIA_TYPES[Format.CSV]: text,
                MEDIA_TYPES[Format.NDJSON]: text,
                MEDIA_TYPES[Format.PARQUET]: binary,
            },
        }
    }


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0

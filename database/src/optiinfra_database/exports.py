"""Whole answers as the engine streams them: CSV, newline-delimited JSON, Parquet.

Memory stays flat: a block leaves before the next one is read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from optiinfra_database.client import Params, Store
from optiinfra_database.json_rows import Column, json_row, plain_row

_ARROW_TYPES: dict[str, pa.DataType] = {
    "String": pa.string(),
    "Float64": pa.float64(),
    "UInt64": pa.uint64(),
    "Bool": pa.bool_(),
    "DateTime('UTC')": pa.timestamp("s", "UTC"),
}


@dataclass(frozen=True, slots=True)
class Export:
    """The rows of one SELECT: `columns` of `source`, which is everything after the list."""

    store: Store
    columns: Sequence[Column]
    source: str
    params: Params

    def csv(self) -> Iterator[bytes]:
        """A header line, then rows; null is empty, times are ISO 8601 in UTC."""
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(entry.name for entry in self.columns)
        rows = self.store.stream_bytes(
            f"SELECT {plain_row(self.columns)} {self.source} "
            "SETTINGS format_csv_null_representation = ''",
            self.params,
            format="CSV",
        )
        # The header waits for the first rows: until then an error can still be told.
        yield header.getvalue().encode() + next(rows, b"")
        yield from rows

    def ndjson(self) -> Iterator[bytes]:
        """One JSON object per line, the same as the rows of a JSON answer."""
        return self.store.stream_bytes(
            f"SELECT {json_row(self.columns)} {self.source}", self.params, format="TSVRaw"
        )

    def parquet(self) -> Iterator[bytes]:
        """A Parquet file, row group by row group; times are UTC timestamps."""
        schema = pa.schema([_field(entry) for entry in self.columns])
        selected = ", ".join(
            f"{_arrow_expression(entry)} AS {entry.name}" for entry in self.columns
        )
        pieces = _Pieces()
        with pq.ParquetWriter(pieces, schema, compression="zstd") as writer:
            for batch in self.store.stream_arrow(f"SELECT {selected} {self.source}", self.params):
                writer.write_batch(batch.cast(schema))
                yield pieces.take()
        yield pieces.take()


class _Pieces(io.RawIOBase):
    """A file that only grows, handed out piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(memoryview(data))  # type: ignore[arg-type]  # any buffer, by contract
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _field(entry: Column) -> pa.Field:
    inner = entry.type.removeprefix("Nullable(")
    nullable = inner != entry.type
    name = inner[:-1] if nullable else inner
    return pa.field(entry.name, _ARROW_TYPES[name], nullable=nullable)


def _arrow_expression(entry: Column) -> str:
    # DateTime leaves as a bare number in Arrow; DateTime64 leaves as a timestamp.
    if "DateTime('UTC')" in entry.type:
        return f"toDateTime64({entry.expression}, 0, 'UTC')"
    return f"CAST({entry.expression}, '{entry.type}')"

"""The declared columns of the tables that are written from Arrow.

The migrations are the truth about types, codecs and keys; a test holds these schemas
against the columns that the migrations really make.
"""

from __future__ import annotations

import pyarrow as pa

_WORD = pa.dictionary(pa.int32(), pa.string())
_SECONDS = pa.uint32()  # DateTime: seconds since the epoch

PERFORMANCE_METRICS = pa.schema(
    [
        ("timestamp", _SECONDS),
        ("customer_id", _WORD),
        ("provider", _WORD),
        ("account_id", _WORD),
        ("metric_type", _WORD),
        ("resource_id", _WORD),
        ("resource_name", _WORD),
        ("metric_name", _WORD),
        ("metric_value", pa.float64()),
        ("unit", _WORD),
        ("settled", pa.bool_()),
        ("metadata", _WORD),
        ("collected_at", _SECONDS),
    ],
    metadata={"table": "performance_metrics"},
)

RESOURCE_METRICS = pa.schema(
    [
        ("timestamp", _SECONDS),
        ("customer_id", _WORD),
        ("provider", _WORD),
        ("account_id", _WORD),
        ("scope", _WORD),
        ("metric_type", _WORD),
        ("resource_id", pa.string()),
        ("resource_name", pa.string()),
        ("resource_type", _WORD),
        ("status", _WORD),
        ("region", _WORD),
        ("metadata", pa.string()),
        ("collected_at", _SECONDS),
    ],
    metadata={"table": "resource_metrics"},
)

RESOURCES_LATEST = pa.schema(
    [
        ("customer_id", _WORD),
        ("provider", _WORD),
        ("resource_id", pa.string()),
        ("account_id", _WORD),
        ("scope", _WORD),
        ("resource_name", pa.string()),
        ("resource_type", _WORD),
        ("status", _WORD),
        ("region", _WORD),
        ("metadata", pa.string()),
        ("first_seen", _SECONDS),
        ("last_seen", _SECONDS),
        ("deleted_at", _SECONDS),
        ("updated_at", pa.timestamp("ms", "UTC")),
    ],
    metadata={"table": "resources_latest"},
)

RESOURCE_CHANGES = pa.schema(
    [
        ("timestamp", _SECONDS),
        ("customer_id", _WORD),
        ("provider", _WORD),
        ("account_id", _WORD),
        ("scope", _WORD),
        ("change", _WORD),
        ("resource_id", pa.string()),
        ("resource_name", pa.string()),
        ("resource_type", _WORD),
        ("before", pa.string()),
        ("after", pa.string()),
        ("since", _SECONDS),
        ("run_id", pa.string()),  # recorded_at is the store's own
    ],
    metadata={"table": "resource_changes"},
)

WRITTEN_FROM_ARROW = (PERFORMANCE_METRICS, RESOURCE_METRICS, RESOURCES_LATEST, RESOURCE_CHANGES)


def table_name(schema: pa.Schema) -> str:
    """The table that a schema declares."""
    return str(schema.metadata[b"table"].decode())

"""The specification's own table: plain types, default compression of a server (LZ4)."""

from __future__ import annotations

import pyarrow as pa

PLAIN = "plain_metrics"

# chDB's default codec depends on the size of a part; a server's is LZ4.
DDL = f"""
CREATE TABLE {PLAIN}
(
    timestamp     DateTime('UTC') CODEC(LZ4),
    customer_id   String          CODEC(LZ4),
    provider      String          CODEC(LZ4),
    metric_type   String          CODEC(LZ4),
    resource_id   String          CODEC(LZ4),
    resource_name String          CODEC(LZ4),
    metric_name   String          CODEC(LZ4),
    metric_value  Float64         CODEC(LZ4),
    unit          String          CODEC(LZ4),
    metadata      String          CODEC(LZ4),
    collected_at  DateTime('UTC') CODEC(LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (customer_id, provider, resource_id, timestamp)
"""

_BEYOND_IT = ("account_id", "settled")


def plain_rows(rows: pa.Table) -> pa.Table:
    """Rows of performance_metrics without what the specification does not have."""
    return rows.drop_columns(list(_BEYOND_IT))

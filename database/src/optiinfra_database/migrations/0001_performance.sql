-- One row per settled or provisional point. Read with FINAL: the newest collected_at of a
-- key wins, so collecting a window again changes nothing but what was corrected.
-- Real series repeat whole values, which ZSTD finds and coders of floats (ALP, Gorilla, FPC,
-- Delta) hide: those are 25 to 60 % larger. ZSTD(9) against ZSTD(3) is 7 to 9 % smaller, decodes
-- as fast and costs an eighth of the insert rate; from ZSTD(12) on inserts halve. Levels below
-- 6 do not see that the series of a run share their collected_at.
CREATE TABLE performance_metrics
(
    timestamp     DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    customer_id   LowCardinality(String) CODEC(ZSTD(1)),
    provider      LowCardinality(String) CODEC(ZSTD(1)),
    account_id    LowCardinality(String) CODEC(ZSTD(1)),
    metric_type   LowCardinality(String) CODEC(ZSTD(1)),
    resource_id   LowCardinality(String) CODEC(ZSTD(1)),
    resource_name LowCardinality(String) CODEC(ZSTD(1)),
    metric_name   LowCardinality(String) CODEC(ZSTD(1)),
    metric_value  Float64                CODEC(ZSTD(9)),
    unit          LowCardinality(String) CODEC(ZSTD(1)),
    settled       Bool                   CODEC(ZSTD(1)),
    metadata      String                 CODEC(ZSTD(3)),
    collected_at  DateTime('UTC')        CODEC(Delta, ZSTD(6))
)
ENGINE = ReplacingMergeTree(collected_at)
PARTITION BY toMonday(timestamp)
ORDER BY (customer_id, provider, metric_name, resource_id, timestamp)
TTL timestamp + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1,
         non_replicated_deduplication_window = 1000,
         min_age_to_force_merge_seconds = 3600,
         min_age_to_force_merge_on_partition_only = 1;

-- The newest point of each series, kept by the insert itself.
CREATE TABLE metrics_latest
(
    customer_id   LowCardinality(String),
    provider      LowCardinality(String),
    resource_id   LowCardinality(String),
    metric_name   LowCardinality(String),
    timestamp     DateTime('UTC'),
    account_id    LowCardinality(String),
    metric_type   LowCardinality(String),
    resource_name LowCardinality(String),
    metric_value  Float64,
    unit          LowCardinality(String),
    settled       Bool,
    metadata      String,
    collected_at  DateTime('UTC'),
    version       UInt64 MATERIALIZED toUInt64(toUnixTimestamp(timestamp)) * 4294967296 + toUnixTimestamp(collected_at)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (customer_id, provider, resource_id, metric_name)
TTL timestamp + toIntervalDay(90)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW metrics_latest_mv TO metrics_latest AS
SELECT customer_id, provider, resource_id, metric_name, timestamp, account_id, metric_type,
       resource_name, metric_value, unit, settled, metadata, collected_at
FROM performance_metrics
ORDER BY timestamp DESC, collected_at DESC
LIMIT 1 BY customer_id, provider, resource_id, metric_name;

-- Rollups are computed again from the raw rows of their hour or day, never added to: a sum
-- that an insert increments would count a window twice when it is collected twice.
CREATE TABLE metrics_1h
(
    customer_id LowCardinality(String) CODEC(ZSTD(1)),
    provider    LowCardinality(String) CODEC(ZSTD(1)),
    metric_name LowCardinality(String) CODEC(ZSTD(1)),
    metric_type LowCardinality(String) CODEC(ZSTD(1)),
    bucket      DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    unit        LowCardinality(String) CODEC(ZSTD(1)),
    points      UInt64                 CODEC(T64, ZSTD(1)),
    total       Float64                CODEC(ZSTD(3)),
    lowest      Float64                CODEC(ZSTD(3)),
    highest     Float64                CODEC(ZSTD(3)),
    sketch      AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(6)),
    resources   AggregateFunction(uniqCombined64(12), String) CODEC(ZSTD(1)),
    computed_at DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (customer_id, provider, metric_name, metric_type, bucket)
TTL bucket + toIntervalDay(400)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1;

CREATE TABLE metrics_1d
(
    customer_id   LowCardinality(String) CODEC(ZSTD(1)),
    provider      LowCardinality(String) CODEC(ZSTD(1)),
    metric_name   LowCardinality(String) CODEC(ZSTD(1)),
    resource_id   LowCardinality(String) CODEC(ZSTD(1)),
    bucket        DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    resource_name LowCardinality(String) CODEC(ZSTD(1)),
    metric_type   LowCardinality(String) CODEC(ZSTD(1)),
    unit          LowCardinality(String) CODEC(ZSTD(1)),
    points        UInt64                 CODEC(T64, ZSTD(1)),
    total         Float64                CODEC(ZSTD(3)),
    lowest        Float64                CODEC(ZSTD(3)),
    highest       Float64                CODEC(ZSTD(3)),
    last_value    Float64                CODEC(ZSTD(3)),
    last_at       DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    sketch        AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(6)),
    computed_at   DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (customer_id, provider, metric_name, resource_id, bucket)
TTL bucket + toIntervalDay(400)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1;

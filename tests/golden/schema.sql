CREATE TABLE accounts
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` String,
    `updated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (customer_id, provider, account_id)
SETTINGS index_granularity = 8192;

CREATE TABLE collection_gaps
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `scope` LowCardinality(String),
    `reason` LowCardinality(String),
    `resource_id` LowCardinality(String),
    `metric_name` LowCardinality(String),
    `window_start` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `window_end` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `detail` String CODEC(ZSTD(3)),
    `run_id` String CODEC(ZSTD(3)),
    `recorded_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(recorded_at)
PARTITION BY toMonday(window_start)
ORDER BY (customer_id, provider, scope, resource_id, metric_name, reason, window_start)
TTL window_start + toIntervalDay(90)
SETTINGS index_granularity = 8192;

CREATE TABLE collection_outcomes
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `kind` LowCardinality(String),
    `scope` LowCardinality(String),
    `run_id` String,
    `window_start` DateTime('UTC'),
    `window_end` DateTime('UTC'),
    `status` LowCardinality(String),
    `collected_until` DateTime('UTC'),
    `incomplete_since` DateTime('UTC'),
    `completed_at` DateTime64(3, 'UTC'),
    `rows` UInt64,
    `dropped` Map(LowCardinality(String), UInt64),
    `api_calls` Map(LowCardinality(String), UInt64),
    `throttles` UInt64,
    `price_usd` Float64,
    `error_class` LowCardinality(String),
    `error` String CODEC(ZSTD(3)),
    `started_at` DateTime64(3, 'UTC'),
    `finished_at` DateTime64(3, 'UTC'),
    INDEX by_run run_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(finished_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (customer_id, provider, kind, scope, window_start, window_end, run_id)
TTL window_start + toIntervalDay(90)
SETTINGS index_granularity = 8192;

CREATE TABLE collection_runs
(
    `run_id` String,
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `kind` LowCardinality(String),
    `trigger` LowCardinality(String),
    `status` LowCardinality(String),
    `window_start` DateTime('UTC'),
    `window_end` DateTime('UTC'),
    `queued_at` DateTime64(3, 'UTC'),
    `started_at` Nullable(DateTime64(3, 'UTC')),
    `finished_at` Nullable(DateTime64(3, 'UTC')),
    `error` String CODEC(ZSTD(3)),
    `updated_at` DateTime64(6, 'UTC'),
    INDEX by_run run_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(queued_at)
ORDER BY (customer_id, queued_at, run_id)
TTL toDateTime(queued_at) + toIntervalDay(90)
SETTINGS index_granularity = 8192;

CREATE TABLE collection_scopes
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `kind` LowCardinality(String),
    `scope` LowCardinality(String),
    `status` LowCardinality(String),
    `collected_until` DateTime('UTC'),
    `incomplete_since` DateTime('UTC'),
    `completed_at` DateTime64(3, 'UTC'),
    `finished_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(finished_at)
ORDER BY (customer_id, provider, kind, scope)
TTL toDateTime(finished_at) + toIntervalDay(90)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW collection_scopes_mv TO collection_scopes
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `kind` LowCardinality(String),
    `scope` LowCardinality(String),
    `status` LowCardinality(String),
    `collected_until` DateTime('UTC'),
    `incomplete_since` DateTime('UTC'),
    `completed_at` DateTime64(3, 'UTC'),
    `finished_at` DateTime64(3, 'UTC')
)
AS SELECT
    customer_id,
    provider,
    account_id,
    kind,
    scope,
    status,
    collected_until,
    incomplete_since,
    completed_at,
    finished_at
FROM collection_outcomes
ORDER BY finished_at DESC
LIMIT 1 BY
    customer_id,
    provider,
    kind,
    scope;

CREATE TABLE collection_usage
(
    `month` Date,
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `kind` LowCardinality(String),
    `outcomes` SimpleAggregateFunction(sumMap, Map(String, UInt64)),
    `api_calls` SimpleAggregateFunction(sumMap, Map(String, UInt64)),
    `throttles` SimpleAggregateFunction(sum, UInt64),
    `price_usd` SimpleAggregateFunction(sum, Float64),
    `rows` SimpleAggregateFunction(sum, UInt64),
    `dropped` SimpleAggregateFunction(sumMap, Map(String, UInt64))
)
ENGINE = AggregatingMergeTree
ORDER BY (customer_id, provider, account_id, kind, month)
TTL month + toIntervalDay(400)
SETTINGS index_granularity = 8192;

CREATE MATERIALIZED VIEW collection_usage_mv TO collection_usage
(
    `month` Date,
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `account_id` LowCardinality(String),
    `kind` LowCardinality(String),
    `outcomes` Map(LowCardinality(String), UInt64),
    `api_calls` Map(String, UInt64),
    `throttles` UInt64,
    `price_usd` Float64,
    `rows` UInt64,
    `dropped` Map(String, UInt64)
)
AS SELECT
    toStartOfMonth(finished_at) AS month,
    customer_id,
    provider,
    account_id,
    kind,
    map(toString(status), toUInt64(1)) AS outcomes,
    CAST(api_calls, 'Map(String, UInt64)') AS api_calls,
    throttles,
    price_usd,
    rows,
    CAST(dropped, 'Map(String, UInt64)') AS dropped
FROM collection_outcomes;

CREATE TABLE metrics_1d
(
    `customer_id` LowCardinality(String) CODEC(ZSTD(1)),
    `provider` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_name` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_id` LowCardinality(String) CODEC(ZSTD(1)),
    `bucket` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `resource_name` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_type` LowCardinality(String) CODEC(ZSTD(1)),
    `unit` LowCardinality(String) CODEC(ZSTD(1)),
    `points` UInt64 CODEC(T64, ZSTD(1)),
    `total` Float64 CODEC(ZSTD(3)),
    `lowest` Float64 CODEC(ZSTD(3)),
    `highest` Float64 CODEC(ZSTD(3)),
    `last_value` Float64 CODEC(ZSTD(3)),
    `last_at` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `sketch` AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(6)),
    `computed_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (customer_id, provider, metric_name, resource_id, bucket)
TTL bucket + toIntervalDay(400)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1;

CREATE TABLE metrics_1h
(
    `customer_id` LowCardinality(String) CODEC(ZSTD(1)),
    `provider` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_name` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_type` LowCardinality(String) CODEC(ZSTD(1)),
    `bucket` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `unit` LowCardinality(String) CODEC(ZSTD(1)),
    `points` UInt64 CODEC(T64, ZSTD(1)),
    `total` Float64 CODEC(ZSTD(3)),
    `lowest` Float64 CODEC(ZSTD(3)),
    `highest` Float64 CODEC(ZSTD(3)),
    `sketch` AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD(6)),
    `resources` AggregateFunction(uniqCombined64(12), String) CODEC(ZSTD(1)),
    `computed_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (customer_id, provider, metric_name, metric_type, bucket)
TTL bucket + toIntervalDay(400)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1;

CREATE TABLE metrics_latest
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `resource_id` LowCardinality(String),
    `metric_name` LowCardinality(String),
    `timestamp` DateTime('UTC'),
    `account_id` LowCardinality(String),
    `metric_type` LowCardinality(String),
    `resource_name` LowCardinality(String),
    `metric_value` Float64,
    `unit` LowCardinality(String),
    `settled` Bool,
    `metadata` String,
    `collected_at` DateTime('UTC'),
    `version` UInt64 MATERIALIZED (toUInt64(toUnixTimestamp(timestamp)) * 4294967296) + toUnixTimestamp(collected_at)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (customer_id, provider, resource_id, metric_name)
TTL timestamp + toIntervalDay(90)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW metrics_latest_mv TO metrics_latest
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `resource_id` LowCardinality(String),
    `metric_name` LowCardinality(String),
    `timestamp` DateTime('UTC'),
    `account_id` LowCardinality(String),
    `metric_type` LowCardinality(String),
    `resource_name` LowCardinality(String),
    `metric_value` Float64,
    `unit` LowCardinality(String),
    `settled` Bool,
    `metadata` String,
    `collected_at` DateTime('UTC')
)
AS SELECT
    customer_id,
    provider,
    resource_id,
    metric_name,
    timestamp,
    account_id,
    metric_type,
    resource_name,
    metric_value,
    unit,
    settled,
    metadata,
    collected_at
FROM performance_metrics
ORDER BY
    timestamp DESC,
    collected_at DESC
LIMIT 1 BY
    customer_id,
    provider,
    resource_id,
    metric_name;

CREATE TABLE performance_metrics
(
    `timestamp` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `customer_id` LowCardinality(String) CODEC(ZSTD(1)),
    `provider` LowCardinality(String) CODEC(ZSTD(1)),
    `account_id` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_type` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_id` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_name` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_name` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_value` Float64 CODEC(ZSTD(9)),
    `unit` LowCardinality(String) CODEC(ZSTD(1)),
    `settled` Bool CODEC(ZSTD(1)),
    `metadata` String CODEC(ZSTD(3)),
    `collected_at` DateTime('UTC') CODEC(Delta(4), ZSTD(6))
)
ENGINE = ReplacingMergeTree(collected_at)
PARTITION BY toMonday(timestamp)
ORDER BY (customer_id, provider, metric_name, resource_id, timestamp)
TTL timestamp + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1, index_granularity = 8192;

CREATE TABLE resource_changes
(
    `timestamp` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `customer_id` LowCardinality(String) CODEC(ZSTD(1)),
    `provider` LowCardinality(String) CODEC(ZSTD(1)),
    `account_id` LowCardinality(String) CODEC(ZSTD(1)),
    `scope` LowCardinality(String) CODEC(ZSTD(1)),
    `change` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_id` String CODEC(ZSTD(3)),
    `resource_name` String CODEC(ZSTD(3)),
    `resource_type` LowCardinality(String) CODEC(ZSTD(1)),
    `before` String CODEC(ZSTD(3)),
    `after` String CODEC(ZSTD(3)),
    `since` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `run_id` String CODEC(ZSTD(3)),
    `recorded_at` DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(recorded_at)
PARTITION BY toYYYYMM(since)
ORDER BY (customer_id, provider, resource_id, change, since)
TTL timestamp + toIntervalDay(90)
SETTINGS index_granularity = 8192;

CREATE TABLE resource_metrics
(
    `timestamp` DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    `customer_id` LowCardinality(String) CODEC(ZSTD(1)),
    `provider` LowCardinality(String) CODEC(ZSTD(1)),
    `account_id` LowCardinality(String) CODEC(ZSTD(1)),
    `scope` LowCardinality(String) CODEC(ZSTD(1)),
    `metric_type` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_id` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_name` LowCardinality(String) CODEC(ZSTD(1)),
    `resource_type` LowCardinality(String) CODEC(ZSTD(1)),
    `status` LowCardinality(String) CODEC(ZSTD(1)),
    `region` LowCardinality(String) CODEC(ZSTD(1)),
    `metadata` String CODEC(ZSTD(3)),
    `collected_at` DateTime('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree(collected_at)
PARTITION BY toMonday(timestamp)
ORDER BY (customer_id, provider, resource_id, timestamp)
TTL timestamp + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1, min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1, index_granularity = 8192;

CREATE TABLE resources_latest
(
    `customer_id` LowCardinality(String),
    `provider` LowCardinality(String),
    `resource_id` String CODEC(ZSTD(3)),
    `account_id` LowCardinality(String),
    `scope` LowCardinality(String),
    `resource_name` String CODEC(ZSTD(3)),
    `resource_type` LowCardinality(String),
    `status` LowCardinality(String),
    `region` LowCardinality(String),
    `metadata` String CODEC(ZSTD(3)),
    `first_seen` DateTime('UTC'),
    `last_seen` DateTime('UTC'),
    `deleted_at` DateTime('UTC'),
    `updated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (customer_id, provider, resource_id)
SETTINGS index_granularity = 1024;

CREATE TABLE rollup_refreshes
(
    `covers_until` DateTime64(3, 'UTC'),
    `hours` UInt32,
    `finished_at` DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY covers_until
TTL toDateTime(covers_until) + toIntervalDay(90)
SETTINGS index_granularity = 8192;

CREATE TABLE schema_migrations
(
    `version` UInt32,
    `name` String,
    `checksum` String,
    `state` Enum8('in_progress' = 1, 'applied' = 2),
    `updated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY version
SETTINGS index_granularity = 8192;


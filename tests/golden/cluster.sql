CREATE TABLE IF NOT EXISTS performance_metrics_local ON CLUSTER optiinfra
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', collected_at)
PARTITION BY toMonday(timestamp)
ORDER BY (customer_id, provider, metric_name, resource_id, timestamp)
TTL timestamp + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1,
         min_age_to_force_merge_seconds = 3600,
         min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE IF NOT EXISTS performance_metrics ON CLUSTER optiinfra AS performance_metrics_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, performance_metrics_local, cityHash64(customer_id, resource_id));

CREATE TABLE IF NOT EXISTS metrics_latest_local ON CLUSTER optiinfra
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
ORDER BY (customer_id, provider, resource_id, metric_name)
TTL timestamp + toIntervalDay(90)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS metrics_latest ON CLUSTER optiinfra AS metrics_latest_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, metrics_latest_local, cityHash64(customer_id, resource_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS metrics_latest_mv ON CLUSTER optiinfra TO metrics_latest_local AS
SELECT customer_id, provider, resource_id, metric_name, timestamp, account_id, metric_type,
       resource_name, metric_value, unit, settled, metadata, collected_at
FROM performance_metrics_local
ORDER BY timestamp DESC, collected_at DESC
LIMIT 1 BY customer_id, provider, resource_id, metric_name;

CREATE TABLE IF NOT EXISTS metrics_1h_local ON CLUSTER optiinfra
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (customer_id, provider, metric_name, metric_type, bucket)
TTL bucket + toIntervalDay(400)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS metrics_1h ON CLUSTER optiinfra AS metrics_1h_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, metrics_1h_local, cityHash64(customer_id));

CREATE TABLE IF NOT EXISTS metrics_1d_local ON CLUSTER optiinfra
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', computed_at)
PARTITION BY toYYYYMM(bucket)
ORDER BY (customer_id, provider, metric_name, resource_id, bucket)
TTL bucket + toIntervalDay(400)
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS metrics_1d ON CLUSTER optiinfra AS metrics_1d_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, metrics_1d_local, cityHash64(customer_id, resource_id));

CREATE TABLE IF NOT EXISTS resource_metrics_local ON CLUSTER optiinfra
(
    timestamp     DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    customer_id   LowCardinality(String) CODEC(ZSTD(1)),
    provider      LowCardinality(String) CODEC(ZSTD(1)),
    account_id    LowCardinality(String) CODEC(ZSTD(1)),
    scope         LowCardinality(String) CODEC(ZSTD(1)),
    metric_type   LowCardinality(String) CODEC(ZSTD(1)),
    resource_id   LowCardinality(String) CODEC(ZSTD(1)),
    resource_name LowCardinality(String) CODEC(ZSTD(1)),
    resource_type LowCardinality(String) CODEC(ZSTD(1)),
    status        LowCardinality(String) CODEC(ZSTD(1)),
    region        LowCardinality(String) CODEC(ZSTD(1)),
    metadata      String                 CODEC(ZSTD(3)),
    collected_at  DateTime('UTC')        CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', collected_at)
PARTITION BY toMonday(timestamp)
ORDER BY (customer_id, provider, resource_id, timestamp)
TTL timestamp + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1,
         min_age_to_force_merge_seconds = 3600,
         min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE IF NOT EXISTS resource_metrics ON CLUSTER optiinfra AS resource_metrics_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, resource_metrics_local, cityHash64(customer_id, resource_id));

CREATE TABLE IF NOT EXISTS resources_latest_local ON CLUSTER optiinfra
(
    customer_id   LowCardinality(String),
    provider      LowCardinality(String),
    resource_id   String CODEC(ZSTD(3)),
    account_id    LowCardinality(String),
    scope         LowCardinality(String),
    resource_name String CODEC(ZSTD(3)),
    resource_type LowCardinality(String),
    status        LowCardinality(String),
    region        LowCardinality(String),
    metadata      String CODEC(ZSTD(3)),
    first_seen    DateTime('UTC'),
    last_seen     DateTime('UTC'),
    deleted_at    DateTime('UTC'),
    updated_at    DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', updated_at)
ORDER BY (customer_id, provider, resource_id)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS resources_latest ON CLUSTER optiinfra AS resources_latest_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, resources_latest_local, cityHash64(customer_id, resource_id));

CREATE TABLE IF NOT EXISTS resource_changes_local ON CLUSTER optiinfra
(
    timestamp     DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    customer_id   LowCardinality(String) CODEC(ZSTD(1)),
    provider      LowCardinality(String) CODEC(ZSTD(1)),
    account_id    LowCardinality(String) CODEC(ZSTD(1)),
    scope         LowCardinality(String) CODEC(ZSTD(1)),
    change        LowCardinality(String) CODEC(ZSTD(1)),
    resource_id   String                 CODEC(ZSTD(3)),
    resource_name String                 CODEC(ZSTD(3)),
    resource_type LowCardinality(String) CODEC(ZSTD(1)),
    before        String                 CODEC(ZSTD(3)),
    after         String                 CODEC(ZSTD(3)),
    since         DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    run_id        String                 CODEC(ZSTD(3)),
    recorded_at   DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', recorded_at)
PARTITION BY toYYYYMM(since)
ORDER BY (customer_id, provider, resource_id, change, since)
TTL timestamp + toIntervalDay(90);

CREATE TABLE IF NOT EXISTS resource_changes ON CLUSTER optiinfra AS resource_changes_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, resource_changes_local, cityHash64(customer_id, resource_id));

CREATE TABLE IF NOT EXISTS accounts_local ON CLUSTER optiinfra
(
    customer_id LowCardinality(String),
    provider    LowCardinality(String),
    account_id  String,
    updated_at  DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', updated_at)
ORDER BY (customer_id, provider, account_id);

CREATE TABLE IF NOT EXISTS accounts ON CLUSTER optiinfra AS accounts_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, accounts_local, cityHash64(customer_id));

CREATE TABLE IF NOT EXISTS collection_runs_local ON CLUSTER optiinfra
(
    run_id       String,
    customer_id  LowCardinality(String),
    provider     LowCardinality(String),
    account_id   LowCardinality(String),
    kind         LowCardinality(String),
    trigger      LowCardinality(String),
    status       LowCardinality(String),
    window_start DateTime('UTC'),
    window_end   DateTime('UTC'),
    queued_at    DateTime64(3, 'UTC'),
    started_at   Nullable(DateTime64(3, 'UTC')),
    finished_at  Nullable(DateTime64(3, 'UTC')),
    error        String CODEC(ZSTD(3)),
    updated_at   DateTime64(6, 'UTC'),
    INDEX by_run run_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', updated_at)
PARTITION BY toYYYYMM(queued_at)
ORDER BY (customer_id, queued_at, run_id)
TTL toDateTime(queued_at) + toIntervalDay(90);

CREATE TABLE IF NOT EXISTS collection_runs ON CLUSTER optiinfra AS collection_runs_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, collection_runs_local, cityHash64(customer_id));

CREATE TABLE IF NOT EXISTS collection_outcomes_local ON CLUSTER optiinfra
(
    customer_id     LowCardinality(String),
    provider        LowCardinality(String),
    account_id      LowCardinality(String),
    kind            LowCardinality(String),
    scope           LowCardinality(String),
    run_id          String,
    window_start    DateTime('UTC'),
    window_end      DateTime('UTC'),
    status          LowCardinality(String),
    collected_until DateTime('UTC'),
    rows            UInt64,
    dropped         Map(LowCardinality(String), UInt64),
    api_calls       Map(LowCardinality(String), UInt64),
    price_usd       Float64,
    error_class     LowCardinality(String),
    error           String CODEC(ZSTD(3)),
    started_at      DateTime64(3, 'UTC'),
    finished_at     DateTime64(3, 'UTC'),
    INDEX by_run run_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', finished_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (customer_id, provider, kind, scope, window_start, window_end, run_id)
TTL window_start + toIntervalDay(90);

CREATE TABLE IF NOT EXISTS collection_outcomes ON CLUSTER optiinfra AS collection_outcomes_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, collection_outcomes_local, cityHash64(customer_id));

CREATE TABLE IF NOT EXISTS collection_gaps_local ON CLUSTER optiinfra
(
    customer_id  LowCardinality(String),
    provider     LowCardinality(String),
    account_id   LowCardinality(String),
    scope        LowCardinality(String),
    reason       LowCardinality(String),
    resource_id  LowCardinality(String),
    metric_name  LowCardinality(String),
    window_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    window_end   DateTime('UTC') CODEC(Delta, ZSTD(1)),
    detail       String CODEC(ZSTD(3)),
    run_id       String CODEC(ZSTD(3)),
    recorded_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', recorded_at)
PARTITION BY toMonday(window_start)
ORDER BY (customer_id, provider, scope, resource_id, metric_name, reason, window_start)
TTL window_start + toIntervalDay(90);

CREATE TABLE IF NOT EXISTS collection_gaps ON CLUSTER optiinfra AS collection_gaps_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, collection_gaps_local, cityHash64(customer_id, resource_id));

CREATE TABLE IF NOT EXISTS rollup_refreshes_local ON CLUSTER optiinfra
(
    covers_until DateTime64(3, 'UTC'),
    hours        UInt32,
    finished_at  DateTime64(3, 'UTC')
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY covers_until
TTL toDateTime(covers_until) + toIntervalDay(90);

CREATE TABLE IF NOT EXISTS rollup_refreshes ON CLUSTER optiinfra AS rollup_refreshes_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, rollup_refreshes_local, cityHash64(covers_until));

ALTER TABLE collection_outcomes_local ON CLUSTER optiinfra ADD COLUMN IF NOT EXISTS incomplete_since DateTime('UTC') AFTER collected_until,
    ADD COLUMN IF NOT EXISTS completed_at DateTime64(3, 'UTC') AFTER incomplete_since,
    ADD COLUMN IF NOT EXISTS throttles UInt64 AFTER api_calls;

ALTER TABLE collection_outcomes ON CLUSTER optiinfra ADD COLUMN IF NOT EXISTS incomplete_since DateTime('UTC') AFTER collected_until,
    ADD COLUMN IF NOT EXISTS completed_at DateTime64(3, 'UTC') AFTER incomplete_since,
    ADD COLUMN IF NOT EXISTS throttles UInt64 AFTER api_calls;

CREATE TABLE IF NOT EXISTS collection_scopes_local ON CLUSTER optiinfra
(
    customer_id      LowCardinality(String),
    provider         LowCardinality(String),
    account_id       LowCardinality(String),
    kind             LowCardinality(String),
    scope            LowCardinality(String),
    status           LowCardinality(String),
    collected_until  DateTime('UTC'),
    incomplete_since DateTime('UTC'),
    completed_at     DateTime64(3, 'UTC'),
    finished_at      DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', finished_at)
ORDER BY (customer_id, provider, kind, scope)
TTL toDateTime(finished_at) + toIntervalDay(90)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS collection_scopes ON CLUSTER optiinfra AS collection_scopes_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, collection_scopes_local, cityHash64(customer_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS collection_scopes_mv ON CLUSTER optiinfra TO collection_scopes_local AS
SELECT customer_id, provider, account_id, kind, scope, status, collected_until,
       incomplete_since, completed_at, finished_at
FROM collection_outcomes_local
ORDER BY finished_at DESC
LIMIT 1 BY customer_id, provider, kind, scope;

CREATE TABLE IF NOT EXISTS collection_usage_local ON CLUSTER optiinfra
(
    month       Date,
    customer_id LowCardinality(String),
    provider    LowCardinality(String),
    account_id  LowCardinality(String),
    kind        LowCardinality(String),
    outcomes    SimpleAggregateFunction(sumMap, Map(String, UInt64)),
    api_calls   SimpleAggregateFunction(sumMap, Map(String, UInt64)),
    throttles   SimpleAggregateFunction(sum, UInt64),
    price_usd   SimpleAggregateFunction(sum, Float64),
    rows        SimpleAggregateFunction(sum, UInt64),
    dropped     SimpleAggregateFunction(sumMap, Map(String, UInt64))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
ORDER BY (customer_id, provider, account_id, kind, month)
TTL month + toIntervalDay(400);

CREATE TABLE IF NOT EXISTS collection_usage ON CLUSTER optiinfra AS collection_usage_local
ENGINE = Distributed(optiinfra, optiinfra_metrics, collection_usage_local, cityHash64(customer_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS collection_usage_mv ON CLUSTER optiinfra TO collection_usage_local AS
SELECT toStartOfMonth(finished_at) AS month, customer_id, provider, account_id, kind,
       map(toString(status), toUInt64(1)) AS outcomes,
       CAST(api_calls, 'Map(String, UInt64)') AS api_calls, throttles, price_usd, rows,
       CAST(dropped, 'Map(String, UInt64)') AS dropped
FROM collection_outcomes_local;

ALTER TABLE resource_changes_local ON CLUSTER optiinfra MODIFY COLUMN recorded_at DEFAULT now64(3, 'UTC');

ALTER TABLE resource_changes ON CLUSTER optiinfra MODIFY COLUMN recorded_at DEFAULT now64(3, 'UTC');


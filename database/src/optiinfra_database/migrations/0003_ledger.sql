-- Accounts that have been configured; the readers know customers and providers from here.
CREATE TABLE accounts
(
    customer_id LowCardinality(String),
    provider    LowCardinality(String),
    account_id  String,
    updated_at  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (customer_id, provider, account_id);

-- One collection of one kind for one account; the newest row of a run is its state.
CREATE TABLE collection_runs
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
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(queued_at)
ORDER BY (customer_id, queued_at, run_id)
TTL toDateTime(queued_at) + toIntervalDay(90);

-- What came of one scope and one window of a run. Written after the rows it speaks of, so
-- that collected_until never runs ahead of the data.
CREATE TABLE collection_outcomes
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
ENGINE = ReplacingMergeTree(finished_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (customer_id, provider, kind, scope, window_start, window_end, run_id)
TTL window_start + toIntervalDay(90);

-- What a collected window does not hold, and why, below the level of a scope.
CREATE TABLE collection_gaps
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
ENGINE = ReplacingMergeTree(recorded_at)
PARTITION BY toMonday(window_start)
ORDER BY (customer_id, provider, scope, resource_id, metric_name, reason, window_start)
TTL window_start + toIntervalDay(90);

-- Each refresh of the rollups: every outcome finished before `covers_until` is in them.
CREATE TABLE rollup_refreshes
(
    covers_until DateTime64(3, 'UTC'),
    hours        UInt32,
    finished_at  DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY covers_until
TTL toDateTime(covers_until) + toIntervalDay(90);

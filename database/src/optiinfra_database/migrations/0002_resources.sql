-- What each complete listing of a scope saw. `timestamp` is the moment of the listing.
CREATE TABLE resource_metrics
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
ENGINE = ReplacingMergeTree(collected_at)
PARTITION BY toMonday(timestamp)
ORDER BY (customer_id, provider, resource_id, timestamp)
TTL timestamp + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1,
         min_age_to_force_merge_seconds = 3600,
         min_age_to_force_merge_on_partition_only = 1;

-- The state of each resource after the last complete listing of its scope.
-- deleted_at is the epoch for a resource that is there.
CREATE TABLE resources_latest
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
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (customer_id, provider, resource_id)
SETTINGS index_granularity = 1024;

-- What changed between two complete listings, found when the second one is written.
-- `since` is when the state before was last seen; with it in the key, a listing that is
-- taken again after a crash replaces its changes and never doubles them.
CREATE TABLE resource_changes
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
ENGINE = ReplacingMergeTree(recorded_at)
PARTITION BY toYYYYMM(since)
ORDER BY (customer_id, provider, resource_id, change, since)
TTL timestamp + toIntervalDay(90);

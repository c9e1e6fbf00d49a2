-- `incomplete_since` is when the first attempt began that did not end well after the last one
-- that did, the epoch while there is none; `completed_at` is when that last one ended.
-- `throttles` counts the answers that asked to slow down.
ALTER TABLE collection_outcomes
    ADD COLUMN IF NOT EXISTS incomplete_since DateTime('UTC') AFTER collected_until,
    ADD COLUMN IF NOT EXISTS completed_at DateTime64(3, 'UTC') AFTER incomplete_since,
    ADD COLUMN IF NOT EXISTS throttles UInt64 AFTER api_calls;

-- Where each scope stands: its newest outcome, kept by the insert itself.
CREATE TABLE collection_scopes
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
ENGINE = ReplacingMergeTree(finished_at)
ORDER BY (customer_id, provider, kind, scope)
TTL toDateTime(finished_at) + toIntervalDay(90)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW collection_scopes_mv TO collection_scopes AS
SELECT customer_id, provider, account_id, kind, scope, status, collected_until,
       incomplete_since, completed_at, finished_at
FROM collection_outcomes
ORDER BY finished_at DESC
LIMIT 1 BY customer_id, provider, kind, scope;

-- The bill of each account: what the outcomes of a UTC month add up to, which outlives them.
CREATE TABLE collection_usage
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
ENGINE = AggregatingMergeTree
ORDER BY (customer_id, provider, account_id, kind, month)
TTL month + toIntervalDay(400);

CREATE MATERIALIZED VIEW collection_usage_mv TO collection_usage AS
SELECT toStartOfMonth(finished_at) AS month, customer_id, provider, account_id, kind,
       map(toString(status), toUInt64(1)) AS outcomes,
       CAST(api_calls, 'Map(String, UInt64)') AS api_calls, throttles, price_usd, rows,
       CAST(dropped, 'Map(String, UInt64)') AS dropped
FROM collection_outcomes;

"""Rollups are computed again from the raw rows, hour by hour and day by day.

A refresh covers every hour and day that ended or was written to since the refresh before,
for all customers in one statement. Readers trust a rollup only up to the hour that no
outcome has touched since; what is younger they read raw. So a rollup is never needed for a
right answer, only for a fast one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from optiinfra.domain import Window, floor_time
from optiinfra_database.client import Store

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

#: An outcome may reach the ledger this much later than the time it carries.
LEDGER_LAG = timedelta(minutes=5)
#: Longest span of one statement, which bounds its memory.
CHUNK = timedelta(days=7)


class Rollups:
    """Keeps `metrics_1h` and `metrics_1d` up to date."""

    def __init__(self, store: Store, *, retention: timedelta) -> None:
        self._store = store
        self._retention = retention

    def refresh(self, now: datetime) -> int:
        """Bring every hour and day that ended before `now` up to date; the hours covered.

        What all customers have had written lately is one statement; a customer whose older
        hours were caught up has those computed alone.
        """
        began = datetime.now(UTC)
        last = self._covered_until(now)
        # Raw rows older than the retention may be gone: computing those again would shrink
        # what the rollup still knows.
        oldest = floor_time(now - self._retention, DAY) + DAY
        dirty = {name: max(since, oldest) for name, since in self._dirty_since(last).items()}
        if not dirty and last is None:
            return 0
        # An hour that was still open at the last refresh has ended since.
        recent = min([since for since in dirty.values() if now - since < DAY] + [last or now])
        for customer_id, since in dirty.items():
            self._bring_up_to_date(since, min(recent, now), customer_id)
        hours = self._bring_up_to_date(recent, now)
        self._store.insert(
            "rollup_refreshes",
            ["covers_until", "hours", "finished_at"],
            [[min(began, now), hours, datetime.now(UTC)]],
        )
        return hours

    def _covered_until(self, now: datetime) -> datetime | None:
        until: datetime
        ((count, until),) = self._store.query(
            "SELECT count(), max(covers_until) FROM rollup_refreshes"
        )
        if until > now:
            # By a clock that was ahead: it hides what was collected since. Start afresh.
            self._store.command("TRUNCATE TABLE rollup_refreshes")
            return None
        return until if count else None

    def _dirty_since(self, last: datetime | None) -> dict[str, datetime]:
        """For each customer the start of the oldest window with rows that no rollup has."""
        since = last - LEDGER_LAG if last else datetime.fromtimestamp(0, UTC)
        rows = self._store.query(
            "SELECT customer_id, min(window_start) FROM collection_outcomes "
            "WHERE kind = 'performance' AND rows > 0 "
            "AND finished_at >= {since:DateTime64(3, 'UTC')} GROUP BY customer_id",
            {"since": since},
        )
        return dict(rows)  # type: ignore[arg-type]  # pairs, as selected

    def _bring_up_to_date(self, since: datetime, until: datetime, customer_id: str = "") -> int:
        """Compute the hours and days in between that have ended; of everybody without a name."""
        self._compute(_DAILY, floor_time(since, DAY), floor_time(until, DAY), customer_id)
        return self._compute(_HOURLY, floor_time(since, HOUR), floor_time(until, HOUR), customer_id)

    def _compute(self, statement: str, start: datetime, end: datetime, customer_id: str) -> int:
        if start >= end:
            return 0
        for window in Window(start, end).chunks(CHUNK):
            self._store.command(
                statement,
                {"start": window.start, "stop": window.end, "customer_id": customer_id},
            )
        return int((end - start) / HOUR)


_ROWS = """
FROM performance_metrics FINAL
WHERE timestamp >= {start:DateTime('UTC')} AND timestamp < {stop:DateTime('UTC')}
    AND ({customer_id:String} = '' OR customer_id = {customer_id:String})
"""

_HOURLY = f"""
INSERT INTO metrics_1h (customer_id, provider, metric_name, metric_type, bucket, unit, points,
    total, lowest, highest, sketch, resources, computed_at)
SELECT customer_id, provider, metric_name, metric_type, toStartOfHour(timestamp) AS bucket,
    any(unit), count(), sum(metric_value), min(metric_value), max(metric_value),
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(metric_value),
    uniqCombined64State(12)(toString(resource_id)), now64(3)
{_ROWS}GROUP BY customer_id, provider, metric_name, metric_type, bucket
"""

_DAILY = f"""
INSERT INTO metrics_1d (customer_id, provider, metric_name, resource_id, bucket, resource_name,
    metric_type, unit, points, total, lowest, highest, last_value, last_at, sketch, computed_at)
SELECT customer_id, provider, metric_name, resource_id, toStartOfDay(timestamp) AS bucket,
    any(resource_name), any(metric_type), any(unit), count(), sum(metric_value),
    min(metric_value), max(metric_value), argMax(metric_value, timestamp), max(timestamp),
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(metric_value), now64(3)
{_ROWS}GROUP BY customer_id, provider, metric_name, resource_id, bucket
"""

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
        """Bring every hour and day that ended before `now` up to date; the hours covered."""
        began = datetime.now(UTC)
        last = self._covered_until()
        dirty = self._dirty_since(last)
        if dirty is None:
            return 0
        # Raw rows older than the retention may be gone: computing those again would shrink
        # what the rollup still knows.
        oldest = floor_time(now - self._retention, DAY) + DAY
        start = max(dirty, oldest)
        hours = self._compute(_HOURLY, floor_time(start, HOUR), floor_time(now, HOUR))
        self._compute(_DAILY, max(floor_time(start, DAY), oldest), floor_time(now, DAY))
        self._store.insert(
            "rollup_refreshes",
            ["covers_until", "hours", "finished_at"],
            [[min(began, now), hours, datetime.now(UTC)]],
        )
        return hours

    def _covered_until(self) -> datetime | None:
        until: datetime
        ((count, until),) = self._store.query(
            "SELECT count(), max(covers_until) FROM rollup_refreshes"
        )
        return until if count else None

    def _dirty_since(self, last: datetime | None) -> datetime | None:
        """The start of the oldest window that is not in the rollups yet; None without any."""
        since = last - LEDGER_LAG if last else datetime.fromtimestamp(0, UTC)
        oldest: datetime
        ((count, oldest),) = self._store.query(
            "SELECT count(), min(window_start) FROM collection_outcomes "
            "WHERE kind = 'performance' AND finished_at >= {since:DateTime64(3, 'UTC')}",
            {"since": since},
        )
        if not count:
            # Nothing new; yet an hour that was still open then has ended since.
            return last
        return min(oldest, last) if last else oldest

    def _compute(self, statement: str, start: datetime, end: datetime) -> int:
        if start >= end:
            return 0
        for window in Window(start, end).chunks(CHUNK):
            self._store.command(statement, {"start": window.start, "stop": window.end})
        return int((end - start) / HOUR)


_HOURLY = """
INSERT INTO metrics_1h (customer_id, provider, metric_name, metric_type, bucket, unit, points,
    total, lowest, highest, sketch, resources, computed_at)
SELECT customer_id, provider, metric_name, metric_type, toStartOfHour(timestamp) AS bucket,
    any(unit), count(), sum(metric_value), min(metric_value), max(metric_value),
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(metric_value),
    uniqCombined64State(12)(toString(resource_id)), now64(3)
FROM performance_metrics FINAL
WHERE timestamp >= {start:DateTime('UTC')} AND timestamp < {stop:DateTime('UTC')}
GROUP BY customer_id, provider, metric_name, metric_type, bucket
"""

_DAILY = """
INSERT INTO metrics_1d (customer_id, provider, metric_name, resource_id, bucket, resource_name,
    metric_type, unit, points, total, lowest, highest, last_value, last_at, sketch, computed_at)
SELECT customer_id, provider, metric_name, resource_id, toStartOfDay(timestamp) AS bucket,
    any(resource_name), any(metric_type), any(unit), count(), sum(metric_value),
    min(metric_value), max(metric_value), argMax(metric_value, timestamp), max(timestamp),
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(metric_value), now64(3)
FROM performance_metrics FINAL
WHERE timestamp >= {start:DateTime('UTC')} AND timestamp < {stop:DateTime('UTC')}
GROUP BY customer_id, provider, metric_name, resource_id, bucket
"""

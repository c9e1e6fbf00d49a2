"""What an answer does not cover, and why, from the run ledger.

A scope is covered where a window of it was collected. A hole between covered windows is a
gap, with the reason of the last attempt that failed there. A provider that can only be
read "now" leaves one short window per collection; its point stands for the interval, so a
hole of up to one and a half intervals after it is none.

Below the scope the ledger holds gaps of single resources and metrics. One stands until a
later run has read its window again without finding it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from optiinfra.domain import Window
from optiinfra_database import Store
from optiinfra_database.json_rows import JsonRows, column, json_row, query_rows
from performance_agent.readers.selection import epoch

_GAP = (
    "start DateTime('UTC'), end DateTime('UTC'), reason String, "
    "resource_id Nullable(String), metric_name Nullable(String), detail Nullable(String)"
)
_COVERAGE = [
    column("provider", "String"),
    column("account_id", "String"),
    column("scope", "String"),
    column("collected_until", "Nullable(DateTime('UTC'))", "nullIf(until, toDateTime(0, 'UTC'))"),
    column("windows_collected", "UInt64"),
    column("ratio", "Float64", "covered_ratio"),
    column("gaps", f"Array(Tuple({_GAP}))", "gaps_found"),
]
_TOTALS = [
    column("ratio", "Float64", "if(count() = 0, 0, avg(covered_ratio))"),
    column(
        "collected_until", "Nullable(DateTime('UTC'))", "nullIf(min(until), toDateTime(0, 'UTC'))"
    ),
]

_SCOPE = "provider, account_id, scope"
_SAME_SCOPE = "l.provider = r.provider AND l.account_id = r.account_id AND l.scope = r.scope"
_RANGE = (
    "toDateTime({start:UInt32}, 'UTC') AS range_start, toDateTime({end:UInt32}, 'UTC') AS range_end"
)
_OVERLAPS = "window_start < range_end AND window_end > range_start"
_OF_CUSTOMER = "customer_id = {customer_id:String} AND provider IN {providers:Array(String)}"
_MOMENTARY = "dateDiff('second', window_start, window_end) < {interval:UInt32}"

# One row per scope that was ever collected, from one reading of the ledger. `near` are the
# covered windows that can matter: a hole opens where the next of them starts later than all
# before it end.
_HOLES = f"""
    SELECT {_SCOPE}, until, last_read, windows_collected, near_windows, failures,
        arrayFilter(hole -> hole.1 < hole.2, arrayMap(
            hole -> (greatest(hole.1, range_start), hole.2),
            arrayPushFront(holes_between, (range_start, if(near_windows > 0, near_from, range_end)))
        )) AS holes,
        1 - arraySum(hole -> dateDiff('second', hole.1, hole.2), holes)
            / dateDiff('second', range_start, range_end) AS covered_ratio
    FROM (
        SELECT {_SCOPE}, max(collected_until) AS until, maxIf(finished_at, covers) AS last_read,
            countIf(covers AND {_OVERLAPS}) AS windows_collected,
            countIf(near) AS near_windows, minIf(window_start, near) AS near_from,
            arraySort(groupArrayIf(
                (covered_to, next_from),
                near AND next_from > covered_to + if({_MOMENTARY}, {{patience:UInt32}}, 0)
            )) AS holes_between,
            arraySort(groupArrayIf(
                (window_start, window_end, finished_at, toString(status), error),
                NOT covers AND {_OVERLAPS}
            )) AS failures
        FROM (
            SELECT *, max(window_end) OVER (
                    PARTITION BY {_SCOPE}, near ORDER BY window_start, window_end
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                ) AS covered_to,
                leadInFrame(window_start, 1, range_end) OVER (
                    PARTITION BY {_SCOPE}, near ORDER BY window_start, window_end
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS next_from
            FROM (
                SELECT {_SCOPE}, window_start, window_end, collected_until, finished_at,
                    status, error, status IN ('ok', 'partial') AS covers,
                    covers AND window_start < range_end
                        AND window_end + {{patience:UInt32}} > range_start AS near
                FROM collection_outcomes FINAL WHERE {_OF_CUSTOMER} AND kind = 'performance'
            )
        )
        GROUP BY {_SCOPE}
    )
"""

# The last failed attempt that touches a hole explains it. At the end of the range a hole is
# what the provider has not published, provided that it was asked of late.
_EXPLAINED = f"""
    SELECT {_SCOPE}, until, windows_collected, covered_ratio,
        arrayMap(hole -> arrayLast(
            failure -> failure.1 < hole.2 AND failure.2 > hole.1, failures
        ), holes) AS explanations,
        arrayMap((hole, failure) -> (
            hole.1, hole.2,
            multiIf(
                failure.4 != '', failure.4,
                hole.2 = range_end AND near_windows > 0 AND until <= hole.1
                    AND last_read + 2 * {{interval:UInt32}} >= range_end,
                'not_yet_published',
                'not_collected'
            ),
            CAST(NULL, 'Nullable(String)'), CAST(NULL, 'Nullable(String)'),
            nullIf(failure.5, '')
        ), holes, explanations) AS gaps_found
    FROM ({_HOLES})
"""

# Gaps below the scope. The read with the latest start at or before a gap's is, on any
# schedule that moves forward, the last one that read the gap's window again.
_GAPS_WITHIN_SCOPE = f"""
    SELECT {_SCOPE}, groupArray((
        gap_start, gap_end, toString(reason), nullIf(toString(resource_id), ''),
        nullIf(toString(metric_name), ''), nullIf(detail, '')
    )) AS inner_gaps
    FROM (
        SELECT {_SCOPE}, reason, resource_id, metric_name,
            greatest(min(window_start), range_start) AS gap_start,
            least(max(window_end), range_end) AS gap_end, argMax(detail, window_start) AS detail
        FROM (
            SELECT *, sum(opens) OVER (
                PARTITION BY {_SCOPE}, reason, resource_id, metric_name ORDER BY window_start
            ) AS stretch
            FROM (
                SELECT *, window_start > max(window_end) OVER (
                    PARTITION BY {_SCOPE}, reason, resource_id, metric_name ORDER BY window_start
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) + if({_MOMENTARY}, {{patience:UInt32}}, 0) AS opens
                FROM (
                    SELECT l.provider AS provider, l.account_id AS account_id, l.scope AS scope,
                        reason, resource_id, metric_name, window_start, window_end, detail
                    FROM (
                        SELECT * FROM collection_gaps FINAL WHERE {_OF_CUSTOMER} AND {_OVERLAPS}
                    ) AS l ASOF LEFT JOIN (
                        SELECT {_SCOPE}, window_start AS read_from, max(window_end) AS read_to,
                            max(finished_at) AS read_at, argMax(run_id, finished_at) AS read_by
                        FROM collection_outcomes FINAL
                        WHERE {_OF_CUSTOMER} AND kind = 'performance'
                          AND status IN ('ok', 'partial') AND {_OVERLAPS}
                        GROUP BY {_SCOPE}, window_start
                    ) AS r ON {_SAME_SCOPE} AND l.window_start >= r.read_from
                    WHERE read_to < window_end OR read_by = run_id OR read_at <= recorded_at
                )
            )
        )
        GROUP BY {_SCOPE}, reason, resource_id, metric_name, stretch
    )
    GROUP BY {_SCOPE}
"""

_ANY_WITHIN_SCOPE = f"""
    WITH {_RANGE}
    SELECT count() FROM collection_gaps WHERE {_OF_CUSTOMER} AND {_OVERLAPS}
"""
_EVERY_GAP = f"""
    SELECT l.provider AS provider, l.account_id AS account_id, l.scope AS scope, until,
        windows_collected, covered_ratio,
        arraySort(arrayConcat(l.gaps_found, inner_gaps)) AS gaps_found
    FROM ({_EXPLAINED}) AS l LEFT JOIN ({_GAPS_WITHIN_SCOPE}) AS r ON {_SAME_SCOPE}
"""


class CoverageReader:
    """Coverage of performance data; `collect_interval` is the schedule's."""

    def __init__(self, store: Store, collect_interval: timedelta) -> None:
        self._store = store
        self._interval = int(collect_interval.total_seconds())

    def get_coverage(self, customer_id: str, providers: Sequence[str], window: Window) -> JsonRows:
        """Per scope: until when it is collected, which share of the window is, and its gaps."""
        params = self._params(customer_id, providers, window)
        scopes = _EVERY_GAP if self._any_within_scope(params) else _EXPLAINED
        return query_rows(
            self._store,
            f"WITH {_RANGE} SELECT {json_row(_COVERAGE)} FROM ({scopes}) ORDER BY {_SCOPE}",
            params,
        )

    def get_coverage_totals(
        self, customer_id: str, providers: Sequence[str], window: Window
    ) -> JsonRows:
        """One row: the mean share of the window that is covered over all scopes, until when
        every scope is collected, and the number of gaps."""
        params = self._params(customer_id, providers, window)
        scopes, gaps = _HOLES, "holes"
        if self._any_within_scope(params):
            scopes, gaps = _EVERY_GAP, "gaps_found"
        totals = [*_TOTALS, column("gaps", "UInt64", f"sum(length({gaps}))")]
        return query_rows(
            self._store, f"WITH {_RANGE} SELECT {json_row(totals)} FROM ({scopes})", params
        )

    def _any_within_scope(self, params: dict[str, Any]) -> bool:
        # Most ranges have none, and planning the statement that looks for them costs more
        # than running it.
        ((count,),) = self._store.query(_ANY_WITHIN_SCOPE, params)
        return bool(count)

    def _params(self, customer_id: str, providers: Sequence[str], window: Window) -> dict[str, Any]:
        return {
            "customer_id": customer_id,
            "providers": list(providers),
            "start": epoch(window.start),
            "end": epoch(window.end),
            "interval": self._interval,
            "patience": self._interval * 3 // 2,
        }

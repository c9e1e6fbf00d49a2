"""The run ledger: what each run asked for, what came back, and up to when.

A row is only ever added; the newest row of a run is its state. Outcomes are written after
the data they speak of, so the ledger never claims more than the store holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from data_collector.storage.store_clock import TRUSTED
from optiinfra.accounts import Account
from optiinfra.domain import DropReason, Gap, Kind, RunStatus, ScopeStatus, Window
from optiinfra_database.client import Store

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: Longer than a run of a clock that was ahead is of any consequence.
_RECENTLY = timedelta(hours=12)
#: Why a run ended later than now.
AHEAD = "begun by a clock that was ahead"


@dataclass(frozen=True, slots=True)
class Run:
    """One collection of one kind for one account."""

    run_id: str
    customer_id: str
    provider: str
    account_id: str
    kind: Kind
    trigger: str
    queued_at: datetime
    status: RunStatus = RunStatus.QUEUED
    requested: Window | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one scope and one window. `price_usd` is an estimate.

    `throttles` counts the answers that asked to slow down. `incomplete_since` and
    `completed_at` are those of `Standing`, with this outcome counted in.
    """

    scope: str
    status: ScopeStatus
    window_start: datetime
    window_end: datetime
    collected_until: datetime | None
    started_at: datetime
    finished_at: datetime
    rows: int = 0
    dropped: Mapping[DropReason, int] = field(default_factory=dict)
    api_calls: Mapping[str, int] = field(default_factory=dict)
    throttles: int = 0
    price_usd: float = 0.0
    error_class: str = ""
    error: str = ""
    incomplete_since: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a scope stands after its outcomes so far; None for what has never been.

    `collected_until` is up to when it is collected without a hole. `completed_at` is when its
    last complete attempt ended, and `incomplete_since` when the first one began that was not
    complete after that. `claimed_at` is the newest moment at which anybody claimed to have
    collected something. `ahead_until` is the newest moment that a clock that was ahead is known
    to have written; such claims are taken back already.
    """

    collected_until: datetime | None = None
    incomplete_since: datetime | None = None
    completed_at: datetime | None = None
    claimed_at: datetime | None = None
    ahead_until: datetime | None = None


def latest_trace(run: Run) -> datetime:
    """No point that the run has written says that it was read later than this; far later than
    any run ends."""
    return (run.started_at or run.queued_at) + timedelta(hours=6)


def ended(run: Run, status: RunStatus, error: str, now: datetime) -> Run:
    """The run as it has ended. One that a clock began that was ahead ends after everything
    that it may have written, and says so, for whoever reads the same points again."""
    began = run.started_at or run.queued_at
    if began > now + TRUSTED:
        return replace(run, status=status, error=AHEAD, finished_at=latest_trace(run))
    return replace(run, status=status, error=error, finished_at=now)


def new_run(
    account: Account,
    kind: Kind,
    trigger: str,
    requested: Window | None,
    *,
    now: datetime | None = None,
) -> Run:
    """A queued run. Its id sorts by time, so that the newest are found together."""
    now = now or datetime.now(UTC)
    return Run(
        run_id=f"{int(now.timestamp() * 1000):012x}{os.urandom(10).hex()}",
        customer_id=account.customer_id,
        provider=account.provider,
        account_id=account.account_id,
        kind=kind,
        trigger=trigger,
        queued_at=now,
        requested=requested,
    )


class RunLedger:
    """Reads and writes the ledger; safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record_run(self, *runs: Run) -> None:
        """Append the runs' states as they are now, in one insert."""
        if runs:
            self._store.insert("collection_runs", _RUN_COLUMNS, [_run_row(run) for run in runs])

    def record_outcome(self, run: Run, outcome: Outcome, gaps: Sequence[Gap] = ()) -> None:
        """Append a scope's outcome, and before it the gaps that it explains."""
        if gaps:
            self._store.insert(
                "collection_gaps",
                _GAP_COLUMNS,
                [
                    [
                        run.customer_id,
                        run.provider,
                        run.account_id,
                        outcome.scope,
                        gap.reason,
                        gap.resource_id,
                        gap.metric_name,
                        outcome.window_start,
                        outcome.window_end,
                        gap.detail,
                        run.run_id,
                        outcome.finished_at,
                    ]
                    for gap in gaps
                ],
            )
        self._store.insert(
            "collection_outcomes",
            _OUTCOME_COLUMNS,
            [
                [
                    run.customer_id,
                    run.provider,
                    run.account_id,
                    run.kind,
                    outcome.scope,
                    run.run_id,
                    outcome.window_start,
                    outcome.window_end,
                    outcome.status,
                    outcome.collected_until or _EPOCH,
                    outcome.incomplete_since or _EPOCH,
                    outcome.completed_at or _EPOCH,
                    outcome.rows,
                    {str(reason): count for reason, count in outcome.dropped.items()},
                    dict(outcome.api_calls),
                    outcome.throttles,
                    outcome.price_usd,
                    outcome.error_class,
                    outcome.error,
                    outcome.started_at,
                    outcome.finished_at,
                ]
            ],
        )

    def standing(self, run: Run, scope: str, now: datetime) -> Standing:
        """How the scope stands before the run's next outcome."""
        rows = self._store.query(
            "SELECT max(collected_until), argMax(incomplete_since, finished_at), "
            "maxIf(finished_at, status = 'ok'), maxIf(finished_at, collected_until > 0), "
            "greatest(maxIf(finished_at, error_class = 'ClockAhead'), "
            "(SELECT max(ifNull(finished_at, toDateTime64(0, 3, 'UTC'))) FROM collection_runs "
            "WHERE customer_id = {customer:String} AND queued_at > {recently:DateTime('UTC')} "
            "AND provider = {provider:String} AND account_id = {account:String} "
            "AND kind = {kind:String} AND error = {ahead:String})) "
            f"FROM collection_outcomes FINAL WHERE {_OF_SCOPE}",
            {
                **_scope_params(run, scope),
                "account": run.account_id,
                "ahead": AHEAD,
                "recently": now.replace(microsecond=0) - _RECENTLY,
            },
        )
        return Standing(*(moment if moment > _EPOCH else None for moment in rows[0]))

    def retract(
        self, run: Run, scope: str, *, since: datetime, now: datetime, ahead_until: datetime
    ) -> None:
        """Take back every claim that was recorded after `since`, once one was found that a
        clock recorded that was ahead of `now`.

        A claim from the future says nothing of what lies between now and then, and once
        that is past nobody could tell it from an honest one; so those are not trusted either
        that may have been such. What the outcomes did cost stays in the month's bill, where
        it is counted already; counted again it would stand there twice. `ahead_until` is the
        latest version that a point written by that clock may have.
        """
        from_ahead = "finished_at > {now:DateTime('UTC')}"
        self._store.command(
            f"INSERT INTO collection_outcomes ({', '.join(_OUTCOME_COLUMNS)}) "
            "SELECT * REPLACE (toDateTime(0, 'UTC') AS collected_until, "
            f"if({from_ahead}, 'failed', status) AS status, "
            f"if({from_ahead}, 'ClockAhead', 'NotTrusted') AS error_class, "
            "'recorded by a clock that may have been ahead' AS error, "
            f"if({from_ahead}, "
            "greatest(finished_at, {ahead_until:DateTime64(3, 'UTC')}), finished_at) "
            "+ toIntervalMillisecond(1) AS finished_at, 0 AS rows, "
            "mapFilter((k, v) -> false, dropped) AS dropped, "
            "mapFilter((k, v) -> false, api_calls) AS api_calls, "
            "0 AS throttles, 0 AS price_usd) "
            f"FROM (SELECT {', '.join(_OUTCOME_COLUMNS)} FROM collection_outcomes FINAL "
            f"WHERE {_OF_SCOPE} AND collected_until > 0 "
            "AND finished_at > {since:DateTime('UTC')})",
            {
                **_scope_params(run, scope),
                "since": since.replace(microsecond=0),
                "now": now.replace(microsecond=0),
                "ahead_until": ahead_until,
            },
        )

    def scopes(self, account: Account, kind: Kind) -> list[str]:
        """Names of the scopes that the account's last runs of this kind had."""
        rows = self._store.query(
            "SELECT scope FROM (SELECT scope, finished_at, max(finished_at) OVER () AS newest "
            "FROM collection_scopes FINAL WHERE customer_id = {customer:String} "
            "AND provider = {provider:String} AND kind = {kind:String} "
            "AND account_id = {account:String}) "
            "WHERE finished_at > newest - toIntervalDay(1) ORDER BY scope",
            {
                "customer": account.customer_id,
                "provider": account.provider,
                "account": account.account_id,
                "kind": kind,
            },
        )
        return [name for (name,) in rows]

    def status_of_scopes(self, run: Run) -> set[ScopeStatus]:
        """Every status that an outcome of the run has."""
        rows = self._store.query(
            "SELECT DISTINCT status FROM collection_outcomes "
            "WHERE customer_id = {customer:String} AND provider = {provider:String} "
            "AND kind = {kind:String} AND run_id = {run:String}",
            {
                "customer": run.customer_id,
                "provider": run.provider,
                "kind": run.kind,
                "run": run.run_id,
            },
        )
        return {ScopeStatus(status) for (status,) in rows}

    def has_ended(self, run: Run) -> bool:
        """Whether the run is closed, by whomever."""
        rows = self._store.query(
            "SELECT status FROM collection_runs FINAL WHERE customer_id = {customer:String} "
            "AND queued_at >= {since:DateTime('UTC')} AND run_id = {run:String}",
            {
                "customer": run.customer_id,
                "since": run.queued_at.replace(microsecond=0),
                "run": run.run_id,
            },
        )
        return any(RunStatus(status).finished for (status,) in rows)

    def unfinished(self, runs: Sequence[Run]) -> list[Run]:
        """Earlier runs of the same accounts and kinds that never said they ended."""
        if not runs:
            return []
        rows = self._store.query(
            f"SELECT {_RUN_SELECT} FROM collection_runs FINAL "
            "WHERE customer_id IN {customers:Array(String)} AND kind IN {kinds:Array(String)} "
            "AND status IN ('queued', 'running')",
            {
                "customers": sorted({run.customer_id for run in runs}),
                "kinds": sorted({run.kind for run in runs}),
            },
        )
        followed = {_account_and_kind(run) for run in runs}
        return [run for run in map(_run, rows) if _account_and_kind(run) in followed]

    def find_run(self, run_id: str) -> dict[str, Any] | None:
        """A run with its scopes as the API shows it; None where there is none."""
        found = self._described(
            "WHERE run_id = {run:String} ORDER BY queued_at LIMIT 1", {"run": run_id}
        )
        if not found:
            return None
        run = found[0]
        run["scopes"] = self._scopes(run["customer_id"], run_id)
        return run

    def recent_runs(
        self,
        customer_id: str,
        window: Window,
        *,
        provider: str = "",
        kind: Kind | None = None,
        limit: int,
        before: str = "",
    ) -> list[dict[str, Any]]:
        """The runs that were queued in the window, newest first, from those `before` a run.

        The second that the window ends in belongs to it: a run just queued is seen.
        """
        return self._described(
            "WHERE customer_id = {customer:String} "
            "AND queued_at >= {start:DateTime('UTC')} AND queued_at < {end:DateTime('UTC')} "
            "AND ({before:String} = '' OR run_id < {before:String}) "
            "AND {provider:String} IN ('', provider) AND {kind:String} IN ('', kind) "
            "ORDER BY run_id DESC LIMIT {limit:UInt32}",
            {
                "customer": customer_id,
                "start": window.start,
                "end": window.end + timedelta(seconds=1),
                "before": before,
                "provider": provider,
                "kind": kind or "",
                "limit": limit,
            },
        )

    def last_runs(self, customer_id: str) -> dict[tuple[str, str, str], dict[str, Any]]:
        """The newest finished run per (provider, account_id, kind) of a customer."""
        runs = self._described(
            "WHERE customer_id = {customer:String} AND status NOT IN ('queued', 'running') "
            "ORDER BY queued_at DESC LIMIT 1 BY provider, account_id, kind",
            {"customer": customer_id},
        )
        return {(run["provider"], run["account_id"], run["kind"]): run for run in runs}

    def _described(self, condition: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        # Totals come from the outcomes, which are there while the run still goes on.
        return self._objects(
            "WITH runs AS (SELECT * FROM collection_runs FINAL "
            + condition
            + "), totals AS (SELECT run_id, sum(rows) AS rows, "
            "sum(arraySum(mapValues(api_calls))) AS calls, sum(price_usd) AS price, "
            "min(window_start) AS lo, max(window_end) AS hi FROM collection_outcomes "
            "WHERE (customer_id, run_id) GLOBAL IN (SELECT customer_id, run_id FROM runs) "
            "GROUP BY run_id) "
            "SELECT run_id, customer_id, provider, account_id, kind, trigger, status, "
            "if(lo > 0, map('start', lo, 'end', hi), "
            "if(window_end > 0, map('start', window_start, 'end', window_end), NULL)) AS window, "
            "queued_at, started_at, finished_at, toUInt64(totals.rows) AS rows, "
            "totals.calls AS api_calls, round(totals.price, 6) AS estimated_price_usd, "
            "nullIf(error, '') AS error "
            "FROM runs LEFT JOIN totals USING run_id ORDER BY run_id DESC",
            params,
        )

    def _scopes(self, customer_id: str, run_id: str) -> list[dict[str, Any]]:
        return self._objects(
            "SELECT scope, argMax(status, finished_at) AS status, sum(rows) AS rows, "
            "sumMap(dropped) AS dropped, sumMap(api_calls) AS api_calls, "
            "round(sum(price_usd), 6) AS estimated_price_usd, "
            "map('start', min(window_start), 'end', max(window_end)) AS window, "
            "nullIf(argMax(error, finished_at), '') AS error, "
            "nullIf(argMax(error_class, finished_at), '') AS error_class "
            "FROM collection_outcomes "
            "WHERE customer_id = {customer:String} AND run_id = {run:String} "
            "GROUP BY scope ORDER BY scope",
            {"customer": customer_id, "run": run_id},
        )

    def _objects(self, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        lines = self._store.query_bytes(sql, params, format="JSONEachRow").splitlines()
        return [json.loads(line) for line in lines]


_OF_SCOPE = (
    "customer_id = {customer:String} AND provider = {provider:String} "
    "AND kind = {kind:String} AND scope = {scope:String}"
)


def _scope_params(run: Run, scope: str) -> dict[str, Any]:
    return {
        "customer": run.customer_id,
        "provider": run.provider,
        "kind": run.kind,
        "scope": scope,
    }


_RUN_COLUMNS = [
    "run_id",
    "customer_id",
    "provider",
    "account_id",
    "kind",
    "trigger",
    "status",
    "window_start",
    "window_end",
    "queued_at",
    "started_at",
    "finished_at",
    "error",
    "updated_at",
]
_RUN_SELECT = ", ".join(_RUN_COLUMNS[:-1])
_OUTCOME_COLUMNS = [
    "customer_id",
    "provider",
    "account_id",
    "kind",
    "scope",
    "run_id",
    "window_start",
    "window_end",
    "status",
    "collected_until",
    "incomplete_since",
    "completed_at",
    "rows",
    "dropped",
    "api_calls",
    "throttles",
    "price_usd",
    "error_class",
    "error",
    "started_at",
    "finished_at",
]
_GAP_COLUMNS = [
    "customer_id",
    "provider",
    "account_id",
    "scope",
    "reason",
    "resource_id",
    "metric_name",
    "window_start",
    "window_end",
    "detail",
    "run_id",
    "recorded_at",
]


def _account_and_kind(run: Run) -> tuple[str, str, str, Kind]:
    return run.customer_id, run.provider, run.account_id, run.kind


def _run_row(run: Run) -> list[Any]:
    window = run.requested
    return [
        run.run_id,
        run.customer_id,
        run.provider,
        run.account_id,
        run.kind,
        run.trigger,
        run.status,
        window.start if window else _EPOCH,
        window.end if window else _EPOCH,
        run.queued_at,
        run.started_at,
        run.finished_at,
        run.error,
        _version(run),
    ]


def _version(run: Run) -> datetime:
    """Later for each state of a run than for the one before, also when a clock was put back
    in between. In milliseconds, as the moments are kept."""
    last = max(filter(None, (run.queued_at, run.started_at, run.finished_at)))
    states = (RunStatus.QUEUED, RunStatus.RUNNING)
    step = states.index(run.status) if run.status in states else len(states)
    return last.replace(microsecond=last.microsecond // 1000 * 1000) + step * _MILLISECOND


def _run(row: Sequence[Any]) -> Run:
    values = dict(zip(_RUN_COLUMNS, row, strict=False))
    start, end = values.pop("window_start"), values.pop("window_end")
    values["kind"] = Kind(values["kind"])
    values["status"] = RunStatus(values["status"])
    return replace(Run(**values), requested=Window(start, end) if end > start else None)

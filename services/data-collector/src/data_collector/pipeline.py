"""One scope of one run: plan, collect, write, record. In this order, always.

The outcome is recorded after the rows are in the store, so a process that dies in between
collects the window again, and nothing is lost or doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from data_collector.packing import Packed
from data_collector.patience import Patience
from data_collector.planner import FIRST_REACH, next_windows, requested_windows, unsettled_from
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.report import WriteReport
from data_collector.storage.run_ledger import Outcome, Run, RunLedger, Standing, latest_trace
from data_collector.storage.store_clock import TRUSTED
from optiinfra.accounts import Account
from optiinfra.calls import Calls, Limiter
from optiinfra.domain import (
    Gap,
    GapReason,
    Kind,
    ListedAt,
    Resource,
    Scope,
    ScopeStatus,
    Window,
)
from optiinfra.errors import DeniedError, OptiInfraError, ThrottledError, UnsupportedError
from optiinfra.notes import DraftNotes, MemoryNotes, Notes
from optiinfra.provider import Provider

log = structlog.get_logger()
T = TypeVar("T")

#: How long a window that came back in part is asked for again.
PERSISTENCE = timedelta(hours=6)

#: How far ahead of the time a clock may be that readings after it are told apart.
_FARTHEST_AHEAD = timedelta(days=10)
#: How many seconds pass for one of a version then.
_SLOWED = 100

_STATUS_OF_ERROR: tuple[tuple[type[Exception], ScopeStatus], ...] = (
    (ThrottledError, ScopeStatus.THROTTLED),
    (DeniedError, ScopeStatus.DENIED),
    (UnsupportedError, ScopeStatus.UNSUPPORTED),
)


class Pipeline:
    """Collects scopes; safe to share between threads, which collect different scopes."""

    def __init__(
        self,
        *,
        ledger: RunLedger,
        writer: ClickHouseWriter,
        inventory: InventoryWriter,
        retention: timedelta,
        limiter: Limiter | None = None,
        notes: Notes | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: Patience | None = None,
    ) -> None:
        self._limiter = limiter
        self._notes = notes or MemoryNotes()
        self._patience = patience or Patience()
        self._ledger = ledger
        self._writer = writer
        self._inventory = inventory
        self._retention = retention
        self._now = now

    def scopes(self, provider: Provider, account: Account, kind: Kind) -> Sequence[Scope]:
        """The scopes that the provider names; raises what it raises."""
        key = f"{account.customer_id}/{account.provider}/{account.account_id}/{kind}"
        return list(self._patience.items(key, lambda: iter(provider.scopes(account, kind))))

    def collect(
        self, run: Run, provider: Provider, account: Account, scope: Scope, *, deadline: datetime
    ) -> Outcome | None:
        """Collect what the scope lacks; the last outcome, None when there was nothing to do.

        A provider's errors become outcomes. Raises StoreError when nothing can be written
        or recorded: the watermark stays, and the next run collects it again.
        """
        if run.kind is Kind.RESOURCES:
            return self._list(run, provider, account, scope)
        standing = self._standing(run, scope)
        outcome = None
        for window in self._windows(run, provider, standing.collected_until):
            if outcome and self._now() >= deadline:
                break  # the rest of the backlog is the next run's
            outcome = self._collect_window(run, provider, account, scope, window, standing)
            if not self._passes(outcome.status, window):
                break  # oldest first: going on would leave a hole behind the watermark
            standing = replace(
                standing,
                collected_until=outcome.collected_until,
                incomplete_since=outcome.incomplete_since,
                completed_at=outcome.completed_at,
            )
        return outcome

    def leave_out(
        self, run: Run, provider: Provider, account: Account, scope: Scope, error: OptiInfraError
    ) -> Outcome | None:
        """Record that the scope was not even begun, and why; None when it lacked nothing.

        What is stored of it stands, and answers say since when nobody knows better.
        """
        attempt = self._attempt(account, _leaves_points_out)
        attempt.error = error
        standing = self._standing(run, scope)
        if run.kind is Kind.RESOURCES:
            window = _moment(attempt.started_at)
        else:
            lacking = list(self._windows(run, provider, standing.collected_until))
            if not lacking:
                return None
            window = Window(lacking[0].start, lacking[-1].end)
        return self._record(run, provider, scope, attempt, WriteReport(), window, standing)

    def _standing(self, run: Run, scope: Scope) -> Standing:
        now = self._now()
        standing = self._ledger.standing(run, scope.name, now)
        if standing.claimed_at and standing.claimed_at > now + TRUSTED:
            log.warning("clock_was_ahead", scope=scope.name, claimed_at=standing.claimed_at)
            self._ledger.retract(
                run,
                scope.name,
                since=now - FIRST_REACH,
                now=now,
                ahead_until=_version(standing.claimed_at, standing),
            )
            standing = self._ledger.standing(run, scope.name, now)
        return standing

    def _windows(
        self, run: Run, provider: Provider, watermark: datetime | None
    ) -> Iterator[Window]:
        now, timing = self._now(), provider.timing
        if run.requested:
            return requested_windows(
                run.requested, now=now, timing=timing, retention=self._retention
            )
        return next_windows(now=now, watermark=watermark, timing=timing, retention=self._retention)

    def _collect_window(
        self,
        run: Run,
        provider: Provider,
        account: Account,
        scope: Scope,
        window: Window,
        standing: Standing,
    ) -> Outcome:
        attempt = self._attempt(account, _leaves_points_out)
        series = attempt.items(
            self._patience,
            f"{account.customer_id}/{scope.name}/{run.kind}",
            lambda counted: provider.collect_performance(counted, scope, window),
        )
        report = WriteReport()
        with attempt.boundary():
            report = self._writer.write_performance_metrics(
                account,
                series,
                timing=provider.timing,
                as_of=attempt.started_at,
                # What is written without a word in the ledger, since its worker died, is not
                # later than the ledger says that anything of its run can be.
                version=_version(min(attempt.started_at, latest_trace(run)), standing),
            )
        watermark = standing.collected_until
        passes = self._passes(attempt.status, window)
        if passes and _moves_watermark(run, provider, window, watermark):
            standing = replace(standing, collected_until=max(watermark or window.end, window.end))
        return self._record(run, provider, scope, attempt, report, window, standing)

    def _passes(self, status: ScopeStatus, window: Window) -> bool:
        """Whether the next window may follow. A part that fails for ever must not keep the
        rest of its scope back for ever: its gap is recorded, and the scope goes on."""
        given_up = self._now() - window.end > PERSISTENCE
        return status is ScopeStatus.OK or (status is ScopeStatus.PARTIAL and given_up)

    def _list(self, run: Run, provider: Provider, account: Account, scope: Scope) -> Outcome:
        standing = self._ledger.standing(run, scope.name, self._now())
        attempt = self._attempt(account, _leaves_resources_out)
        # What is stored may be newer than what the ledger was told.
        told, stored = standing.collected_until, self._inventory.last_listed(account, scope)
        known_until = max(filter(None, (told, stored)), default=None)
        listed = self._listed(attempt, run, provider, account, scope)
        if attempt.listed_at and known_until and attempt.listed_at <= known_until:
            # Somebody has listed since, and may know of more: this must be a listing of its own.
            attempt = self._attempt(account, _leaves_resources_out)
            listed = self._listed(attempt, run, provider, account, scope)
        moment = _moment(attempt.listed_at or attempt.started_at)
        if known_until:
            # After the listing before it, also one that a clock dated that was ahead.
            moment = max(moment, _moment(known_until + timedelta(seconds=1)))
        report = WriteReport()
        if attempt.complete:
            # Only a complete listing says anything: what it lacks is gone, on its evidence.
            with attempt.boundary():
                report = self._inventory.write_resource_metrics(
                    account=account,
                    scope=scope,
                    run_id=run.run_id,
                    seen_at=moment.start,
                    resources=listed,
                    unreadable=[gap.resource_id for gap in attempt.gaps if gap.resource_id],
                    written_until=told,
                )
                standing = replace(standing, collected_until=moment.start)
        return self._record(run, provider, scope, attempt, report, moment, standing)

    def _listed(
        self, attempt: _Attempt, run: Run, provider: Provider, account: Account, scope: Scope
    ) -> Packed[Resource]:
        """What the provider lists, as far as it comes."""
        items = attempt.items(
            self._patience,
            f"{account.customer_id}/{scope.name}/{run.kind}",
            lambda counted: provider.list_resources(counted, scope),
        )
        with attempt.boundary():
            return Packed(items)
        return Packed(())

    def _attempt(self, account: Account, holds_back: Callable[[Gap], bool]) -> _Attempt:
        return _Attempt(
            account, self._limiter, self._notes, started_at=self._now(), holds_back=holds_back
        )

    def _record(
        self,
        run: Run,
        provider: Provider,
        scope: Scope,
        attempt: _Attempt,
        report: WriteReport,
        window: Window,
        standing: Standing,
    ) -> Outcome:
        finished_at = self._now()
        outcome = Outcome(
            scope=scope.name,
            status=attempt.status,
            window_start=window.start,
            # A listing speaks of one moment, a collection of its window.
            window_end=window.start if run.kind is Kind.RESOURCES else window.end,
            collected_until=standing.collected_until,
            started_at=attempt.started_at,
            finished_at=finished_at,
            rows=report.rows,
            dropped=dict(report.dropped),
            api_calls=attempt.calls.counts(),
            throttles=attempt.calls.throttles(),
            price_usd=provider.price(attempt.calls.units()),
            error_class=type(attempt.error).__name__ if attempt.error else "",
            error=attempt.message,
            incomplete_since=(
                None if attempt.complete else standing.incomplete_since or attempt.started_at
            ),
            completed_at=finished_at if attempt.complete else standing.completed_at,
        )
        self._ledger.record_outcome(run, outcome, attempt.gaps)
        attempt.notes.keep()
        log.info(
            "scope_collected",
            run_id=run.run_id,
            scope=scope.name,
            status=outcome.status.value,
            rows=outcome.rows,
            **({"error": outcome.error} if outcome.error else {}),
        )
        return outcome


class _Attempt:
    """One pass over what a provider yields: its items, its gaps, its error, its calls.

    `listed_at` is when a listing began that was made before the pass.
    """

    def __init__(
        self,
        account: Account,
        limiter: Limiter | None,
        notes: Notes,
        *,
        started_at: datetime,
        holds_back: Callable[[Gap], bool],
    ) -> None:
        self.started_at = started_at
        self._holds_back = holds_back
        self.calls = Calls(limiter)
        self.gaps: list[Gap] = []
        self.error: Exception | None = None
        self.listed_at: datetime | None = None
        self.notes = DraftNotes(notes)
        self._account = replace(account, calls=self.calls, notes=self.notes)

    def items(
        self,
        patience: Patience,
        key: str,
        produce: Callable[[Account], Iterator[T | Gap | ListedAt]],
    ) -> Iterator[T]:
        """The items alone. An error ends them; what came before it is valid."""
        try:
            for item in patience.items(key, lambda: produce(self._account)):
                if isinstance(item, Gap):
                    self.gaps.append(item)
                elif isinstance(item, ListedAt):
                    self.listed_at = item.moment
                else:
                    yield item
        except OptiInfraError as error:
            self.error = error
        except Exception as error:
            # The boundary around a provider: its fault must not stop the other scopes.
            self._fault(error)

    @contextmanager
    def boundary(self) -> Iterator[None]:
        """Around what works with the items: garbage in them must not stop other scopes."""
        try:
            yield
        except OptiInfraError:
            raise
        except Exception as error:
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        log.exception("provider_fault", account=self._account.account_id)
        self.error = error

    @property
    def complete(self) -> bool:
        return self.status is ScopeStatus.OK

    @property
    def status(self) -> ScopeStatus:
        if self.error:
            return next(
                (status for kind, status in _STATUS_OF_ERROR if isinstance(self.error, kind)),
                ScopeStatus.FAILED,
            )
        if any(map(self._holds_back, self.gaps)):
            return ScopeStatus.PARTIAL
        return ScopeStatus.OK

    @property
    def message(self) -> str:
        if isinstance(self.error, OptiInfraError):
            return str(self.error)
        # Somebody else's exception may carry anything in its text; its type is safe to show.
        return "unexpected fault in the provider; see the log" if self.error else ""


def _version(asked_at: datetime, standing: Standing) -> datetime:
    """Of two readings of a point the one with the later version stands, the one that was asked
    for later.

    Where a clock was ahead, versions start above all that it wrote and go on slowly, until the
    time has come up to them.
    """
    if standing.ahead_until is None:
        return asked_at
    passed = max(asked_at - standing.ahead_until + _FARTHEST_AHEAD, timedelta())
    return max(asked_at, standing.ahead_until + passed / _SLOWED)


def _moment(time: datetime) -> Window:
    """The second that a listing speaks of."""
    start = time.replace(microsecond=0)
    return Window(start, start + timedelta(seconds=1))


def _leaves_points_out(gap: Gap) -> bool:
    """Whether another try can close the gap: then the window is asked for again. What is
    not published yet is read again anyway until it has settled."""
    return gap.reason in (GapReason.THROTTLED, GapReason.FAILED)


def _leaves_resources_out(gap: Gap) -> bool:
    """Whether resources may exist that the listing did not name. One that it named but
    could not describe keeps its last state, and a metric is no resource."""
    nothing_there = gap.reason in (GapReason.UNSUPPORTED, GapReason.STOPPED, GapReason.NO_AGENT)
    return not (gap.resource_id or gap.metric_name or nothing_there)


def _moves_watermark(
    run: Run, provider: Provider, window: Window, watermark: datetime | None
) -> bool:
    """A window that somebody asked for may lie beyond a hole or beyond points that have not
    settled yet; moving the mark over them would hide them from the planner."""
    if run.requested is None or not provider.timing.history:
        return True
    return watermark is not None and window.start <= unsettled_from(watermark, provider.timing)

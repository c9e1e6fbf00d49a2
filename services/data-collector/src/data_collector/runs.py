"""The life of a run: opened once per account and kind, collected scope by scope, closed.

No transport is known here: Celery tasks, the command line and tests drive the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from data_collector.coordination import Coordination
from data_collector.pipeline import Pipeline
from data_collector.storage.run_ledger import Outcome, Run, RunLedger, ended, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind, RunStatus, Scope, ScopeStatus, Window
from optiinfra.errors import ContractError, CredentialError, OptiInfraError, StoreError
from optiinfra.provider import load_provider

log = structlog.get_logger()


#: How often a scope of one run is begun. What its worker did not survive so often (it takes
#: all memory, it crashes an SDK's native code) must not take down one worker after another.
ATTEMPTS = 3


class Runs:
    """Opens, collects and closes runs; safe to share between threads."""

    def __init__(
        self,
        *,
        ledger: RunLedger,
        pipeline: Pipeline,
        coordination: Coordination,
        interval: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._coordination = coordination
        self._interval = interval
        self._now = now

    def open(
        self, account: Account, kind: Kind, *, trigger: str, requested: Window | None = None
    ) -> tuple[Run, bool]:
        """The run that collects this account and kind now, and whether it is a new one.

        While one is going, that one is returned. Its lock outlives a dead worker by less
        than the interval; the next run then closes what was left open.
        """
        (opened,) = self.open_all([account], kind, trigger=trigger, requested=requested)
        return opened

    def open_all(
        self,
        accounts: Iterable[Account],
        kind: Kind,
        *,
        trigger: str,
        requested: Window | None = None,
    ) -> list[tuple[Run, bool]]:
        """`open` for each of the accounts, for no more statements than one of them takes."""
        now = self._now()
        runs = [new_run(account, kind, trigger, requested, now=now) for account in accounts]
        held: list[Run] = []
        opened: list[tuple[Run, bool]] = []
        try:
            for run in runs:
                holder = self._hold(run)
                if holder == run.run_id:
                    held.append(run)
                opened.append((replace(run, run_id=holder), holder == run.run_id))
            for dead in self._ledger.unfinished(held):
                self._finish(dead, error="ended before it was finished")
            self._ledger.record_run(*held)
        except Exception:
            for run in held:
                self._coordination.release(_lock(run), run.run_id)
            raise
        return opened

    def begin(self, run: Run, account: Account) -> tuple[Run, Sequence[Scope]]:
        """Mark the run as running and say which scopes it has; a run without any is closed.

        An account whose scopes cannot even be named closes its run as failed, and the scopes
        that it had before are told to be left out. A run that ended or that another one has
        followed has none left: its message came twice, or late. Raises StoreError when the
        store does not take it; the next run need not wait then.
        """
        if self._hold(run) != run.run_id:
            return run, ()
        try:
            if self._ledger.has_ended(run):
                self._coordination.release(_lock(run), run.run_id)
                return run, ()
            run = replace(run, status=RunStatus.RUNNING, started_at=self._now())
            self._ledger.record_run(run)
        except StoreError:
            self._coordination.release(_lock(run), run.run_id)
            raise
        try:
            scopes = self._pipeline.scopes(load_provider(account.provider), account, run.kind)
        except OptiInfraError as error:
            self._fail(run, account, error)
            return run, ()
        except Exception:
            self._fail(run, account, ContractError("a fault in the provider; see the log"))
            raise
        if not scopes:
            self._close(run)
            return run, ()
        names = [scope.name for scope in scopes]
        self._coordination.expect(run.run_id, names, 2 * self._interval)
        return run, scopes

    def collect(self, run: Run, account: Account, scope: Scope) -> Outcome | None:
        """Collect one scope; the one that finishes last closes the run.

        None as well for a scope that is done already, or whose run another one has followed:
        a message may be delivered twice, and late. Once the credentials were refused, the
        run's other scopes are told to be left out. Raises StoreError when the store does not
        take it; the other scopes are not begun then.
        """
        if not self._coordination.expects(run.run_id, scope.name) or self._hold(run) != run.run_id:
            return None
        outcome = None
        try:
            provider = load_provider(account.provider)
            if why := self._why_not(run, scope):
                outcome = self._pipeline.leave_out(run, provider, account, scope, why)
            else:
                outcome = self._pipeline.collect(
                    run, provider, account, scope, deadline=self._deadline(run)
                )
            if outcome and outcome.error_class == CredentialError.__name__:
                self._coordination.stop(run.run_id, outcome.error)
        except Exception as fault:
            self._coordination.stop(run.run_id, f"{scope.name}: {type(fault).__name__}")
            raise
        finally:
            if self._coordination.finished(run.run_id, scope.name):
                self._close(run, error=self._coordination.stopped(run.run_id))
        return outcome

    def _why_not(self, run: Run, scope: Scope) -> OptiInfraError | None:
        """Why a scope should not be begun, None when it should."""
        if why := self._coordination.stopped(run.run_id):
            return OptiInfraError(f"not begun, since the run was stopped: {why}")
        if self._coordination.attempt(run.run_id, scope.name) > ATTEMPTS:
            return OptiInfraError(f"not begun again: {ATTEMPTS} workers died over it")
        return None

    def abandon(self, run: Run, error: OptiInfraError) -> None:
        """Close a run that cannot go on."""
        self._close(run, error=str(error))

    def _fail(self, run: Run, account: Account, error: OptiInfraError) -> None:
        """Close a run whose scopes nobody could name."""
        try:
            for name in self._ledger.scopes(account, run.kind):
                provider = load_provider(account.provider)
                self._pipeline.leave_out(run, provider, account, Scope(name), error)
        finally:
            self.abandon(run, error)

    def _close(self, run: Run, error: str = "") -> None:
        try:
            self._finish(run, error)
        finally:
            self._coordination.release(_lock(run), run.run_id)

    def _finish(self, run: Run, error: str = "") -> None:
        status = _status(self._ledger.status_of_scopes(run), error)
        self._ledger.record_run(ended(run, status, error, self._now()))
        log.info("run_finished", run_id=run.run_id, kind=run.kind.value, status=status.value)

    def _hold(self, run: Run) -> str:
        """Take the run's lock or renew it; who holds it now."""
        return self._coordination.acquire(_lock(run), run.run_id, self._interval * 0.9)

    def _deadline(self, run: Run) -> datetime:
        """Before the next tick, so that a backlog never makes two runs meet."""
        return run.queued_at + self._interval * 0.8


def _status(scopes: set[ScopeStatus], error: str) -> RunStatus:
    if not error and scopes <= {ScopeStatus.OK}:
        return RunStatus.SUCCEEDED
    if scopes & {ScopeStatus.OK, ScopeStatus.PARTIAL}:
        return RunStatus.PARTIAL
    return RunStatus.FAILED


def _lock(run: Run) -> str:
    return f"{run.customer_id}/{run.provider}/{run.account_id}/{run.kind}"

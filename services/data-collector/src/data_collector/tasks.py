"""The tasks, each a thin step of `runs.Runs` between two deliveries.

collect_*_data_task -> run_account_task -> collect_scope_task, one scope after the other
in each of a run's lanes
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import structlog
from kombu.exceptions import OperationalError
from pydantic import TypeAdapter

from data_collector.celery_app import app
from data_collector.runtime import Runtime, current_runtime
from data_collector.storage.run_ledger import Run
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Scope, Window
from optiinfra.errors import BrokerUnavailableError, ConfigError, OptiInfraError
from optiinfra.provider import load_provider

log = structlog.get_logger()

#: A run on its way through the broker, as JSON.
_MESSAGE = TypeAdapter(Run)

#: What triggers most runs; the others are wanted now and are not spread.
SCHEDULE = "schedule"
#: Scheduled scopes start spread over this share of the interval, so that a fleet of
#: accounts does not knock on every provider in the same second.
JITTER = 0.2
#: So many scopes of a run wait or are collected at a time. The queue serves in order of
#: arrival: between two scopes of anybody, a run of a thousand others takes this many turns.
LANES = 4

#: So many accounts' runs are opened by the same few statements.
AT_ONCE = 500

#: Scopes that are collected one after the other, by name and attributes.
Lane = Sequence[tuple[str, dict[str, str]]]


@app.task
def collect_performance_data_task(trigger: str = SCHEDULE) -> list[str]:
    """Start a performance run for every account; the run ids."""
    return _start_all(current_runtime(), Kind.PERFORMANCE, trigger)


@app.task
def collect_resource_data_task(trigger: str = SCHEDULE) -> list[str]:
    """Start a resources run for every account; the run ids."""
    return _start_all(current_runtime(), Kind.RESOURCES, trigger)


@app.task
def refresh_rollups_task() -> int:
    """Bring the rollups up to date; the hours covered."""
    runtime = current_runtime()
    return runtime.rollups.refresh(runtime.now())


@app.task
def run_account_task(message: dict[str, Any]) -> None:
    """Name the scopes of a run and send each on its way."""
    runtime = current_runtime()
    run, account = _unpacked(runtime, message)
    if account is None:
        runtime.runs.abandon(run, ConfigError("the account is no longer configured"))
        return
    run, scopes = runtime.runs.begin(run, account)
    spread = 0.0
    if run.trigger == SCHEDULE and len(scopes) > 1:
        spread = JITTER * runtime.settings.collect_interval.total_seconds()
    for number in range(min(LANES, len(scopes))):
        lane = [(scope.name, dict(scope.attributes)) for scope in scopes[number::LANES]]
        # Jitter needs no secrecy.
        _send_on(runtime, run, lane, countdown=random.uniform(0, spread))  # noqa: S311


@app.task
def collect_scope_task(message: dict[str, Any], lane: Lane) -> None:
    """Collect the first scope of a lane and send the rest on its way."""
    runtime = current_runtime()
    run, account = _unpacked(runtime, message)
    if account is None:
        runtime.runs.abandon(run, ConfigError("the account is no longer configured"))
        return
    (name, attributes), *rest = lane
    try:
        runtime.runs.collect(run, account, Scope(name, attributes))
    finally:
        if rest:
            _send_on(runtime, run, rest)


def _send_on(runtime: Runtime, run: Run, lane: Lane, countdown: float = 0.0) -> None:
    collect_scope_task.apply_async(
        args=(_MESSAGE.dump_python(run, mode="json"), lane),
        countdown=countdown,
        expires=runtime.settings.collect_interval.total_seconds(),
    )


def start_runs(
    runtime: Runtime,
    account: Account,
    kinds: Iterable[Kind],
    *,
    trigger: str,
    requested: Window | None = None,
) -> list[str]:
    """Open a run of the account per kind and queue it; the ids, also of runs already going.

    Raises BrokerUnavailableError when the broker does not take it; the run is closed then.
    """
    ids = []
    for kind in kinds:
        run, is_new = runtime.runs.open(account, kind, trigger=trigger, requested=requested)
        if is_new:
            _queue(runtime, run)
        ids.append(run.run_id)
    return ids


def _start_all(runtime: Runtime, kind: Kind, trigger: str) -> list[str]:
    runtime.announce_accounts()
    ids: list[str] = []
    accounts = (one for one in runtime.accounts.accounts() if kind in _kinds(one))
    while some := list(islice(accounts, AT_ONCE)):
        try:
            opened = runtime.runs.open_all(some, kind, trigger=trigger)
        except OptiInfraError as error:
            # The next ones may well work; these are asked again at the next tick.
            log.error("runs_not_started", accounts=len(some), error=str(error))
            continue
        for run, is_new in opened:
            ids.append(run.run_id)
            try:
                if is_new:
                    _queue(runtime, run)
            except OptiInfraError as error:
                log.error("run_not_started", account=run.account_id, error=str(error))
    return ids


def _kinds(account: Account) -> frozenset[Kind]:
    try:
        return load_provider(account.provider).kinds
    except OptiInfraError as error:
        log.error("run_not_started", account=account.account_id, error=str(error))
        return frozenset()


def _queue(runtime: Runtime, run: Run) -> None:
    try:
        run_account_task.apply_async(
            args=(_MESSAGE.dump_python(run, mode="json"),),
            expires=runtime.settings.collect_interval.total_seconds(),
        )
    except OperationalError as error:
        unavailable = BrokerUnavailableError("the broker does not answer")
        runtime.runs.abandon(run, unavailable)
        raise unavailable from error


def _unpacked(runtime: Runtime, message: dict[str, Any]) -> tuple[Run, Account | None]:
    run = _MESSAGE.validate_python(message)
    structlog.contextvars.bind_contextvars(run_id=run.run_id)
    found = runtime.accounts.find(run.customer_id, run.provider, run.account_id)
    return run, found[0] if found else None

"""An account of a hundred times the others' load does not make them wait for it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from celery.app.task import Task
from support.plugins import install_provider

from data_collector import tasks
from data_collector.celery_app import app
from data_collector.pipeline import Pipeline
from data_collector.runtime import build_runtime, use_runtime
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Scope
from optiinfra.provider import Provider
from optiinfra.settings import Settings
from optiinfra_database import Store

SOURCE = """
    from optiinfra.testing.simulated import SimulatedProvider

    provider = SimulatedProvider(name="fair")
"""
SMALL = 5


def test_small_accounts_are_collected_after_a_few_scopes_of_a_giant(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_provider(tmp_path / "site", monkeypatch, "fair", SOURCE)
    accounts = {"a-giant": 100, **{f"small-{number}": 1 for number in range(SMALL)}}
    book = {
        customer: {"accounts": [{"id": "prod", "provider": "fair", "scopes": scopes}]}
        for customer, scopes in accounts.items()
    }
    (tmp_path / "accounts.yaml").write_text(json.dumps({"customers": book}))
    queue: deque[tuple[str, str]] = deque()
    collected: list[str] = []

    def publish(task: Task[..., Any], args: Sequence[Any] = (), **_options: Any) -> None:
        queue.append((task.name, json.dumps(args)))

    def collect(
        _: Pipeline, run: Any, provider: Provider, account: Account, scope: Scope, **_more: Any
    ) -> None:
        collected.append(account.customer_id)

    monkeypatch.setattr(Task, "apply_async", publish)
    monkeypatch.setattr(Pipeline, "collect", collect)
    runtime = build_runtime(Settings(accounts=tmp_path / "accounts.yaml"), store)
    use_runtime(runtime)
    try:
        # The giant comes first, as bad luck has it.
        for account in runtime.accounts.accounts():
            tasks.start_runs(runtime, account, [Kind.PERFORMANCE], trigger="test")
        while queue:
            name, arguments = queue.popleft()
            app.tasks[name].run(*json.loads(arguments))
    finally:
        use_runtime(None)
    assert len(collected) == 100 + SMALL
    last_small = max(at for at, customer in enumerate(collected) if customer != "a-giant")
    assert last_small < 2 * tasks.LANES + SMALL
    ((open_runs,),) = store.query(
        "SELECT count() FROM collection_runs FINAL WHERE status IN ('queued', 'running')"
    )
    assert open_runs == 0

"""The data collector answers nothing that its OpenAPI document does not say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.golden import hold_against_golden, openapi_text
from support.openapi import hold_to_document

from data_collector.celery_app import app
from data_collector.main import create_app
from data_collector.runtime import Runtime, build_runtime, use_runtime
from data_collector.storage.run_ledger import RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind
from optiinfra.settings import Settings
from optiinfra_database import Store

LOCAL = Account("local", "this-host", "host")


@pytest.fixture
def runtime(store: Store) -> Iterator[Runtime]:
    """Nobody works here: what is started stays queued, in memory."""
    built = build_runtime(Settings(), store)
    use_runtime(built)
    built.announce_accounts()
    yield built
    use_runtime(None)
    app.control.purge()


def test_every_answer_is_documented(runtime: Runtime, subtests: pytest.Subtests) -> None:
    run = new_run(LOCAL, Kind.PERFORMANCE, "test", None)
    RunLedger(runtime.store).record_run(run)
    existing = {"customer_id": "local", "run_id": run.run_id}
    hold_to_document(create_app(runtime), subtests, operations=8, existing=existing)


def test_the_document_is_the_one_that_was_looked_at(runtime: Runtime) -> None:
    hold_against_golden("data-collector.openapi.json", openapi_text(create_app(runtime)))

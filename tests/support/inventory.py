"""Inventory as the collector leaves it: listings through the real writer, outcomes beside."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.report import WriteReport
from data_collector.storage.run_ledger import Outcome, RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Resource, Scope, ScopeStatus
from optiinfra_database import Store
from optiinfra_database.directory import Directory

ACCOUNT = Account(customer_id="acme", account_id="prod", provider="aws")
SCOPE = "aws/prod/us-east-1/ec2"


def resource(resource_id: str = "i-1", **changes: Any) -> Resource:
    """A running instance, changed where the test says so."""
    fields: dict[str, Any] = {
        "resource_name": f"name of {resource_id}",
        "resource_type": "compute_instance",
        "status": "running",
        "region": "us-east-1",
        "metadata": {},
    }
    return Resource(resource_id=resource_id, **(fields | changes))


def list_scope(
    store: Store,
    seen_at: datetime,
    *resources: Resource,
    account: Account = ACCOUNT,
    scope: str = SCOPE,
    unreadable: Iterable[str] = (),
) -> WriteReport:
    """A complete listing of a scope at `seen_at`: rows first, then its outcome."""
    run = new_run(account, Kind.RESOURCES, "test", None)
    report = InventoryWriter(store).write_resource_metrics(
        account=account,
        scope=Scope(scope),
        run_id=run.run_id,
        seen_at=seen_at,
        resources=resources,
        unreadable=unreadable,
    )
    outcome = Outcome(
        scope=scope,
        status=ScopeStatus.OK,
        window_start=seen_at,
        window_end=seen_at,
        collected_until=seen_at,
        started_at=seen_at,
        finished_at=datetime.now(UTC),
        rows=report.rows,
        dropped=dict(report.dropped),
    )
    RunLedger(store).record_outcome(run, outcome)
    return report


def announce(store: Store, *accounts: Account) -> Directory:
    """A directory that knows these accounts."""
    directory = Directory(store)
    directory.announce([(one.customer_id, one.provider, one.account_id) for one in accounts])
    return directory

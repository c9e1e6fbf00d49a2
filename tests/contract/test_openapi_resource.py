"""The resource agent answers nothing that its OpenAPI document does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from resource_agent.main import create_app
from schemathesis.schemas import BaseSchema
from support.inventory import ACCOUNT, announce, list_scope, resource

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store


@pytest.fixture
def document(store: Store) -> BaseSchema:
    """The service's own document over a store with something in it.

    Only customers and providers that exist are asked for: the others end at the guard, and
    the routes behind it are what is to be tried.
    """
    announce(store, ACCOUNT)
    now = datetime.now(UTC)
    list_scope(store, now - timedelta(hours=2), resource("i-1"), resource("i-2"))
    list_scope(store, now - timedelta(hours=1), resource("i-1", status="stopped"))
    collector = CollectorClient(
        "http://collector",
        transport=httpx.MockTransport(lambda _: httpx.Response(202, json={"run_ids": ["run-1"]})),
    )
    app = create_app(Settings(), store, collector)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(case: schemathesis.Case) -> None:
    if "customer_id" in case.path_parameters:
        case.path_parameters["customer_id"] = "acme"
        case.path_parameters["provider"] = "all"
    case.call_and_validate()

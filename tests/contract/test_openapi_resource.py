"""The resource agent answers nothing that its OpenAPI document does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from support.inventory import ACCOUNT, announce, list_scope, resource
from support.openapi import hold_to_document

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store
from resource_agent.main import create_app


@pytest.fixture
def app(store: Store) -> FastAPI:
    """The service over a store with something in it."""
    announce(store, ACCOUNT)
    now = datetime.now(UTC)
    list_scope(store, now - timedelta(hours=2), resource("i-1"), resource("i-2"))
    list_scope(store, now - timedelta(hours=1), resource("i-1", status="stopped"))
    collector = CollectorClient(
        "http://collector",
        transport=httpx.MockTransport(lambda _: httpx.Response(202, json={"run_ids": ["run-1"]})),
    )
    return create_app(Settings(), store, collector)


def test_every_answer_is_documented(app: FastAPI, subtests: pytest.Subtests) -> None:
    existing = {"customer_id": "acme", "provider": "all"}
    hold_to_document(app, subtests, operations=9, existing=existing)

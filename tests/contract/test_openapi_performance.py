"""The performance agent answers nothing that its OpenAPI document does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from support.openapi import hold_to_document
from support.points import put_customer, put_gap, put_outcome, put_points

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store
from performance_agent.main import create_app


@pytest.fixture
def app(store: Store) -> FastAPI:
    """The service over a store with something in it."""
    put_customer(store, "acme", "aws")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    times = [now - timedelta(minutes=15 * back) for back in range(1, 20)]
    put_points(store, times, [float(n) for n in range(19)], metadata='{"statistic":"Average"}')
    put_points(store, times, [float(n) for n in range(19)], resource_id="a/b", metric="uptime")
    put_outcome(store, (times[-1], times[0]))
    put_gap(store, (times[-1], times[0]), reason="stopped", resource_id="i-9")
    collector = CollectorClient(
        "http://collector",
        transport=httpx.MockTransport(lambda _: httpx.Response(202, json={"run_ids": ["run-1"]})),
    )
    return create_app(Settings(), store, collector)


def test_every_answer_is_documented(app: FastAPI, subtests: pytest.Subtests) -> None:
    existing = {"customer_id": "acme", "provider": "all"}
    hold_to_document(app, subtests, operations=10, existing=existing)

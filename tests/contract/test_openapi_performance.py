"""The performance agent answers nothing that its OpenAPI document does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.points import put_customer, put_gap, put_outcome, put_points

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store
from performance_agent.main import create_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def document(store: Store) -> BaseSchema:
    """The service's own document over a store with something in it.

    Only customers and providers that exist are asked for: the others end at the guard, and
    the routes behind it are what is to be tried.
    """
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
    app = create_app(Settings(), store, collector)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_every_answer_is_documented(document: BaseSchema, subtests: pytest.Subtests) -> None:
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == 10
    for operation in operations:

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=m) for m in GenerationMode)))
        def is_documented(case: schemathesis.Case[Any]) -> None:
            if "customer_id" in case.path_parameters:
                case.path_parameters |= {"customer_id": "acme", "provider": "all"}
            case.call_and_validate(checks=CHECKS)

        with subtests.test(operation.label):
            is_documented()

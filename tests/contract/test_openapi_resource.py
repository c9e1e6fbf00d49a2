"""The resource agent answers nothing that its OpenAPI document does not say."""

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
from support.inventory import ACCOUNT, announce, list_scope, resource

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store
from resource_agent.main import create_app

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


def test_every_answer_is_documented(document: BaseSchema, subtests: pytest.Subtests) -> None:
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == 9
    for operation in operations:

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=m) for m in GenerationMode)))
        def is_documented(case: schemathesis.Case[Any]) -> None:
            if "customer_id" in case.path_parameters:
                case.path_parameters |= {"customer_id": "acme", "provider": "all"}
            case.call_and_validate(checks=CHECKS)

        with subtests.test(operation.label):
            is_documented()

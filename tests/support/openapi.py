"""Holding a service to its OpenAPI document: what it answers is what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def hold_to_document(
    app: ASGIApp,
    subtests: pytest.Subtests,
    *,
    operations: int,
    existing: Mapping[str, str],
    examples: int = 30,
) -> None:
    """Ask every operation for `examples` things that its document allows or forbids.

    `existing` replaces path parameters: what does not exist ends at the guard, and the
    routes behind it are what is to be tried.
    """
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = [one.ok() for one in document.get_all_operations() if isinstance(one, Ok)]
    assert len(found) == operations
    for operation in found:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=m) for m in GenerationMode)))
        def is_documented(case: schemathesis.Case[Any]) -> None:
            case.path_parameters |= {
                name: value for name, value in existing.items() if name in case.path_parameters
            }
            case.call_and_validate(checks=CHECKS)

        with subtests.test(operation.label):
            is_documented()

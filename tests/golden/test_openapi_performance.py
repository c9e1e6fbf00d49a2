"""The performance agent's OpenAPI document changes on purpose or not at all."""

from __future__ import annotations

from support.golden import hold_against_golden, openapi_text

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store
from performance_agent.main import create_app


def test_the_document_is_the_one_that_was_looked_at(store: Store) -> None:
    app = create_app(Settings(), store, CollectorClient("http://collector"))
    hold_against_golden("performance-agent.openapi.json", openapi_text(app))

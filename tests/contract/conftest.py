"""Fixtures of the provider contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.node_exporter import NodeExporter, free_port, run_node_exporter


@pytest.fixture(scope="session")
def node_exporter() -> Iterator[NodeExporter]:
    """A running exporter; the test is skipped where none is installed."""
    yield from run_node_exporter()


@pytest.fixture
def unused_url() -> str:
    """A target where nothing listens."""
    return f"http://127.0.0.1:{free_port()}/metrics"

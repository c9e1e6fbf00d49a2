"""Fixtures that every kind of test shares."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from support.servers import redis_server

from optiinfra.logging import configure_logging
from optiinfra_database import Store, connect, migrate

REPOSITORY = Path(__file__).resolve().parent.parent

# A machine that is busy with other things is slow, and what is tested is none the worse.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    """Logs go through the standard library, which pytest captures and shows on failure."""
    configure_logging("console", level="WARNING")


@pytest.fixture(autouse=True)
def _own_log_context() -> None:
    """A test that runs a task by hand leaves the task's log context to nobody."""
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recorded responses and series that lie beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recorded data (../shared/data) is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis; who uses it empties it first."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store per test process: the embedded engine opens a single directory at a time.

    With OPTIINFRA_TEST_STORE set, the same tests run against that server.
    """
    dsn = os.environ.get("OPTIINFRA_TEST_STORE") or f"chdb://{tmp_path_factory.mktemp('store')}"
    store = connect(dsn)
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(migrated_store: Store) -> Store:
    """The migrated store, emptied."""
    tables = migrated_store.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND engine LIKE '%MergeTree' AND name != 'schema_migrations' AND total_rows > 0"
    )
    for (name,) in tables:
        migrated_store.command(f"TRUNCATE TABLE {name}")
    return migrated_store


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the random schedules of faults did, added up over all test processes."""
    figures: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        found = json.loads(dict(report.user_properties).get("faults", "{}"))
        faults.update(found.pop("faults", {}))
        figures.update(found)
    if figures:
        terminalreporter.section("schedules of faults")
        terminalreporter.line(", ".join(f"{n:,} {name}" for name, n in figures.items()))
        terminalreporter.line(", ".join(f"{n:,} x {name}" for name, n in faults.most_common()))

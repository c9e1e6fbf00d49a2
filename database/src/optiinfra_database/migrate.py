"""Numbered SQL files applied once, in order, with a ledger in the database itself.

The same files make the tables of a single server and, through `cluster`, those of a cluster.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Literal

import structlog

from optiinfra.errors import StoreError, StoreUnavailableError
from optiinfra_database.client import Store
from optiinfra_database.cluster import LOCAL, on_cluster

log = structlog.get_logger()

_LEDGER = """\
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    checksum   String,
    state      Enum8('in_progress' = 1, 'applied' = 2),
    updated_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY version"""

# Tables whose rows live as long as OPTIINFRA_RETENTION_DAYS; the summaries outlive them.
_RAW_TABLES = (
    "performance_metrics",
    "metrics_latest",
    "resource_metrics",
    "resource_changes",
    "collection_runs",
    "collection_outcomes",
    "collection_scopes",
    "collection_gaps",
    "rollup_refreshes",
)
_SUMMARIES = ("metrics_1h", "metrics_1d", "collection_usage")
SUMMARY_RETENTION_DAYS = 400


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]

    def statements(self) -> Iterator[str]:
        """The statements without comments, in order."""
        text = re.sub(r"^\s*--.*$", "", self.sql, flags=re.MULTILINE)
        return (part.strip() for part in text.split(";") if part.strip())


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration beside what the ledger says of it."""

    migration: Migration
    state: Literal["applied", "in_progress", "pending"]
    applied_at: datetime | None


def load_migrations() -> list[Migration]:
    """Every migration that this version ships, oldest first."""
    found = []
    for entry in files("optiinfra_database").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.version)


def status(store: Store) -> list[MigrationStatus]:
    """What this version ships, and whether it is applied. Raises StoreError where an applied
    file changed.

    A store may have more than this version knows: a newer one migrated it, and until the last
    process is replaced both work on it. For that, a migration only adds.
    """
    if not store.query("EXISTS TABLE schema_migrations")[0][0]:
        _run(store, _LEDGER)
    recorded = {
        version: (state, checksum, at)
        for version, state, checksum, at in store.query(
            "SELECT version, state, checksum, updated_at FROM schema_migrations FINAL"
        )
    }
    answer = []
    for migration in load_migrations():
        state, checksum, at = recorded.get(migration.version, ("pending", "", None))
        # One that never ended may have been mended meanwhile.
        if state == "applied" and checksum != migration.checksum:
            raise StoreError(
                f"migration {migration.version:04} {migration.name} was changed after it was "
                "applied; write a new migration instead"
            )
        answer.append(MigrationStatus(migration, state, at))
    newest = max((known.migration.version for known in answer), default=0)
    if ahead := sorted(version for version in recorded if version > newest):
        log.warning("store_is_newer", migration=ahead[-1], known=newest)
    return answer


def require_migrated(store: Store) -> None:
    """Raise StoreUnavailableError when the store lacks a migration that this version needs.

    Writes nothing: readers ask with a user who may not.
    """
    known = {migration.version for migration in load_migrations()}
    applied = store.query("SELECT version FROM schema_migrations FINAL WHERE state = 'applied'")
    if lacking := known - {version for (version,) in applied}:
        raise StoreUnavailableError(
            f"the store lacks migration {min(lacking):04}; run `optiinfra migrate`"
        )


def migrate(store: Store, *, retention_days: int = 90) -> list[Migration]:
    """Apply what is pending and set the retention; returns what was applied.

    A migration that was cut off in the middle is run again: every statement is made
    repeatable with IF NOT EXISTS.
    """
    applied = []
    for entry in status(store):
        if entry.state == "applied":
            continue
        _record(store, entry.migration, "in_progress")
        for statement in entry.migration.statements():
            _run(store, statement)
        _record(store, entry.migration, "applied")
        applied.append(entry.migration)
    apply_retention(store, retention_days)
    return applied


def apply_retention(store: Store, days: int) -> None:
    """Set the tables' TTL where it differs from `days` (the summaries' where it is longer)."""
    wanted = dict.fromkeys(_RAW_TABLES, days) | dict.fromkeys(
        _SUMMARIES, max(days, SUMMARY_RETENTION_DAYS)
    )
    real = store.query(
        "SELECT name, extract(engine_full, 'TTL (.+?) \\+ toIntervalDay'), "
        "toUInt32OrZero(extract(engine_full, 'toIntervalDay\\((\\d+)\\)')) "
        "FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    for name, expression, current in real:
        table = name.removesuffix(LOCAL) if store.cluster else name
        if table in wanted and current != wanted[table]:
            _run(
                store,
                f"ALTER TABLE {table} MODIFY TTL {expression} + toIntervalDay({wanted[table]:d})",
            )


def statements(store: Store, statement: str) -> list[str]:
    """What a statement of a migration is on this store: repeatable, and on every server."""
    if store.cluster:
        return on_cluster(statement, cluster=store.cluster, database=store.database)
    return [_repeatable(statement)]


def _run(store: Store, statement: str) -> None:
    for one in statements(store, statement):
        store.command(one)


def _record(store: Store, migration: Migration, state: str) -> None:
    store.insert(
        "schema_migrations",
        ["version", "name", "checksum", "state", "updated_at"],
        [[migration.version, migration.name, migration.checksum, state, datetime.now(UTC)]],
    )


def _repeatable(statement: str) -> str:
    return re.sub(
        r"^CREATE (TABLE|MATERIALIZED VIEW) (?!IF NOT EXISTS)",
        r"CREATE \1 IF NOT EXISTS ",
        statement,
    )

"""The tables of a cluster, made from the same text as those of a single server.

Each table becomes two on every server: `<name>_local` holds the rows of the server's shard,
replicated between its replicas, and `<name>` spreads inserts over the shards and reads them
all. Rows go to a shard by columns of the table's sorting key, so that every version of a key
lies on one shard; FINAL, argMax and LIMIT BY, which the shards compute each for itself, are
right for the whole then.
"""

from __future__ import annotations

import re

LOCAL = "_local"

_KEEPER_PATH = "/clickhouse/tables/{shard}/{database}/{table}"
_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)\s*\(.*", re.DOTALL)
_VIEW = re.compile(
    r"CREATE MATERIALIZED VIEW (?:IF NOT EXISTS )?(\w+) TO (\w+) AS\s+(SELECT.*)", re.DOTALL
)
_ALTER = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\((.*?)\))?")
_ORDER = re.compile(r"^ORDER BY \(?(.+?)\)?$", re.MULTILINE)
# Replicated tables remember inserted blocks by themselves.
_UNREPLICATED = re.compile(r"\bnon_replicated_deduplication_window = \d+(,\s*|\s*$)")


def on_cluster(statement: str, *, cluster: str, database: str) -> list[str]:
    """What a migration's statement is on a cluster, in order and repeatable.

    Knows CREATE TABLE of the MergeTree family, CREATE MATERIALIZED VIEW ... TO and ALTER
    TABLE. Raises ValueError for anything else.
    """
    everywhere = f"ON CLUSTER {cluster}"
    if found := _TABLE.fullmatch(statement):
        name = found[1]
        columns = statement[statement.index("(") :]
        return [
            f"CREATE TABLE IF NOT EXISTS {name}{LOCAL} {everywhere}\n{_replicated(columns)}",
            f"CREATE TABLE IF NOT EXISTS {name} {everywhere} AS {name}{LOCAL}\n"
            f"{_distributed(name, _sharding_columns(columns), cluster, database)}",
        ]
    if found := _VIEW.fullmatch(statement):
        name, target, select = found.groups()
        # A row's newest point is on the row's own shard.
        select = re.sub(r"\bFROM (\w+)", rf"FROM \1{LOCAL}", select)
        return [
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} {everywhere} "
            f"TO {target}{LOCAL} AS\n{select}"
        ]
    if found := _ALTER.fullmatch(statement):
        name, change = found.groups()
        altered = [f"ALTER TABLE {name}{LOCAL} {everywhere} {change}"]
        # The other table holds nothing but the list of columns and the way to the shards.
        if re.match(r"\w+ COLUMN\b", change):
            altered.append(f"ALTER TABLE {name} {everywhere} {change}")
        return altered
    raise ValueError(f"no form on a cluster is known for: {statement.splitlines()[0]}")


def _replicated(columns: str) -> str:
    def engine(found: re.Match[str]) -> str:
        version = f", {found[2]}" if found[2] else ""
        return f"ENGINE = Replicated{found[1]}('{_KEEPER_PATH}', '{{replica}}'{version})"

    text = _ENGINE.sub(engine, columns, count=1)
    return _UNREPLICATED.sub("", text)


def _distributed(name: str, columns: list[str], cluster: str, database: str) -> str:
    shard = f"cityHash64({', '.join(columns)})"
    return f"ENGINE = Distributed({cluster}, {database}, {name}{LOCAL}, {shard})"


def _sharding_columns(columns: str) -> list[str]:
    """By customer and resource where the sorting key has them; a table without resources by
    customer, which keeps a customer's ledger together; what belongs to nobody by its key."""
    found = _ORDER.search(columns)
    if found is None:
        raise ValueError("a table of a cluster needs an ORDER BY on a line of its own")
    key = [name.strip() for name in found[1].split(",")]
    return [name for name in ("customer_id", "resource_id") if name in key] or key

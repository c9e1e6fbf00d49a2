"""A ClickHouse cluster of two shards for tests, played by one embedded engine.

    python -m support.cluster_http <store directory> <port>

The engine takes both shards of the cluster `optiinfra` for itself, so that Distributed tables
plan, insert and read as they do over servers, and refuse what they refuse there. Both shards
share their tables; a filter shows to each only the rows that the sharding key gives it. What
cannot be played by one process is left out: ON CLUSTER and replication.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import clickhouse_http

CLUSTER = "optiinfra"
_SHARD = (
    "<shard><internal_replication>true</internal_replication>"
    "<replica><host>127.0.0.1</host><port>9000</port></replica></shard>"
)
CONFIG = f"""<clickhouse><tcp_port>9000</tcp_port>
<remote_servers><{CLUSTER}>{_SHARD * 2}</{CLUSTER}></remote_servers></clickhouse>"""
_DISTRIBUTED = (
    "SELECT extract(engine_full, '\\'(\\\\w+_local)\\''), database, "
    "extract(engine_full, '(cityHash64\\(.+?\\))\\)$') "
    "FROM system.tables WHERE engine = 'Distributed'"
)


def unreplicated(statement: str) -> str:
    """The statement as one process can run it."""
    statement = re.sub(r" ON CLUSTER \w+", "", statement)
    statement = re.sub(r"\bReplicated(\w*MergeTree)\('[^']*', '[^']*', ", r"\1(", statement)
    return re.sub(r"\bReplicated(\w*MergeTree)\('[^']*', '[^']*'\)", r"\1", statement)


class _Session:
    """A connection on which statements for a cluster run."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, statement: bytes, *arguments: Any, **options: Any) -> Any:
        return self._connection.query(_rewritten(statement), *arguments, **options)

    def send_query(self, statement: bytes, *arguments: Any, **options: Any) -> Any:
        return self._connection.send_query(statement, *arguments, **options)


def _rewritten(statement: bytes) -> bytes:
    if b"ON CLUSTER" not in statement:
        return statement
    return unreplicated(statement.decode()).encode()


class TwoShards(clickhouse_http.Engine):
    """The engine as both shards."""

    def __init__(self, directory: str) -> None:
        config = Path(directory).with_name("cluster.xml")
        config.write_text(CONFIG)
        super().__init__(f"{directory}?config-file={config}")

    @contextmanager
    def session(
        self, database: str, settings: Mapping[str, str], *, readonly: bool
    ) -> Iterator[Any]:
        lines = self._anchor.query(_DISTRIBUTED, "TSVRaw").bytes().decode().splitlines()
        # Outside a distributed query there is no shard to be seen from.
        filters = {
            f"{owner}.{table}": f"shardNum() IN (0, {sharding} % 2 + 1)"
            for table, owner, sharding in (line.split("\t") for line in lines)
        }
        with super().session(database, settings, readonly=readonly) as connection:
            if filters:
                connection.query(f"SET additional_table_filters = {filters}")
            yield _Session(connection)


if __name__ == "__main__":
    clickhouse_http.Engine = TwoShards  # type: ignore[misc]
    clickhouse_http.main()

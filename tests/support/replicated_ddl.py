"""Makes the tables of a cluster in an engine that has Keeper within, and prints their engines.

    python replicated_ddl.py <directory>

Tables only: what is replicated stays read-only here.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import chdb
from support.cluster_http import CONFIG

from optiinfra_database.cluster import on_cluster
from optiinfra_database.migrate import load_migrations

_KEEPER = (
    "<zookeeper><implementation>testkeeper</implementation></zookeeper>"
    "<macros><shard>1</shard><replica>one</replica></macros></clickhouse>"
)


def open_engine(directory: str) -> Any:
    """The engine with both shards and Keeper in this process."""
    config = Path(directory) / "config.xml"
    config.write_text(CONFIG.replace("</clickhouse>", _KEEPER))
    return chdb.connect(f"{directory}/store?config-file={config}")  # type: ignore[no-untyped-call]  # untyped package


def make_tables(engine: Any) -> str:
    """Make every table of the migrations; their names and engines."""
    engine.query("CREATE DATABASE metrics")
    engine.query("USE metrics")
    tables = (
        statement
        for migration in load_migrations()
        for text in migration.statements()
        for statement in on_cluster(text, cluster="optiinfra", database="metrics")
        if statement.startswith("CREATE TABLE")
    )
    for table in tables:
        # Without a server there is nobody to take a statement for every server.
        engine.query(table.replace(" ON CLUSTER optiinfra", ""))
    made = engine.query("SELECT name, engine FROM system.tables WHERE database = 'metrics'", "TSV")
    text: str = made.bytes().decode()
    return text


if __name__ == "__main__":
    # It leaves with the engine open: closing it waits for a replication that never ends here.
    keeping = open_engine(sys.argv[1])
    try:
        print(make_tables(keeping), end="", flush=True)
    except RuntimeError:
        traceback.print_exc()
    finally:
        os._exit(0)

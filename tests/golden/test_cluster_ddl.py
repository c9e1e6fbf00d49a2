"""The tables of a cluster change on purpose or not at all, and the engine understands them."""

from __future__ import annotations

from support.golden import hold_against_golden

from optiinfra_database import Store
from optiinfra_database.cluster import on_cluster
from optiinfra_database.migrate import load_migrations


def test_the_tables_of_a_cluster_are_those_that_were_looked_at(store: Store) -> None:
    statements = [
        statement
        for migration in load_migrations()
        for text in migration.statements()
        for statement in on_cluster(text, cluster="optiinfra", database="optiinfra_metrics")
    ]
    for statement in statements:
        assert store.query(f"EXPLAIN AST {statement}")
    hold_against_golden("cluster.sql", "".join(f"{text};\n\n" for text in statements))

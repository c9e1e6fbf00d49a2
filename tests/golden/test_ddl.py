"""The tables that all migrations together make change on purpose or not at all."""

from __future__ import annotations

from support.golden import hold_against_golden

from optiinfra_database import Store


def test_the_tables_are_those_that_were_looked_at(store: Store) -> None:
    tables = store.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    texts = [
        store.query_bytes(f"SHOW CREATE TABLE {name}", format="TSVRaw").decode().strip()
        for (name,) in tables
    ]
    # The database's name is the operator's choice.
    hold_against_golden(
        "schema.sql", "".join(f"{text};\n\n" for text in texts).replace(f"{store.database}.", "")
    )

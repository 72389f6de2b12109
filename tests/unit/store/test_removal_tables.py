"""Removals find the tables by their columns, so every table must have one that they look for, or a reason not to."""

from pathlib import Path

from triplane.store.sqlite import open_store

OF_NOBODY = {"tokens", "schema_versions", "position", "namespaces"}
"""Tables that hold nothing of a run, nor of a namespace beside itself."""


def test_whatever_a_run_or_a_namespace_leaves_is_found_by_its_column_and_by_an_index(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        connection = store.removals._readers.get()
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
            assert columns & {"run", "namespace"} or table in OF_NOBODY, f"nothing of {table} would ever be removed"
            if "run" in columns:
                plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE run = 1").fetchall()
                assert all("SEARCH" in row[3] for row in plan), f"removing a run would read all of {table}: {plan}"
    finally:
        store.close()

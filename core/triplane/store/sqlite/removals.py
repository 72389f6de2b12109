"""Taking runs and namespaces out of the store, a few rows at a time, so that no commit waits long for it.

A run is first hidden: its own row goes and its key is noted, in one transaction, so nobody sees half of it, also after a
crash. Its rows in the other tables are swept out later, in portions.

Which tables those are is read from the schema: one with a column `run` holds parts of runs, one with a column `namespace`
holds what belongs to a namespace. A table that a later migration adds is swept without being named here.
"""

from collections.abc import Sequence
from typing import Any

import apsw

from triplane.store.sqlite.connection import Readers
from triplane.store.sqlite.runs import detail_from
from triplane.store.sqlite.writer import SqliteWriter

AT_ONCE = 100
"""Runs hidden in one transaction."""

_KEPT = frozenset({"runs", "namespaces", "audit", "gone_runs", "requests"})
"""Tables with those columns that are not swept: runs are hidden one by one, the audit log outlives what it tells of, and
request ids have a way of their own."""

REQUESTS_AT_ONCE = 2_000


class SqliteRemovalStore:
    """Removes for good. Each call is a transaction of its own, and waits for the commit that is under way.

    Raises, where something is written: `StorageFull`, `StoreBroken`.
    """

    def __init__(self, readers: Readers, writer: SqliteWriter | None) -> None:
        self._readers, self._writer = readers, writer
        self._known: dict[str, list[str]] = {}

    def expired(self, namespace: str, before: float, limit: int) -> list[str]:
        """Runs that closed before a moment and were not archived, oldest start first, at most `limit`."""
        connection, found = self._readers.get(), []
        until = _first_key_since(connection, before)
        rows = connection.execute(
            "SELECT r.run_id, d.body FROM runs r LEFT JOIN run_details d ON d.run = r.key"
            " WHERE r.key < ? AND r.namespace = ? AND r.closed < ? ORDER BY r.key",
            (until, namespace, before),
        )
        for run_id, body in rows:
            if detail_from(body).options.get("archived") is None:
                found.append(run_id)
                if len(found) == limit:
                    break
        return found

    def run_ids(self, namespace: str, limit: int) -> list[str]:
        """Runs of a namespace, open or closed, oldest first."""
        rows = self._readers.get().execute(
            "SELECT run_id FROM runs INDEXED BY runs_of_workflow WHERE namespace = ? LIMIT ?", (namespace, limit)
        )
        return [run_id for (run_id,) in rows]

    def hide(self, run_ids: Sequence[str]) -> int:
        """Make at most `AT_ONCE` runs vanish; returns how many there were. What they leave is for `sweep`."""
        if self._writer is None or not run_ids:
            return 0
        hidden, marks = tuple(run_ids[:AT_ONCE]), ",".join("?" * len(run_ids[:AT_ONCE]))
        with self._writer.beside() as connection:
            found: list[Any] = connection.execute(
                f"SELECT key, namespace, workflow_id, is_newest FROM runs WHERE run_id IN ({marks})", hidden
            ).fetchall()
            connection.executemany("INSERT INTO gone_runs VALUES (?)", [(key,) for key, *_ in found])
            # The position may have to be told from one of their rows.
            newest = f"SELECT coalesce(max(cursor), 0) FROM runs WHERE run_id IN ({marks})"
            connection.execute(f"UPDATE position SET cursor = max(cursor, ({newest}))", hidden)
            connection.executemany("DELETE FROM runs WHERE key = ?", [(key,) for key, *_ in found])
            # Where the newest run of a workflow went and older ones stay, the newest of those stands for the workflow.
            connection.executemany(
                "UPDATE runs SET is_newest = 1 WHERE key = (SELECT key FROM runs WHERE namespace = ? AND workflow_id = ?"
                " ORDER BY run_number DESC LIMIT 1)",
                [(namespace, workflow_id) for _, namespace, workflow_id, is_newest in found if is_newest],
            )
            self._writer.forget(hidden)
        return len(found)

    def sweep(self, limit: int) -> int:
        """Remove at most `limit` rows that hidden runs have left; returns how many, 0 when none are left."""
        if self._writer is None:
            return 0
        removed = 0
        with self._writer.beside() as connection:
            deletions = self._deletions(connection, "run")
            while removed < limit and (row := connection.execute("SELECT run FROM gone_runs ORDER BY run LIMIT 1").fetchone()):
                for deletion in deletions:
                    removed += _delete(connection, deletion, row[0], limit - removed)
                    if removed >= limit:
                        break
                else:
                    connection.execute("DELETE FROM gone_runs WHERE run = ?", row)
                    removed += 1
        return removed

    def _deletions(self, connection: apsw.Connection, column: str) -> list[str]:
        """A statement for each table with that column; the schema does not change while the store is open."""
        if column not in self._known:
            self._known[column] = [_deletion(connection, table, column) for table in _tables_with(connection, column)]
        return self._known[column]

    def counts(self, namespace: str) -> dict[str, int]:
        """Rows by table of what belongs to a namespace; a run counts once, however much it has."""
        connection = self._readers.get()
        tables = ["runs", *_tables_with(connection, "namespace")]
        # What is marked as deleted already is not deleted now.
        marked = set(_tables_with(connection, "deleted"))
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE namespace = ?{' AND NOT deleted' if table in marked else ''}", (namespace,)
            ).get
            for table in tables
        }

    def forget_requests(self, namespace: str, after: int) -> int | None:
        """Forget request ids of a namespace among the next records after one; returns the last looked at, None at the end."""
        if self._writer is None:
            return None
        with self._writer.beside() as connection:
            # They are many, short-lived, and without an index by namespace: looked through in portions, once.
            last: int | None = connection.execute(
                "SELECT max(id) FROM (SELECT id FROM requests WHERE id > ? ORDER BY id LIMIT ?)", (after, REQUESTS_AT_ONCE)
            ).get
            if last is not None:
                connection.execute("DELETE FROM requests WHERE id > ? AND id <= ? AND namespace = ?", (after, last, namespace))
        return last

    def forget_namespace(self, namespace: str, limit: int) -> int:
        """Remove at most `limit` rows of a namespace without runs, itself last; returns how many, 0 when it is gone."""
        if self._writer is None:
            return 0
        removed = 0
        with self._writer.beside() as connection:
            for deletion in self._deletions(connection, "namespace"):
                removed = _delete(connection, deletion, namespace, limit)
                if removed:
                    break
            else:
                connection.execute("DELETE FROM namespaces WHERE name = ?", (namespace,))
                removed = connection.changes()
        return removed


def _tables_with(connection: apsw.Connection, column: str) -> list[str]:
    rows = connection.execute(
        "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = ? ORDER BY m.name",
        (column,),
    )
    return [name for (name,) in rows if name not in _KEPT]


def _delete(connection: apsw.Connection, statement: str, value: Any, limit: int) -> int:
    connection.execute(statement, (value, limit))
    changed: int = connection.changes()
    return changed


def _deletion(connection: apsw.Connection, table: str, column: str) -> str:
    """Deletes some rows of a table, by its key; the names come from the schema, never from a client."""
    names = [(place, name) for name, place in connection.execute("SELECT name, pk FROM pragma_table_info(?)", (table,))]
    key = ", ".join(name for place, name in sorted(names) if place) or "rowid"
    return f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {column} = ? LIMIT ?)"


def _first_key_since(connection: apsw.Connection, moment: float) -> int:
    """The key of the first run that began at a moment or later; keys are in the order of starts, so few rows are looked at."""
    low, high = 0, connection.execute("SELECT coalesce(max(key), 0) + 1 FROM runs").get
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT key, created FROM runs WHERE key >= ? ORDER BY key LIMIT 1", (middle,)).fetchone()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return low

"""Rows of runs' tables, kept in chunks of consecutive rows."""

from collections.abc import Iterator
from typing import Any

import apsw

from triplane.entities import Rows
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

INSERT_TABLE = "INSERT INTO run_tables VALUES (?,?,?) ON CONFLICT DO NOTHING"
INSERT_ROWS = "INSERT INTO table_rows VALUES (?,?,?,?,?)"

_CHUNK_ROWS = 200

Columns = tuple[tuple[str, str], ...]


def table_row(key: int, rows: Rows) -> tuple[Any, ...]:
    """Parameters of `INSERT_TABLE`."""
    return key, rows.table, pack(rows.columns)


def chunk_rows(key: int, rows: Rows) -> Iterator[tuple[Any, ...]]:
    """Parameters of `INSERT_ROWS`, once for each chunk."""
    for start in range(0, len(rows.rows), _CHUNK_ROWS):
        chunk = rows.rows[start : start + _CHUNK_ROWS]
        yield key, rows.table, rows.first_row + start, len(chunk), pack(chunk)


def _columns_from(body: bytes) -> Columns:
    return tuple((name, kind) for name, kind in unpack(body))


def tables_of(connection: apsw.Connection, key: int) -> list[tuple[str, Columns, int]]:
    """(name, columns, row count) of a run's tables, by name."""
    rows = connection.execute(
        "SELECT t.name, t.columns, coalesce((SELECT first_row + row_count FROM table_rows c WHERE c.run = t.run"
        " AND c.name = t.name ORDER BY first_row DESC LIMIT 1), 0) FROM run_tables t WHERE t.run = ? ORDER BY t.name",
        (key,),
    )
    return [(name, _columns_from(columns), count) for name, columns, count in rows]


class SqliteTableStore:
    """Reads runs' tables."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def names(self, run_id: str) -> list[str]:
        rows = self._readers.get().execute(
            "SELECT t.name FROM runs r JOIN run_tables t ON t.run = r.key WHERE r.run_id = ? ORDER BY t.name", (run_id,)
        )
        return [name for (name,) in rows]

    def columns(self, run_id: str, table: str) -> Columns | None:
        body = (
            self._readers.get()
            .execute(
                "SELECT t.columns FROM runs r JOIN run_tables t ON t.run = r.key WHERE r.run_id = ? AND t.name = ?",
                (run_id, table),
            )
            .get
        )
        return None if body is None else _columns_from(body)

    def read(self, run_id: str, table: str, first_row: int, limit: int) -> list[tuple[int, tuple[Any, ...]]]:
        """(row number, row) from `first_row` (≥ 0) on, at most `limit`; none of a table that does not exist."""
        connection = self._readers.get()
        key = connection.execute("SELECT key FROM runs WHERE run_id = ?", (run_id,)).get
        if key is None:
            return []
        chunks = connection.execute(
            "SELECT first_row, body FROM table_rows WHERE run = ?1 AND name = ?2 AND first_row < ?4 AND first_row >="
            " coalesce((SELECT max(first_row) FROM table_rows WHERE run = ?1 AND name = ?2 AND first_row <= ?3), 0)"
            " ORDER BY first_row",
            (key, table, first_row, first_row + limit),
        )
        found = []
        for start, body in chunks:
            for number, row in enumerate(unpack(body), start):
                if first_row <= number < first_row + limit:
                    found.append((number, tuple(row)))
        return found

"""Rows of runs' tables, kept in chunks of consecutive rows.

A table is divided into pages of `TABLE_PAGE_ROWS` rows. Rows are stored as they come, one chunk for each append and page,
row after row; those of small steps wait in the run's tail (see `tails`) and come together. When a page is complete its
chunks become one, column after column, in the same transaction: a reader then decodes the columns that it needs, and a
table costs the same however few rows came at a time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from triplane.entities import Rows
from triplane.store.interface import TABLE_PAGE_ROWS
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers
from triplane.store.sqlite.tails import ends_of, parts_of

INSERT_TABLE = "INSERT INTO run_tables VALUES (?,?,?) ON CONFLICT DO NOTHING"
INSERT_ROWS = "INSERT INTO table_rows VALUES (?,?,?,?,?)"
_IN_PAGE = "FROM table_rows WHERE run = ? AND name = ? AND first_row >= ? AND first_row < ?"
_OF_PAGE = f"SELECT first_row, row_count, body {_IN_PAGE} ORDER BY first_row"
_EMPTY_PAGE = f"DELETE {_IN_PAGE}"
_CHUNKS = (
    "SELECT first_row, row_count, body FROM table_rows WHERE run = ?1 AND name = ?2 AND first_row < ?4"
    " AND first_row >= coalesce((SELECT max(first_row) FROM table_rows WHERE run = ?1 AND name = ?2 AND first_row <= ?3), 0)"
    " ORDER BY first_row"
)

MAX_REMEMBERED_KEYS = 10_000
MAX_PAGE_BYTES = 4 << 20
"""A page of larger rows stays in the chunks in which it came, so that no blob grows beyond what one append brought."""

Columns = tuple[tuple[str, str], ...]
PageOfTable = tuple[int, str, int]
"""A run's key, a table's name, and the number of the page's first row."""


def table_row(key: int, rows: Rows) -> tuple[Any, ...]:
    """Parameters of `INSERT_TABLE`."""
    return key, rows.table, pack(rows.columns)


def chunk_rows(key: int, rows: Rows) -> Iterator[tuple[Any, ...]]:
    """Parameters of `INSERT_ROWS`, once for each page that the rows touch."""
    given, first, end = rows.rows, rows.first_row, rows.first_row + len(rows.rows)
    start = first
    while start < end:
        until = min(end, start - start % TABLE_PAGE_ROWS + TABLE_PAGE_ROWS)
        chunk = given[start - first : until - first]
        whole = until - start == TABLE_PAGE_ROWS
        yield key, rows.table, start, until - start, _pack_columns(chunk) if whole else pack(chunk)
        start = until


def completed_pages(key: int, rows: Rows) -> Iterator[PageOfTable]:
    """Pages that these rows complete, and that other rows began."""
    first, end = rows.first_row, rows.first_row + len(rows.rows)
    page = first - first % TABLE_PAGE_ROWS
    if page < first < page + TABLE_PAGE_ROWS <= end:
        yield key, rows.table, page


def join_page(connection: apsw.Connection, page: PageOfTable) -> None:
    """Make one chunk of a complete page's; the caller's transaction holds it together."""
    key, name, first = page
    place = (key, name, first, first + TABLE_PAGE_ROWS)
    found: list[Any] = connection.execute(_OF_PAGE, place).fetchall()
    if len(found) < 2 or sum(len(body) for _, _, body in found) > MAX_PAGE_BYTES:
        return
    chunks = [_stored_chunk(*stored) for stored in found]
    if chunks[0].first_row != first or sum(chunk.row_count for chunk in chunks) != TABLE_PAGE_ROWS:
        # Begun by a release that cut its chunks elsewhere; it is read just as well.
        return
    rows = [row for chunk in chunks for row in chunk.rows()]
    connection.execute(_EMPTY_PAGE, place)
    connection.execute(INSERT_ROWS, (key, name, first, TABLE_PAGE_ROWS, _pack_columns(rows)))


def _pack_columns(rows: Sequence[Sequence[Any]]) -> bytes:
    """Rows as `{"columns": [packed cells, …]}`; rows without a cell as they are."""
    columns = list(zip(*rows, strict=True))
    return pack({"columns": [_pack_cells(cells) for cells in columns]}) if columns else pack(rows)


def _pack_cells(cells: Sequence[Any]) -> bytes:
    """A column's cells as a list; one text alone where all are that, as ids of simulations are."""
    first = cells[0]
    if type(first) is str and cells.count(first) == len(cells):
        return pack({"all": first})
    return pack(cells)


class Chunk:
    """Stored rows `first_row` to `first_row + row_count - 1`, decoded as far as they are asked for."""

    __slots__ = ("_body", "first_row", "row_count", "size_bytes")

    def __init__(self, first_row: int, row_count: int, size_bytes: int, body: Any) -> None:
        self.first_row, self.row_count, self.size_bytes, self._body = first_row, row_count, size_bytes, body

    @property
    def by_column(self) -> bool:
        """Whether single columns can be decoded."""
        return type(self._body) is dict

    def column(self, position: int) -> list[Any]:
        """A column's cells."""
        if not self.by_column:
            return [row[position] for row in self._body]
        cells: Any = unpack(self._body["columns"][position])
        return [cells["all"]] * self.row_count if type(cells) is dict else cells

    def rows(self) -> Sequence[Sequence[Any]]:
        """All rows."""
        if self.by_column:
            return list(zip(*map(self.column, range(len(self._body["columns"]))), strict=True))
        rows: list[list[Any]] = self._body
        return rows


def _stored_chunk(first_row: Any, row_count: Any, body: Any) -> Chunk:
    return Chunk(first_row, row_count, len(body), unpack(body))


def _columns_from(body: bytes) -> Columns:
    return tuple((name, kind) for name, kind in unpack(body))


def tables_of(connection: apsw.Connection, key: int) -> list[tuple[str, Columns, int]]:
    """(name, columns, row count) of a run's tables, by name."""
    rows = connection.execute(
        "SELECT t.name, t.columns, coalesce((SELECT first_row + row_count FROM table_rows c WHERE c.run = t.run"
        " AND c.name = t.name ORDER BY first_row DESC LIMIT 1), 0) FROM run_tables t WHERE t.run = ? ORDER BY t.name",
        (key,),
    )
    found = [(name, _columns_from(columns), count) for name, columns, count in rows]
    ends = ends_of(connection, key) if found else {}
    return [(name, columns, ends.get(name, count)) for name, columns, count in found]


class SqliteTableStore:
    """Reads runs' tables."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._keys: dict[str, int] = {}

    def _key(self, run_id: str) -> int | None:
        """A run's key, remembered for runs that were read lately: it is never another's."""
        key = self._keys.get(run_id)
        if key is None:
            key = self._readers.get().execute("SELECT key FROM runs WHERE run_id = ?", (run_id,)).get
            if key is not None:
                if len(self._keys) >= MAX_REMEMBERED_KEYS:
                    self._keys.clear()
                self._keys[run_id] = key
        return key

    def names(self, run_id: str) -> list[str]:
        rows = self._readers.get().execute(
            "SELECT t.name FROM runs r JOIN run_tables t ON t.run = r.key WHERE r.run_id = ? ORDER BY t.name", (run_id,)
        )
        return [name for (name,) in rows]

    def columns(self, run_id: str, table: str) -> Columns | None:
        key = self._key(run_id)
        body = self._readers.get().execute("SELECT columns FROM run_tables WHERE run = ? AND name = ?", (key, table)).get
        return None if body is None else _columns_from(body)

    def chunks(self, run_id: str, table: str, first_row: int, until: int, max_bytes: int) -> list[Chunk]:
        """Chunks with rows from `first_row` (≥ 0) to before `until`, in order; after `max_bytes` no further one."""
        found, size = [], 0
        connection, key = self._readers.get(), self._key(run_id)
        # One transaction, so that rows that are moved meanwhile are seen either where they were or where they are.
        connection.execute("BEGIN")
        try:
            for chunk in _chunks(connection, key, table, first_row, until):
                if chunk.first_row + chunk.row_count <= first_row:
                    continue
                found.append(chunk)
                size += chunk.size_bytes
                if size >= max_bytes:
                    break
        finally:
            connection.execute("COMMIT")
        return found


def _chunks(connection: apsw.Connection, key: int | None, table: str, first_row: int, until: int) -> Iterator[Chunk]:
    for stored in connection.execute(_CHUNKS, (key, table, first_row, until)):
        yield _stored_chunk(*stored)
    for (name, first, rows), size in parts_of(connection, key):
        if name == table and first < until:
            yield Chunk(first, len(rows), size, rows)

"""Pages of stored tables that were read lately, kept decoded: watchers read the same growing tables again and again."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from triplane.entities import Rows
from triplane.store.interface import TABLE_PAGE_ROWS, Store, TableChunk
from triplane.tables.conditions import Columns

MAX_PORTION_BYTES = 4 << 20
"""Stored bytes decoded at a time, but for a single append that is larger."""
MAX_KEPT_COLUMNS = 1_000
CELL_BYTES = 16
"""Counted for a decoded cell, beside its stored bytes."""
PLAIN_KINDS = frozenset({"bool", "int", "float", "str", "uuid"})
"""Cells of these are the same in memory before they are stored and after, and easily counted."""


class Page:
    """Rows `first_row` to `end - 1`, some or all of a page, column by column.

    Attributes:
        cost: about how many bytes it takes.
        live: it holds all that is committed, and is told what comes.
    """

    __slots__ = ("_chunk", "_columns", "_width", "cost", "end", "first_row", "live")

    def __init__(self, first_row: int, width: int) -> None:
        self.first_row, self.end, self._width = first_row, first_row, width
        self.cost = 0
        self.live = False
        self._columns: list[list[Any] | None] = [[] for _ in range(width)]
        self._chunk: TableChunk | None = None

    def extend(self, chunks: Sequence[TableChunk], until: int) -> None:
        """Take in what is new of these chunks, up to `until`."""
        for chunk in chunks:
            skip = self.end - chunk.first_row
            take = min(until, chunk.first_row + chunk.row_count) - self.end
            self.cost += chunk.size_bytes + CELL_BYTES * self._width * take
            if chunk.by_column and self.end == self.first_row and skip == 0 and take == chunk.row_count:
                self._chunk, self._columns = chunk, [None] * self._width
            else:
                self._append(chunk.rows()[skip : skip + take])
            self.end += take

    def follow(self, rows: Rows, until: int) -> None:
        """Take in rows that were just committed, up to `until`; others than plain cells end its being live."""
        skip = self.end - rows.first_row
        new = rows.rows[max(0, skip) : until - rows.first_row]
        if skip < 0 or any(kind not in PLAIN_KINDS for _, kind in rows.columns):
            self.live = False
            return
        for row in new:
            for position, cell in enumerate(row):
                self.column(position).append(cell)
                self.cost += CELL_BYTES + (len(cell) if type(cell) is str else 8)
        self.end += len(new)

    def _append(self, rows: Sequence[Sequence[Any]]) -> None:
        for position in range(self._width):
            self.column(position).extend([row[position] for row in rows])

    def column(self, position: int) -> list[Any]:
        """A column's cells, the first one of row `first_row`."""
        cells = self._columns[position]
        if cells is None:
            assert self._chunk is not None
            cells = self._columns[position] = self._chunk.column(position)
            if None not in self._columns:
                self._chunk = None
        return cells


class TablePages:
    """Reads stored tables, and remembers what it read. Stored rows never change, so that only new ones need reading.

    Used on the event loop's thread.

    Args:
        max_cost: bytes kept of all tables, about; the page not read for longest goes first.
    """

    def __init__(self, store: Store, max_cost: int = 64 << 20) -> None:
        self._store, self._max_cost = store, max_cost
        self._kept: OrderedDict[tuple[str, str, int], Page] = OrderedDict()
        self._columns: OrderedDict[tuple[str, str], Columns] = OrderedDict()
        self.cost = 0

    def columns(self, run_id: str, table: str) -> Columns | None:
        """A table's columns, which never change; None where there is no such table (yet)."""
        key = (run_id, table)
        columns = self._columns.get(key)
        if columns is None:
            columns = self._store.tables.columns(run_id, table)
            if columns is not None:
                self._columns[key] = columns
                if len(self._columns) > MAX_KEPT_COLUMNS:
                    self._columns.popitem(last=False)
        return columns

    def read(self, run_id: str, table: str, width: int, first_row: int) -> Page | None:
        """A page that has row `first_row`, with as many more as there are and fit; None where there is no such row.

        Args:
            width: how many columns the table has.
        """
        number, limit = first_row // TABLE_PAGE_ROWS, MAX_PORTION_BYTES
        begin, end = number * TABLE_PAGE_ROWS, (number + 1) * TABLE_PAGE_ROWS
        key = (run_id, table, number)
        page = self._kept.get(key)
        if page is None:
            page = Page(begin, width)
        else:
            self._kept.move_to_end(key)
        if not page.live and page.end < end and page.cost < limit:
            chunks = self._store.tables.chunks(run_id, table, page.end, end, limit)
            if chunks:
                self._extend(key, page, chunks, end)
            else:
                page.live = key in self._kept
        if first_row < page.end:
            return page
        if page.cost < limit:
            return None
        # Rows so large that a page of them is too much at once.
        rest = Page(first_row, width)
        rest.extend(self._store.tables.chunks(run_id, table, first_row, end, limit), end)
        return rest if rest.end > first_row else None

    def committed(self, run_id: str, appended: Sequence[Rows]) -> None:
        """Told of every append when it is on disk, so that pages that are watched need not be read again."""
        for rows in appended:
            number = rows.first_row // TABLE_PAGE_ROWS
            page = self._kept.get((run_id, rows.table, number))
            if page is not None and page.live:
                before = page.cost
                page.follow(rows, (number + 1) * TABLE_PAGE_ROWS)
                self._spend(page.cost - before)

    def _extend(self, key: tuple[str, str, int], page: Page, chunks: Sequence[TableChunk], until: int) -> None:
        before = page.cost
        page.extend(chunks, until)
        if key in self._kept:
            self.cost -= before
        self._kept[key] = page
        self._spend(page.cost)

    def _spend(self, cost: int) -> None:
        self.cost += cost
        while self.cost > self._max_cost and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self.cost -= gone.cost

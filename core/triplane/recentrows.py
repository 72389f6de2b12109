"""Rows of tables that were read lately, kept decoded: watchers read the same growing table after every step."""

from collections import OrderedDict
from typing import Any

from triplane.store.interface import Store

NumberedRow = tuple[int, tuple[Any, ...]]


class RecentRows:
    """Reads stored tables, and remembers what it read. Stored rows never change, so that only new ones need reading.

    Used on the event loop's thread.

    Args:
        max_rows: kept of one table; a larger table is always read from the store.
        max_rows_in_all: kept of all tables; the one not read for longest goes first.
    """

    def __init__(self, store: Store, max_rows: int = 20_000, max_rows_in_all: int = 100_000) -> None:
        self._store, self._max_rows, self._max_rows_in_all = store, max_rows, max_rows_in_all
        self._kept: OrderedDict[tuple[str, str], list[NumberedRow]] = OrderedDict()
        self.rows = 0

    def read(self, run_id: str, table: str, first_row: int, limit: int) -> list[NumberedRow]:
        """As `TableStore.read`: (row number, row) from `first_row` on, at most `limit`."""
        until = first_row + limit
        if first_row >= self._max_rows:
            return self._store.tables.read(run_id, table, first_row, limit)
        key = (run_id, table)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = []
        self._kept.move_to_end(key)
        wanted = min(until, self._max_rows) - len(kept)
        if wanted > 0:
            more = self._store.tables.read(run_id, table, len(kept), wanted)
            kept.extend(more)
            self.rows += len(more)
            self._make_room()
        found = kept[first_row:until]
        if until > self._max_rows and len(kept) == self._max_rows:
            found += self._store.tables.read(run_id, table, self._max_rows, until - self._max_rows)
        return found

    def _make_room(self) -> None:
        while self.rows > self._max_rows_in_all and len(self._kept) > 1:
            _, rows = self._kept.popitem(last=False)
            self.rows -= len(rows)

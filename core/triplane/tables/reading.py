"""Reads rows of a run's tables that meet conditions, in portions."""

from collections.abc import Sequence
from typing import Any

from triplane.queries import ReadTable, RunView, TableData
from triplane.store.interface import Store
from triplane.tables import everyrun
from triplane.tables.conditions import Cells, Columns, Conditions
from triplane.tables.pages import MAX_PORTION_BYTES, TablePages

AT_ONCE = 10_000
"""Rows of `Tasks`, `Jobs` and `History` looked at together where the query sets no bound."""


def table_names(view: RunView, store: Store, with_every: bool) -> list[str]:
    """The tables of a run, sorted: the model's own; with `with_every` also those every run has.

    One of the latter whose bare name the model uses is listed as `triplane.<name>`.
    """
    names = store.tables.names(view.run.run_id)
    if with_every:
        own = set(names)
        names = [*names, *(f"{everyrun.PREFIX}{name}" if name in own else name for name in everyrun.TABLES)]
    return sorted(names)


def read_table(view: RunView, store: Store, query: ReadTable, pages: TablePages) -> TableData | None:
    """The rows that meet all conditions, with their row numbers in the whole table; None if the run has no such table.

    Args:
        pages: reads the rows of a model's own tables.

    Raises:
        RefusedInput: a condition names an unknown column or operator, or orders values that have no order.
    """
    run_id = view.run.run_id
    columns = None if query.table.startswith(everyrun.PREFIX) else pages.columns(run_id, query.table)
    if columns is not None:
        return _Reading(query, columns, True).of_pages(run_id, pages)
    name = query.table.removeprefix(everyrun.PREFIX)
    if name not in everyrun.TABLES:
        return None
    return _Reading(query, everyrun.TABLES[name], name == "History").of_run(name, view, store)


class _Reading:
    """One query under way: collects what passes, until it has looked at or found as much as was asked for."""

    def __init__(self, query: ReadTable, columns: Columns, append_only: bool) -> None:
        self._query, self._columns, self._append_only = query, columns, append_only
        self._conditions = Conditions(columns, query.conditions)
        self._index: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._skip = query.offset
        self._at = query.from_row
        if not self._conditions and append_only:
            # Every row passes, and there are no gaps: those to be left out need not be looked at.
            self._at, self._skip = self._at + self._skip, 0
        self._until = None if query.scan is None else self._at + query.scan

    def _result(self, next_row: int, at_end: bool = False) -> TableData:
        return TableData(self._query.table, self._columns, self._index, self._rows, next_row, at_end, self._append_only)

    @property
    def _wanted(self) -> int | None:
        """How many more rows are wanted; None for all."""
        return None if self._query.limit is None else self._query.limit - len(self._rows)

    def _taken(self, numbers: Sequence[int]) -> Sequence[int]:
        """Of positions that pass those that are neither left out nor too many."""
        if self._skip:
            left_out = min(self._skip, len(numbers))
            self._skip -= left_out
            numbers = numbers[left_out:]
        return numbers[: self._wanted]

    def of_pages(self, run_id: str, pages: TablePages) -> TableData:
        width, size = len(self._columns), 0
        while (page := pages.read(run_id, self._query.table, width, self._at)) is not None:
            first = page.first_row
            start, end = self._at - first, page.end - first
            if self._until is not None:
                end = min(end, self._until - first)
            numbers: Sequence[int] = range(start, end)
            if self._conditions:
                numbers = self._conditions.choose(page.column, numbers)
            numbers = self._taken(numbers)
            if numbers:
                self._index.extend([first + number for number in numbers] if first else numbers)
                cells = [page.column(position) for position in range(width)]
                if isinstance(numbers, range):
                    cells = [column[numbers.start : numbers.stop] for column in cells]
                else:
                    cells = [[column[number] for number in numbers] for column in cells]
                self._rows.extend(zip(*cells, strict=True))
            size += page.cost
            if self._wanted == 0:
                return self._result(self._index[-1] + 1)
            self._at = first + end
            if self._until is not None and (self._at >= self._until or size >= MAX_PORTION_BYTES):
                return self._result(self._at)
        return self._result(self._at, at_end=True)

    def of_run(self, name: str, view: RunView, store: Store) -> TableData:
        left = self._query.scan
        if name == "History":
            self._at = max(self._at, _sequence_floor(self._query.conditions))
        at_end = False
        while not at_end:
            index, rows, self._at, at_end = everyrun.rows_of(name, view, store, self._at, min(AT_ONCE, left or AT_ONCE))
            numbers: Sequence[int] = range(len(rows))
            if self._conditions:
                numbers = self._conditions.choose(_columns_of(rows), numbers)
            for number in self._taken(numbers):
                self._index.append(index[number])
                self._rows.append(rows[number])
            if self._wanted == 0:
                return self._result(self._index[-1] + 1)
            if left is not None:
                left -= len(rows)
                if left <= 0:
                    break
        return self._result(self._at, at_end)


def _columns_of(rows: Sequence[tuple[Any, ...]]) -> Cells:
    return lambda position: [row[position] for row in rows]


def _sequence_floor(conditions: Sequence[tuple[str, str, Any]]) -> int:
    """How many events at the beginning a condition on `seq` rules out, so that they need not be read."""
    floor = 0
    for column, sign, value in conditions:
        if column == "seq" and isinstance(value, int) and sign in (">", ">=", "=="):
            floor = max(floor, value if sign == ">" else value - 1)
    return floor

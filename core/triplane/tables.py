"""Tables of any run as named, typed columns: a model's own rows, and `Tasks`, `Jobs` and `History` as views of the run.

Conditions are compared by a fixed operator table; a client's text never becomes code or SQL.
Source: contract cyclus section 5 (conditions, row numbers).
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from triplane.errors import RefusedInput
from triplane.queries import ReadTable, RunView, TableData
from triplane.recentrows import NumberedRow, RecentRows
from triplane.store.interface import Store

Columns = tuple[tuple[str, str], ...]
Test = Callable[[tuple[Any, ...]], bool]

CORE_PREFIX = "triplane."
PAGE_ROWS = 10_000

CORE_TABLES: Mapping[str, Columns] = {
    "History": (("seq", "int"), ("time", "float"), ("event", "str"), ("wire", "str"), ("principal", "str"), ("data", "map")),
    "Jobs": (
        ("cycle", "str"), ("name", "str"), ("submit_num", "int"), ("state", "str"), ("platform", "str"),
        ("job_id", "str"), ("submitted", "float"), ("started", "float"), ("finished", "float"),
    ),
    "Tasks": (
        ("cycle", "str"), ("name", "str"), ("state", "str"), ("is_held", "bool"), ("is_queued", "bool"),
        ("is_runahead", "bool"), ("submit_num", "int"), ("flow_nums", "str"), ("updated", "float"),
    ),
}  # fmt: skip
"""What every run has: reached as `triplane.<name>` always, and by the bare name where the model has no such table."""

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def table_names(view: RunView, store: Store, with_core: bool) -> list[str]:
    """The tables of a run, sorted: the model's own; with `with_core` also those every run has.

    A core table whose bare name the model uses is listed as `triplane.<name>`.
    """
    names = store.tables.names(view.run.run_id)
    if with_core:
        own = set(names)
        names = [*names, *(f"{CORE_PREFIX}{name}" if name in own else name for name in CORE_TABLES)]
    return sorted(names)


def read_table(view: RunView, store: Store, query: ReadTable, recent: RecentRows) -> TableData | None:
    """The rows that meet all conditions, with their row numbers in the whole table; None if the run has no such table.

    Args:
        recent: reads the rows of a model's own tables.

    Raises:
        RefusedInput: a condition names an unknown column or operator, or orders values that have no order.
    """
    run_id = view.run.run_id
    columns = None if query.table.startswith(CORE_PREFIX) else store.tables.columns(run_id, query.table)
    if columns is not None:
        test = compile_conditions(columns, query.conditions)
        first, skip = _start(query, test)
        if query.scan is not None:
            page = recent.read(run_id, query.table, first, query.scan)
            next_row = page[-1][0] + 1 if len(page) == query.scan else None
            return _cut(query, columns, page, test, skip, next_row)
        rows = _stored_rows(recent, run_id, query.table, first, query.limit if test is None else None)
        return _cut(query, columns, rows, test, skip)
    name = query.table.removeprefix(CORE_PREFIX)
    if name not in CORE_TABLES:
        return None
    columns = CORE_TABLES[name]
    test = compile_conditions(columns, query.conditions)
    if name == "History":
        first, skip = _start(query, test)
        first = max(first, _sequence_floor(query.conditions))
        until = total = view.run.history_length
        if query.scan is not None:
            until = min(total, first + query.scan)
        rows = _history_rows(store, run_id, first, until)
        return _cut(query, columns, rows, test, skip, until if until < total else None)
    every = _task_rows(view) if name == "Tasks" else _job_rows(view)
    return _cut(query, columns, (row for row in every if row[0] >= query.from_row), test, query.offset)


def _start(query: ReadTable, test: Test | None) -> tuple[int, int]:
    """The first row to look at, and how many of those that pass to leave out: without a test every row passes."""
    return (query.from_row + query.offset, 0) if test is None else (query.from_row, query.offset)


def compile_conditions(columns: Columns, conditions: Sequence[tuple[str, str, Any]]) -> Test | None:
    """One test for a row, true if all (column, operator, value) hold; None where there are no conditions.

    A number is compared with numbers and text with text; any other mix is never equal. Null cells equal nothing.

    Raises:
        RefusedInput: unknown column or operator, or an order asked of values that have none.
    """
    tests = [_compile(columns, *condition) for condition in conditions]
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def _compile(columns: Columns, column: str, sign: str, value: Any) -> Test:
    compare = OPERATORS.get(sign)
    if compare is None:
        raise RefusedInput(f"{sign!r} is not an operator; there are {' '.join(OPERATORS)}")
    names = [name for name, _ in columns]
    if column not in names:
        raise RefusedInput(f"no column {column!r:.80}; there are {', '.join(names)}")
    position = names.index(column)
    kind = columns[position][1]
    comparable = _family(value) is not None and _family(value) == _COLUMN_FAMILY.get(kind)
    if compare is operator.eq:
        return (lambda row: bool(row[position] == value)) if comparable else (lambda row: False)
    if compare is operator.ne:
        return (lambda row: bool(row[position] != value)) if comparable else (lambda row: True)
    if not comparable or kind in ("list", "map"):
        raise RefusedInput(f"column {column!r} is {kind}: it has no order against {type(value).__name__} {value!r:.60}")

    def ordered(row: tuple[Any, ...]) -> bool:
        cell = row[position]
        return cell is not None and compare(cell, value)

    return ordered


_COLUMN_FAMILY = {
    "bool": "number", "int": "number", "float": "number", "str": "text", "uuid": "text", "list": "list", "map": "map",
}  # fmt: skip


def _family(value: Any) -> str | None:
    match value:
        case bool() | int() | float():
            return "number"
        case str():
            return "text"
        case list() | tuple():
            return "list"
        case Mapping():
            return "map"
    return None


def _cut(
    query: ReadTable, columns: Columns, rows: Iterable[NumberedRow], test: Test | None, skip: int, next_row: int | None = None
) -> TableData:
    """The rows that pass, less the first `skip`, at most the query's limit."""
    index: list[int] = []
    found: list[tuple[Any, ...]] = []
    limit = query.limit
    for number, row in rows:
        if test is not None and not test(row):
            continue
        if skip > 0:
            skip -= 1
            continue
        if limit is not None and len(found) >= limit:
            break
        index.append(number)
        found.append(row)
    return TableData(query.table, columns, index, found, next_row)


def _stored_rows(recent: RecentRows, run_id: str, table: str, first: int, limit: int | None) -> Iterator[NumberedRow]:
    left = limit
    while left is None or left > 0:
        wanted = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
        page = recent.read(run_id, table, first, wanted)
        yield from page
        if len(page) < wanted:
            return
        first = page[-1][0] + 1
        if left is not None:
            left -= len(page)


def _sequence_floor(conditions: Sequence[tuple[str, str, Any]]) -> int:
    """How many events at the beginning a condition on `seq` rules out, so that they need not be read."""
    floor = 0
    for column, sign, value in conditions:
        if column == "seq" and isinstance(value, int) and sign in (">", ">=", "=="):
            floor = max(floor, value if sign == ">" else value - 1)
    return floor


def _history_rows(store: Store, run_id: str, after: int, until: int) -> Iterator[NumberedRow]:
    while after < until:
        page = store.histories.read(run_id, after, min(PAGE_ROWS, until - after))
        if not page:
            return
        for event in page:
            yield event.seq - 1, (event.seq, event.time, event.name, event.wire, event.principal, event.data)
        after = page[-1].seq


def _task_rows(view: RunView) -> Iterator[NumberedRow]:
    for task in view.tasks.values():
        yield task.seq - 1, (
            task.cycle, task.name, task.state, task.is_held, task.is_queued, task.is_runahead, task.submit_num,
            task.flow_nums, task.updated,
        )  # fmt: skip


def _job_rows(view: RunView) -> Iterator[NumberedRow]:
    for job in view.jobs.values():
        yield job.seq - 1, (
            job.cycle, job.name, job.submit_num, job.state, job.platform, job.job_id, job.submitted, job.started, job.finished,
        )  # fmt: skip

"""The reserved query `table`: rows of a run's table as JSON objects, in pages, in values that every SDK can read.

    query("table", [NAME])                                       → at most 10,000 rows, all that there are
    query("table", [NAME, {"conds": […], "limit": N, "after": ROW}])

`conds` are [column, operator, value] triples, `limit` (1 to 10,000) how many rows, `after` the number of the row behind which to begin.
The numbers of rows are not in them: page by counting, or by a column of the table's own.
"""

import asyncio
import base64
import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from triplane.connection import Connection
from triplane.errors import InvalidFields, TooLarge
from triplane.queries import ReadTable, RunView, TableData

MAX_ROWS = 10_000
PORTION_ROWS = 2_000
"""Rows looked at before others get their turn."""
INT64 = range(-(1 << 63), 1 << 63)
OPTIONS = ("conds", "limit", "after")


def table_arguments(arguments: Any) -> tuple[str, dict[str, Any]]:
    """The table's name and the options.

    Raises:
        InvalidFields
    """
    given = arguments if isinstance(arguments, list) else [arguments]
    name, options = (given[0], given[1] if len(given) > 1 else {}) if given else (None, {})
    if not isinstance(name, str) or len(given) > 2:
        raise InvalidFields({"input": ["The first argument of the table query is the table's name, the second its options."]})
    if not isinstance(options, dict) or options.keys() - set(OPTIONS):
        raise InvalidFields({"input": [f"The options of the table query are an object with {', '.join(OPTIONS)}."]})
    for option, least, most in (("limit", 1, MAX_ROWS), ("after", -1, 1 << 53)):
        value = options.get(option, least)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidFields({"input": [f"The option {option} must be a whole number from {least} to {most}."]})
    conds = options.get("conds") or []
    if not isinstance(conds, list) or len(conds) > 100 or not all(_is_condition(each) for each in conds):
        raise InvalidFields({"input": ["The option conds must be a list of at most 100 [column, operator, value] triples."]})
    return name, options


def _is_condition(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], str)


async def read_rows(connection: Connection, view: RunView, table: str, options: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows as objects; None where the run has no such table. Others get their turn while a large one is looked through.

    Raises:
        RefusedInput: a condition that means nothing.
        TooLarge: there are more rows than one answer holds, and no `limit` says that some will do.
    """
    run, left = view.run, options.get("limit", MAX_ROWS + 1)
    conditions = tuple((column, sign, value) for column, sign, value in options.get("conds") or ())
    named = {"namespace": run.namespace, "workflow_id": run.workflow_id, "run_id": run.run_id, "table": table[:256]}
    found: list[dict[str, Any]] = []
    at = options.get("after", -1) + 1
    while True:
        data: TableData | None = connection.query(ReadTable(**named, conditions=conditions, from_row=at, scan=PORTION_ROWS, limit=left))
        if data is None:
            return None
        names = [column for column, _ in data.columns]
        found += [dict(zip(names, map(shown, row), strict=True)) for row in data.rows]
        left -= len(data.rows)
        if len(found) > MAX_ROWS:
            raise TooLarge(f"table {table!r:.80} has more than {MAX_ROWS} rows; ask for pages with the options limit and after")
        if data.at_end or not left:
            return found
        at = data.next_row
        await asyncio.sleep(0)


def shown(cell: Any) -> Any:
    """A cell's value as payloads can hold it: no NaN, no integer beyond 64 bits (its digits instead), no bytes, keys that are text."""
    match cell:
        case None | bool():
            return cell
        case str():
            return cell if cell.isascii() else cell.encode(errors="backslashreplace").decode()
        case int():
            return cell if cell in INT64 else str(cell)
        case float():
            return cell if math.isfinite(cell) else None
        case bytes():
            try:
                return cell.decode()
            except UnicodeDecodeError:
                return base64.b64encode(cell).decode("ascii")
        case list() | tuple():
            return [shown(item) for item in cell]
        case Mapping():
            return {shown(str(key)): shown(item) for key, item in cell.items()}
        case UUID():
            return str(cell)
    return cell

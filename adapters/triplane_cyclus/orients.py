"""Tables as JSON in the six shapes that pandas' `DataFrame.to_json` has (contract cyclus section 5)."""

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

from triplane.jsontext import to_json
from triplane.queries import TableData

ORIENTS = ("split", "records", "index", "columns", "values", "table")
_SCHEMA_TYPES = {"bool": "boolean", "int": "integer", "float": "number"}


def render(table: TableData, orient: str | None, precision: int | None = None) -> str:
    """The table's JSON text.

    Args:
        orient: one of `ORIENTS`; None means `columns`, as it does in pandas.
        precision: decimals that floats are rounded to (10 is pandas' default); None keeps them whole.
    """
    return dump(_SHAPES[orient or "columns"](table, _cells(table, precision)))


def dump(value: Any) -> str:
    """JSON text of stored values; NaN and infinities become null."""
    return to_json(value, _foreign).decode()


def _cells(table: TableData, precision: int | None) -> list[Any]:
    """The rows, with floats rounded if asked for."""
    if precision is None:
        return table.rows
    return [[_rounded(cell, precision) for cell in row] for row in table.rows]


def _rounded(cell: Any, precision: int) -> Any:
    match cell:
        case float():
            return round(cell, precision) if math.isfinite(cell) else None
        case list() | tuple():
            return [_rounded(item, precision) for item in cell]
        case Mapping():
            return {key: _rounded(value, precision) for key, value in cell.items()}
    return cell


def _split(table: TableData, rows: list[Any]) -> Any:
    return {"columns": [name for name, _ in table.columns], "index": table.index, "data": rows}


def _records(table: TableData, rows: list[Any]) -> Any:
    names = [name for name, _ in table.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _index(table: TableData, rows: list[Any]) -> Any:
    return dict(zip(map(str, table.index), _records(table, rows), strict=True))


def _columns(table: TableData, rows: list[Any]) -> Any:
    labels = [str(number) for number in table.index]
    return {
        name: dict(zip(labels, (row[position] for row in rows), strict=True)) for position, (name, _) in enumerate(table.columns)
    }


def _values(table: TableData, rows: list[Any]) -> Any:
    return rows


def _table(table: TableData, rows: list[Any]) -> Any:
    fields = [{"name": "index", "type": "integer"}]
    fields += [{"name": name, "type": _SCHEMA_TYPES.get(kind, "string")} for name, kind in table.columns]
    data = [{"index": number, **record} for number, record in zip(table.index, _records(table, rows), strict=True)]
    return {"schema": {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"}, "data": data}


_SHAPES: Mapping[str, Callable[[TableData, list[Any]], Any]] = {
    "split": _split, "records": _records, "index": _index, "columns": _columns, "values": _values, "table": _table,
}  # fmt: skip


def _foreign(value: Any) -> Any:
    """A value that JSON has no form for: bytes are text where they are UTF-8, else base64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")

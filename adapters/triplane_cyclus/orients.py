"""Tables as JSON in the six shapes that pandas' `DataFrame.to_json` has (contract cyclus section 5)."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from triplane.jsontext import to_json
from triplane.queries import TableData

ORIENTS = ("split", "records", "index", "columns", "values", "table")
_SCHEMA_TYPES = {"bool": "boolean", "int": "integer", "float": "number"}


def render(table: TableData, orient: str | None, precision: int | None = None) -> str:
    """The table's JSON text; see `Renderer`."""
    renderer = Renderer(table.columns, orient, precision)
    renderer.add(table)
    return renderer.text()


class Renderer:
    """Makes a table's JSON text from portions of its rows, so that a large one can be made in many short turns.

    Args:
        orient: one of `ORIENTS`; None means `columns`, as it does in pandas.
        precision: decimals that floats are rounded to (10 is pandas' default); None keeps them whole.
    """

    def __init__(self, columns: Sequence[tuple[str, str]], orient: str | None, precision: int | None = None) -> None:
        self._names, self._columns = [name for name, _ in columns], columns
        self._orient, self._precision = orient or "columns", precision
        self._data: list[str] = []
        self._index: list[str] = []
        self._by_column: list[list[str]] = [[] for _ in columns]

    def add(self, portion: TableData) -> None:
        """Take in rows, in order."""
        if not portion.rows:
            return
        rows: list[Any] = portion.rows
        if self._precision is not None:
            rows = [[_rounded(cell, self._precision) for cell in row] for row in rows]
        match self._orient:
            case "split":
                self._index.append(_inside(portion.index))
                self._data.append(_inside(rows))
            case "values":
                self._data.append(_inside(rows))
            case "records":
                self._data.append(_inside([dict(zip(self._names, row, strict=True)) for row in rows]))
            case "index":
                records = (dict(zip(self._names, row, strict=True)) for row in rows)
                self._data.append(_inside(dict(zip(map(str, portion.index), records, strict=True))))
            case "table":
                names = ["index", *self._names]
                numbered = zip(portion.index, rows, strict=True)
                self._data.append(_inside([dict(zip(names, (number, *row), strict=True)) for number, row in numbered]))
            case _:
                labels = [str(number) for number in portion.index]
                for position, parts in enumerate(self._by_column):
                    parts.append(_inside(dict(zip(labels, (row[position] for row in rows), strict=True))))

    def text(self) -> str:
        """The whole."""
        data = ",".join(self._data)
        match self._orient:
            case "split":
                return f'{{"columns":{dump(self._names)},"index":[{",".join(self._index)}],"data":[{data}]}}'
            case "values" | "records":
                return f"[{data}]"
            case "index":
                return f"{{{data}}}"
            case "table":
                return f'{{"schema":{dump(self._schema())},"data":[{data}]}}'
        columns = (f"{dump(name)}:{{{','.join(parts)}}}" for name, parts in zip(self._names, self._by_column, strict=True))
        return f"{{{','.join(columns)}}}"

    def _schema(self) -> dict[str, Any]:
        fields = [{"name": "index", "type": "integer"}]
        fields += [{"name": name, "type": _SCHEMA_TYPES.get(kind, "string")} for name, kind in self._columns]
        return {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"}


def dump(value: Any) -> str:
    """JSON text of stored values; NaN and infinities become null."""
    return to_json(value, _foreign).decode()


def _inside(value: list[Any] | dict[str, Any]) -> str:
    """The text between the brackets."""
    return dump(value)[1:-1]


def _rounded(cell: Any, precision: int) -> Any:
    match cell:
        case float():
            return round(cell, precision) if math.isfinite(cell) else None
        case list() | tuple():
            return [_rounded(item, precision) for item in cell]
        case Mapping():
            return {key: _rounded(value, precision) for key, value in cell.items()}
    return cell


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

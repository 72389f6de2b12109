"""Tables as JSON in the six shapes that pandas' `DataFrame.to_json` has (contract cyclus section 5)."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from triplane.jsontext import to_json
from triplane.queries import TableData
from triplane_cyclus.rounding import rounded_cell

ORIENTS = ("split", "records", "index", "columns", "values", "table")
_SCHEMA_TYPES = {"bool": "boolean", "int": "integer", "float": "number"}
_ROUNDED_KINDS = frozenset({"float", "list", "map"})


def render(table: TableData, orient: str | None, precision: int | None = None) -> str:
    """The table's JSON text; see `Renderer`."""
    renderer = Renderer(table.columns, orient, precision)
    renderer.add(table)
    return renderer.text()


class Renderer:
    """Makes a table's JSON text from portions of its rows; more can be added after a text was made.

    So a large table can be made in many short turns, and a growing one without doing its old rows again.

    Args:
        orient: one of `ORIENTS`; None means `columns`, as it does in pandas.
        precision: decimals that floats are rounded to (10 is pandas' default); None keeps them whole.

    Attributes:
        characters: of the text so far, nearly.
    """

    def __init__(self, columns: Sequence[tuple[str, str]], orient: str | None, precision: int | None = None) -> None:
        self._names, self._columns = [name for name, _ in columns], columns
        self._orient, self._precision = orient or "columns", precision
        self._data: list[str] = []
        self._index: list[str] = []
        self._by_column: list[list[str]] = [[] for _ in columns] if self._orient == "columns" else []
        self.characters = 0

    def add(self, portion: TableData) -> None:
        """Take in rows, in order."""
        if not portion.rows:
            return
        rows: list[Any] = portion.rows
        if self._precision is not None:
            rows = self._rounded(rows, self._precision)
        match self._orient:
            case "split":
                self._put(self._index, portion.index)
                self._put(self._data, rows)
            case "values":
                self._put(self._data, rows)
            case "records":
                self._put(self._data, [dict(zip(self._names, row, strict=True)) for row in rows])
            case "index":
                records = (dict(zip(self._names, row, strict=True)) for row in rows)
                self._put(self._data, dict(zip(map(str, portion.index), records, strict=True)))
            case "table":
                names = ["index", *self._names]
                numbered = zip(portion.index, rows, strict=True)
                self._put(self._data, [dict(zip(names, (number, *row), strict=True)) for number, row in numbered])
            case _:
                labels = [str(number) for number in portion.index]
                for parts, cells in zip(self._by_column, zip(*rows, strict=True), strict=True):
                    self._put(parts, dict(zip(labels, cells, strict=True)))

    def _put(self, parts: list[str], value: list[Any] | dict[str, Any]) -> None:
        """Add the text between the brackets."""
        text = dump(value)[1:-1]
        parts.append(text)
        self.characters += len(text) + 1

    def _rounded(self, rows: list[Any], precision: int) -> list[Any]:
        positions = [position for position, (_, kind) in enumerate(self._columns) if kind in _ROUNDED_KINDS]
        rounded = [list(row) for row in rows]
        for row in rounded:
            for position in positions:
                row[position] = rounded_cell(row[position], precision)
        return rounded

    def text(self) -> str:
        """The whole."""
        match self._orient:
            case "split":
                return f'{{"columns":{dump(self._names)},"index":[{_joined(self._index)}],"data":[{_joined(self._data)}]}}'
            case "values" | "records":
                return f"[{_joined(self._data)}]"
            case "index":
                return f"{{{_joined(self._data)}}}"
            case "table":
                return f'{{"schema":{dump(self._schema())},"data":[{_joined(self._data)}]}}'
        columns = (f"{dump(name)}:{{{_joined(parts)}}}" for name, parts in zip(self._names, self._by_column, strict=True))
        return f"{{{','.join(columns)}}}"

    def _schema(self) -> dict[str, Any]:
        fields = [{"name": "index", "type": "integer"}]
        fields += [{"name": name, "type": _SCHEMA_TYPES.get(kind, "string")} for name, kind in self._columns]
        return {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"}


def dump(value: Any) -> str:
    """JSON text of stored values; NaN and infinities become null."""
    return to_json(value, _foreign).decode()


def _joined(parts: list[str]) -> str:
    """The parts with commas between them; they are one part from now on."""
    if len(parts) > 1:
        parts[:] = [",".join(parts)]
    return parts[0] if parts else ""


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

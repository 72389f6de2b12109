"""The core's values as plain maps and lists, which msgpack and JSON can both carry."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from triplane.entities import Job, Run, Task, Timer
from triplane.queries import TableData

PRIVATE = {Run: "data", Task: "data", Job: "data", Timer: "data"}
"""Engines' own state, which is nobody else's business."""


def plain(value: Any) -> Any:
    """`value` without our types: dataclasses and models as maps, tuples and sets as lists, maps keyed by tuples as lists of values."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, TableData):
        return _table(value)
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if is_dataclass(value) and not isinstance(value, type):
        hidden = PRIVATE.get(type(value))
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.name != hidden}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no plain form")


def _table(data: TableData) -> dict[str, Any]:
    """A table's rows as they are, but for columns whose cells hold more than one value: there may be very many cells."""
    composed = [position for position, (_, kind) in enumerate(data.columns) if kind in ("list", "map", "uuid")]
    rows: list[Any] = data.rows
    if composed:
        rows = [list(row) for row in rows]
        for row in rows:
            for position in composed:
                row[position] = _cell(row[position])
    return {
        "table": data.table, "columns": data.columns, "index": data.index, "rows": rows, "next_row": data.next_row,
        "at_end": data.at_end, "append_only": data.append_only,
    }  # fmt: skip


def _cell(value: Any) -> Any:
    """A cell's value with maps keyed by text, as they are shown on every wire."""
    if isinstance(value, Mapping):
        return {str(key): _cell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cell(item) for item in value]
    return str(value) if isinstance(value, UUID) else value

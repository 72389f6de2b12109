"""What a model is: it loads its input, computes one time step after another, and records rows."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Protocol

Columns = tuple[tuple[str, str], ...]
"""(name, type) pairs; type is one of `bool int float str blob uuid list map`."""

COLUMN_TYPES = frozenset({"bool", "int", "float", "str", "blob", "uuid", "list", "map"})
MAX_NAME = 256
MAX_COLUMNS = 2_000
MAX_TABLES = 1_000


class InvalidInput(Exception):
    """A model refuses its input; the message says which key, which value, and what would do."""


class Model(Protocol):
    """A simulation in discrete time steps 1, 2, … `steps`.

    All methods run in one thread of one child process. What is printed goes to the gateway's debug log. A method that
    raises, hangs longer than its limit, or ends the process fails this simulation and no other.

    Attributes:
        annotations: agent name → what it is, for clients that build input forms: an object with the keys
            `name entity doc parents all_parents vars`; `vars` maps each parameter to `type index doc default uitype
            uilabel tooltip range shape` as far as they apply.
        tables: the tables that it may record to, known once `load` has returned.
        pace_s: seconds the gateway waits between two steps (0: as fast as it goes), known once `load` has returned.
        checkpoint_every: a checkpoint is asked for after every so many steps; 0 where the model offers none.
    """

    annotations: ClassVar[Mapping[str, Mapping[str, Any]]]
    tables: Mapping[str, Columns]
    pace_s: float
    checkpoint_every: int

    def load(self, source: Mapping[str, Any], simulation_id: str, recorder: "Recorder") -> int:
        """Take the input, record initial rows, and return the number of steps (≥ 0).

        Args:
            source: the input as a plain JSON object; empty where nothing was given.
            simulation_id: a UUID as text, for models that write it into their rows.

        Raises:
            InvalidInput
        """
        ...

    def step(self, number: int, recorder: "Recorder") -> None:
        """Compute one step; `number` counts from 1 without gaps."""
        ...

    def finish(self, recorder: "Recorder") -> Mapping[str, Any]:
        """Called after the last step: record closing rows, return the result as a plain JSON object."""
        ...

    def checkpoint(self) -> bytes:
        """All that is needed to go on after the step just computed, at most a few MiB. Only if `checkpoint_every` > 0."""
        ...

    def restore(self, checkpoint: bytes) -> None:
        """Called after `load` with the same source, instead of the steps up to the checkpoint; its rows are not recorded again.

        The steps that follow must give the rows they would have given.
        """
        ...


class Recorder:
    """Collects the rows of one step; the gateway stores them when the step is done.

    A mistake in a row is told at once, with table and column, where the model's author can see it.
    """

    def __init__(self) -> None:
        self._tables: dict[str, Columns] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def declare(self, tables: Mapping[str, Columns]) -> None:
        """Take in the model's tables; called by the gateway's side after `load`.

        Raises:
            ValueError: a name or type that cannot be.
        """
        if len(tables) > MAX_TABLES:
            raise ValueError(f"{len(tables)} tables are more than the {MAX_TABLES} that a model may have")
        for table, columns in tables.items():
            checked = tuple((name, kind) for name, kind in columns)
            check_columns(table, checked)
            self._tables[table] = checked

    def row(self, table: str, *values: Any) -> None:
        """Record a row, values in column order; None is a null."""
        self._rows.setdefault(table, []).append(values)

    def take(self) -> list[dict[str, Any]]:
        """What was recorded since the last call, checked against the declared columns.

        Returns:
            `{"table", "columns", "rows"}` each, tables by name.

        Raises:
            ValueError: an undeclared table, a wrong number of values, or a value of another type.
        """
        taken = []
        for table in sorted(self._rows):
            columns = self._tables.get(table)
            if columns is None:
                raise ValueError(f"rows were recorded to {table!r}, which is not in the model's tables")
            checks = [_CHECKS[kind] for _, kind in columns]
            rows = self._rows[table]
            for row in rows:
                _check_row(table, columns, checks, row)
            taken.append({"table": table, "columns": columns, "rows": rows})
        self._rows = {}
        return taken


@lru_cache(maxsize=1_000)
def check_columns(table: str, columns: Columns) -> None:
    """Refuse a table that cannot be; one that was found good is not looked at again.

    Raises:
        ValueError
    """
    if not isinstance(table, str) or not 0 < len(table) <= MAX_NAME or table.startswith("triplane."):
        raise ValueError(f"{table!r:.80} cannot be the name of a table: 1 to {MAX_NAME} characters, not beginning with 'triplane.'")
    if not 0 < len(columns) <= MAX_COLUMNS or len({name for name, _ in columns}) != len(columns):
        raise ValueError(f"table {table}: needs 1 to {MAX_COLUMNS} columns, each with a name of its own")
    for name, kind in columns:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"table {table}: {name!r:.80} cannot be the name of a column: 1 to {MAX_NAME} characters")
        if kind not in COLUMN_TYPES:
            raise ValueError(f"table {table}, column {name}: {kind!r:.80} is not one of {' '.join(sorted(COLUMN_TYPES))}")


_CHECKS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "blob": (bytes,),
    "uuid": (str,),
    "list": (list, tuple),
    "map": (dict,),
}


def _check_row(table: str, columns: Columns, checks: Sequence[tuple[type, ...]], row: tuple[Any, ...]) -> None:
    if len(row) != len(columns):
        raise ValueError(f"table {table}: a row has {len(row)} values for {len(columns)} columns")
    for value, kinds, (name, kind) in zip(row, checks, columns, strict=True):
        if value is not None and (not isinstance(value, kinds) or (value.__class__ is bool and kind != "bool")):
            raise ValueError(f"table {table}, column {name}: {value!r:.60} is {type(value).__name__}, not {kind}")

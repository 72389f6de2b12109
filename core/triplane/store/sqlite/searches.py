"""Searches among runs: from an expression tree to SQL with parameters.

Nothing of a query becomes part of a statement but by way of the tables in this module. Keys of candidate runs come from
one index in the order of the list, in portions; whatever else is asked is a condition on each of them. So the first page
costs the same among a thousand runs and a million, and a search for what is rare can be done bit by bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from triplane.entities import CLOSED_STATUSES, OPEN_STATUSES
from triplane.store.interface import RunFilter
from triplane.visibility.expressions import (
    AnyOf,
    Compare,
    Every,
    Expression,
    Field,
    Literal,
    Mentions,
    Missing,
    Negated,
    Prefix,
    Some,
    Within,
)

_TYPE = "CASE r.engine WHEN 'durable' THEN r.workflow_type ELSE r.engine || ':' || r.workflow_type END"
_COLUMNS = {
    "WorkflowType": _TYPE,
    "WorkflowId": "r.workflow_id",
    "RunId": "r.run_id",
    "Status": "r.status",
    "ExecutionStatus": "CASE WHEN r.closed IS NULL THEN 'running' ELSE r.status END",
    "TaskQueue": "nullif(r.task_queue, '')",
    "Engine": "r.engine",
    "StartTime": "CAST(round(r.created * 1e6) AS INTEGER)",
    "CloseTime": "CAST(round(r.closed * 1e6) AS INTEGER)",
    "RunNumber": "r.run_number",
    "HistoryLength": "r.history_length",
}
"""System attributes that are columns of a run; all others, and custom ones, have rows in `run_attributes`."""

_OPERATORS = {"=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ENDED_BADLY = frozenset({"failed", "cancelled", "terminated"})
_ROWS = "SELECT 1 FROM run_attributes a INDEXED BY attributes_of_run WHERE a.run = r.key AND a.name = ?"

Sql = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Statement:
    """A search in SQL.

    Attributes:
        keys: gives `key` of each candidate, in order, at most `scan` of them; parameters `keys_with`.
        where: the condition on `runs r`; parameters `where_with`.
        order: `ASC` or `DESC`, of keys.
    """

    keys: str
    keys_with: tuple[Any, ...]
    where: str
    where_with: tuple[Any, ...]
    order: str


def statement(wanted: RunFilter) -> Statement:
    """The SQL of a search."""
    conditions: list[Sql] = []
    if wanted.search.where is not None:
        conditions.append(condition(wanted.search.where))
    if wanted.workflow_type is not None:
        conditions.append((f"{_TYPE} = ?", (wanted.workflow_type,)))
    if wanted.statuses:
        conditions.append((f"r.status IN ({_marks(wanted.statuses)})", wanted.statuses))
    if wanted.hidden_types:
        conditions.append((f"r.workflow_type NOT IN ({_marks(wanted.hidden_types)})", wanted.hidden_types))
    keys, keys_with = _candidates(wanted)
    where = " AND ".join(["r.is_newest", "r.namespace = ?", *(text for text, _ in conditions)])
    parameters = (wanted.namespace, *(item for _, given in conditions for item in given))
    return Statement(keys, keys_with, where, parameters, "ASC" if wanted.search.oldest_first else "DESC")


def condition(expression: Expression) -> Sql:
    """An expression as a condition on `runs r` that is never NULL, and its parameters."""
    match expression:
        case Every(parts) | Some(parts):
            done = [condition(part) for part in parts]
            word = " AND " if isinstance(expression, Every) else " OR "
            return f"({word.join(text for text, _ in done)})", tuple(item for _, given in done for item in given)
        case Negated(part):
            text, parameters = condition(part)
            return f"(NOT {text})", parameters
        case Missing(field):
            if field.name in _COLUMNS:
                return f"({_column(field)} IS NULL)", ()
            return f"(NOT EXISTS ({_ROWS}))", (field.name,)
        case Mentions(text):
            return (
                f"(instr(lower(r.workflow_id), ?) OR EXISTS ({_ROWS} AND instr(lower(a.value), ?)))",
                (_lower(text), "BusinessKey", _lower(text)),
            )
        case Compare(field, operator, value):
            return _on_values(field, f"%s {_OPERATORS[operator]} ?", (value,))
        case AnyOf(field, values):
            return _on_values(field, f"%s IN ({_marks(values)})", values)
        case Within(field, low, high):
            return _on_values(field, "%s BETWEEN ? AND ?", (low, high))
        case Prefix(field, text):
            return _on_values(field, "substr(%s, 1, ?) = ?", (len(text), text))
    raise TypeError(f"{type(expression).__name__} is no expression")


def _on_values(field: Field, test: str, parameters: tuple[Any, ...]) -> Sql:
    """`test` (with `%s` for the value) on a run's value of the field, or on any of its values."""
    if field.name in _COLUMNS:
        column = _column(field)
        # Without a value the run fails the test: a comparison with NULL would be neither true nor false.
        return f"({column} IS NOT NULL AND {test % column})", parameters
    return f"EXISTS ({_ROWS} AND a.form = ? AND {test % 'a.value'})", (field.name, field.form, *parameters)


def _column(field: Field) -> str:
    return f"({_COLUMNS[field.name]})"


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _lower(text: str) -> str:
    """As SQLite's own `lower`: A to Z only."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


# ---- where candidates come from --------------------------------------------------------------------------------------


def _candidates(wanted: RunFilter) -> Sql:
    """Keys of runs among which all that are wanted are, from the index that has the fewest of them."""
    parts = _conjuncts(wanted.search.where)
    equal = {part.field: part.value for part in parts if isinstance(part, Compare) and part.operator == "="}
    namespace = wanted.namespace
    for name, column in (("RunId", "run_id"), ("WorkflowId", "workflow_id")):
        value = equal.get(Field(name, "text", True))
        if value is not None:
            index = "" if name == "RunId" else " INDEXED BY runs_of_workflow"
            return _keys(wanted, f"key FROM runs{index}", "key", f"namespace = ? AND {column} = ?", (namespace, value))
    for field, value in equal.items():
        if field.name not in _COLUMNS:
            return _keys(
                wanted, "run AS key FROM run_attributes", "run",
                "namespace = ? AND name = ? AND form = ? AND value = ?", (namespace, field.name, field.form, value),
            )  # fmt: skip
    statuses = _statuses(parts, frozenset(wanted.statuses))
    if statuses <= OPEN_STATUSES:
        return _keys(wanted, "key FROM runs INDEXED BY runs_open", "key", "namespace = ? AND closed IS NULL", (namespace,))
    if statuses <= _ENDED_BADLY:
        where = "namespace = ? AND is_newest AND status IN ('failed', 'cancelled', 'terminated')"
        return _keys(wanted, "key FROM runs INDEXED BY runs_ended_badly", "key", where, (namespace,))
    return _keys(wanted, "key FROM runs INDEXED BY runs_listed", "key", "namespace = ? AND is_newest", (namespace,))


def _keys(wanted: RunFilter, what: str, key: str, where: str, parameters: tuple[Any, ...]) -> Sql:
    oldest_first = wanted.search.oldest_first
    if wanted.after is not None:
        where += f" AND {key} {'>' if oldest_first else '<'} ?"
        parameters = (*parameters, int(wanted.after))
    return f"SELECT {what} WHERE {where} ORDER BY {key} {'ASC' if oldest_first else 'DESC'} LIMIT ?", (*parameters, wanted.scan)


def _conjuncts(expression: Expression | None) -> list[Expression]:
    """The parts that must all hold."""
    if expression is None:
        return []
    if isinstance(expression, Every):
        return [inner for part in expression.parts for inner in _conjuncts(part)]
    return [expression]


def _statuses(parts: list[Expression], given: frozenset[str]) -> frozenset[str]:
    """The statuses that a wanted run can have."""
    possible = given or (OPEN_STATUSES | CLOSED_STATUSES)
    for part in parts:
        values: tuple[Literal, ...]
        if isinstance(part, Compare) and part.operator == "=":
            values = (part.value,)
        elif isinstance(part, AnyOf):
            values = part.values
        else:
            continue
        if part.field.system and part.field.name == "Status":
            possible &= {str(value) for value in values}
        elif part.field.system and part.field.name == "ExecutionStatus":
            possible &= {status for value in values for status in (OPEN_STATUSES if value == "running" else (str(value),))}
    return possible

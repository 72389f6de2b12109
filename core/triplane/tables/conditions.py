"""Conditions on rows, compared column by column by a fixed operator table; a client's text never becomes code or SQL."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triplane.errors import RefusedInput

Columns = tuple[tuple[str, str], ...]
Cells = Callable[[int], Sequence[Any]]
"""A column's cells by its position."""
Numbers = Sequence[int]
Choose = Callable[[Sequence[Any], Numbers], Numbers]
"""Of some positions in a column those whose cells pass."""

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_COLUMN_FAMILY = {
    "bool": "number", "int": "number", "float": "number", "str": "text", "uuid": "text", "list": "list", "map": "map",
}  # fmt: skip


class Conditions:
    """(column, operator, value) triples, all of which must hold.

    A number is compared with numbers and text with text, a UUID by its text; any other mix is never equal. Null cells
    equal nothing and have no order.

    Attributes:
        columns: positions of the columns that are looked at.

    Raises:
        RefusedInput: unknown column or operator, or an order asked of values that have none.
    """

    def __init__(self, columns: Columns, conditions: Sequence[tuple[str, str, Any]]) -> None:
        self._tests = [_compile(columns, *condition) for condition in conditions]
        self.columns = sorted({position for position, _ in self._tests})

    def __bool__(self) -> bool:
        return bool(self._tests)

    def choose(self, cells: Cells, numbers: Numbers) -> Numbers:
        """Of these positions those that pass, in order."""
        for position, choose in self._tests:
            if not numbers:
                break
            numbers = choose(cells(position), numbers)
        return numbers


def _compile(columns: Columns, column: str, sign: str, value: Any) -> tuple[int, Choose]:
    compare = OPERATORS.get(sign)
    if compare is None:
        raise RefusedInput(f"{sign!r:.40} is not an operator; there are {' '.join(OPERATORS)}")
    position = next((number for number, (name, _) in enumerate(columns) if name == column), None)
    if position is None:
        names = ", ".join(name for name, _ in columns[:100])
        raise RefusedInput(f"no column {column!r:.80}; there are {names:.2000}")
    kind = columns[position][1]
    family = _family(value)
    comparable = family is not None and family == _COLUMN_FAMILY.get(kind)
    if not comparable and sign == "==":
        return position, _none
    if not comparable and sign == "!=":
        return position, _all
    if not comparable or (kind in ("list", "map") and sign not in ("==", "!=")):
        raise RefusedInput(f"column {column!r:.80} is {kind}: it has no order against {type(value).__name__} {value!r:.60}")
    if kind == "uuid":
        return position, _of_texts(compare, value)
    return position, _CHOOSE[sign](value)


def _none(cells: Sequence[Any], numbers: Numbers) -> Numbers:
    return ()


def _all(cells: Sequence[Any], numbers: Numbers) -> Numbers:
    return numbers


def _equal(value: Any) -> Choose:
    return lambda cells, numbers: [n for n in numbers if cells[n] == value]


def _unequal(value: Any) -> Choose:
    return lambda cells, numbers: [n for n in numbers if cells[n] != value]


def _below(value: Any) -> Choose:
    return _ordered(operator.lt, value, lambda cells, numbers: [n for n in numbers if (c := cells[n]) is not None and c < value])


def _at_most(value: Any) -> Choose:
    return _ordered(operator.le, value, lambda cells, numbers: [n for n in numbers if (c := cells[n]) is not None and c <= value])


def _above(value: Any) -> Choose:
    return _ordered(operator.gt, value, lambda cells, numbers: [n for n in numbers if (c := cells[n]) is not None and c > value])


def _at_least(value: Any) -> Choose:
    return _ordered(operator.ge, value, lambda cells, numbers: [n for n in numbers if (c := cells[n]) is not None and c >= value])


_CHOOSE: Mapping[str, Callable[[Any], Choose]] = {
    "==": _equal, "!=": _unequal, "<": _below, "<=": _at_most, ">": _above, ">=": _at_least,
}  # fmt: skip
"""Written out, for a call per cell would cost several times the comparison."""


def _ordered(compare: Callable[[Any, Any], bool], value: Any, choose: Choose) -> Choose:
    def careful(cells: Sequence[Any], numbers: Numbers) -> Numbers:
        try:
            return choose(cells, numbers)
        except TypeError:
            # A cell is not of its column's type: it has no order, the others have.
            return [n for n in numbers if _family(cells[n]) == _family(value) and compare(cells[n], value)]

    return careful


def _of_texts(compare: Callable[[Any, Any], bool], value: str) -> Choose:
    """UUIDs come as text or as what they are."""
    if compare is operator.ne:
        return lambda cells, numbers: [n for n in numbers if cells[n] is None or str(cells[n]) != value]
    return lambda cells, numbers: [n for n in numbers if cells[n] is not None and compare(str(cells[n]), value)]


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

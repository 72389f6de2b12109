"""Boolean expressions over things that are done or not: conditions of a prerequisite, outputs of a completion."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Leaf = int | str
"""An index of a condition, or the label of an output."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`all` or `any` of the parts; `all` of nothing holds.

    Attributes:
        joins: `all` or `any`.
    """

    joins: str
    parts: tuple["Expression | Leaf", ...]

    def holds(self, is_done: Callable[[Any], bool]) -> bool:
        """Whether the expression is true, given what is done. Its depth is bounded where it is read."""
        results = (part.holds(is_done) if isinstance(part, Expression) else is_done(part) for part in self.parts)
        return all(results) if self.joins == "all" else any(results)

    def leaves(self) -> Iterator[Leaf]:
        """Every leaf, from left to right."""
        for part in self.parts:
            if isinstance(part, Expression):
                yield from part.leaves()
            else:
                yield part

    @property
    def is_flat_all(self) -> bool:
        """Whether simply every leaf must be done."""
        return self.joins == "all" and not any(isinstance(part, Expression) for part in self.parts)


def to_plain(expression: Expression) -> list[Any]:
    """`["all", part, …]`, a part being a leaf or such a list."""
    return [expression.joins, *(to_plain(part) if isinstance(part, Expression) else part for part in expression.parts)]


def from_plain(plain: list[Any]) -> Expression:
    """The inverse of `to_plain`."""
    return Expression(plain[0], tuple(from_plain(part) if isinstance(part, list) else part for part in plain[1:]))

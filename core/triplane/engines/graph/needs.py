"""What one task waits for: conditions on other tasks' outputs, joined by `and` and `or`, and which of them hold.

Kept in memory beside the task, because a task with ten thousand parents must not be written out whole for each of them.
The task itself stores which conditions hold, as bits in the order of `conditions`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from triplane.engines.graph.definition.expressions import Expression

Wanted = tuple[str, str]
"""(cycle/name, output label)"""

Part = tuple[int, int, Expression | None]
"""One prerequisite: its first condition, how many there are, and how they are joined (None: all must hold)."""

MAX_SHOWN = 200
"""Conditions of one task that wires are shown; those after it count all the same."""


def _holds(expression: Expression, bits: int) -> bool:
    return expression.holds(lambda place: bits >> place & 1)


class Needs:
    """The prerequisites of one task.

    Attributes:
        conditions: what is waited for, in the order of the graph; the same may stand there twice.
    """

    __slots__ = ("_bits", "_full", "_joined", "_places", "_plain", "conditions")

    def __init__(self, conditions: Sequence[Wanted], parts: Iterable[Part] = ()) -> None:
        self.conditions = tuple(conditions)
        self._bits = 0
        self._full = self._plain = (1 << len(self.conditions)) - 1
        self._joined: list[tuple[int, Expression]] = []
        for first, count, expression in parts:
            if expression is not None:
                self._plain &= ~(((1 << count) - 1) << first)
                self._joined.append((first, expression))
        self._places: dict[Wanted, int] = {}
        for place, wanted in enumerate(self.conditions):
            self._places[wanted] = self._places.get(wanted, 0) | (1 << place)

    @property
    def is_met(self) -> bool:
        """Whether nothing is missing."""
        bits = self._bits
        if bits & self._plain != self._plain:
            return False
        return all(_holds(one, bits >> first) for first, one in self._joined)

    def is_satisfied(self, place: int) -> bool:
        """Whether the condition at that place holds."""
        return bool(self._bits >> place & 1)

    def satisfy(self, wanted: Wanted) -> bool:
        """Let a condition hold; whether that is news."""
        return self._set(self._bits | self._places.get(wanted, 0))

    def unsatisfy(self, wanted: Wanted) -> bool:
        """Let a condition not hold any more; whether that is news."""
        return self._set(self._bits & ~self._places.get(wanted, 0))

    def _set(self, bits: int) -> bool:
        is_news, self._bits = bits != self._bits, bits
        return is_news

    @property
    def is_untouched(self) -> bool:
        """Whether no condition holds."""
        return not self._bits

    def satisfied(self) -> list[str]:
        """`cycle/name` of the conditions that hold, sorted; one that stands there twice comes twice."""
        return sorted(task for place, (task, _) in enumerate(self.conditions) if self._bits >> place & 1)

    def tasks(self) -> Iterable[str]:
        """`cycle/name` of all that is waited for."""
        return (task for task, _ in self.conditions)

    # ---- plain data ------------------------------------------------------------------------------------------------

    def public(self) -> list[dict[str, Any]]:
        """As `Task.detail["prerequisites"]`."""
        return [
            {"task": task, "output": output, "satisfied": self.is_satisfied(place)}
            for place, (task, output) in enumerate(self.conditions[:MAX_SHOWN])
        ]

    def refreshed(self, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """An earlier `public`, brought up to date; of thousands of conditions only those that changed are made anew."""
        bits = self._bits & ((1 << MAX_SHOWN) - 1)
        return [
            one if one["satisfied"] == bool(bits >> place & 1) else {**one, "satisfied": not one["satisfied"]}
            for place, one in enumerate(shown)
        ]

    def dump(self) -> bytes:
        """Which conditions hold."""
        return self._bits.to_bytes((len(self.conditions) + 7) // 8, "little")

    def load(self, bits: bytes) -> None:
        """Take over what an earlier `dump` of the same conditions said."""
        self._bits = int.from_bytes(bits, "little") & self._full

    def take_over(self, earlier: "Needs") -> None:
        """Let hold what held of an earlier definition's conditions."""
        for place, wanted in enumerate(earlier.conditions):
            if earlier.is_satisfied(place):
                self.satisfy(wanted)

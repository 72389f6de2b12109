"""Ready tasks and waiting polls of one queue, matched by priority, then fairly between fairness keys, then by age.

Nothing here does I/O or knows a clock.
"""

from collections import OrderedDict
from typing import Protocol

from triplane.effects import OfferTask

Types = frozenset[str] | None
"""The types a worker takes; None is any."""


class Waiting(Protocol):
    """A poll that waits; `number` grows with age's opposite: the smallest has waited longest."""

    number: int
    types: Types


class _Line:
    """Ready tasks of one type, by priority; within a priority the fairness keys take turns."""

    __slots__ = ("levels", "served")

    def __init__(self) -> None:
        self.levels: dict[int, OrderedDict[str, OrderedDict[str, OfferTask]]] = {}
        self.served = 0

    def add(self, offer: OfferTask) -> None:
        keys = self.levels.setdefault(offer.priority, OrderedDict())
        keys.setdefault(offer.fairness_key, OrderedDict())[offer.task_id] = offer

    def first_priority(self) -> int:
        return min(self.levels)

    def take(self, turn: int) -> OfferTask:
        self.served = turn
        priority = min(self.levels)
        keys = self.levels[priority]
        key, offers = next(iter(keys.items()))
        _, offer = offers.popitem(last=False)
        if offers:
            keys.move_to_end(key)
        else:
            self._forget(priority, key)
        return offer

    def remove(self, offer: OfferTask) -> None:
        offers = self.levels[offer.priority][offer.fairness_key]
        del offers[offer.task_id]
        if not offers:
            self._forget(offer.priority, offer.fairness_key)

    def _forget(self, priority: int, key: str) -> None:
        keys = self.levels[priority]
        del keys[key]
        if not keys:
            del self.levels[priority]


class TaskQueue:
    """One kind of task on one queue of one namespace."""

    __slots__ = ("_lines", "_offers", "_turn", "_waiting")

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._offers: dict[str, OfferTask] = {}
        self._waiting: dict[Types, OrderedDict[int, Waiting]] = {}
        self._turn = 0

    def __len__(self) -> int:
        """Ready tasks."""
        return len(self._offers)

    @property
    def idle(self) -> bool:
        """Whether there is nothing in it, so that it can be forgotten."""
        return not self._offers and not self._waiting

    # ---- ready tasks -----------------------------------------------------------------------------------------------

    def add(self, offer: OfferTask) -> None:
        """Put a task in; one that is in already keeps its place."""
        if offer.task_id not in self._offers:
            self._offers[offer.task_id] = offer
            self._lines.setdefault(offer.item_type, _Line()).add(offer)

    def take(self, types: Types) -> OfferTask | None:
        """The task that a worker of these types should have next, taken out; None if there is none for it."""
        best: _Line | None = None
        best_rank = (0, 0)
        for item_type in self._lines if types is None or len(types) > len(self._lines) else types:
            line = self._lines.get(item_type)
            if line is None or (types is not None and item_type not in types):
                continue
            rank = (line.first_priority(), line.served)
            if best is None or rank < best_rank:
                best, best_rank = line, rank
        if best is None:
            return None
        self._turn += 1
        offer = best.take(self._turn)
        self._dropped(offer)
        return offer

    def remove(self, task_id: str) -> bool:
        """Take a task out, whoever would have got it. Returns whether it was in."""
        offer = self._offers.get(task_id)
        if offer is None:
            return False
        self._lines[offer.item_type].remove(offer)
        self._dropped(offer)
        return True

    def _dropped(self, offer: OfferTask) -> None:
        del self._offers[offer.task_id]
        if not self._lines[offer.item_type].levels:
            del self._lines[offer.item_type]

    # ---- waiting polls ---------------------------------------------------------------------------------------------

    def wait(self, waiter: Waiting) -> None:
        """Let a poll wait; its number says since when."""
        group = self._waiting.setdefault(waiter.types, OrderedDict())
        group[waiter.number] = waiter
        if len(group) > 1 and waiter.number < next(iter(group)):
            group.move_to_end(waiter.number, last=False)

    def leave(self, waiter: Waiting) -> bool:
        """Let a poll wait no more. Returns whether it did."""
        group = self._waiting.get(waiter.types)
        if group is None or group.pop(waiter.number, None) is None:
            return False
        if not group:
            del self._waiting[waiter.types]
        return True

    def waiter_for(self, item_type: str) -> Waiting | None:
        """The poll that has waited longest of those that take the type, taken out. One poll is woken by one task."""
        oldest: Waiting | None = None
        for types, group in self._waiting.items():
            if types is None or item_type in types:
                waiter = next(iter(group.values()))
                if oldest is None or waiter.number < oldest.number:
                    oldest = waiter
        if oldest is not None:
            self.leave(oldest)
        return oldest

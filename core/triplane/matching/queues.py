"""Ready tasks and waiting polls of one queue, matched by priority, then fairly between fairness keys, then by age.

Nothing here does I/O or knows a clock. Putting a task in and taking one out costs the logarithm of the fairness keys
that wait; what else is in the queue does not matter.
"""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Protocol

from triplane.effects import OfferTask

Types = frozenset[str] | None
"""The types a worker takes; None is any."""

ORDINARY = ""
"""The lane of tasks that any worker of their type may have."""

STRIDE = 1 << 20
"""The turn of a fairness key of weight 1; one of weight 1000 still has whole turns."""


class Takes:
    """What a poll takes. Polls that take the same share one of these, so that they are one group to look at."""

    __slots__ = ("lanes", "types")

    def __init__(self, types: Types = None, lanes: frozenset[str] = frozenset({ORDINARY})) -> None:
        self.types, self.lanes = types, lanes

    def matches(self, item_type: str, lane: str) -> bool:
        """Whether a task of that type in that lane is for it."""
        return lane in self.lanes and (self.types is None or item_type in self.types)


ANYTHING = Takes()


class Waiting(Protocol):
    """A poll that waits; `number` grows with age's opposite: the smallest has waited longest."""

    number: int
    takes: Takes


class _Level:
    """Ready tasks of one line and one priority. The fairness keys take turns, each as often as its weight says.

    Every key has a time of its own, which goes on by the turn's length when it is served; the key whose time is earliest
    is next. A key that comes (back) starts at the time of whoever was served last, so it neither catches up on turns it
    had no task for, nor waits for others that have a million.
    """

    __slots__ = ("_clock", "_forget_at", "_keys", "_order", "_times", "_turns", "size")

    def __init__(self) -> None:
        self._keys: dict[str, OrderedDict[str, OfferTask]] = {}
        self._turns: list[tuple[int, int, str]] = []
        self._times: dict[str, int] = {}
        self._clock = self._order = self.size = 0
        self._forget_at = 1_000

    def add(self, offer: OfferTask) -> None:
        key = offer.fairness_key
        offers = self._keys.get(key)
        if offers is None:
            offers = self._keys[key] = OrderedDict()
            at = self._times[key] = max(self._times.get(key, 0), self._clock)
            self._order += 1
            heappush(self._turns, (at, self._order, key))
        offers[offer.task_id] = offer
        self.size += 1

    def take(self) -> OfferTask:
        while True:
            at, _, key = self._turns[0]
            offers = self._keys[key]
            if offers:
                break
            # Its tasks were withdrawn.
            heappop(self._turns)
            del self._keys[key]
        _, offer = offers.popitem(last=False)
        self.size -= 1
        self._clock = at
        self._times[key] = after = at + STRIDE // offer.fairness_weight
        if offers:
            self._order += 1
            heapreplace(self._turns, (after, self._order, key))
        else:
            heappop(self._turns)
            del self._keys[key]
            if len(self._times) > self._forget_at:
                self._forget()
        return offer

    def remove(self, offer: OfferTask) -> None:
        del self._keys[offer.fairness_key][offer.task_id]
        self.size -= 1
        if len(self._turns) > 2 * self.size + 1_000:
            self._keys = {key: offers for key, offers in self._keys.items() if offers}
            self._turns = [turn for turn in self._turns if turn[2] in self._keys]
            heapify(self._turns)

    def _forget(self) -> None:
        """Keys that have nothing here and whose time is not ahead of the others' are as good as new."""
        self._times = {key: at for key, at in self._times.items() if key in self._keys or at > self._clock}
        self._forget_at = 2 * len(self._times) + 1_000


class _Line:
    """Ready tasks of one type in one lane, by priority."""

    __slots__ = ("levels", "served")

    def __init__(self, turn: int) -> None:
        self.levels: dict[int, _Level] = {}
        self.served = turn

    def add(self, offer: OfferTask) -> None:
        level = self.levels.get(offer.priority)
        if level is None:
            level = self.levels[offer.priority] = _Level()
        level.add(offer)

    def first_priority(self) -> int:
        return min(self.levels)

    def take(self, turn: int) -> OfferTask:
        self.served = turn
        priority = min(self.levels)
        level = self.levels[priority]
        offer = level.take()
        if not level.size:
            del self.levels[priority]
        return offer

    def remove(self, offer: OfferTask) -> None:
        level = self.levels[offer.priority]
        level.remove(offer)
        if not level.size:
            del self.levels[offer.priority]


class TaskQueue:
    """One kind of task on one queue of one namespace."""

    __slots__ = ("_lane_of", "_lanes", "_offers", "_turn", "_waiting")

    def __init__(self) -> None:
        self._lanes: dict[str, dict[str, _Line]] = {}
        self._offers: dict[str, OfferTask] = {}
        self._lane_of: dict[str, str] = {}
        self._waiting: dict[Takes, OrderedDict[int, Waiting]] = {}
        self._turn = 0

    def __len__(self) -> int:
        """Ready tasks."""
        return len(self._offers)

    def __iter__(self) -> Iterator[OfferTask]:
        """Ready tasks, oldest first."""
        return iter(self._offers.values())

    @property
    def idle(self) -> bool:
        """Whether there is nothing in it, so that it can be forgotten."""
        return not self._offers and not self._waiting

    # ---- ready tasks -----------------------------------------------------------------------------------------------

    def add(self, offer: OfferTask, lane: str = ORDINARY) -> None:
        """Put a task in; one that is in already keeps its place."""
        if offer.task_id in self._offers:
            return
        self._offers[offer.task_id] = offer
        if lane:
            self._lane_of[offer.task_id] = lane
        lines = self._lanes.get(lane)
        if lines is None:
            lines = self._lanes[lane] = {}
        line = lines.get(offer.item_type)
        if line is None:
            # As if it had just been served: a line that is empty now and then has no right to go before a long one.
            self._turn += 1
            line = lines[offer.item_type] = _Line(self._turn)
        line.add(offer)

    def take(self, takes: Takes) -> OfferTask | None:
        """The task that such a poll should have next, taken out; None if there is none for it."""
        best: _Line | None = None
        best_rank, best_lane = (0, 0), ORDINARY
        types = takes.types
        for lane in takes.lanes:
            lines = self._lanes.get(lane)
            if lines is None:
                continue
            for item_type in lines if types is None or len(types) > len(lines) else types:
                line = lines.get(item_type)
                if line is None or (types is not None and item_type not in types):
                    continue
                rank = (line.first_priority(), line.served)
                if best is None or rank < best_rank:
                    best, best_rank, best_lane = line, rank, lane
        if best is None:
            return None
        self._turn += 1
        offer = best.take(self._turn)
        self._dropped(offer, best_lane)
        return offer

    def remove(self, task_id: str) -> OfferTask | None:
        """Take a task out, whoever would have got it. Returns it, or None if it was not in."""
        offer = self._offers.get(task_id)
        if offer is None:
            return None
        lane = self._lane_of.get(task_id, ORDINARY)
        self._lanes[lane][offer.item_type].remove(offer)
        self._dropped(offer, lane)
        return offer

    def _dropped(self, offer: OfferTask, lane: str) -> None:
        del self._offers[offer.task_id]
        if lane:
            del self._lane_of[offer.task_id]
        lines = self._lanes[lane]
        if not lines[offer.item_type].levels:
            del lines[offer.item_type]
            if not lines:
                del self._lanes[lane]

    # ---- waiting polls ---------------------------------------------------------------------------------------------

    def wait(self, waiter: Waiting) -> None:
        """Let a poll wait; its number says since when."""
        group = self._waiting.setdefault(waiter.takes, OrderedDict())
        group[waiter.number] = waiter
        if len(group) > 1 and waiter.number < next(iter(group)):
            group.move_to_end(waiter.number, last=False)

    def leave(self, waiter: Waiting) -> bool:
        """Let a poll wait no more. Returns whether it did."""
        group = self._waiting.get(waiter.takes)
        if group is None or group.pop(waiter.number, None) is None:
            return False
        if not group:
            del self._waiting[waiter.takes]
        return True

    def waiter_for(self, item_type: str, lane: str = ORDINARY) -> Waiting | None:
        """The poll that has waited longest of those that take the task, taken out. One poll is woken by one task."""
        oldest: Waiting | None = None
        for takes, group in self._waiting.items():
            if takes.matches(item_type, lane):
                waiter = next(iter(group.values()))
                if oldest is None or waiter.number < oldest.number:
                    oldest = waiter
        if oldest is not None:
            self.leave(oldest)
        return oldest

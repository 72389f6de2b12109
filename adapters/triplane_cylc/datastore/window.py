"""Which tasks of a run are in view, and how far each is from an active one: pure bookkeeping of keys.

`GraphWindow` is Cylc's n-window: active tasks and what is up to n edges away from one, whichever way the edges point.
A move costs what lies around the tasks that became active or ceased to be, however many others are in view: each task
in view knows how many of its neighbours are how far away, so it sees for itself when its own distance changes.

`RecentWindow` is for runs without a graph: whatever is open, and what ended lately.

Source: cylc.md section 4.5; measured against cylc-flow 8.5.4.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from triplane.entities import TaskKey

Depth = int | None
"""Edges to the nearest active task; None for out of view."""


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much is in view at most.

    Attributes:
        tasks: of a graph, beyond which only active tasks are shown.
        ended_tasks: of those of a run without a graph that have ended.
    """

    tasks: int = 100_000
    ended_tasks: int = 1_000


DEFAULT_LIMITS = WindowLimits()


class Window(Protocol):
    """Tasks in view.

    Attributes:
        depth: of each task in view.
        extent: how many edges away a task may be.
    """

    depth: dict[TaskKey, int]
    extent: int

    def move(self, active: Iterable[TaskKey], over: Iterable[TaskKey], gone: Iterable[TaskKey]) -> None:
        """Take in that tasks became active, that others are over, and that some are not known any more."""
        ...

    def resize(self, extent: int) -> None:
        """Look further, or less far."""
        ...

    def take(self) -> dict[TaskKey, Depth]:
        """Depths that differ since the last call."""
        ...


class GraphWindow:
    """Active tasks, and tasks up to `extent` edges from one.

    Args:
        neighbours: tasks one edge away from a task.
        most: tasks in view at most; a window that would hold more shrinks to active tasks alone (`extent` 0).
    """

    def __init__(self, neighbours: Callable[[TaskKey], Iterable[TaskKey]], extent: int, most: int) -> None:
        self.depth: dict[TaskKey, int] = {}
        self.extent = extent
        self._neighbours = neighbours
        self._most = most
        self._active: dict[TaskKey, None] = {}
        # For each task that has any: how many of its neighbours are 0, 1, … edges from an active one.
        self._near: dict[TaskKey, list[int]] = {}
        # Neighbours of each task that others are in view for.
        self._around: dict[TaskKey, tuple[TaskKey, ...]] = {}
        self._before: dict[TaskKey, Depth] = {}

    def move(self, active: Iterable[TaskKey], over: Iterable[TaskKey], gone: Iterable[TaskKey] = ()) -> None:
        """Take in that tasks became active, and that others are over or gone: then they are in view only as neighbours."""
        came = [key for key in active if key not in self._active]
        self._active.update(dict.fromkeys(came))
        # Those that come first, so that what stays in view between them and those that go is not let go and fetched again.
        self._spread(came)
        left = [key for key in (*over, *gone) if key in self._active]
        for key in left:
            del self._active[key]
        self._spread(left)

    def resize(self, extent: int) -> None:
        """Look further, or less far."""
        earlier, self.extent = self.depth, extent
        self.depth, self._near, self._around = {}, {}, {}
        for key, depth in earlier.items():
            self._before.setdefault(key, depth)
        self._spread(self._active)

    def take(self) -> dict[TaskKey, Depth]:
        """Depths that differ since the last call."""
        before, self._before = self._before, {}
        return {key: now for key, depth in before.items() if (now := self.depth.get(key)) != depth}

    def _spread(self, keys: Iterable[TaskKey]) -> None:
        """Measure these anew, and all whose distance changes with theirs.

        Distances only fall after tasks became active, and only rise after tasks ceased to be, so this ends.
        """
        waiting = deque(keys)
        while waiting:
            key = waiting.popleft()
            old, new = self.depth.get(key), self._measure(key)
            if old == new:
                continue
            self._before.setdefault(key, old)
            if new is None:
                del self.depth[key]
            else:
                self.depth[key] = new
            if len(self.depth) > self._most and self.extent:
                self.resize(0)
                return
            self._tell_neighbours(key, old, new, waiting)

    def _tell_neighbours(self, key: TaskKey, old: Depth, new: Depth, waiting: deque[TaskKey]) -> None:
        was_inside = old is not None and old < self.extent
        is_inside = new is not None and new < self.extent
        if not was_inside and not is_inside:
            return
        around = self._around.get(key)
        if around is None:
            around = self._around[key] = tuple(other for other in self._neighbours(key) if other != key)
        for other in around:
            near = self._near.setdefault(other, [0] * self.extent)
            if was_inside:
                near[old] -= 1  # type: ignore[index]
            if is_inside:
                near[new] += 1  # type: ignore[index]
            elif not any(near):
                del self._near[other]
        waiting.extend(around)
        if not is_inside:
            del self._around[key]

    def _measure(self, key: TaskKey) -> Depth:
        if key in self._active:
            return 0
        return next((at + 1 for at, count in enumerate(self._near.get(key, ())) if count), None)


class RecentWindow:
    """All open tasks of a run without a graph, and the last ones that ended; every one has depth 0.

    Args:
        most: ended tasks in view at most.
    """

    def __init__(self, most: int) -> None:
        self.depth: dict[TaskKey, int] = {}
        self.extent = 1
        self._most = most
        self._over: dict[TaskKey, None] = {}
        self._before: dict[TaskKey, Depth] = {}

    def move(self, active: Iterable[TaskKey], over: Iterable[TaskKey], gone: Iterable[TaskKey] = ()) -> None:
        """Take in what opened, ended, or is not known any more."""
        for key in active:
            self._over.pop(key, None)
            self._set(key, 0)
        for key in over:
            if key not in self._over:
                self._over[key] = None
                self._set(key, 0)
        for key in gone:
            self._over.pop(key, None)
            self._set(key, None)
        while len(self._over) > self._most:
            oldest = next(iter(self._over))
            del self._over[oldest]
            self._set(oldest, None)

    def resize(self, extent: int) -> None:
        """Nothing is any number of edges away, so all stays in view."""
        self.extent = extent

    def take(self) -> dict[TaskKey, Depth]:
        """Depths that differ since the last call."""
        before, self._before = self._before, {}
        return {key: now for key, depth in before.items() if (now := self.depth.get(key)) != depth}

    def _set(self, key: TaskKey, depth: Depth) -> None:
        old = self.depth.get(key)
        if old == depth:
            return
        self._before.setdefault(key, old)
        if depth is None:
            del self.depth[key]
        else:
            self.depth[key] = depth

"""The tasks of a run that still matter, indexed for questions that every step asks."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from triplane.engines.base import RunState
from triplane.engines.graph.definition.plain import from_plain
from triplane.engines.graph.plan import Plan
from triplane.entities import Task, TaskKey
from triplane.errors import CannotNow

BUSY_STATES = frozenset({"preparing", "submitted", "running"})

Pending = list[Any]
"""Work that did not fit a step: `[kind, …]`, plain so that it can be stored."""


class Pool:
    """The engine's private state of one run. Everything but `dump` can be rebuilt from the run's tasks.

    Attributes:
        active: point of each task that is not complete, in creation order.
        runahead: those waiting for older cycles, by point.
        queue: those that are ready, in the order in which they became so.
        busy: those with a job on its way or running.
        finished: complete ones that are still shown, oldest first.
        absolute: outputs done that tasks of any later cycle may wait for.
        future_holds: tasks to be held as soon as they are spawned.
        pending: spawning that goes on in the next step.
        origin: run id of the first run of a chain that was continued; what job directories belong to.
        stop_reason: as given with the stop.
    """

    def __init__(self, plan: Plan, origin: str) -> None:
        self.plan, self.origin = plan, origin
        self.active: dict[TaskKey, int] = {}
        self.runahead: dict[int, dict[TaskKey, None]] = {}
        self.queue: dict[TaskKey, None] = {}
        self.busy: dict[TaskKey, None] = {}
        self.finished: dict[TaskKey, None] = {}
        self.absolute: dict[tuple[str, str, str], None] = {}
        self.future_holds: dict[TaskKey, None] = {}
        self.pending: deque[Pending] = deque()
        self.stop_reason: str | None = None
        self._at_point: dict[int, int] = {}

    def note(self, task: Task) -> None:
        """Bring the indices up to date with a task that was added or replaced."""
        key = task.key
        if self.plan.is_complete(task):
            self._leave(key)
            self.finished[key] = None
            return
        point = self.active.get(key)
        if point is None:
            point = int(task.cycle)
            self.active[key] = point
            self._at_point[point] = self._at_point.get(point, 0) + 1
        self._index(self.queue, key, task.is_queued)
        self._index(self.busy, key, task.state in BUSY_STATES)
        waiting = self.runahead.setdefault(point, {})
        self._index(waiting, key, task.is_runahead)
        if not waiting:
            del self.runahead[point]

    @staticmethod
    def _index(index: dict[TaskKey, None], key: TaskKey, belongs: bool) -> None:
        if belongs:
            index[key] = None
        else:
            index.pop(key, None)

    def _leave(self, key: TaskKey) -> None:
        point = self.active.pop(key, None)
        if point is None:
            return
        self.queue.pop(key, None)
        self.busy.pop(key, None)
        left = self._at_point[point] - 1
        if left:
            self._at_point[point] = left
        else:
            del self._at_point[point]

    def reactivate(self, key: TaskKey) -> None:
        """Forget that a task was complete: it is about to run again."""
        self.finished.pop(key, None)

    @property
    def base_point(self) -> int | None:
        """The oldest point with a task that is not complete; None where there is none."""
        return min(self._at_point, default=None)

    def limit_point(self) -> int:
        """The last point whose tasks may run now."""
        base = self.base_point
        return self.plan.limit_point(base if base is not None else self.plan.definition.initial)

    def dump(self) -> Mapping[str, Any]:
        """What cannot be rebuilt from tasks."""
        return {
            "origin": self.origin,
            "absolute": [list(one) for one in self.absolute],
            "future_holds": [list(one) for one in self.future_holds],
            # Copies: what is being stored must not change when the next step goes on.
            "pending": [[list(part) if isinstance(part, list) else part for part in item] for item in self.pending],
            "stop_reason": self.stop_reason,
        }


def loaded(state: RunState) -> Pool:
    """The pool of a run that comes from the store.

    Raises:
        CannotNow: its definition was stored by a version that this one does not understand.
    """
    try:
        definition = from_plain(state.detail.definition["graph"])
    except (KeyError, TypeError, ValueError) as error:
        raise CannotNow(f"the stored definition of {state.run.workflow_id!r} cannot be read: {error}") from error
    pool = Pool(Plan(definition), state.run.run_id)
    take_over(pool, state.run.data)
    for task in state.tasks.values():
        pool.note(task)
    return pool


def take_over(pool: Pool, data: Mapping[str, Any]) -> None:
    """Fill in what an earlier `dump` kept."""
    pool.origin = data["origin"]
    pool.absolute = dict.fromkeys((cycle, name, output) for cycle, name, output in data["absolute"])
    pool.future_holds = dict.fromkeys((cycle, name) for cycle, name in data["future_holds"])
    pool.pending = deque(list(one) for one in data["pending"])
    pool.stop_reason = data["stop_reason"]

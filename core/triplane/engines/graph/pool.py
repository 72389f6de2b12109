"""The tasks of a run that still matter, indexed for questions that every step asks."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from sortedcontainers import SortedDict, SortedSet

from triplane.engines.base import RunState
from triplane.engines.graph.definition.plain import from_plain
from triplane.engines.graph.flows import FIRST, Flows, parse
from triplane.engines.graph.needs import Needs
from triplane.engines.graph.plan import Plan
from triplane.engines.graph.triggers import WALL_CLOCK
from triplane.entities import FINAL_TASK_STATES, Task, TaskKey
from triplane.errors import CannotNow

BUSY_STATES = frozenset({"preparing", "submitted", "running"})

Pending = list[Any]
"""Work that did not fit a step: `[kind, …]`, plain so that it can be stored."""

Due = tuple[float, TaskKey, str]
"""(when, whose, what for)"""


class Pool:
    """The engine's private state of one run. Everything but `dump` can be rebuilt from the run's tasks.

    Attributes:
        active: point of each task that is not complete, in creation order.
        needs, suicides: what an active task waits or waited for, and what would remove it.
        runahead: those waiting for older cycles, by point.
        queues: those that are ready, by queue, in the order in which they became so.
        busy: those with a job on its way or running; `busy_in`: how many of each queue.
        hopeful: those let in whose prerequisites are met, though something else may hold them up.
        incomplete: those that ended without all that the graph wants of them.
        due: what the clock will do to tasks, soonest first.
        calls: which tasks wait for which call of an xtrigger, by signature; `asked`: which of these are being made.
        finished: complete ones that are still shown, oldest first.
        absolute: outputs done that tasks of any later cycle may wait for, with the flows in which they were.
        future_holds: tasks to be held as soon as they are spawned.
        removed: tasks that must not be spawned again, with the flows for which that is so.
        pending: spawning that goes on in the next step.
        facts: the rest of what is stored: plain values by name, see `_FACTS`.
    """

    def __init__(self, plan: Plan, origin: str) -> None:
        self.plan = plan
        self.active: dict[TaskKey, int] = {}
        self.needs: dict[TaskKey, Needs] = {}
        self.suicides: dict[TaskKey, Needs] = {}
        self.runahead: SortedDict[int, dict[TaskKey, None]] = SortedDict()
        self.queues: dict[str, dict[TaskKey, None]] = {}
        self.busy: dict[TaskKey, None] = {}
        self.busy_in: dict[str, int] = {}
        self.hopeful: dict[TaskKey, None] = {}
        self.incomplete: dict[TaskKey, None] = {}
        self.due: SortedSet[Due] = SortedSet()
        self.calls: dict[str, dict[TaskKey, None]] = {}
        self.asked: set[str] = set()
        self.finished: dict[TaskKey, None] = {}
        self.absolute: dict[tuple[str, str, str], Flows] = {}
        self.future_holds: dict[TaskKey, None] = {}
        self.removed: dict[TaskKey, Flows] = {}
        self.pending: deque[Pending] = deque()
        self.facts = Facts(origin)
        self._due_of: dict[TaskKey, tuple[Due, ...]] = {}
        self._calls_of: dict[TaskKey, tuple[str, ...]] = {}
        self._at_point: SortedDict[int, int] = SortedDict()
        self._flows_of: dict[TaskKey, str] = {}
        self._flow_count: dict[str, int] = {}

    @property
    def origin(self) -> str:
        """Run id of the first run of a chain that was continued; what job directories belong to."""
        return self.facts.origin

    # ---- indices ---------------------------------------------------------------------------------------------------

    def note(self, task: Task) -> None:
        """Bring the indices up to date with a task that was added or replaced."""
        key = task.key
        is_final = task.state in FINAL_TASK_STATES
        if is_final and self.plan.is_complete(task):
            self.leave(key)
            self.finished[key] = None
            return
        point = self.active.get(key)
        if point is None:
            self.finished.pop(key, None)
            point = self.plan.point(task.cycle)
            self.active[key] = point
            self._at_point[point] = self._at_point.get(point, 0) + 1
        is_waiting = task.state == "waiting"
        self._index_queue(task)
        self._index_busy(task)
        waiting = self.runahead.get(point)
        if task.is_runahead:
            if waiting is None:
                waiting = self.runahead[point] = {}
            waiting[key] = None
        elif waiting is not None and key in waiting:
            self._drop_runahead(point, key)
        _index(self.incomplete, key, is_final)
        needs = self.needs.get(key)
        _index(self.hopeful, key, is_waiting and not task.is_runahead and (needs is None or needs.is_met))
        self._index_flows(key, task.flow_nums)
        self._index_due(task)
        self._index_calls(task)

    def _index_queue(self, task: Task) -> None:
        queue = self.plan.queue(task.name)
        if task.is_queued:
            self.queues.setdefault(queue, {})[task.key] = None
        elif queue in self.queues and task.key in self.queues[queue]:
            self._drop_queued(queue, task.key)

    def _index_busy(self, task: Task) -> None:
        key, queue = task.key, self.plan.queue(task.name)
        if (task.state in BUSY_STATES) == (key in self.busy):
            return
        if key in self.busy:
            del self.busy[key]
            self.busy_in[queue] -= 1
        else:
            self.busy[key] = None
            self.busy_in[queue] = self.busy_in.get(queue, 0) + 1

    def _index_flows(self, key: TaskKey, fresh: str | None) -> None:
        earlier = self._flows_of.get(key)
        if fresh == earlier:
            return
        if fresh is None:
            del self._flows_of[key]
        else:
            self._flows_of[key] = fresh
            self._flow_count[fresh] = self._flow_count.get(fresh, 0) + 1
        if earlier is not None:
            self._flow_count[earlier] -= 1
            if not self._flow_count[earlier]:
                del self._flow_count[earlier]
                if not self._flow_count:
                    self.facts.flows_of_last = parse(earlier) or FIRST

    def _index_due(self, task: Task) -> None:
        dates = task.data.get("due")
        key = task.key
        fresh = tuple((when, key, what) for what, when in dates.items()) if dates else ()
        earlier = self._due_of.get(key, ())
        if fresh == earlier:
            return
        self.due.difference_update(earlier)
        if fresh:
            self._due_of[key] = fresh
            self.due.update(fresh)
        else:
            del self._due_of[key]

    def _index_calls(self, task: Task) -> None:
        triggers = task.detail.get("xtriggers")
        key = task.key
        fresh: tuple[str, ...] = ()
        if triggers and task.state == "waiting" and not task.is_runahead:
            fresh = tuple(one["id"] for one in triggers if not one["satisfied"] and not one["id"].startswith(WALL_CLOCK))
        earlier = self._calls_of.get(key, ())
        if fresh == earlier:
            return
        for signature in earlier:
            waiting = self.calls.get(signature, {})
            waiting.pop(key, None)
            if not waiting:
                self.calls.pop(signature, None)
        self._calls_of.pop(key, None)
        if fresh:
            self._calls_of[key] = fresh
            for signature in fresh:
                self.calls.setdefault(signature, {})[key] = None

    def _drop_queued(self, queue: str, key: TaskKey) -> None:
        waiting = self.queues[queue]
        waiting.pop(key, None)
        if not waiting:
            del self.queues[queue]

    def _drop_runahead(self, point: int, key: TaskKey) -> None:
        waiting = self.runahead[point]
        waiting.pop(key, None)
        if not waiting:
            del self.runahead[point]

    def leave(self, key: TaskKey) -> None:
        """Take a task out of all indices of what is active."""
        point = self.active.pop(key, None)
        if point is None:
            return
        queue = self.plan.queue(key[1])
        if queue in self.queues:
            self._drop_queued(queue, key)
        if key in self.busy:
            del self.busy[key]
            self.busy_in[queue] -= 1
        if point in self.runahead and key in self.runahead[point]:
            self._drop_runahead(point, key)
        for index in (self.hopeful, self.incomplete, self.needs, self.suicides):
            index.pop(key, None)
        self.due.difference_update(self._due_of.pop(key, ()))
        for signature in self._calls_of.pop(key, ()):
            waiting = self.calls.get(signature, {})
            waiting.pop(key, None)
            if not waiting:
                self.calls.pop(signature, None)
        self._index_flows(key, None)
        left = self._at_point[point] - 1
        if left:
            self._at_point[point] = left
        else:
            del self._at_point[point]

    # ---- questions -------------------------------------------------------------------------------------------------

    @property
    def has_queued(self) -> bool:
        """Whether any task waits for its turn."""
        return bool(self.queues)

    def is_full(self, queue: str) -> bool:
        """Whether a queue has as many jobs as it may."""
        limit = self.plan.queue_limit(queue)
        return limit > 0 and self.busy_in.get(queue, 0) >= limit

    @property
    def base_point(self) -> int | None:
        """The oldest point with a task that is not complete; None where there is none."""
        return self._at_point.peekitem(0)[0] if self._at_point else None

    @property
    def newest_point(self) -> int | None:
        """The newest point with a task that is not complete."""
        return self._at_point.peekitem(-1)[0] if self._at_point else None

    def limit_point(self) -> int:
        """The last point whose tasks may run now."""
        base = self.base_point
        limit = self.plan.limit_point(base if base is not None else self.plan.initial)
        stop = self.facts.stop_point
        return limit if stop is None else min(limit, stop)

    def active_flows(self) -> Flows:
        """All flows of active tasks; where there are none, the newest there was."""
        return frozenset().union(*map(parse, self._flow_count)) or self.facts.flows_of_last

    def is_past(self, point: int, flows: Flows) -> bool:
        """Whether all that these flows have at a point was done, and is perhaps forgotten."""
        closed = self.facts.closed_before
        return closed is not None and point < closed and bool(flows) and max(flows) <= self.facts.flows_closed

    # ---- plain data ------------------------------------------------------------------------------------------------

    def dump(self) -> Mapping[str, Any]:
        """What cannot be rebuilt from tasks."""
        return {
            **self.facts.dump(),
            "absolute": [[*one, *sorted(flows)] for one, flows in self.absolute.items()],
            "future_holds": [list(one) for one in self.future_holds],
            "removed": [[*one, *sorted(flows)] for one, flows in self.removed.items()],
            # Copies: what is being stored must not change when the next step goes on.
            "pending": [[list(part) if isinstance(part, list) else part for part in item] for item in self.pending],
        }

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Fill in what an earlier `dump` kept."""
        self.facts.load(data)
        self.absolute = {(one[0], one[1], one[2]): frozenset(one[3:]) or FIRST for one in data["absolute"]}
        self.future_holds = dict.fromkeys((cycle, name) for cycle, name in data["future_holds"])
        self.removed = {(one[0], one[1]): frozenset(one[2:]) for one in data.get("removed", ())}
        self.pending = deque(list(one) for one in data["pending"])

    def take_in(self, tasks: Iterable[Task]) -> None:
        """Index tasks that come from the store."""
        for task in tasks:
            if task.state not in FINAL_TASK_STATES or not self.plan.is_complete(task):
                self.restore_needs(task)
            self.note(task)

    def restore_needs(self, task: Task) -> None:
        """What a task waits for, with what the task says of it."""
        needs, suicide = self.plan.needs(task.name, self.plan.point(task.cycle))
        done = task.data.get("done")
        if isinstance(done, bytes):
            needs.load(done)
        if needs.conditions:
            self.needs[task.key] = needs
        if suicide.conditions:
            suicide.load(task.data.get("suicide", b""))
            self.suicides[task.key] = suicide


def _index(index: dict[TaskKey, None], key: TaskKey, belongs: bool) -> None:
    if belongs:
        index[key] = None
    else:
        index.pop(key, None)


class Facts:
    """Small plain values of a run, all stored with it at every step.

    Attributes:
        mode: run mode, `live skip simulation dummy`.
        stop_reason: as given with the stop.
        hold_point: tasks after it are held as they are spawned.
        stop_point: no task after it runs, and the run ends when nothing before it is left.
        stop_task: the run stops gracefully when this one has finished.
        last_flow: the newest flow number given out; `flows`: what they are for, by number.
        flows_of_last: flows of what was spawned last by hand or at the start, for triggers that name none.
        closed_before: what lies before this point is over for flows up to `flows_closed`.
        lost_submits: the largest submit number of any task that is not remembered.
        broadcasts: `[cycle or *, namespace, settings]`, in the order in which they were set.
        xtriggers: calls that have succeeded, by signature: their results.
        ext_triggers: ids of external triggers not used yet, by message.
        given: outputs that tasks have by decree that are not there yet, by cycle/name: [flows, labels].
        stalled_since: when the run stalled; None where it is not.
        is_reloading: a changed definition is being read.
    """

    __slots__ = (
        "broadcasts",
        "closed_before",
        "ext_triggers",
        "flows",
        "flows_closed",
        "flows_of_last",
        "given",
        "hold_point",
        "is_reloading",
        "last_flow",
        "lost_submits",
        "mode",
        "origin",
        "reloads",
        "stalled_since",
        "stop_point",
        "stop_reason",
        "stop_task",
        "xtriggers",
    )  # fmt: skip

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.mode = "live"
        self.stop_reason: str | None = None
        self.hold_point: int | None = None
        self.stop_point: int | None = None
        self.stop_task: str | None = None
        self.last_flow = 1
        self.flows: dict[str, str] = {}
        self.flows_of_last: Flows = FIRST
        self.closed_before: int | None = None
        self.flows_closed = 1
        self.lost_submits = 0
        self.broadcasts: list[list[Any]] = []
        self.xtriggers: dict[str, Any] = {}
        self.ext_triggers: dict[str, list[str]] = {}
        self.given: dict[str, list[Any]] = {}
        self.stalled_since: float | None = None
        self.is_reloading = False
        self.reloads = 0

    def dump(self) -> dict[str, Any]:
        """As plain data; what has its first value is left out."""
        blank = Facts(self.origin)
        found: dict[str, Any] = {"origin": self.origin}
        for name in self.__slots__:
            value = getattr(self, name)
            if value != getattr(blank, name):
                found[name] = sorted(value) if isinstance(value, frozenset) else value
        return found

    def load(self, data: Mapping[str, Any]) -> None:
        """Fill in what an earlier `dump` kept."""
        for name in self.__slots__:
            if name in data:
                setattr(self, name, frozenset(data[name]) if name == "flows_of_last" else data[name])


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
    pool.take_over(state.run.data)
    pool.take_in(state.tasks.values())
    return pool

"""A definition made ready for questions: where a task runs, what it waits for there, and what waits for it."""

from collections.abc import Mapping
from heapq import merge
from itertools import islice
from typing import Any

from triplane.engines.graph.definition.calendar import DAY, Interval
from triplane.engines.graph.definition.model import Condition, Definition, Prerequisite, TaskDefinition
from triplane.engines.graph.definition.sequences import Sequence
from triplane.engines.graph.needs import Needs, Part, Wanted
from triplane.engines.graph.triggers import Triggers
from triplane.entities import FINAL_TASK_STATES, Task

MAX_LOOKAHEAD = 10_000
"""Points looked at to find a task's next parentless one; a definition with longer gaps than that has none."""

DEFAULT_QUEUE = "default"

_MONTH_S = 31 * DAY
SUCCEEDED = "succeeded"


class _TaskPlan:
    """What is asked of one task again and again.

    Attributes:
        free: its sequences on which it waits for nothing but fixed points.
        early_until: before this point, all that it waits for may lie before the initial point.
        has_parents: whether the graph makes it wait for anything, anywhere.
    """

    __slots__ = ("definition", "early_until", "free", "has_parents", "prerequisites", "sequences", "suicides")

    def __init__(self, definition: TaskDefinition, sequences: tuple[Sequence, ...], initial: int) -> None:
        self.definition = definition
        self.sequences = tuple((index, sequences[index]) for index in definition.sequences)
        self.prerequisites = _by_sequence(definition.prerequisites)
        self.suicides = _by_sequence(definition.suicides)
        self.has_parents = bool(self.prerequisites)
        waits = {
            index
            for index, found in self.prerequisites.items()
            if any(condition.point is None for one in found for condition in one.conditions)
        }
        self.free = tuple(sequence for index, sequence in self.sequences if index not in waits)
        offsets = [
            _span(condition.offset)
            for one in definition.prerequisites
            for condition in one.conditions
            if condition.point is None
        ]
        self.early_until = initial - min([0, *offsets])


def _by_sequence(prerequisites: tuple[Prerequisite, ...]) -> dict[int, tuple[Prerequisite, ...]]:
    found: dict[int, tuple[Prerequisite, ...]] = {}
    for one in prerequisites:
        if one.conditions:
            found[one.sequence] = (*found.get(one.sequence, ()), one)
    return found


def _span(offset: Interval) -> int:
    """How far an offset leads at most."""
    return offset.units + (offset.years * 12 + offset.months) * _MONTH_S


class Plan(Triggers):
    """Answers about one definition; built once for a run in memory, never changed.

    Attributes:
        names: all task names, in the order in which the graph names them.
        max_future: how far ahead of its own point a task may wait for another, in the calendar's units.
    """

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.calendar = definition.calendar
        self.names = tuple(definition.tasks)
        self._tasks = {
            name: _TaskPlan(one, definition.sequences, definition.initial) for name, one in definition.tasks.items()
        }
        self._children: dict[tuple[str, str], list[tuple[str, Sequence, Condition]]] = {}
        self._absolute: dict[tuple[str, str, int], dict[str, Sequence]] = {}
        self.max_future = 0
        for name, task in self._tasks.items():
            for index, sequence in task.sequences:
                for one in (*task.prerequisites.get(index, ()), *task.suicides.get(index, ())):
                    for condition in one.conditions:
                        self._enter_child(name, sequence, condition)
        self._queue_of = {name: queue for queue, one in definition.queues.items() for name in one.members}
        self._limits: tuple[int, int] | None = None

    def _enter_child(self, name: str, sequence: Sequence, condition: Condition) -> None:
        if condition.point is not None:
            key = (condition.task, condition.output, condition.point)
            self._absolute.setdefault(key, {}).setdefault(name, sequence)
        else:
            self._children.setdefault((condition.task, condition.output), []).append((name, sequence, condition))
            self.max_future = max(self.max_future, _span(condition.offset))

    # ---- points ----------------------------------------------------------------------------------------------------

    @property
    def initial(self) -> int:
        """The first cycle point."""
        return self.definition.initial

    @property
    def final(self) -> int | None:
        """The last cycle point, where there is one."""
        return self.definition.final

    def point(self, cycle: str) -> int:
        """The point that a task's cycle names.

        Raises:
            ValueError: it names none.
        """
        return self.calendar.point(cycle)

    def cycle(self, point: int) -> str:
        """The text of a point."""
        return self.calendar.text(point)

    def is_before_all(self, point: int) -> bool:
        """Whether a point lies before the initial one: what would have happened there counts as done."""
        return point < self.definition.initial

    def before_all_spawned_by(self, base: int) -> int:
        """A point before which nothing can be spawned by tasks at or after `base`."""
        return base - self.max_future

    def limit_point(self, base: int) -> int:
        """The last point that may be active while `base` is the oldest active one."""
        if self._limits is None or self._limits[0] != base:
            self._limits = (base, self._limit_point(base) + self.max_future)
        return self._limits[1]

    def _limit_point(self, base: int) -> int:
        interval = self.definition.runahead_interval
        if interval is not None:
            return self.calendar.shift(base, interval)
        limit, seen = base, 0
        for point in merge(*(sequence.from_point(base) for sequence in self.definition.sequences)):
            if point > limit:
                seen += 1
                if seen > self.definition.runahead:
                    break
                limit = point
        return limit

    # ---- tasks -----------------------------------------------------------------------------------------------------

    def task(self, name: str) -> TaskDefinition:
        """The definition of a task that is known to exist."""
        return self._tasks[name].definition

    def has(self, name: str, point: int) -> bool:
        """Whether there is such a task and it runs at `point`."""
        task = self._tasks.get(name)
        return task is not None and any(point in sequence for _, sequence in task.sequences)

    def has_namespace(self, name: str) -> bool:
        """Whether a task or family is called that."""
        return name in self._tasks or name in self.definition.families or name == "root"

    def queue(self, name: str) -> str:
        """The internal queue that a task goes through."""
        return self._queue_of.get(name, DEFAULT_QUEUE)

    def queue_limit(self, queue: str) -> int:
        """How many tasks of a queue may be preparing, submitted or running at once; 0 for any number."""
        return self.definition.queues[queue].limit

    # ---- prerequisites ---------------------------------------------------------------------------------------------

    def needs(self, name: str, point: int) -> tuple[Needs, Needs]:
        """What the task waits for at a point, and what would remove it (suicide triggers); points before all count as done."""
        task = self._tasks[name]
        on = [index for index, sequence in task.sequences if point in sequence]
        prerequisites = [one for index in on for one in task.prerequisites.get(index, ())]
        suicides = [one for index in on for one in task.suicides.get(index, ())] if task.suicides else []
        extra: list[tuple[int, Wanted]] = []
        if task.definition.is_sequential:
            before = self._previous(task, point)
            if before is not None:
                extra.append((before, (f"{self.cycle(before)}/{name}", SUCCEEDED)))
        return self._needs(prerequisites, point, extra), self._needs(suicides, point, [])

    def _needs(self, prerequisites: list[Prerequisite], point: int, extra: list[tuple[int, Wanted]]) -> Needs:
        conditions: list[Wanted] = []
        parts: list[Part] = []
        done: list[Wanted] = []
        known: set[object] = set()
        for one in prerequisites:
            expression = None if one.expression.is_flat_all else one.expression
            own: list[Wanted] = []
            for condition in one.conditions:
                upstream = condition.upstream_point(point, self.calendar)
                wanted = (f"{self.cycle(upstream)}/{condition.task}", condition.output)
                own.append(wanted)
                if upstream < self.definition.initial:
                    done.append(wanted)
            # What comes to the same at this point (`a[^] => b`, `a[-P1] => b` at the second) is waited for once.
            if expression is None:
                own = list(dict.fromkeys(own))
            if len(prerequisites) > 1 and (same := (tuple(own), expression)) not in known:
                known.add(same)
            elif len(prerequisites) > 1:
                continue
            parts.append((len(conditions), len(own), expression))
            conditions.extend(own)
        for upstream, wanted in extra:
            parts.append((len(conditions), 1, None))
            conditions.append(wanted)
            if upstream < self.definition.initial:
                done.append(wanted)
        needs = Needs(conditions, parts)
        for wanted in done:
            needs.satisfy(wanted)
        return needs

    @staticmethod
    def _previous(task: _TaskPlan, point: int) -> int | None:
        return max((at for _, sequence in task.sequences if (at := sequence.before(point)) is not None), default=None)

    def upstream_points(self, name: str, point: int) -> list[int]:
        """Points of all that the task waits for."""
        return [condition.upstream_point(point, self.calendar) for condition in self._conditions_at(name, point)]

    def _conditions_at(self, name: str, point: int) -> list[Condition]:
        task = self._tasks[name]
        return [
            condition
            for index, sequence in task.sequences
            if index in task.prerequisites and point in sequence
            for one in task.prerequisites[index]
            for condition in one.conditions
        ]

    def is_parentless(self, name: str, point: int) -> bool:
        """Whether the task at `point` is spawned by the passing of cycles, not by another task's output."""
        task = self._tasks[name]
        if not task.has_parents:
            return True
        if task.definition.is_sequential:
            return False
        conditions = self._conditions_at(name, point)
        return all(condition.point is not None for condition in conditions) or all(
            self.is_before_all(condition.upstream_point(point, self.calendar)) for condition in conditions
        )

    def next_parentless(self, name: str, after: int | None) -> int | None:
        """The task's first parentless point, or the first one after a point; None if there is none (near enough)."""
        task = self._tasks[name]
        start = self.definition.initial if after is None else after + 1
        early = [sequence for _, sequence in task.sequences] if start < task.early_until else list(task.free)
        for point in islice(merge(*(sequence.from_point(start) for sequence in early)), MAX_LOOKAHEAD):
            if self.is_parentless(name, point):
                return point
            if point >= task.early_until and not task.free:
                return None
        return None

    # ---- children --------------------------------------------------------------------------------------------------

    def children(self, name: str, output: str, point: int) -> list[tuple[str, int]]:
        """Tasks that wait for this output by an offset, or would be removed by it, each (name, point) once."""
        found: dict[tuple[str, int], None] = {}
        for child, sequence, condition in self._children.get((name, output), ()):
            offset = condition.offset
            at = point - offset.units if offset.is_exact else self.calendar.shift(point, -offset)
            if at in sequence:
                found[(child, at)] = None
        task = self._tasks.get(name)
        if output == SUCCEEDED and task is not None and task.definition.is_sequential:
            after = [later for _, sequence in task.sequences if (later := sequence.after(point)) is not None]
            if after:
                found[(name, min(after))] = None
        return list(found)

    def waiting_for_point(self, name: str, output: str, point: int) -> dict[str, int]:
        """Tasks that wait for exactly this point's output wherever they run, each with the first point at which it does."""
        found = {}
        for child, sequence in self._absolute.get((name, output, point), {}).items():
            first = sequence.at_or_after(self.definition.initial)
            if first is not None:
                found[child] = first
        return found

    # ---- neighbours ------------------------------------------------------------------------------------------------

    def upstream(self, name: str, point: int) -> list[tuple[str, int]]:
        """Tasks whose outputs the task at a point waits for or is removed by; not all of them need to exist."""
        task = self._tasks[name]
        found = [
            (condition.task, condition.upstream_point(point, self.calendar))
            for index, sequence in task.sequences
            if point in sequence
            for one in (*task.prerequisites.get(index, ()), *task.suicides.get(index, ()))
            for condition in one.conditions
        ]
        if task.definition.is_sequential:
            before = self._previous(task, point)
            if before is not None:
                found.append((name, before))
        return found

    def downstream(self, name: str, point: int) -> list[tuple[str, int]]:
        """Tasks that any output of the task at a point leads to or removes."""
        found: list[tuple[str, int]] = []
        for output in self._tasks[name].definition.outputs:
            found += self.children(name, output, point)
            found += self.waiting_for_point(name, output, point).items()
        return found

    # ---- outputs ---------------------------------------------------------------------------------------------------

    def is_complete(self, task: Task) -> bool:
        """Whether the task has ended, and with all that its completion expression requires of it."""
        if task.state not in FINAL_TASK_STATES:
            return False
        known = self._tasks.get(task.name)
        if known is None:
            # The definition was reloaded without it: nothing more is asked of it.
            return True
        done = {one["label"] for one in task.detail["outputs"] if one["satisfied"]}
        return known.definition.completion.holds(done.__contains__)

    # ---- for wires -------------------------------------------------------------------------------------------------

    def public_detail(self, name: str, point: int, prerequisites: list[dict[str, Any]]) -> dict[str, Any]:
        """`Task.detail` of a new task."""
        task = self.task(name)
        return {
            "title": task.title,
            "families": list(task.families),
            "platform": task.platform,
            "kind": "task",
            "prerequisites": prerequisites,
            "outputs": [
                {"label": label, "message": message, "satisfied": False, "time": None} for label, message in task.outputs.items()
            ],
            **self.public_triggers(task, point),
        }

    def view(self) -> dict[str, Any]:
        """`RunDetail.definition` for wires that draw runs."""
        definition = self.definition
        edges = {
            (condition.task, name): None
            for name, task in definition.tasks.items()
            for one in task.prerequisites
            for condition in one.conditions
        }
        return {
            "title": definition.title,
            "description": definition.description,
            "cycling_mode": definition.calendar.mode,
            "families": {
                name: {"parents": list(one.parents), "title": one.title} for name, one in definition.families.items()
            },
            "tasks": _task_views(definition.tasks),
            "edges": [list(edge) for edge in edges],
        }


def _task_views(tasks: Mapping[str, TaskDefinition]) -> dict[str, Any]:
    return {name: {"families": list(one.families), "title": one.title} for name, one in tasks.items()}

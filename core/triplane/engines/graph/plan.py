"""A definition made ready for questions: where a task runs, what it waits for there, and what waits for it."""

from heapq import merge
from itertools import islice
from typing import Any

from triplane.engines.graph.definition.model import Condition, Definition, TaskDefinition
from triplane.engines.graph.definition.sequences import Sequence
from triplane.entities import FINAL_TASK_STATES, Task

MAX_LOOKAHEAD = 10_000
"""Points looked at to find a task's next parentless one; a definition with longer gaps than that has none."""

_BAD_ENDS = {"failed": "failed", "submit-failed": "submit-failed", "expired": "expired"}


class _TaskPlan:
    """What is asked of one task again and again.

    Attributes:
        free: its sequences on which it waits for nothing but fixed points.
        early_until: before this point, all that it waits for may lie before the initial point.
    """

    __slots__ = ("conditions", "definition", "early_until", "free", "sequences")

    def __init__(self, definition: TaskDefinition, sequences: tuple[Sequence, ...], initial: int) -> None:
        self.definition = definition
        self.sequences = tuple((index, sequences[index]) for index in definition.sequences)
        self.conditions = {one.sequence: one.conditions for one in definition.prerequisites}
        self.free = tuple(
            sequence
            for index, sequence in self.sequences
            if all(condition.point is not None for condition in self.conditions.get(index, ()))
        )
        offsets = [
            condition.offset.units for found in self.conditions.values() for condition in found if condition.point is None
        ]
        self.early_until = initial - min([0, *offsets])


class Plan:
    """Answers about one definition; built once for a run in memory, never changed.

    Attributes:
        names: all task names, in the order in which the graph names them.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.names = tuple(definition.tasks)
        self._tasks = {
            name: _TaskPlan(one, definition.sequences, definition.initial) for name, one in definition.tasks.items()
        }
        self._children: dict[tuple[str, str], list[tuple[str, Sequence, int]]] = {}
        self._absolute: dict[tuple[str, str, int], dict[str, Sequence]] = {}
        for name, task in self._tasks.items():
            for index, sequence in task.sequences:
                for condition in task.conditions.get(index, ()):
                    self._enter_child(name, sequence, condition)
        self._limits: tuple[int, int] | None = None

    def _enter_child(self, name: str, sequence: Sequence, condition: Condition) -> None:
        if condition.point is not None:
            key = (condition.task, condition.output, condition.point)
            self._absolute.setdefault(key, {}).setdefault(name, sequence)
        else:
            self._children.setdefault((condition.task, condition.output), []).append((name, sequence, condition.offset.units))

    def task(self, name: str) -> TaskDefinition:
        """The definition of a task that is known to exist."""
        return self._tasks[name].definition

    def has(self, name: str, point: int) -> bool:
        """Whether there is such a task and it runs at `point`."""
        task = self._tasks.get(name)
        return task is not None and any(point in sequence for _, sequence in task.sequences)

    def conditions_at(self, name: str, point: int) -> tuple[Condition, ...]:
        """What the task waits for at `point`, each once."""
        task = self._tasks[name]
        return tuple(
            {
                condition: None
                for index, sequence in task.sequences
                if point in sequence
                for condition in task.conditions.get(index, ())
            }
        )

    def is_before_all(self, point: int) -> bool:
        """Whether a point lies before the initial one: what would have happened there counts as done."""
        return point < self.definition.initial

    def is_parentless(self, name: str, point: int) -> bool:
        """Whether the task at `point` is spawned by the passing of cycles, not by another task's output."""
        return all(
            condition.point is not None or self.is_before_all(condition.upstream_point(point, self.definition.calendar))
            for condition in self.conditions_at(name, point)
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

    def children(self, name: str, output: str, point: int) -> list[tuple[str, int]]:
        """Tasks that wait for this output by an offset, each (name, point) once."""
        found: dict[tuple[str, int], None] = {}
        for child, sequence, offset in self._children.get((name, output), ()):
            at = point - offset
            if at in sequence:
                found[(child, at)] = None
        return list(found)

    def waiting_for_point(self, name: str, output: str, point: int) -> dict[str, int]:
        """Tasks that wait for exactly this point's output wherever they run, each with the first point at which it does."""
        found = {}
        for child, sequence in self._absolute.get((name, output, point), {}).items():
            first = sequence.at_or_after(self.definition.initial)
            if first is not None:
                found[child] = first
        return found

    def limit_point(self, base: int) -> int:
        """The last point that may be active while `base` is the oldest active one."""
        if self._limits is None or self._limits[0] != base:
            self._limits = (base, self._limit_point(base))
        return self._limits[1]

    def _limit_point(self, base: int) -> int:
        limit, seen = base, 0
        for point in merge(*(sequence.from_point(base) for sequence in self.definition.sequences)):
            if point > limit:
                seen += 1
                if seen > self.definition.runahead:
                    break
                limit = point
        return limit

    def public_detail(self, name: str, prerequisites: list[dict[str, Any]]) -> dict[str, Any]:
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
        }

    def is_complete(self, task: Task) -> bool:
        """Whether the task has ended, and with all that the graph requires of it.

        A bad end is good enough where the graph makes it optional, or makes success optional without naming the end.
        """
        if task.state not in FINAL_TASK_STATES:
            return False
        definition = self.task(task.name)
        done = {one["label"] for one in task.detail["outputs"] if one["satisfied"]}
        if done.issuperset(definition.required):
            return True
        label = _BAD_ENDS.get(task.state)
        if label is None:
            return False
        if label in definition.optional:
            return True
        return label == "failed" and "succeeded" in definition.optional

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
            "families": {
                name: {"parents": list(one.parents), "title": one.title} for name, one in definition.families.items()
            },
            "tasks": {
                name: {"families": list(one.families), "title": one.title} for name, one in definition.tasks.items()
            },
            "edges": [list(edge) for edge in edges],
        }

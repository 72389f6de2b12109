"""Finding tasks that wait for each other, so that none of them could ever run."""

from collections.abc import Mapping
from itertools import islice

from triplane.engines.graph.definition.calendar import Calendar
from triplane.engines.graph.definition.dependencies import TaskUse
from triplane.engines.graph.definition.model import Condition
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sequences import Sequence

MAX_SAMPLE_POINTS = 100
MAX_SAMPLE_TASKS = 50_000

TaskAt = tuple[str, int]
"""A task's name and point"""


class Circles:
    """Looks among the first points of the sequences; what a circle is made of shows up there."""

    def __init__(self, uses: Mapping[str, TaskUse], sequences: tuple[Sequence, ...], calendar: Calendar) -> None:
        self._uses, self._sequences, self._calendar = uses, sequences, calendar
        bound = max(3, min(MAX_SAMPLE_POINTS, MAX_SAMPLE_TASKS // len(uses)))
        points = sorted({point for one in sequences for point in islice(one.from_point(one.start), bound)})[:bound]
        on = {point: {index for index, one in enumerate(sequences) if point in one} for point in points}
        self._tasks = {
            (name, point) for name, use in uses.items() for point in points if not on[point].isdisjoint(use.sequences)
        }
        self._on = on
        self._conditions = {name: self._conditions_of(use) for name, use in uses.items()}

    @staticmethod
    def _conditions_of(use: TaskUse) -> list[tuple[int, Condition]]:
        found = [(index, condition) for index, conditions in use.conditions.items() for condition in conditions]
        return found + [(one.sequence, condition) for one in use.alternatives for condition in one.conditions]

    def refuse(self) -> None:
        """Raises DefinitionProblem naming a circle, where there is one."""
        done: set[TaskAt] = set()
        for task in sorted(self._tasks, key=lambda task: (task[1], self._uses[task[0]].line, task[0])):
            self._follow(task, done)

    def _parents(self, task: TaskAt) -> list[TaskAt]:
        name, point = task
        on = self._on[point]
        found = {
            (condition.task, condition.upstream_point(point, self._calendar))
            for sequence, condition in self._conditions[name]
            if sequence in on
        }
        return sorted(found & self._tasks)

    def _follow(self, start: TaskAt, done: set[TaskAt]) -> None:
        # A stack of our own: a chain of thousands of tasks must not be a recursion of thousands of calls.
        path: dict[TaskAt, list[TaskAt]] = {}
        stack = [start]
        while stack:
            task = stack[-1]
            if task in done:
                stack.pop()
                continue
            if task not in path:
                path[task] = self._parents(task)
            waiting = path[task]
            while waiting and waiting[-1] in done:
                waiting.pop()
            if not waiting:
                done.add(task)
                path.pop(task)
                stack.pop()
            elif waiting[-1] in path:
                order = list(path)
                circle = [f"{self._calendar.text(point)}/{name}" for name, point in order[order.index(waiting[-1]) :]]
                chain = " => ".join([*reversed(circle), circle[-1]])
                raise DefinitionProblem(f"circular dependencies: {shown(chain, 300)[1:-1]}", self._uses[waiting[-1][0]].line)
            else:
                stack.append(waiting[-1])

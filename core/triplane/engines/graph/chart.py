"""The task graph of a definition, for wires that draw it.

Source: contract cylc section 4.5 (the n-window); measured against cylc-flow 8.5.4.
"""

from triplane.engines.graph.plan import Plan
from triplane.engines.graph.pool import Facts
from triplane.entities import Task, TaskKey
from triplane.taskgraph import Neighbours

NO_FLOW = "[]"


class Chart:
    """A plan, asked by the keys of tasks.

    Args:
        facts: of the run, where it is in memory; they tell which cycles are past.
    """

    def __init__(self, plan: Plan, facts: Facts | None = None) -> None:
        self._plan = plan
        self._facts = facts

    def neighbours(self, key: TaskKey) -> Neighbours:
        """Tasks next to one, inside the definition's first and last points."""
        plan = self._plan
        name, point = key[1], self._point(key)
        if point is None:
            return Neighbours()
        parents = {
            (plan.cycle(at), other): None for other, at in plan.upstream(name, point) if plan.has(other, at)
        }
        children = {(plan.cycle(at), other): None for other, at in plan.downstream(name, point)}
        return Neighbours(tuple(parents), tuple(children))

    def planned(self, key: TaskKey) -> Task | None:
        """A task that has not come to be; None in cycles that are over, whose tasks are forgotten."""
        plan = self._plan
        cycle, name = key
        point = self._point(key)
        closed = None if self._facts is None else self._facts.closed_before
        if point is None or (closed is not None and point < closed):
            return None
        needs, _ = plan.needs(name, point)
        detail = plan.public_detail(name, point, needs.public())
        return Task(cycle=cycle, name=name, seq=0, state="waiting", updated=0.0, flow_nums=NO_FLOW, detail=detail)

    def is_over(self, task: Task) -> bool:
        """Whether a task is complete."""
        return self._plan.is_complete(task)

    def _point(self, key: TaskKey) -> int | None:
        """The point of a task that the definition has."""
        try:
            point = self._plan.point(key[0])
        except ValueError:
            return None
        return point if self._plan.has(key[1], point) else None

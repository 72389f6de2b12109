"""What every part of one step has at hand: the run's state, its pool and plan, and the step that changes them."""

from typing import Any

from triplane.commands.system import ContinueStep
from triplane.effects import Dispatch
from triplane.engines.base import MAX_TASKS_PER_STEP, RunState, Step
from triplane.engines.graph.needs import Needs
from triplane.engines.graph.plan import Plan
from triplane.engines.graph.pool import Pool
from triplane.entities import Task, TaskKey, evolve

# Room for what one more portion may change besides the task it is about.
_MARGIN = 4

MAX_PUTS = 500
"""Changes that one step makes to tasks, many perhaps to the same one: some ten milliseconds' work."""


class Work:
    """One step's work on one run's tasks."""

    def __init__(self, state: RunState, step: Step) -> None:
        self.state, self.step = state, step
        self._puts = 0
        pool = state.private
        assert isinstance(pool, Pool)
        self.pool: Pool = pool

    @property
    def plan(self) -> Plan:
        """The run's definition; it changes when that is reloaded."""
        return self.pool.plan

    @property
    def now(self) -> float:
        """Wall-clock seconds of this step."""
        return self.step.now

    @property
    def is_full(self) -> bool:
        """Whether this step has changed as many tasks as a step may."""
        changes = self.step.changes
        return self._puts >= MAX_PUTS or len(changes.tasks) + len(changes.pruned) >= MAX_TASKS_PER_STEP - _MARGIN

    def find(self, key: TaskKey) -> Task | None:
        """The task as it is now, if it is shown."""
        return self.state.tasks.get(key)

    def put(self, task: Task, **changes: Any) -> Task:
        """Replace fields of a task, in the state and in the indices."""
        self._puts += 1
        self.step.put_task(evolve(task, **changes))
        task = self.state.tasks[task.key]
        self.pool.note(task)
        return task

    def put_data(self, task: Task, **values: Any) -> Task:
        """Replace entries of a task's private data; None takes one away."""
        return self.put(task, data=merged(task.data, values))

    def set_due(self, task: Task, what: str, when: float | None) -> Task:
        """Have the clock do something to a task, or not."""
        dates = merged(task.data.get("due") or {}, {what: when})
        return self.put_data(task, due=dates or None)

    def put_needs(self, task: Task, needs: Needs | None = None, suicide: Needs | None = None) -> Task:
        """Write down which prerequisites hold."""
        data, detail = task.data, task.detail
        if needs is not None:
            data = {**data, "done": needs.dump()}
            detail = {**detail, "prerequisites": needs.refreshed(detail["prerequisites"])}
        if suicide is not None:
            data = {**data, "suicide": suicide.dump()}
        return self.put(task, data=data, detail=detail)

    def drop(self, task: Task) -> None:
        """Take a task out of the run's present."""
        self.pool.leave(task.key)
        self.pool.finished.pop(task.key, None)
        self.pool.facts.lost_submits = max(self.pool.facts.lost_submits, task.submit_num)
        self.step.prune_task(task.key)

    def emit(self, event_name: str, task: Task, **data: Any) -> None:
        """Say in the history what became of a task's current job; empty values are left out."""
        kept = {key: value for key, value in data.items() if value}
        self.step.emit(event_name, {"task": task_id(task), "submit_num": task.submit_num, **kept})

    def go_on_later(self) -> None:
        """Take up the rest in a step of its own."""
        run = self.state.run
        command = ContinueStep(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id)
        self.step.effect(Dispatch(run.run_id, command))


def task_id(task: Task) -> str:
    """`cycle/name`."""
    return f"{task.cycle}/{task.name}"


def merged(values: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with some entries replaced, and without those that are None."""
    return {key: value for key, value in {**values, **changes}.items() if value is not None}

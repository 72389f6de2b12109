"""How a run moves on: outputs spawn tasks, cycles are let in, ready tasks are submitted, the end is noticed.

Everything that can touch many tasks goes through `Pool.pending`, in portions of at most 500 tasks a step. What is left
is taken up by `ContinueStep`, which is sent once the step is on disk; after a crash, `recover` finds it in the run's data.
"""

import json
from collections.abc import Iterable
from typing import Any

from triplane.commands.system import ContinueStep
from triplane.effects import Dispatch, SubmitJob
from triplane.engines.base import MAX_TASKS_PER_STEP, RunState, Step
from triplane.engines.graph.job_settings import job_settings
from triplane.engines.graph.plan import Plan
from triplane.engines.graph.pool import BUSY_STATES, Pool
from triplane.entities import Task, TaskKey, evolve

QUEUE_LIMIT = 100
"""Tasks of a run that may be preparing, submitted or running at once, unless triggered by hand (Cylc's default queue)."""

RETAINED_TASKS = 1_000
"""Complete tasks that stay in the present view of a run; histories keep all."""

# Room for what one more portion may change besides the task it is about.
_MARGIN = 4


class Progress:
    """One step's work on one run's tasks."""

    def __init__(self, state: RunState, step: Step) -> None:
        self.state, self.step = state, step
        pool = state.private
        assert isinstance(pool, Pool)
        self.pool: Pool = pool
        self.plan: Plan = pool.plan

    @property
    def is_full(self) -> bool:
        """Whether this step has changed as many tasks as a step may."""
        changes = self.step.changes
        return len(changes.tasks) + len(changes.pruned) >= MAX_TASKS_PER_STEP - _MARGIN

    # ---- tasks -----------------------------------------------------------------------------------------------------

    def put(self, task: Task, **changes: Any) -> Task:
        """Replace fields of a task, in the state and in the indices."""
        self.step.put_task(evolve(task, **changes))
        task = self.state.tasks[task.key]
        self.pool.note(task)
        return task

    def spawn(self, name: str, point: int) -> Task | None:
        """The task at that point, made if need be; None where the graph has none there.

        A new one waits for older cycles at first: only when all spawning is done is it known which cycle is the oldest.
        """
        key = (str(point), name)
        existing = self.state.tasks.get(key)
        if existing is not None:
            return existing
        if not self.plan.has(name, point):
            return None
        prerequisites = []
        for condition in self.plan.conditions_at(name, point):
            upstream = condition.upstream_point(point, self.plan.definition.calendar)
            prerequisites.append(
                {
                    "task": f"{upstream}/{condition.task}",
                    "output": condition.output,
                    "satisfied": self._is_done(upstream, condition.task, condition.output),
                }
            )
        is_held = key in self.pool.future_holds
        self.pool.future_holds.pop(key, None)
        task = self.step.new_task(
            *key, "waiting", is_held=is_held, is_runahead=True, detail=self.plan.public_detail(name, prerequisites)
        )
        self.pool.note(task)
        return task

    def _is_done(self, point: int, name: str, output: str) -> bool:
        if self.plan.is_before_all(point) or (str(point), name, output) in self.pool.absolute:
            return True
        upstream = self.state.tasks.get((str(point), name))
        return upstream is not None and any(
            one["label"] == output and one["satisfied"] for one in upstream.detail["outputs"]
        )

    def _let_in(self, task: Task) -> Task:
        """End a task's waiting for older cycles; its next instance takes its place there."""
        point = int(task.cycle)
        if self.plan.is_parentless(task.name, point):
            self.pool.pending.append(["next", task.name, point])
        return self.put(task, is_runahead=False, is_queued=is_ready(evolve(task, is_runahead=False)))

    def queue_if_ready(self, task: Task) -> Task:
        """Put a task in the queue if nothing but its turn is missing."""
        if is_ready(task) and not task.is_queued:
            return self.put(task, is_queued=True)
        return task

    def complete_outputs(self, task: Task, labels: Iterable[str], **changes: Any) -> Task:
        """Mark outputs as done, with other changes of the task; what waits for them is spawned or told.

        An output that was done before has no second effect.
        """
        wanted = set(labels)
        fresh = [one["label"] for one in task.detail["outputs"] if one["label"] in wanted and not one["satisfied"]]
        outputs = [
            {**one, "satisfied": True, "time": self.step.now} if one["label"] in fresh else one
            for one in task.detail["outputs"]
        ]
        task = self.put(task, detail={**task.detail, "outputs": outputs}, **changes)
        self.pool.pending.extend(["output", task.cycle, task.name, label, 0] for label in fresh)
        return task

    # ---- moving on -------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do all that follows from what has changed, as far as this step may go, then look whether that is the end."""
        if not self._work_off():
            self._go_on_later()
            return
        self._submit_queued()
        self._prune()
        if self.is_full:
            self._go_on_later()
        else:
            self.settle()

    def _go_on_later(self) -> None:
        run = self.state.run
        self.step.effect(
            Dispatch(
                run.run_id,
                ContinueStep(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id),
            )
        )

    def _work_off(self) -> bool:
        """Whether all spawning is done; False where the step is full."""
        pending = self.pool.pending
        while True:
            while pending:
                if self.is_full:
                    return False
                item = pending.popleft()
                rest = self._portion(item)
                if rest is not None:
                    pending.appendleft(rest)
            limit = self.pool.limit_point()
            late = [point for point in self.pool.runahead if point <= limit]
            if not late:
                return True
            for key in list(self.pool.runahead[min(late)]):
                if self.is_full:
                    return False
                self._let_in(self.state.tasks[key])

    def _portion(self, item: list[Any]) -> list[Any] | None:
        """Do one piece of pending work; what is left of it, or None."""
        match item:
            case ["first", index]:
                names = self.plan.names
                point = self.plan.next_parentless(names[index], None)
                if point is not None:
                    self.spawn(names[index], point)
                return ["first", index + 1] if index + 1 < len(names) else None
            case ["next", name, point]:
                following = self.plan.next_parentless(name, point)
                if following is not None:
                    existed = (str(following), name) in self.state.tasks
                    self.spawn(name, following)
                    # One that was triggered early is in already; the sequence goes on behind it.
                    return ["next", name, following] if existed else None
                return None
            case ["output", cycle, name, label, index]:
                return self._tell_children(cycle, name, label, index)
            case ["hold", is_held, keys]:
                self._hold(keys.pop(), is_held)
                return item if keys else None
            case ["trigger", cycle, name]:
                self._trigger(cycle, name)
                return None
        raise ValueError(f"unknown pending work {item!r}")

    def _tell_children(self, cycle: str, name: str, label: str, index: int) -> list[Any] | None:
        point = int(cycle)
        children = self.plan.children(name, label, point)
        if index == 0:
            self._tell_absolute(cycle, name, label)
        for at in range(index, len(children)):
            if self.is_full:
                return ["output", cycle, name, label, at]
            child = self.spawn(*children[at])
            if child is not None:
                self._satisfy(child, f"{cycle}/{name}", label)
        return None

    def _tell_absolute(self, cycle: str, name: str, label: str) -> None:
        waiting = self.plan.waiting_for_point(name, label, int(cycle))
        if not waiting:
            return
        self.pool.absolute[(cycle, name, label)] = None
        for child, first in waiting.items():
            self.spawn(child, first)
        for key in [key for key in self.pool.active if key[1] in waiting]:
            self._satisfy(self.state.tasks[key], f"{cycle}/{name}", label)

    def _satisfy(self, task: Task, upstream: str, label: str) -> None:
        changed = False
        prerequisites = []
        for one in task.detail["prerequisites"]:
            if one["task"] == upstream and one["output"] == label and not one["satisfied"]:
                one = {**one, "satisfied": True}
                changed = True
            prerequisites.append(one)
        if changed:
            task = self.put(task, detail={**task.detail, "prerequisites": prerequisites})
        self.queue_if_ready(task)

    def hold(self, keys: list[TaskKey], is_held: bool) -> None:
        """Hold or release tasks that exist, over as many steps as it takes."""
        if keys:
            self.pool.pending.append(["hold", is_held, [list(key) for key in reversed(keys)]])

    def _hold(self, key: list[str], is_held: bool) -> None:
        task = self.state.tasks.get((key[0], key[1]))
        if task is None or task.is_held == is_held:
            return
        if is_held:
            self.put(task, is_held=True, is_queued=False)
        else:
            self.queue_if_ready(self.put(task, is_held=False))

    def _trigger(self, cycle: str, name: str) -> None:
        point = int(cycle)
        task = self.state.tasks.get((cycle, name))
        if task is None:
            task = self.spawn(name, point)
        elif task.is_runahead and self.plan.is_parentless(name, point):
            # It leaves its place in the sequence, which the next instance takes.
            self.pool.pending.append(["next", name, point])
        if task is None or task.state in BUSY_STATES:
            return
        self.pool.reactivate(task.key)
        task = self.put(task, state="waiting", is_runahead=False, data={**task.data, "by_hand": True})
        if self.state.run.stopping:
            self.put(task, is_queued=True)
        else:
            self.submit(task)

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def _submit_queued(self) -> None:
        run = self.state.run
        if run.paused or run.stopping:
            return
        while self.pool.queue and len(self.pool.busy) < QUEUE_LIMIT and not self.is_full:
            self.submit(self.state.tasks[next(iter(self.pool.queue))])

    def submit(self, task: Task) -> Task:
        """Begin a task's next job."""
        task = self.put(task, state="preparing", is_queued=False, is_runahead=False, submit_num=task.submit_num + 1)
        triggers = [one["task"] for one in task.detail["prerequisites"] if one["satisfied"]]
        self.step.emit(
            "JobPrepared",
            {
                "task": f"{task.cycle}/{task.name}",
                "submit_num": task.submit_num,
                "triggered_off": triggers,
                "flows": json.loads(task.flow_nums),
            },
        )
        self.step.effect(self.submission(task))
        return task

    def submission(self, task: Task) -> SubmitJob:
        """The effect that submits a task's current job; the same again after a restart."""
        definition, one = self.plan.definition, self.plan.task(task.name)
        spec = {
            "origin": self.pool.origin,
            "scripts": one.scripts,
            "environment": one.environment,
            "families": list(one.families),
            "flow_nums": task.flow_nums,
            "initial": str(definition.initial),
            "final": str(definition.final) if definition.final is not None else "",
            "utc_mode": definition.utc_mode,
            "source": self.state.detail.definition.get("source", {}),
            **job_settings(one.settings),
        }
        return SubmitJob(self.state.run.run_id, task.cycle, task.name, task.submit_num, one.platform, spec)

    # ---- the end ---------------------------------------------------------------------------------------------------

    def _prune(self) -> None:
        """Let the oldest complete tasks go, as long as nothing could spawn them a second time."""
        excess = len(self.pool.finished) - RETAINED_TASKS
        for key in list(self.pool.finished)[: max(0, excess)]:
            if self.is_full:
                return
            task = self.state.tasks[key]
            if task.data.get("by_hand") or not all(one["satisfied"] for one in task.detail["prerequisites"]):
                continue
            del self.pool.finished[key]
            self.step.prune_task(key)

    def settle(self) -> None:
        """Close the run if it is at its end, else say how it stands."""
        run, pool = self.state.run, self.pool
        if not run.is_open or pool.pending:
            return
        if run.stopping and not pool.busy:
            self.step.end("terminated" if run.stopping == "kill" else "cancelled", pool.stop_reason)
            return
        if not pool.active:
            self.step.end("completed", output={"tasks": self._final_states()})
            return
        message = self._standing()
        if message != run.status_message:
            if message.startswith("stalled") and not run.status_message.startswith("stalled"):
                self.step.emit("RunStalled", {"tasks": [f"{cycle}/{name}" for cycle, name in list(pool.active)[:100]]})
            self.step.set_run(status_message=message)

    def _final_states(self) -> dict[str, str]:
        return {f"{cycle}/{name}": task.state for (cycle, name), task in self.state.tasks.items()}

    def _standing(self) -> str:
        run, pool = self.state.run, self.pool
        if run.stopping == "kill":
            return "stopping: killing active jobs"
        if run.stopping:
            return "stopping: waiting for active jobs to complete"
        stalled = not pool.busy and not pool.queue and not any(
            is_ready(evolve(self.state.tasks[key], is_held=False)) for key in pool.active
        )
        if stalled:
            return "stalled and paused" if run.paused else "stalled"
        return "paused" if run.paused else "running"


def is_ready(task: Task) -> bool:
    """Whether a task waits for nothing but its turn."""
    return (
        task.state == "waiting"
        and not task.is_held
        and not task.is_runahead
        and all(one["satisfied"] for one in task.detail["prerequisites"])
    )

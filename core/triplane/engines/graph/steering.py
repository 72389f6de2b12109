"""Commands to a run and its tasks: pause, hold, trigger, set, remove, kill, stop."""

from collections.abc import Callable, Iterable
from typing import Any

from triplane.commands import ScheduleStop, StopMode
from triplane.commands.tasks import FlowCommand, RemoveTasks, SetTasks, TriggerTasks
from triplane.effects import KillJob
from triplane.engines.graph import flows, forcing, lives
from triplane.engines.graph.matching import match_active, match_inactive, nothing_matched, parse_pattern
from triplane.engines.graph.pool import BUSY_STATES
from triplane.engines.graph.progress import Progress
from triplane.engines.graph.submission import platform_of
from triplane.engines.graph.work import task_id
from triplane.entities import Task, TaskKey
from triplane.errors import Conflict, LimitReached, NothingMatched, RefusedInput

KILL_TIMER = "kill-deadline"
STOP_TIMER = "stop-at"
KILL_TIMEOUT_S = 60.0
"""How long a killed run waits for its jobs to be gone before it closes without their word."""

MAX_FUTURE_HOLDS = 10_000

_SHORT_NAMES = {
    "submit": "submitted", "submit-fail": "submit-failed", "start": "started", "succeed": "succeeded", "fail": "failed",
    "expire": "expired",
}  # fmt: skip


class Steering:
    """One step's command from outside."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step, self._state, self._pool = progress.step, progress.state, progress.pool

    def pause(self, paused: bool) -> None:
        """Pause or resume; a run that is so already stays as it is."""
        if self._state.run.paused != paused:
            self._step.set_run(paused=paused)
            self._step.emit("RunPaused" if paused else "RunResumed")

    # ---- holds -----------------------------------------------------------------------------------------------------

    def hold(self, globs: tuple[str, ...]) -> list[str]:
        """Hold active tasks, and remember those still to come that are named exactly."""
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        future = [key for key, task in match_inactive(self._state, self._pool, patterns).items() if task is None]
        if not active and not future:
            raise nothing_matched(globs)
        if len(self._pool.future_holds) + len(future) > MAX_FUTURE_HOLDS:
            raise LimitReached(f"more than {MAX_FUTURE_HOLDS} tasks still to come would be held")
        self._pool.future_holds.update(dict.fromkeys(future))
        self._progress.hold(list(active), is_held=True)
        return self._told("TasksHeld", [*active, *future])

    def release(self, globs: tuple[str, ...]) -> list[str]:
        """Release held tasks, and forget holds of tasks still to come."""
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        # Globs reach remembered holds too: `*` means everything that is held.
        future = [
            key
            for key in self._pool.future_holds
            if any(
                one.exact_in(self._pool.plan) == key or (one.cycle == "*" and one.name in (None, "*")) for one in patterns
            )
        ]
        if not active and not future:
            raise nothing_matched(globs)
        for key in future:
            del self._pool.future_holds[key]
        self._progress.hold(list(active), is_held=False)
        return self._told("TasksReleased", [*active, *future])

    def hold_after(self, point: str) -> None:
        """Hold all that is after a point, now and as it comes.

        Raises:
            RefusedInput: it is no cycle point.
        """
        self._pool.facts.hold_point = at = self._point(point)
        late = [key for key, place in self._pool.active.items() if place > at]
        self._progress.hold(late, is_held=True)
        self._step.emit("HoldPointSet", {"point": self._pool.plan.cycle(at)})

    def release_all(self) -> list[str]:
        """Release every task that is held, or would be, and forget the hold point."""
        held = [key for key in self._pool.active if self._state.tasks[key].is_held]
        self._pool.facts.hold_point = None
        self._pool.future_holds.clear()
        self._progress.hold(held, is_held=False)
        return self._told("TasksReleased", held)

    # ---- by force --------------------------------------------------------------------------------------------------

    def trigger(self, command: TriggerTasks) -> list[str]:
        """Run tasks now, whatever they wait for, though the run be paused; those with a job already are left alone."""
        flows.check(command.flow, command.flow_wait)
        patterns = [parse_pattern(glob) for glob in command.task_globs]
        active = match_active(self._state, self._pool, patterns)
        keys: list[TaskKey] = [key for key, task in active.items() if task.state not in BUSY_STATES or command.flow]
        keys.extend(match_inactive(self._state, self._pool, patterns))
        if not keys:
            raise nothing_matched(command.task_globs)
        numbers = self._flows_for(command, active)
        told = self._told("TasksTriggered", keys)
        forcing.trigger(self._progress, keys, numbers, command.flow_wait, command.on_resume)
        return told

    def _flows_for(self, command: FlowCommand, active: Iterable[TaskKey]) -> flows.Flows:
        if command.flow in ((), ("all",)):
            own = frozenset().union(*(flows.flows_of(self._state.tasks[key]) for key in active))
            if own:
                return own
        return forcing.flows_wanted(self._progress, command.flow, command.flow_description)

    def set_tasks(self, command: SetTasks) -> list[str]:
        """Let outputs count as given, or prerequisites as met.

        Raises:
            RefusedInput, NothingMatched.
        """
        flows.check(command.flow, command.flow_wait)
        if command.outputs and command.prerequisites:
            raise RefusedInput("Use --prerequisite or --output, not both.")
        patterns = [parse_pattern(glob) for glob in command.task_globs]
        active = match_active(self._state, self._pool, patterns)
        keys = [*active, *match_inactive(self._state, self._pool, patterns)]
        if not keys:
            raise nothing_matched(command.task_globs)
        work = [self._to_set(key, command) for key in keys]
        found = [one for one in work if one is not None]
        if not found:
            asked = ", ".join([*command.outputs, *command.prerequisites][:10])
            raise NothingMatched(f"none of the tasks has {asked}")
        numbers = sorted(forcing.flows_wanted(self._progress, command.flow, command.flow_description))
        told = self._told("TasksSet", [(one[1], one[2]) for one in found])
        self._pool.pending.extend([*one, numbers, command.flow_wait] for one in found)
        return told

    def _to_set(self, key: TaskKey, command: SetTasks) -> list[Any] | None:
        plan, (cycle, name) = self._pool.plan, key
        if command.prerequisites:
            wanted = self._prerequisites(key, command.prerequisites)
            return ["set_prerequisites", cycle, name, wanted] if wanted else None
        if "required" in command.outputs and len(command.outputs) > 1:
            raise RefusedInput("--output=required must be used alone")
        labels = [_SHORT_NAMES.get(one, one) for one in command.outputs if one != "required"]
        if "waiting" in labels:
            raise RefusedInput("Tasks cannot be set to waiting, use a new flow to re-run")
        outputs = plan.task(name).outputs
        by_message = {message: label for label, message in outputs.items()}
        known = [by_message.get(one, one) for one in labels if one in outputs or one in by_message or one == "skip"]
        return ["set_outputs", cycle, name, known] if known or not labels else None

    def _prerequisites(self, key: TaskKey, asked: tuple[str, ...]) -> list[list[str]]:
        """Those of the asked that the task has: `[cycle/name, output]` each, `[label]` for xtriggers, or `[["all"]]`."""
        plan = self._pool.plan
        if asked == ("all",):
            return [["all"]]
        needs, _ = plan.needs(key[1], plan.point(key[0]))
        there = set(needs.conditions)
        found: list[list[str]] = []
        for one in asked:
            task, _, output = one.partition(":")
            cycle, _, name = task.partition("/")
            if not name:
                raise RefusedInput(f"{one[:200]!r} is not a prerequisite: cycle/task[:output] is, or xtrigger/label, or all alone")
            if cycle == "xtrigger":
                found.append([name])
                continue
            wanted = (f"{self._canonical(cycle)}/{name}", _SHORT_NAMES.get(output, output) or "succeeded")
            if wanted in there:
                found.append(list(wanted))
        return found

    def remove(self, command: RemoveTasks) -> list[str]:
        """Take tasks out of the run, or out of some flows of it."""
        flows.check(command.flow, numbers_only=True)
        patterns = [parse_pattern(glob) for glob in command.task_globs]
        keys = list(match_active(self._state, self._pool, patterns))
        keys.extend(key for key, task in match_inactive(self._state, self._pool, patterns).items() if task is not None)
        if not keys:
            raise nothing_matched(command.task_globs)
        numbers = [int(one) for one in command.flow]
        told = self._told("TasksRemoved", keys)
        self._pool.pending.extend(["remove", *key, numbers] for key in keys)
        return told

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def kill(self, globs: tuple[str, ...]) -> list[str]:
        """Kill jobs of matching tasks that are submitted or running; those with tries left are held, so that none follows."""
        return self._jobs(globs, self._kill_and_hold)

    def poll(self, globs: tuple[str, ...]) -> list[str]:
        """Poll jobs of matching tasks that are submitted or running."""
        return self._jobs(globs, lambda task: lives.poll(self._progress, task))

    def kill_all(self) -> None:
        """Kill every job of the run."""
        for key in list(self._pool.busy):
            self._kill(self._state.tasks[key])

    def _jobs(self, globs: tuple[str, ...], act: Callable[[Task], None]) -> list[str]:
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        tasks = [task for task in active.values() if task.state in ("submitted", "running")]
        if not tasks:
            raise nothing_matched(globs)
        for task in tasks:
            act(task)
        return [task_id(task) for task in tasks]

    def _kill_and_hold(self, task: Task) -> None:
        if self._pool.plan.retry_delays(task.name, "execution"):
            task = self._progress.put(task, is_held=True)
        self._kill(task)

    def _kill(self, task: Task) -> None:
        job = self._state.jobs.get((*task.key, task.submit_num))
        if job is not None and job.platform in ("skip", "simulation"):
            lives.failed(self._progress, task, "TERM", self._step.now)
            return
        address = (*task.key, task.submit_num, platform_of(self._progress, task), job.job_id if job else "")
        self._step.effect(KillJob(self._state.run.run_id, *address))

    # ---- the end ---------------------------------------------------------------------------------------------------

    def stop(self, mode: StopMode, reason: str | None) -> None:
        """Begin to end the run; a gentler stop that is under way gives place to a harder one."""
        data: dict[str, Any] = {"mode": str(mode)}
        if reason:
            data["reason"] = reason
        self._step.emit("StopRequested", data)
        self._pool.facts.stop_reason = reason
        match mode:
            case StopMode.LEAVE:
                self._step.end("cancelled", "stopped")
            case StopMode.KILL:
                self._step.set_run(stopping="kill")
                self._step.set_timer(KILL_TIMER, self._step.now + KILL_TIMEOUT_S)
                self.kill_all()
            case StopMode.GRACEFUL if self._state.run.stopping != "kill":
                self._step.set_run(stopping="graceful")

    def stop_later(self, command: ScheduleStop) -> None:
        """Stop at a point, after a task, at a time; or let one flow end.

        Raises:
            RefusedInput: none or several of them, or what is no point or task of this run.
            Conflict: the run is past the point already.
        """
        given = {key: one for key in ("point", "task", "at", "flow") if (one := getattr(command, key)) is not None}
        if len(given) != 1:
            raise RefusedInput("a stop is scheduled by exactly one of point, task, at, flow")
        facts, plan = self._pool.facts, self._pool.plan
        if command.point is not None:
            at = self._point(command.point)
            newest = max((place for key, place in self._pool.active.items() if key in self._pool.busy), default=None)
            if newest is not None and at < newest:
                raise Conflict(f"the run is at {plan.cycle(newest)} already, after {plan.cycle(at)}")
            facts.stop_point = at
        elif command.task is not None:
            cycle, _, name = command.task.partition("/")
            if name not in plan.names:
                raise RefusedInput(f"the graph has no task {name[:200]!r}")
            facts.stop_task = f"{self._canonical(cycle)}/{name}"
        elif command.at is not None:
            self._step.set_timer(STOP_TIMER, command.at)
        elif command.flow is not None:
            keys = [list(key) for key in self._pool.active]
            self._pool.pending.append(["stop_flow", command.flow, keys[::-1]])
        self._step.emit("StopScheduled", {key: str(one) for key, one in given.items()})

    # ---- words -----------------------------------------------------------------------------------------------------

    def _point(self, text: str) -> int:
        try:
            return self._pool.plan.point(text)
        except ValueError as error:
            raise RefusedInput(str(error)) from error

    def _canonical(self, cycle: str) -> str:
        return self._pool.plan.cycle(self._point(cycle))

    def _told(self, event_name: str, keys: list[TaskKey]) -> list[str]:
        names = [f"{cycle}/{name}" for cycle, name in keys]
        # An event is one row: a hold of ten thousand tasks names the first of them and their number.
        data: dict[str, Any] = {"tasks": names[:500]}
        if len(names) > 500:
            data["count"] = len(names)
        self._step.emit(event_name, data)
        return names

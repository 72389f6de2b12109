"""The graph engine: which step follows which command. All work is done in the modules beside this one."""

from collections.abc import Mapping
from typing import Any, ClassVar

from triplane.commands import (
    HoldTasks,
    JobSubmitFailed,
    JobSubmitted,
    KillTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    RemoveTasks,
    ReportJob,
    ResumeRun,
    SetTasks,
    SignalRun,
    StartRun,
    StopRun,
    TriggerTasks,
)
from triplane.commands.base import Command, RunCommand
from triplane.commands.graphs import Broadcast, ReloadRun, ScheduleStop, SendExternalTrigger, SetHoldPoint
from triplane.commands.system import ContinueStep, DefinitionRead, FireTimer, XtriggerAnswered
from triplane.effects import KillJob
from triplane.engines.base import Preparation, RunState, Step
from triplane.engines.graph import broadcasts, lives, reloading, standing, steering, xtriggers
from triplane.engines.graph.chart import Chart
from triplane.engines.graph.definition.plain import from_plain
from triplane.engines.graph.events import GRAPH_EVENTS
from triplane.engines.graph.handlers import run_event
from triplane.engines.graph.origins import read_from
from triplane.engines.graph.plan import Plan
from triplane.engines.graph.pool import Pool, loaded
from triplane.engines.graph.progress import Progress
from triplane.engines.graph.reading import ReadDefinition
from triplane.engines.graph.reports import Reports
from triplane.engines.graph.submission import platform_of, run_mode
from triplane.engines.graph.triggers import SIMULATION, SKIP
from triplane.entities import RunDetail
from triplane.errors import CannotNow, Conflict, NotSupported, RefusedInput
from triplane.events import EventType


class GraphEngine:
    """Cycling tasks with dependencies, run as jobs on platforms."""

    name: ClassVar[str] = "graph"
    events: ClassVar[tuple[EventType, ...]] = (
        EventType(
            "JobPrepared",
            "A task's next job is about to be submitted.",
            {
                "task": "str: cycle/name",
                "submit_num": "int",
                "triggered_off": "list[str]: cycle/name of what it waited for",
                "flows": "list[int]",
            },
        ),
        *GRAPH_EVENTS,
        EventType("OutputCompleted", "A job gave one of its task's own outputs.", {"task": "str", "output": "str: label"}),
    )
    commands: ClassVar[tuple[type[Command], ...]] = ()
    keeps_history: ClassVar[bool] = False
    prepares: ClassVar[bool] = True

    # ---- beginnings ------------------------------------------------------------------------------------------------

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        """Find the definition and read it in a child process; a packed source directory is kept for the run's jobs.

        Raises:
            InvalidDefinition, DefinitionNotFound, TooLarge, NotSupported, RefusedInput.
        """
        source = start.source if start.source is not None else {"definition": start.workflow_type}
        return await read_from(source, start.settings, preparation)

    def start(self, state: RunState, start: StartRun, prepared: Mapping[str, Any], step: Step) -> None:
        """Spawn what waits for nothing."""
        definition: ReadDefinition = prepared["definition"]
        state.private = pool = Pool(definition.plan, state.run.run_id)
        pool.facts.mode = start.mode
        pool.facts.hold_point = definition.plan.definition.hold_after
        pool.facts.stop_point = definition.plan.definition.stop_after
        paused = bool(start.options.get("paused"))
        step.set_run(status="running", started=step.now, paused=paused)
        step.set_detail(definition={**definition.view, "graph": definition.plain, "source": prepared["source"]})
        step.emit("WorkflowStarted", {"workflow_type": start.workflow_type, "mode": start.mode})
        pool.pending.append(["first", 0, [1]])
        progress = Progress(state, step)
        standing.set_timeouts(progress)
        run_event(progress, "startup")
        progress.advance()

    def play(self, previous: RunState, state: RunState, step: Step) -> None:
        """Go on with the tasks of the run before, and look for the jobs it left.

        Raises:
            Conflict: nothing of it is left to do.
        """
        old = previous.private
        assert isinstance(old, Pool)
        if not old.active and not old.pending:
            raise Conflict(f"workflow {previous.run.workflow_id!r} is complete; there is nothing to go on with")
        pool = Pool(old.plan, old.origin)
        pool.take_over(old.dump())
        pool.facts.stop_reason = None
        state.private = pool
        step.set_run(status="running", started=step.now)
        step.set_detail(definition=previous.detail.definition)
        step.emit("WorkflowStarted", {"workflow_type": state.run.workflow_type, "mode": pool.facts.mode, "continues": previous.run.run_id})
        for task in previous.tasks.values():
            step.put_task(task)
        for job in previous.jobs.values():
            step.put_job(job)
        pool.take_in(state.tasks.values())
        progress = Progress(state, step)
        standing.set_timeouts(progress)
        self._find_jobs(progress)
        progress.advance()

    # ---- commands --------------------------------------------------------------------------------------------------

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        """Apply a command; see `Steering` and `Reports` for what each does."""
        progress = Progress(state, step)
        reply = self._apply(progress, command)
        if step.dirty or isinstance(command, (ContinueStep, FireTimer)):
            progress.advance()
        if isinstance(command, StopRun):
            reply = {**self._address(state), "status": state.run.status}
        return reply

    def _apply(self, progress: Progress, command: RunCommand) -> Any:
        steered, reports = steering.Steering(progress), Reports(progress)
        match command:
            case ReportJob():
                reports.report(command)
                return {"queued": len(command.messages)}
            case JobSubmitted():
                reports.submitted(command)
            case JobSubmitFailed():
                reports.submit_failed(command)
            case PauseRun() | ResumeRun():
                return self._pause(progress, isinstance(command, PauseRun))
            case SignalRun(signal_name="pause" | "resume" as signal):
                self._pause(progress, signal == "pause")
                return {**self._address(progress.state), "signal_id": str(progress.state.run.history_length)}
            case StopRun(mode=mode, reason=reason):
                steered.stop(mode, reason)
            case HoldTasks(task_globs=globs):
                return steered.hold(globs)
            case ReleaseTasks(forget_hold_point=True):
                return steered.release_all()
            case ReleaseTasks(task_globs=globs):
                return steered.release(globs)
            case TriggerTasks():
                return steered.trigger(command)
            case SetTasks():
                return steered.set_tasks(command)
            case RemoveTasks():
                return steered.remove(command)
            case SetHoldPoint(point=point):
                steered.hold_after(point)
            case ScheduleStop():
                steered.stop_later(command)
            case Broadcast():
                return self._broadcast(progress, command)
            case SendExternalTrigger(message=message, trigger_id=trigger_id):
                xtriggers.external(progress, message, trigger_id)
            case XtriggerAnswered(signature=signature, results=results):
                xtriggers.answered(progress, signature, results)
            case ReloadRun(source=source):
                reloading.ask(progress, source)
            case DefinitionRead():
                reloading.take_in(progress, command)
            case KillTasks(task_globs=globs):
                return steered.kill(globs)
            case PollTasks(task_globs=globs):
                return steered.poll(globs)
            case FireTimer(timer_id=timer_id):
                self._timer(progress, timer_id)
            case ContinueStep():
                return None
            case _:
                raise NotSupported(f"graph runs have no {command.name}")
        return None

    def _pause(self, progress: Progress, paused: bool) -> dict[str, Any]:
        steering.Steering(progress).pause(paused)
        return {**self._address(progress.state), "paused": paused}

    def _timer(self, progress: Progress, timer_id: str) -> None:
        progress.step.clear_timer(timer_id)
        match timer_id:
            case steering.KILL_TIMER if progress.state.run.stopping == "kill":
                # Jobs that cannot be reached must not keep the run open for ever.
                progress.step.end("terminated", progress.pool.facts.stop_reason)
            case steering.STOP_TIMER:
                progress.step.set_run(stopping=progress.state.run.stopping or "graceful")
            case standing.STALL_TIMER | standing.INACTIVITY_TIMER | standing.WORKFLOW_TIMER:
                standing.timed_out(progress, timer_id)

    @staticmethod
    def _broadcast(progress: Progress, command: Broadcast) -> dict[str, Any]:
        match command.mode:
            case "set":
                return broadcasts.put(progress, command.cycles, command.namespaces, command.settings)
            case "clear":
                return broadcasts.clear(progress, command.cycles, command.namespaces, command.settings)
        try:
            cutoff = progress.plan.point(command.cutoff) if command.cutoff is not None else None
        except ValueError as error:
            raise RefusedInput(str(error)) from error
        return broadcasts.expire(progress, cutoff)

    @staticmethod
    def _address(state: RunState) -> dict[str, Any]:
        return {"workflow_id": state.run.workflow_id, "run_id": state.run.run_id}

    # ---- restarts --------------------------------------------------------------------------------------------------

    def dump(self, state: RunState) -> Mapping[str, Any]:
        """What cannot be rebuilt from the tasks."""
        pool: Pool = state.private
        return pool.dump()

    def load(self, state: RunState) -> None:
        """Rebuild the pool."""
        state.private = loaded(state)

    def chart(self, detail: RunDetail, state: RunState | None) -> Chart:
        """The graph of a run's definition."""
        if state is not None:
            pool: Pool = state.private
            return Chart(pool.plan, pool.facts)
        try:
            return Chart(Plan(from_plain(detail.definition["graph"])))
        except (KeyError, TypeError, ValueError) as error:
            raise CannotNow(f"the stored definition cannot be read: {error}") from error

    def recover(self, state: RunState, step: Step) -> None:
        """Submit again what was being submitted, look for jobs, and go on where a step was cut off."""
        progress = Progress(state, step)
        self._find_jobs(progress)
        progress.advance()

    @staticmethod
    def _find_jobs(progress: Progress) -> None:
        state, step, pool = progress.state, progress.step, progress.pool
        for key in pool.busy:
            task = state.tasks[key]
            if run_mode(progress, task) in (SKIP, SIMULATION):
                if task.state == "preparing":
                    pool.pending.append(["imagined", *key, task.submit_num])
                continue
            if task.state == "preparing":
                step.effect(progress.submission(task))
            if state.run.stopping == "kill":
                job = state.jobs.get((*key, task.submit_num))
                address = (*key, task.submit_num, platform_of(progress, task), job.job_id if job else "")
                step.effect(KillJob(state.run.run_id, *address))
            elif task.state != "preparing":
                lives.poll(progress, task)
        reloading.go_on(progress)


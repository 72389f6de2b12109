"""`SimulationEngine`: load, then step after step, each gated by pauses, holds and the pace."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from triplane.commands import (
    DeregisterTables,
    HoldTasks,
    KillTasks,
    PauseRun,
    RegisterTables,
    ReleaseTasks,
    ResumeRun,
    ScheduleStop,
    SetHoldPoint,
    SetRepeatingActions,
    SignalRun,
    StartRun,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.commands.base import Command, RunCommand
from triplane.commands.system import ContinueStep, FireTimer, ModelFailed, ModelRecorded, ModelStarted, ModelStepped
from triplane.effects import StartModel, StepModel, StopModel
from triplane.engines.base import Preparation, RunState, Step
from triplane.engines.meanings import refusal
from triplane.engines.simulation import actions, deadlines, later, steering
from triplane.engines.simulation.reading import read_start
from triplane.engines.simulation.seen import dump_steps, load_steps
from triplane.engines.simulation.settings import SimulationSettings
from triplane.engines.simulation.state import STEP_NAME, Progress, name_of, progress_of
from triplane.entities import Job, Run, Task
from triplane.errors import CannotNow, NotSupported, RefusedInput
from triplane.events import EventType
from triplane.models.interface import MAX_TABLES

NEXT_STEP = "next-step"
"""The timer of the pace."""


class SimulationEngine:
    """One object for all simulations; what belongs to a run is in its `Progress`."""

    name: ClassVar[str] = "simulation"
    config_model: ClassVar[type[BaseModel]] = SimulationSettings
    events: ClassVar[tuple[EventType, ...]] = (
        EventType("WorkflowStarted", "The run was accepted.", {"workflow_type": "str: what was started", "model": "str"}),
        EventType("SimulationLoaded", "The model has read its input.", {"steps": "int: of the whole run", "rows": "map: table → int"}),
        EventType("StepCompleted", "A time step was computed and its rows are stored.", {"step": "int", "rows": "map: table → int"}),
        EventType("RegistrySet", "Tables were registered or deregistered.", {"tables": "list[str]", "all": "bool: nothing is registered"}),
        EventType("TasksKilled", "The model's process was ended in the middle of a step.", {"tasks": "list[str]: cycle/name"}),
        EventType("HoldPointSet", "Steps after a point are held.", {"point": "str"}),
        EventType("StopScheduled", "The run is to stop later.", {"point": "str", "task": "str", "at": "str"}),
        EventType("RepeatingActionsSet", "What is announced after every step was replaced.", {"actions": "list[[str, map]]"}),
        EventType(
            "ModelRestarted", "The model's process was lost; another one goes on from the last checkpoint.",
            {"message": "str", "restarts": "int: so far", "step": "int: the last one recorded"},
        ),
        EventType("WorkflowTimedOut", "A deadline of the run passed.", {"timeout_kind": "str: run_timeout or execution_timeout"}),
        EventType("WorkflowCompleted", "All steps are done.", {"output": "map: the model's result"}),
        EventType("WorkflowFailed", "The model failed or was lost.", {"message": "str", "reason": "str: model_failed or interrupted"}),
        EventType("WorkflowCancelled", "The run was stopped after the step it was at.", {"reason": "str"}),
        EventType("WorkflowTerminated", "The run was ended at once.", {"reason": "str"}),
    )  # fmt: skip
    commands: ClassVar[tuple[type[Command], ...]] = ()
    keeps_history: ClassVar[bool] = False
    prepares: ClassVar[bool] = True

    def __init__(self) -> None:
        self.settings = SimulationSettings()

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        """Find the model and its input; see `read_start`."""
        _repeating_of(start.options)
        deadlines.check(start.options)
        prepared = await read_start(start, preparation.definition_directories, self.settings)
        # The input is kept with the run and sent to its child process.
        actions.check_storable(prepared["input"], "the input")
        return prepared

    def start(self, state: RunState, start: StartRun, prepared: Mapping[str, Any], step: Step) -> None:
        options = {
            **state.detail.options,
            "model": prepared["model"],
            "model_code": prepared.get("code", ""),
            "model_input": prepared["input"],
            "model_title": prepared["title"],
            "repeating_actions": _repeating_of(start.options),
        }
        self._begin(state, options, step)

    def play(self, previous: RunState, state: RunState, step: Step) -> None:
        """Start again from the same input: a model's process cannot be continued once its run is closed."""
        kept = {name: value for name, value in previous.detail.options.items() if name not in ("faces", "paused")}
        self._begin(state, kept, step)

    def _begin(self, state: RunState, options: dict[str, Any], step: Step) -> None:
        state.private = Progress()
        step.set_run(status="running", started=step.now, status_message="loading", paused=bool(options.get("paused")))
        title = options["model_title"]
        tasks = {STEP_NAME: {"families": [], "title": "one time step"}}
        step.set_detail(options=options, definition={"title": title, "description": f"a simulation by {options['model']}", "tasks": tasks})
        step.emit("WorkflowStarted", {"workflow_type": state.run.workflow_type, "model": options["model"]})
        deadlines.watch(state, step)
        self._start_model(state, step, -1)

    def _start_model(self, state: RunState, step: Step, resume_step: int) -> None:
        options = state.detail.options
        code = options.get("model_code", "")
        step.effect(StartModel(state.run.run_id, options["model"], options["model_input"], resume_step, code))

    # ---- commands --------------------------------------------------------------------------------------------------

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        match command:
            case ModelStepped():
                return self._stepped(state, command, step)
            case ModelStarted():
                return self._loaded(state, command, step)
            case ModelRecorded(tables=tables):
                return self._recorded(state, step, tables)
            case ModelFailed(reason=reason, lost=True):
                return self._lost(state, step, reason)
            case ModelFailed(reason=reason):
                return self._failed(state, step, reason, "model_failed")
            case FireTimer(timer_id=timer_id):
                step.clear_timer(timer_id)
                if timer_id == deadlines.TIMER:
                    return self._overdue(state, step)
                if timer_id == later.STOP_TIMER:
                    return self._stop(state, StopRun(workflow_id=state.run.workflow_id), step)
                if timer_id == NEXT_STEP:
                    progress_of(state).due = 0.0
                    return self._advance(state, step)
                return None
            case PauseRun() | ResumeRun():
                return {**_address(state), "paused": self._pause(state, step, isinstance(command, PauseRun))}
            case SignalRun(signal_name="pause" | "resume" as signal):
                self._pause(state, step, signal == "pause")
                return {**_address(state), "signal_id": str(state.run.history_length)}
            case StopRun():
                self._stop(state, command, step)
                return {**_address(state), "status": state.run.status}
            case RegisterTables(tables=tables):
                return actions.register(step, tables)
            case DeregisterTables(tables=tables):
                return actions.deregister(step, tables)
            case SetRepeatingActions(actions=repeating):
                return actions.set_repeating(step, repeating)
            case _ if (refused := refusal(self.name, command)) is not None:
                raise refused
            case HoldTasks(task_globs=globs):
                return self._then_advance(state, step, steering.hold(state, step, globs))
            case ReleaseTasks(task_globs=globs, forget_hold_point=forgets):
                return self._then_advance(state, step, steering.release(state, step, globs, forgets))
            case SetHoldPoint(point=point):
                later.hold_after(state, step, point)
                return self._advance(state, step)
            case TriggerTasks(task_globs=globs, on_resume=on_resume):
                return self._trigger(state, step, globs, on_resume and state.run.paused)
            case KillTasks(task_globs=globs):
                return self._kill(state, step, globs)
            case ScheduleStop():
                return later.stop_later(state, step, command)
            case ContinueStep():
                return None
        raise NotSupported(f"a simulation has no {command.name.replace('_', ' ')}; its steps can be held, released, triggered and killed")

    def _then_advance(self, state: RunState, step: Step, reply: list[str]) -> list[str]:
        self._advance(state, step)
        return reply

    # ---- the model -------------------------------------------------------------------------------------------------

    def _loaded(self, state: RunState, command: ModelStarted, step: Step) -> None:
        progress = progress_of(state)
        if progress.ready:
            return
        progress.pid = int(command.info.get("pid", 0))
        if progress.loaded:
            progress.ready = True
            if progress.computing:
                steering.show_moved(state, step, progress.computing)
                step.effect(StepModel(state.run.run_id, progress.computing))
                return
        else:
            problem = _columns_problem(state, command.tables)
            if problem is not None:
                return self._failed(state, step, problem, "model_failed")
            progress.loaded = progress.ready = True
            progress.steps = command.steps
            progress.pace_s = max(0.0, float(command.info.get("pace_s", 0.0)))
            progress.checkpoints = bool(command.info.get("checkpoints"))
            rows = _append(step, command.tables)
            step.set_run(status_message=_progress_message(state))
            step.emit("SimulationLoaded", {"steps": command.steps, "rows": rows})
        self._advance(state, step)

    def _stepped(self, state: RunState, command: ModelStepped, step: Step) -> None:
        progress = progress_of(state)
        if command.step != progress.computing or not progress.ready:
            # Said twice, or by a process that is gone: whoever took its place will say it.
            return
        problem = _columns_problem(state, command.tables)
        if problem is not None:
            return self._failed(state, step, problem, "model_failed")
        progress.step, progress.computing = command.step, 0
        rows = _append(step, command.tables)
        if command.checkpoint is not None:
            step.set_checkpoint(command.checkpoint)
        step.emit("StepCompleted", {"step": command.step, "rows": rows})
        steering.show_ended(state, step, command.step, "succeeded")
        repeating = state.detail.options.get("repeating_actions", [])
        delay = progress.pace_s + actions.delay_of(repeating)
        progress.due = step.now + delay if delay > 0 else 0.0
        if command.finished:
            output = dict(command.summary or {})
            step.emit("WorkflowCompleted", {"output": output})
            step.effect(StopModel(state.run.run_id))
            step.close("completed", output=output)
        elif state.run.stopping is not None or 0 < progress.stop_after <= command.step:
            self._cancelled(state, step)
        else:
            if actions.pauses(repeating) and not state.run.paused:
                step.set_run(paused=True)
                step.emit("RunPaused")
            step.set_run(status_message=_progress_message(state))
            self._advance(state, step)

    def _recorded(self, state: RunState, step: Step, tables: Sequence[Mapping[str, Any]]) -> None:
        problem = _columns_problem(state, tables)
        if problem is not None:
            return self._failed(state, step, problem, "model_failed")
        _append(step, tables)

    def _lost(self, state: RunState, step: Step, reason: str) -> None:
        """The model's process is gone: take the model up again in another one, so long as that can lead anywhere."""
        progress = progress_of(state)
        if progress.loaded and not progress.checkpoints:
            return self._interrupted(state, step, reason)
        if progress.restarts >= self.settings.max_restarts:
            often = f"; it was lost {progress.restarts} times before (engines.simulation.max_restarts)" if progress.restarts else ""
            return self._failed(state, step, reason + often, "model_failed")
        progress.restarts += 1
        progress.ready = False
        step.emit("ModelRestarted", {"message": reason, "restarts": progress.restarts, "step": progress.step})
        self._start_model(state, step, progress.step if progress.loaded else -1)

    def _interrupted(self, state: RunState, step: Step, reason: str) -> None:
        progress = progress_of(state)
        where = f"interrupted after step {progress.step} of {progress.steps}"
        self._failed(state, step, f"{where}: {reason}; the model offers no checkpoints; start it again", "interrupted")

    def _overdue(self, state: RunState, step: Step) -> None:
        """A deadline of the run may be over: end it, as a durable run is ended."""
        kind = deadlines.over(state, step.now)
        if kind is None:
            return deadlines.watch(state, step)
        progress = progress_of(state)
        if progress.computing:
            steering.show_ended(state, step, progress.computing, "failed")
        message = f"the simulation's {kind} timeout is over"
        step.emit("WorkflowTimedOut", {"timeout_kind": f"{kind}_timeout", "message": message, **_loading(progress)})
        step.effect(StopModel(state.run.run_id))
        step.close("failed", reason="timed_out")
        step.set_run(status_message=message)

    def _failed(self, state: RunState, step: Step, reason: str, word: str) -> None:
        progress = progress_of(state)
        if progress.computing:
            steering.show_ended(state, step, progress.computing, "failed")
            progress.computing = 0
        step.emit("WorkflowFailed", {"message": reason, "reason": word, **_loading(progress)})
        step.effect(StopModel(state.run.run_id))
        step.close("failed", reason=word)
        step.set_run(status_message=reason[:500])

    def _advance(self, state: RunState, step: Step) -> None:
        """Begin the next step if nothing keeps it back; else show it as waiting."""
        progress = progress_of(state)
        if not progress.loaded or progress.computing:
            return
        number = progress.step + 1
        later.hold_if_after(progress, number)
        if state.run.paused or number in progress.held or not progress.ready:
            steering.show_waiting(state, step, number)
        elif progress.due > step.now:
            steering.show_waiting(state, step, number)
            if NEXT_STEP not in state.timers:
                step.set_timer(NEXT_STEP, progress.due, durable=False)
        else:
            self._compute(state, step, number)

    def _compute(self, state: RunState, step: Step, number: int) -> None:
        progress = progress_of(state)
        progress.computing = number
        step.clear_timer(NEXT_STEP)
        steering.show_begun(state, step, number)
        repeating = state.detail.options.get("repeating_actions", [])
        is_free = not (state.run.paused or progress.held or progress.pace_s or state.run.stopping) and not actions.delay_of(repeating)
        step.effect(StepModel(state.run.run_id, number, actions.read_tables(repeating), is_free))

    # ---- steering --------------------------------------------------------------------------------------------------

    def _pause(self, state: RunState, step: Step, paused: bool) -> bool:
        if state.run.paused != paused:
            step.set_run(paused=paused)
            step.set_run(status_message=_progress_message(state))
            step.emit("RunPaused" if paused else "RunResumed")
            self._advance(state, step)
        return paused

    def _trigger(self, state: RunState, step: Step, globs: Sequence[str], later: bool) -> list[str]:
        progress = progress_of(state)
        number = progress.next_step
        if not any(steering.matches(glob, number, "waiting") for glob in globs):
            raise steering.nothing_to_trigger(state, globs)
        if not later and (not progress.ready or progress.computing):
            raise CannotNow("the step before it is not done yet, or the model is loading; try again")
        progress.held.discard(number)
        progress.let_go = max(progress.let_go, number)
        step.emit("TasksTriggered", {"tasks": [name_of(number)]})
        if later:
            self._advance(state, step)
        else:
            self._compute(state, step, number)
        return [name_of(number)]

    def _kill(self, state: RunState, step: Step, globs: Sequence[str]) -> list[str]:
        """End the model's process in the middle of a step: the step waits to be computed anew by another one."""
        progress = progress_of(state)
        number = progress.computing
        if not number or not any(steering.matches(glob, number, "running") for glob in globs):
            raise steering.nothing_to_kill(state, globs)
        step.emit("TasksKilled", {"tasks": [name_of(number)]})
        if not progress.checkpoints:
            self._interrupted(state, step, "its process was killed")
            return [name_of(number)]
        steering.show_killed(state, step, number)
        progress.computing, progress.ready = 0, False
        progress.held.add(number)
        self._start_model(state, step, progress.step)
        return [name_of(number)]

    def _stop(self, state: RunState, command: StopRun, step: Step) -> None:
        progress = progress_of(state)
        graceful = command.mode is StopMode.GRACEFUL
        if graceful and state.run.stopping is not None:
            return
        step.emit("StopRequested", {"mode": command.mode.value, **({"reason": command.reason} if command.reason else {})})
        progress.stop_reason = command.reason
        if graceful and progress.computing and progress.ready:
            step.set_run(stopping="graceful", status_message=f"stopping: waiting for step {progress.computing}")
        elif graceful:
            self._cancelled(state, step)
        else:
            if progress.computing:
                steering.show_ended(state, step, progress.computing, "failed")
            step.emit("WorkflowTerminated", {**_reason(command.reason), **_loading(progress)})
            step.effect(StopModel(state.run.run_id))
            step.close("terminated", reason=command.reason)

    def _cancelled(self, state: RunState, step: Step) -> None:
        progress = progress_of(state)
        reason = progress.stop_reason
        step.emit("WorkflowCancelled", {**_reason(reason), **_loading(progress)})
        step.effect(StopModel(state.run.run_id))
        step.close("cancelled", reason=reason)

    # ---- restarts --------------------------------------------------------------------------------------------------

    def dump(self, state: RunState) -> Mapping[str, Any]:
        return {**progress_of(state).dump(), "seen": dump_steps(state.tasks, state.jobs)}

    def load(self, state: RunState) -> None:
        state.private = Progress.of(state.run.data)

    def rebuild_tasks(self, run: Run) -> tuple[list[Task], list[Job]] | None:
        seen = run.data.get("seen")
        return load_steps(seen) if seen is not None else None

    def recover(self, state: RunState, step: Step) -> None:
        """Take the model up again from its checkpoint; without one the run ends, for what its process knew is lost."""
        progress = progress_of(state)
        progress.ready = False
        deadlines.watch(state, step)
        if progress.loaded and not progress.checkpoints:
            if state.run.stopping is not None:
                return self._cancelled(state, step)
            return self._interrupted(state, step, "the gateway stopped")
        step.emit("RunRestarted")
        self._start_model(state, step, progress.step if progress.loaded else -1)


def _address(state: RunState) -> dict[str, Any]:
    return {"workflow_id": state.run.workflow_id, "run_id": state.run.run_id}


def _reason(reason: str | None) -> dict[str, Any]:
    return {"reason": reason} if reason else {}


def _loading(progress: Progress) -> dict[str, Any]:
    """For those who wait for the load: that it will never be done."""
    return {} if progress.loaded else {"loaded": False}


def _progress_message(state: RunState) -> str:
    progress = progress_of(state)
    if not progress.loaded:
        return "loading"
    where = f"step {progress.step} of {progress.steps}"
    return f"paused after {where}" if state.run.paused else where


def _append(step: Step, tables: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    for table in tables:
        step.append_rows(table["table"], table["columns"], table["rows"])
    return {table["table"]: len(table["rows"]) for table in tables}


def _columns_problem(state: RunState, tables: Sequence[Mapping[str, Any]]) -> str | None:
    """Why these rows cannot be appended, if so: every append to a table has the same columns, and tables are not endlessly many."""
    if len(state.tables) + len(tables) > MAX_TABLES and len({*state.tables, *(table["table"] for table in tables)}) > MAX_TABLES:
        return f"the model has more than {MAX_TABLES} tables"
    for table in tables:
        known = state.tables.get(table["table"])
        if known is not None and known.columns != tuple((name, kind) for name, kind in table["columns"]):
            return f"the model changed the columns of table {table['table']}"
    return None


def _repeating_of(options: Mapping[str, Any]) -> actions.Actions:
    """The repeating actions that a start asks for.

    Raises:
        RefusedInput: not a list of at most 100 (name, object) pairs, or a senseless sleep.
    """
    given = options.get("repeating_actions", [])
    if not isinstance(given, list) or len(given) > 100:
        raise RefusedInput("options.repeating_actions: must be a list of at most 100 [name, params] pairs")
    for action in given:
        if not isinstance(action, list) or len(action) != 2 or not isinstance(action[0], str) or not isinstance(action[1], dict):
            raise RefusedInput("options.repeating_actions: each must be a pair of a name and an object")
    actions.check_storable(given, "options.repeating_actions")
    actions.delay_of(given)
    return given

"""A toy engine for tests of the core: a run counts the signals it gets, and does on request what engines do."""

from collections.abc import Mapping
from typing import Any, ClassVar

from triplane.commands import FireTimer, HoldTasks, PauseRun, ResumeRun, SignalRun, StartRun, StopRun
from triplane.commands.base import Command, RunCommand
from triplane.commands.system import ContinueStep
from triplane.effects import Dispatch, Effect, Resolve
from triplane.engines.base import Preparation, RunState, Step
from triplane.errors import InvalidDefinition, NotSupported, RefusedInput
from triplane.events import EventType


class CountingEngine:
    """Signals: `add` counts; `task`, `timer`, `rows`, `tell`, `again`, `close`, `refuse`, `crash` as they say."""

    name: ClassVar[str] = "counting"
    events: ClassVar[tuple[EventType, ...]] = ()
    commands: ClassVar[tuple[type[Command], ...]] = ()
    keeps_history: ClassVar[bool] = False
    prepares: ClassVar[bool] = False

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        return {}

    def start(self, state: RunState, start: StartRun, prepared: Mapping[str, Any], step: Step) -> None:
        state.private = {"count": 0, **prepared}
        step.set_run(status="running", started=step.now)
        step.emit("RunStarted", {"workflow_type": start.workflow_type})

    def play(self, previous: RunState, state: RunState, step: Step) -> None:
        state.private = dict(previous.private)
        step.set_run(status="running")
        step.emit("RunStarted", {"continued": previous.run.run_id})

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        match command:
            case SignalRun(signal_name=name, arguments=arguments):
                return self._signal(state, name, arguments, step)
            case PauseRun() | ResumeRun():
                paused = isinstance(command, PauseRun)
                step.set_run(paused=paused)
                step.emit("RunPaused" if paused else "RunResumed")
                return {"paused": paused}
            case HoldTasks(task_globs=globs):
                for key in [k for k in state.tasks if "/".join(k) in globs]:
                    step.put_task(state.tasks[key])
                return list(globs)
            case FireTimer(timer_id=timer_id):
                if timer_id in state.timers:
                    step.clear_timer(timer_id)
                    step.emit("TimerFired", {"timer_id": timer_id})
                return None
            case ContinueStep(token=token):
                step.emit("Continued", dict(token))
                if token["left"]:
                    step.follow_with(_continue(state, token["left"] - 1))
                return None
            case StopRun():
                step.emit("RunStopped")
                step.close("cancelled")
                return {"status": "cancelled"}
        raise NotSupported(f"a counting run has no {command.name}")

    def _signal(self, state: RunState, name: str, arguments: Any, step: Step) -> Any:
        if name == "add":
            state.private["count"] += 1
            step.emit("Added", {"count": state.private["count"], "with": arguments})
            return {"count": state.private["count"]}
        if name == "task":
            step.new_task("1", arguments, "waiting")
            step.new_job("1", arguments, 1, "submitted")
        elif name == "timer":
            step.set_timer(arguments["id"], step.now + arguments["in"])
        elif name == "rows":
            step.append_rows("Numbers", (("n", "int"),), [(n,) for n in range(arguments)])
        elif name == "tell":
            run = state.run
            other = SignalRun(workflow_id=arguments, signal_name="add", request_id=f"{run.run_id}-{run.history_length}")
            step.emit("Told")
            step.effect(Dispatch(run.run_id, other))
            step.effect(Resolve(run.run_id, "told", arguments))
        elif name == "trip":
            step.emit("Tripped")
            run = state.run
            step.follow_with(SignalRun(workflow_id=run.workflow_id, run_id=run.run_id, signal_name="refuse"))
        elif name == "again":
            step.follow_with(_continue(state, arguments))
        elif name == "refuse":
            raise RefusedInput("as asked")
        elif name == "refuse_late":
            step.emit("Added", {})
            raise RefusedInput("too late to refuse")
        elif name == "crash":
            raise ZeroDivisionError("as asked")
        return {}

    def dump(self, state: RunState) -> Mapping[str, Any]:
        return dict(state.private)

    def load(self, state: RunState) -> None:
        state.private = dict(state.run.data)

    def recover(self, state: RunState, step: Step) -> None:
        step.effect(Resolve(state.run.run_id, "recovered", state.private["count"]))


class PreparingEngine(CountingEngine):
    """The same, reading its definition first."""

    name: ClassVar[str] = "preparing"
    prepares: ClassVar[bool] = True

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        if start.workflow_type == "broken":
            raise InvalidDefinition("line 3: not a definition", line=3)
        return {"prepared_for": preparation.run_id}


class Listening:
    """A service that remembers what effects it was given."""

    name: ClassVar[str] = "listening"
    commands: ClassVar[tuple[type[Command], ...]] = ()
    effects: ClassVar[tuple[type[Effect], ...]] = (Resolve,)

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def start(self, bus: Any) -> None:
        self.bus = bus

    def handle(self, command: Command, caller: Any) -> Any:
        raise AssertionError("it has no commands")

    def carry_out(self, effects: Any) -> None:
        self.heard.extend(effects)

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...


def _continue(state: RunState, left: int) -> ContinueStep:
    run = state.run
    return ContinueStep(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, token={"left": left})

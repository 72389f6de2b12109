"""An engine whose runs do nothing by themselves: what changes in a test is what the test changed."""

from collections.abc import Mapping
from typing import Any, ClassVar

from triplane.commands import HoldTasks, PauseRun, ReleaseTasks, ResumeRun, SignalRun, StopMode, StopRun
from triplane.commands.base import Command, RunCommand
from triplane.commands.runs import StartRun
from triplane.engines.base import Preparation, RunState, Step
from triplane.entities import evolve
from triplane.errors import NotSupported
from triplane.events import EventType


class StillEngine:
    """Three tasks that wait, and can be held; a run that can be paused and stopped, and keeps the signals it is sent."""

    name: ClassVar[str] = "still"
    events: ClassVar[tuple[EventType, ...]] = (EventType("SignalReceived", "A signal came in.", {"signal_name": "str"}),)
    commands: ClassVar[tuple[type[Command], ...]] = ()
    keeps_history: ClassVar[bool] = False
    prepares: ClassVar[bool] = False

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        return {}

    def start(self, state: RunState, start: StartRun, prepared: Mapping[str, Any], step: Step) -> None:
        step.set_run(status="running", started=step.now)
        step.emit("RunStarted", {"workflow_type": start.workflow_type, "mode": start.mode})
        for name in ("a", "b", "c"):
            step.new_task("1", name, "waiting")

    def play(self, previous: RunState, state: RunState, step: Step) -> None:
        raise NotSupported("runs of this engine cannot be continued")

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        run = state.run
        base = {"workflow_id": run.workflow_id, "run_id": run.run_id}
        match command:
            case PauseRun() | ResumeRun():
                paused = isinstance(command, PauseRun)
                if run.paused != paused:
                    step.set_run(paused=paused)
                    step.emit("RunPaused" if paused else "RunResumed")
                return {**base, "paused": paused}
            case StopRun(mode=mode, reason=reason):
                step.emit("StopRequested", {"mode": str(mode), **({"reason": reason} if reason else {})})
                step.close("terminated" if mode is StopMode.KILL else "cancelled", reason)
                return {**base, "status": state.run.status}
            case HoldTasks(task_globs=globs) | ReleaseTasks(task_globs=globs):
                named = [task for task in state.tasks.values() if f"{task.cycle}/{task.name}" in globs]
                for task in named:
                    step.put_task(evolve(task, is_held=isinstance(command, HoldTasks)))
                return [f"{task.cycle}/{task.name}" for task in named]
            case SignalRun(signal_name=name, arguments=arguments):
                event = step.emit("SignalReceived", {"signal_name": name, "arguments": arguments})
                return {**base, "signal_id": str(event.seq)}
        raise NotSupported(f"runs of this engine have no {command.name}")

    def dump(self, state: RunState) -> Mapping[str, Any]:
        return {}

    def load(self, state: RunState) -> None:
        return

    def recover(self, state: RunState, step: Step) -> None:
        return

"""What is to happen to a simulation later: steps after a point are held, and the run stops after a step or at a time."""

from triplane.commands.graphs import ScheduleStop
from triplane.engines.base import RunState, Step
from triplane.engines.simulation.state import STEP_NAME, Progress, progress_of
from triplane.errors import Conflict, RefusedInput

STOP_TIMER = "stop-at"


def hold_after(state: RunState, step: Step, point: str) -> None:
    """Hold all steps after one, as they come.

    Raises:
        RefusedInput: it is not the number of a step.
    """
    progress = progress_of(state)
    progress.hold_point = _number(state, point, "0 or more")
    progress.let_go = 0
    step.emit("HoldPointSet", {"point": str(progress.hold_point)})


def hold_if_after(progress: Progress, number: int) -> None:
    """Hold the step that comes next if it is after the hold point, unless it was let go by hand."""
    if progress.hold_point is not None and number > progress.hold_point and number > progress.let_go:
        progress.held.add(number)


def stop_later(state: RunState, step: Step, command: ScheduleStop) -> None:
    """Stop when a step is recorded, or when a time has come.

    Raises:
        RefusedInput: none or several of them, or what is no step.
        Conflict: the run is past that step already.
    """
    progress = progress_of(state)
    given = {key: one for key in ("point", "task", "at") if (one := getattr(command, key)) is not None}
    if len(given) != 1:
        raise RefusedInput("a stop is scheduled by exactly one of point, task, at")
    if command.at is not None:
        step.set_timer(STOP_TIMER, command.at)
    else:
        number = _number(state, command.point, "a step") if command.point is not None else _number_of_task(state, command.task or "")
        if number <= progress.step:
            raise Conflict(f"the run has recorded step {progress.step} already")
        progress.stop_after = number
    step.emit("StopScheduled", {key: str(one) for key, one in given.items()})


def _number_of_task(state: RunState, task: str) -> int:
    cycle, _, name = task.removeprefix("//").partition("/")
    if name != STEP_NAME:
        raise RefusedInput(f"a simulation has no task {task!r:.80}: its tasks are N/{STEP_NAME}")
    return _number(state, cycle, "a step")


def _number(state: RunState, text: str, what: str) -> int:
    most = progress_of(state).steps
    if not (text.isascii() and text.isdigit() and len(text) < 16) or (most and int(text) > most):
        raise RefusedInput(f"{text!r:.80} is not the number of a step: {what} up to {most or 'the last'} is")
    return int(text)

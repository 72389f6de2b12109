"""Pausing a durable run, and steering its single tasks by globs."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from triplane.commands.runs import PauseRun, ResumeRun
from triplane.commands.tasks import HoldTasks, KillTasks, ReleaseTasks, TriggerTasks
from triplane.engines.durable import activities, children, ids, timers
from triplane.engines.durable.state import Activity
from triplane.engines.durable.turn import Turn
from triplane.entities import FINAL_TASK_STATES, Task
from triplane.errors import NothingMatched


def pause(turn: Turn, command: PauseRun) -> dict[str, Any]:
    """Offer no more workflow tasks and activities; what is leased goes on."""
    if not turn.state.run.paused:
        turn.withdraw_workflow_task()
        for activity in turn.own.activities.values():
            turn.withdraw_activity(activity)
        turn.step.set_run(paused=True)
        turn.emit("RunPaused", {})
    return _reply(turn, True)


def resume(turn: Turn, command: ResumeRun) -> dict[str, Any]:
    """Offer again what waits."""
    if turn.state.run.paused:
        turn.step.set_run(paused=False)
        turn.emit("RunResumed", {})
        turn.offer_workflow_task()
        for activity in turn.own.activities.values():
            turn.offer_activity(activity)
    return _reply(turn, False)


def _reply(turn: Turn, paused: bool) -> dict[str, Any]:
    run = turn.state.run
    return {"workflow_id": run.workflow_id, "run_id": run.run_id, "paused": paused}


def hold(turn: Turn, command: HoldTasks) -> list[str]:
    """Keep activities that wait from being offered."""
    chosen = [a for a in _activities(turn, command.task_globs) if a.phase != "leased"]
    names = _names(chosen)
    for activity in chosen:
        activities.set_held(turn, activity, True)
    if names:
        turn.emit("TasksHeld", {"tasks": names})
    return names


def release(turn: Turn, command: ReleaseTasks) -> list[str]:
    """Let held activities go on."""
    chosen = [a for a in _activities(turn, command.task_globs) if a.held]
    names = _names(chosen)
    for activity in chosen:
        activities.set_held(turn, activity, False)
    if names:
        turn.emit("TasksReleased", {"tasks": names})
    return names


def trigger(turn: Turn, command: TriggerTasks) -> list[str]:
    """Offer activities that are held or wait for their next attempt, begin children that wait for theirs, and fire timers, now."""
    matched = list(_matched(turn, command.task_globs))
    chosen = [a for a in turn.own.activities.values() if (ids.CYCLE, a.name) in matched and a.phase != "leased"]
    sequences = [s for s in turn.own.timers if (ids.CYCLE, f"timer-{s}") in matched]
    begotten = [c for c in turn.own.children.values() if (ids.CYCLE, c.name) in matched and c.phase == "backoff"]
    names = _names(chosen) + [f"{ids.CYCLE}/timer-{s}" for s in sequences] + [f"{ids.CYCLE}/{c.name}" for c in begotten]
    if names:
        turn.emit("TasksTriggered", {"tasks": names})
    for activity in chosen:
        activities.trigger(turn, activity)
    for sequence in sequences:
        timers.fire(turn, sequence)
    for child in begotten:
        children.trigger(turn, child)
    return names


def kill(turn: Turn, command: KillTasks) -> list[str]:
    """End activities, timers and children; the workflow sees them cancelled or, children, terminated."""
    matched = list(_matched(turn, command.task_globs))
    chosen = [a for a in turn.own.activities.values() if (ids.CYCLE, a.name) in matched]
    sequences = [s for s in turn.own.timers if (ids.CYCLE, f"timer-{s}") in matched]
    begotten = [c for c in turn.own.children.values() if (ids.CYCLE, c.name) in matched and not c.ending]
    names = _names(chosen) + [f"{ids.CYCLE}/timer-{s}" for s in sequences] + [f"{ids.CYCLE}/{c.name}" for c in begotten]
    for activity in chosen:
        activities.cancel(turn, activity)
    for sequence in sequences:
        timers.cancel(turn, sequence)
    for child in begotten:
        children.end(turn, child, children.TERMINATE, "killed by its name as a task", silent=child.silent)
    return names


def _names(chosen: list[Activity]) -> list[str]:
    return [f"{ids.CYCLE}/{activity.name}" for activity in chosen]


def _activities(turn: Turn, globs: tuple[str, ...]) -> list[Activity]:
    matched = set(_matched(turn, globs))
    return [activity for activity in turn.own.activities.values() if (ids.CYCLE, activity.name) in matched]


def _matched(turn: Turn, globs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Keys of the open tasks that match any glob `cycle[/name][:state]`.

    Raises:
        NothingMatched: no task of the run matches, open or over.
    """
    patterns = [_pattern(glob) for glob in globs]
    found = [task for task in turn.state.tasks.values() if any(_matches(task, pattern) for pattern in patterns)]
    if not found:
        raise NothingMatched(f"no task of {turn.state.run.workflow_id!r} matches {', '.join(globs)[:200]}", globs=list(globs[:10]))
    return (task.key for task in found if task.state not in FINAL_TASK_STATES)


def _pattern(glob: str) -> tuple[str, str, str]:
    rest, _, state = glob.partition(":")
    cycle, slash, name = rest.strip("/").partition("/")
    return cycle or "*", name if slash else "*", state or "*"


def _matches(task: Task, pattern: tuple[str, str, str]) -> bool:
    cycle, name, state = pattern
    return fnmatchcase(task.cycle, cycle) and (fnmatchcase(task.name, name) or name == "root") and fnmatchcase(task.state, state)

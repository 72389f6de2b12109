"""Pausing a durable run, and steering its single tasks by globs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from triplane.commands.graphs import ScheduleStop
from triplane.commands.messages import ReportJob
from triplane.commands.runs import PauseRun, ResumeRun
from triplane.commands.tasks import HoldTasks, KillTasks, PollTasks, ReleaseTasks, SetTasks, TriggerTasks
from triplane.engines.durable import activities, children, ids, timers
from triplane.engines.durable.alarms import STOP_TIMER
from triplane.engines.durable.state import Activity, Child, TimerWait
from triplane.engines.durable.turn import Turn
from triplane.entities import FINAL_TASK_STATES, Task
from triplane.errors import NothingMatched, NotSupported, RefusedInput

MAX_MESSAGE = 2_000
_SHORT_NAMES = {"succeed": "succeeded", "fail": "failed"}
# What a job's message begins with where it says how the job goes (contract cylc 5.3).
_LIFE = frozenset({"submitted", "started", "succeeded", "failed", "aborted", "submission failed", "vacated", "expired"})


def pause(turn: Turn, command: PauseRun) -> dict[str, Any]:
    """Offer no more workflow tasks and activities; what is leased goes on."""
    if not turn.state.run.paused:
        turn.withdraw_workflow_task()
        for activity in turn.own.activities.values():
            activities.pause(turn, activity)
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
    """Have activities and children get no further attempt, and timers not fire."""
    chosen = _chosen(turn, command.task_globs)
    _set_held(turn, chosen, True)
    return _told(turn, "TasksHeld", chosen)


def release(turn: Turn, command: ReleaseTasks) -> list[str]:
    """Let what is held go on; all of it where the hold point is forgotten too, which no durable run has."""
    if command.forget_hold_point:
        chosen = _Chosen(list(turn.own.activities.values()), list(turn.own.timers.values()), list(turn.own.children.values()))
    else:
        chosen = _chosen(turn, command.task_globs)
    held = chosen.only(lambda one: one.held)
    names = _told(turn, "TasksReleased", held)
    _set_held(turn, held, False)
    return names


def trigger(turn: Turn, command: TriggerTasks) -> list[str]:
    """Offer activities that are held or wait for their next attempt, begin children that wait for theirs, and fire timers, now.

    Raises:
        NothingMatched: all that matches is with a worker, or running as a child, already.
    """
    chosen = _chosen(turn, command.task_globs)
    begotten = [one for one in chosen.children if one.phase == "backoff"]
    waiting = _Chosen([one for one in chosen.activities if one.phase != "leased"], chosen.timers, begotten)
    names = _told(turn, "TasksTriggered", waiting, "is running already")
    for activity in waiting.activities:
        activities.trigger(turn, activity, command.on_resume)
    for child in waiting.children:
        children.trigger(turn, child)
    for timer in waiting.timers:
        timers.fire(turn, timer.sequence)
    return names


def kill(turn: Turn, command: KillTasks) -> list[str]:
    """End activities, timers and children; the workflow sees them cancelled or, children, terminated."""
    chosen = _chosen(turn, command.task_globs)
    chosen = _Chosen(chosen.activities, chosen.timers, [one for one in chosen.children if not one.ending])
    for activity in chosen.activities:
        activities.cancel(turn, activity)
    for timer in chosen.timers:
        timers.cancel(turn, timer.sequence)
    for child in chosen.children:
        children.end(turn, child, children.TERMINATE, "killed by its name as a task", silent=child.silent)
    return chosen.names


def poll(turn: Turn, command: PollTasks) -> list[str]:
    """End attempts that are past a deadline, or were not heard of in time, and ask how children stand.

    Raises:
        NothingMatched: no worker has an attempt of what matches, and no child of it is running.
    """
    chosen = _chosen(turn, command.task_globs)
    running = _Chosen(
        [one for one in chosen.activities if one.phase == "leased"], [], [one for one in chosen.children if one.phase == "running"]
    )
    if not running.names:
        raise NothingMatched(f"nothing of {', '.join(command.task_globs)[:200]} is running: there is nothing to poll")
    for activity in running.activities:
        activities.poll(turn, activity)
    for child in running.children:
        children.recover(turn, child)
    return running.names


def set_outputs(turn: Turn, command: SetTasks) -> list[str]:
    """End activities by decree, in their workers' stead, and fire timers.

    Raises:
        RefusedInput: an output that what matches does not have.
    """
    outputs = tuple(_SHORT_NAMES.get(one, one) for one in command.outputs) or ("succeeded",)
    if outputs == ("required",):
        outputs = ("succeeded",)
    chosen = _chosen(turn, command.task_globs)
    if chosen.children:
        raise RefusedInput(f"{chosen.children[0].name} is a run of its own: set tasks of {chosen.children[0].workflow_id!r}, or kill it")
    if len(outputs) != 1 or outputs[0] not in ("succeeded", "failed"):
        raise RefusedInput(f"an activity ends as succeeded or as failed, not as {', '.join(outputs)[:200]}")
    if chosen.timers and outputs != ("succeeded",):
        raise RefusedInput("a timer can be set to succeeded, which is that it fires; kill it, and it will not")
    names = _told(turn, "TasksSet", chosen)
    for activity in chosen.activities:
        activities.give(turn, activity, outputs[0])
    for timer in chosen.timers:
        timers.fire(turn, timer.sequence)
    return names


def stop_later(turn: Turn, command: ScheduleStop) -> None:
    """Cancel the run when a time has come.

    Raises:
        RefusedInput: no time is given.
    """
    if command.at is None:
        raise RefusedInput("a stop is scheduled by exactly one of point, task, at, flow")
    turn.step.set_timer(STOP_TIMER, command.at)
    turn.emit("StopScheduled", {"at": str(command.at)})


def note(turn: Turn, command: ReportJob) -> dict[str, int]:
    """Keep messages with an activity's present attempt.

    Raises:
        NotSupported: they say how it ended.
        NothingMatched: it is no attempt that a worker has.
    """
    for _, text in command.messages:
        if text.strip().partition("/")[0] in _LIFE:
            raise NotSupported("how an activity goes only its worker can say, over its own wire; any other message is kept")
    activity = next((one for one in turn.own.activities.values() if (ids.CYCLE, one.name) == (command.cycle, command.task)), None)
    if activity is None or activity.phase != "leased" or activity.attempt != command.submit_num:
        raise NothingMatched(f"no worker has attempt {command.submit_num} of {command.cycle}/{command.task}"[:300])
    turn.refuse_if_full()
    texts = tuple(text[:MAX_MESSAGE] for _, text in command.messages)
    activities.note_messages(turn, activity, texts)
    data = [[severity, text] for (severity, _), text in zip(command.messages, texts, strict=True)]
    turn.emit("MessageReceived", {"task": f"{ids.CYCLE}/{activity.name}", "submit_num": activity.attempt, "messages": data})
    return {"queued": len(texts)}


# ---- what is meant ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Open tasks, by kind."""

    activities: list[Activity]
    timers: list[TimerWait]
    children: list[Child]

    @property
    def names(self) -> list[str]:
        """`cycle/name` of each."""
        names = [one.name for one in self.activities] + [f"timer-{one.sequence}" for one in self.timers]
        return [f"{ids.CYCLE}/{name}" for name in [*names, *(one.name for one in self.children)]]

    def only(self, holds: Callable[[Activity | TimerWait | Child], bool]) -> "_Chosen":
        """Those for which something holds."""
        return _Chosen(list(filter(holds, self.activities)), list(filter(holds, self.timers)), list(filter(holds, self.children)))


def _chosen(turn: Turn, globs: tuple[str, ...]) -> _Chosen:
    """What is open and matches any glob.

    Raises:
        NothingMatched: nothing does, or all that does is over.
    """
    matched = set(_matched(turn, globs))
    own = turn.own
    chosen = _Chosen(
        [one for one in own.activities.values() if (ids.CYCLE, one.name) in matched],
        [one for one in own.timers.values() if (ids.CYCLE, f"timer-{one.sequence}") in matched],
        [one for one in own.children.values() if (ids.CYCLE, one.name) in matched],
    )
    if not chosen.names:
        raise NothingMatched(f"all that matches {', '.join(globs)[:200]} is over", globs=list(globs[:10]))
    return chosen


def _set_held(turn: Turn, chosen: _Chosen, held: bool) -> None:
    for activity in chosen.activities:
        activities.set_held(turn, activity, held)
    for timer in chosen.timers:
        timers.set_held(turn, timer, held)
    for child in chosen.children:
        children.set_held(turn, child, held)


def _told(turn: Turn, event: str, chosen: _Chosen, otherwise: str = "") -> list[str]:
    """Record what was done to which tasks; nothing, where it is nothing.

    Raises:
        NothingMatched: it is nothing, and `otherwise` says what keeps it from being something.
    """
    names = chosen.names
    if not names and otherwise:
        raise NothingMatched(f"all that matches {otherwise}")
    if names:
        turn.emit(event, {"tasks": names})
    return names


def _matched(turn: Turn, globs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Keys of the open tasks that match any glob `cycle[/name][:state]` (contract cylc section 6).

    Raises:
        NothingMatched: no task of the run matches, open or over.
    """
    patterns = [_pattern(glob) for glob in globs]
    tasks = turn.state.tasks.values()
    found = {task.key: task for pattern in patterns for task in _matching(tasks, pattern)}
    if not found:
        raise NothingMatched(f"no task of {turn.state.run.workflow_id!r} matches {', '.join(globs)[:200]}", globs=list(globs[:10]))
    return (task.key for task in found.values() if task.state not in FINAL_TASK_STATES)


def _pattern(glob: str) -> tuple[str, str | None, str]:
    rest, _, state = glob.partition(":")
    cycle, slash, name = rest.strip("/").partition("/")
    # Cycles compare as numbers: `01` is `1`.
    return str(int(cycle)) if cycle.isascii() and cycle.isdigit() else cycle or "*", name if slash else None, state or "*"


def _matching(tasks: Iterable[Task], pattern: tuple[str, str | None, str]) -> Iterable[Task]:
    cycle, name, state = pattern
    there = [task for task in tasks if fnmatchcase(task.cycle, cycle)]
    if name is None:
        # The state of a cycle is that of any task in it, and the cycle is all of them.
        return there if any(fnmatchcase(task.state, state) for task in there) else ()
    return [task for task in there if (name == "root" or fnmatchcase(task.name, name)) and fnmatchcase(task.state, state)]

"""What each command that steers a run means on each engine: read by the engines, by documents and by tests.

One row for each command, or for each way of giving it that means something of its own. A cell says what is done, or
holds the sentence with which the command is refused, the same on every wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from triplane.commands.base import Command
from triplane.commands.graphs import ScheduleStop
from triplane.commands.runs import StopRun
from triplane.commands.tasks import FlowCommand, ReleaseTasks, RemoveTasks, SetTasks, TriggerTasks
from triplane.errors import NotSupported

ENGINES: Final = ("graph", "durable", "simulation")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A cell: `does` or `refuses` holds a phrase, and the other nothing."""

    does: str = ""
    refuses: str = ""


def _does(phrase: str) -> Meaning:
    return Meaning(does=phrase)


def _no(sentence: str) -> Meaning:
    return Meaning(refuses=sentence)


def _row(graph: Meaning, durable: Meaning, simulation: Meaning) -> Mapping[str, Meaning]:
    return {"graph": graph, "durable": durable, "simulation": simulation}


_NO_FLOWS = _row(
    _does("the tasks run, are set or are removed in these flows only"),
    _no("a durable run has no flows: its history is one"),
    _no("a simulation has no flows: its steps follow each other once"),
)

MEANINGS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "hold_tasks": _row(
        _does("tasks are not submitted until they are released; an exact cycle/name may be still to come"),
        _does("activities and children get no further attempt, and timers do not fire, until they are released"),
        _does("the step does not begin until it is released; of a step that is computing, the one after it"),
    ),
    "set_hold_point": _row(
        _does("tasks after the point are held, as they come"),
        _no("a durable run has one cycle, so nothing comes after a point: hold its tasks by name"),
        _does("steps after the point are held, as they come"),
    ),
    "release_tasks": _row(
        _does("held tasks go on"),
        _does("held activities, children and timers go on; a timer that is due by now fires"),
        _does("held steps go on"),
    ),
    "release_tasks forget_hold_point": _row(
        _does("all that is held goes on, and the hold point is forgotten"),
        _does("all that is held goes on"),
        _does("all that is held goes on, and the hold point is forgotten"),
    ),
    "trigger_tasks": _row(
        _does("tasks run now, whatever they wait for, even in a pause"),
        _does("an activity that waits or is held is offered to workers now, even in a pause; a child's next attempt begins; a timer fires"),
        _does("the next step is computed now, though it is held or the run is paused"),
    ),
    "trigger_tasks on_resume": _row(
        _does("as a trigger; in a pause, when the run goes on"),
        _does("as a trigger; in a pause, activities when the run goes on"),
        _does("as a trigger; in a pause, when the run goes on"),
    ),
    "trigger_tasks flow": _NO_FLOWS,
    "set_tasks outputs": _row(
        _does("outputs count as given, and what waits for them goes on"),
        _does("an activity has succeeded, with the result null, or failed for good; a timer fires"),
        _no("what a step gives is the model's to compute: it cannot be set"),
    ),
    "set_tasks prerequisites": _row(
        _does("prerequisites count as met"),
        _no("tasks of a durable run have no prerequisites: its code decides what waits for what"),
        _no("a step waits for nothing but the step before it: trigger it"),
    ),
    "set_tasks flow": _NO_FLOWS,
    "remove_tasks": _row(
        _does("tasks are forgotten, and their jobs killed"),
        _no("a durable run's history keeps all that it scheduled: kill the task, and its code sees it cancelled"),
        _no("steps follow each other, and none can be left out: stop the run"),
    ),
    "remove_tasks flow": _NO_FLOWS,
    "kill_tasks": _row(
        _does("running jobs are killed"),
        _does("activities and timers are cancelled and children terminated; the workflow's code is told"),
        _does(
            "the model's process is ended; with checkpoints the step is held, and computed anew when it is released or triggered, "
            "else the run fails"
        ),
    ),
    "poll_tasks": _row(
        _does("platforms are asked how the jobs stand"),
        _does("an attempt past a deadline, or without a heartbeat in time, is ended now; a child is asked after"),
        _no("a model's process is watched all the time: there is nothing to poll"),
    ),
    "pause_run": _row(
        _does("no job is submitted; jobs that run go on"),
        _does("no workflow task or activity is given to a worker; what is leased goes on"),
        _does("no step begins; the one that is computing is recorded"),
    ),
    "resume_run": _row(_does("the run goes on"), _does("the run goes on"), _does("the run goes on")),
    "stop_run graceful": _row(
        _does("nothing new begins, jobs that run finish, then the run is cancelled"),
        _does("the run is cancelled at once, and what is open with it"),
        _does("the step that is computing is recorded, then the run is cancelled"),
    ),
    "stop_run kill": _row(
        _does("jobs are killed, then the run is terminated"),
        _does("the run is terminated at once, and what is open with it"),
        _does("the model's process is ended, and the run terminated"),
    ),
    "stop_run leave": _row(
        _does("the run is cancelled at once; its jobs are left running, and found again when it is played"),
        _does("as a kill: the run is terminated at once"),
        _does("as a kill: the model's process is ended, and the run terminated"),
    ),
    "schedule_stop point": _row(
        _does("nothing after the point runs; then the run is cancelled"),
        _no("a durable run has one cycle, so there is no point to stop at: stop it now, or at a time"),
        _does("the run is cancelled when that step is recorded"),
    ),
    "schedule_stop task": _row(
        _does("when the task has finished nothing more begins, then the run is cancelled"),
        _no("what follows a task of a durable run is its code's to decide: stop it now, or at a time"),
        _does("the run is cancelled when that step is recorded"),
    ),
    "schedule_stop at": _row(
        _does("as a graceful stop, when that time has come"),
        _does("as a graceful stop, when that time has come"),
        _does("as a graceful stop, when that time has come"),
    ),
    "schedule_stop flow": _row(
        _does("that flow spawns nothing more, and its waiting tasks are removed"),
        _NO_FLOWS["durable"],
        _NO_FLOWS["simulation"],
    ),
    "broadcast": _row(
        _does("settings of tasks change for some cycles and families, are cleared or expire"),
        _no("activities have no settings to broadcast: their options are given by the run's code"),
        _no("steps have no settings to broadcast: a model's input is fixed when its run starts"),
    ),
    "report_job": _row(
        _does("the job's state changes, an output is given, or the text is kept with the job"),
        _does("the text is kept with the attempt; how an activity ends only its worker can say"),
        _no("a model's process speaks for itself: its steps take no messages"),
    ),
    "send_external_trigger": _row(
        _does("one task that waits for the message goes on"),
        _does("a signal named by the message, with the id as its argument"),
        _no("nothing in a simulation waits for an external trigger: hold a step, and release it"),
    ),
    "reload_run": _row(
        _does("the definition is read again; what waits goes by the new one"),
        _no("a durable run's code is its workers': deploy new workers, and it goes on with them"),
        _no("a model reads its input once, when its run starts: start it again"),
    ),
}
"""Row → engine → what the command does there, or how it is refused."""


def row_of(command: Command) -> str:
    """The row that a command falls under."""
    match command:
        case FlowCommand(flow=flow) | RemoveTasks(flow=flow) if flow not in ((), ("all",)):
            return f"{command.name} flow"
        case TriggerTasks(on_resume=True):
            return f"{command.name} on_resume"
        case SetTasks(prerequisites=prerequisites):
            return f"{command.name} {'prerequisites' if prerequisites else 'outputs'}"
        case ReleaseTasks(forget_hold_point=True):
            return f"{command.name} forget_hold_point"
        case StopRun(mode=mode):
            return f"{command.name} {mode}"
        case ScheduleStop():
            given = [kind for kind in ("point", "task", "at", "flow") if getattr(command, kind) is not None]
            return f"{command.name} {given[0] if given else 'at'}"
    return command.name


def refusal(engine: str, command: Command) -> NotSupported | None:
    """The refusal of a command that means nothing on an engine; None where it means something, or is in no row."""
    meaning = MEANINGS.get(row_of(command), {}).get(engine)
    return NotSupported(meaning.refuses, command=command.name) if meaning is not None and meaning.refuses else None

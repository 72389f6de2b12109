"""Mutations of the wire to commands of the core, and back to the rows that clients print. No I/O.

Source: contract section 3.4 (cylc-flow 8.5.4): names, arguments, synchronous rejections and their words. A command
that the real scheduler would accept and then find impossible is refused here with the reason (T16).
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from triplane.commands import (
    Broadcast,
    Command,
    HoldTasks,
    KillTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    ReloadRun,
    RemoveTasks,
    ReportJob,
    ResumeRun,
    ScheduleStop,
    SendExternalTrigger,
    SetHoldPoint,
    SetTasks,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane_cylc.subcommands import GLOBAL_RELOAD, NO_SPAWN, VERBOSITY

Args = Mapping[str, Any]
_MAX_MESSAGES: Final = 100

STOP_MODES: Final[Mapping[str, StopMode]] = {
    "Clean": StopMode.GRACEFUL,
    "Kill": StopMode.KILL,
    "Now": StopMode.LEAVE,
    "NowNow": StopMode.LEAVE,
}
# The clients of these look at no row, or choke on one that says no: only an error reply reaches their users, and
# only that tells a job to keep its message for the next poll.
REFUSED_BY_ERROR: Final = frozenset({"message", "extTrigger", "broadcast"})


@dataclass(frozen=True, slots=True)
class Target:
    """The run that a face shows, as commands name it."""

    namespace: str
    workflow_id: str
    run_id: str

    def fields(self) -> dict[str, str]:
        """The fields that every command to the run has."""
        return {"namespace": self.namespace, "workflow_id": self.workflow_id, "run_id": self.run_id}


class Refused(Exception):
    """A mutation that is turned down before it becomes a command; the text is shown to the client."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A mutation as the command to send and the words for when it is committed.

    Attributes:
        accepted: what clients are told; or `answer`, what they are told instead, made of the command's reply.
    """

    command: Command
    accepted: str
    answer: Callable[[Any], Any] | None = None


def plan(name: str, args: Args, target: Target) -> Planned:
    """What the mutation `name` asks of the core.

    Args:
        name: as the schema spells it (`hold`, `setHoldPoint`).
        args: coerced by the schema; absent where not given, None where explicitly null.

    Raises:
        Refused: invalid arguments, or something this gateway does not do for a run.
    """
    planner = _PLANNERS.get(name)
    if planner is None:
        raise Refused(f"{name} is not supported by this gateway")
    try:
        return planner(args, target)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{name}: {where}: {first['msg']}") from exc


def accepted_row(workflow_id: str, text: str) -> dict[str, Any]:
    """The result row of a mutation that is committed; `workflow_id` is the full `~user/name`."""
    return {"id": workflow_id, "response": [True, text]}


def answered_row(workflow_id: str, answer: Any) -> dict[str, Any]:
    """The result row of a mutation that says more than that it was accepted."""
    return {"id": workflow_id, "response": answer}


def refused_row(workflow_id: str, text: str) -> dict[str, Any]:
    """The result row of a mutation that was turned down; clients print the text and exit with 1."""
    return {"id": workflow_id, "response": [False, text]}


def unmatched_row(asked: list[str]) -> dict[str, Any]:
    """The result row where none of the asked workflows is the one on this socket; it has no id."""
    return {"response": [False, f"No matching workflow in {asked}"]}


def check_task_ids(tasks: list[str]) -> tuple[str, ...]:
    """The task globs of a mutation.

    Raises:
        Refused: there are none, or one names a job.
    """
    if not tasks:
        raise Refused("No tasks specified")
    jobs = [task for task in tasks if task.removeprefix("//").count("/") > 1]
    if jobs:
        raise Refused("This command does not take job ids:\n * " + "\n * ".join(jobs[:20]))
    return tuple(task.removeprefix("//") for task in tasks)


def check_flow(flow: list[str], flow_wait: bool) -> None:
    """Check the flow arguments of `trigger` and `set`.

    Raises:
        Refused: not flow values, or not to be combined.
    """
    if flow in ([], ["all"]):
        return
    for value in flow:
        if value not in ("new", "none") and not value.isdecimal():
            raise Refused("Flow values must be integers, or 'new', or 'none'")
    for value in ("new", "none"):
        if value in flow and len(flow) > 1:
            raise Refused(f"Cannot combine --flow={value} with other flow values")
        if value in flow and flow_wait:
            raise Refused("--wait is not compatible with --flow=new or --flow=none")


def _pause(args: Args, target: Target) -> Planned:
    return _queued(PauseRun(**target.fields()))


def _resume(args: Args, target: Target) -> Planned:
    return _queued(ResumeRun(**target.fields()))


def _stop(args: Args, target: Target) -> Planned:
    if args.get("flowNum") is not None:
        return _queued(ScheduleStop(**target.fields(), flow=args["flowNum"]))
    if args.get("cyclePoint") is not None:
        return _queued(ScheduleStop(**target.fields(), point=args["cyclePoint"]))
    if args.get("clockTime") is not None:
        return _queued(ScheduleStop(**target.fields(), at=_seconds(args["clockTime"])))
    if args.get("task") is not None:
        (task,) = check_task_ids([args["task"]])
        return _queued(ScheduleStop(**target.fields(), task=task))
    mode = args.get("mode") or "Clean"
    return _queued(StopRun(**target.fields(), mode=STOP_MODES[mode]))


def _seconds(text: str) -> float:
    """A wall-clock time in ISO 8601, in UTC where it names no time zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text[:100]!r} is not a date and time such as 2030-01-31T12:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _hold(args: Args, target: Target) -> Planned:
    return _queued(HoldTasks(**target.fields(), task_globs=check_task_ids(args["tasks"])))


def _release(args: Args, target: Target) -> Planned:
    return _queued(ReleaseTasks(**target.fields(), task_globs=check_task_ids(args["tasks"])))


def _release_all(args: Args, target: Target) -> Planned:
    return _queued(ReleaseTasks(**target.fields(), task_globs=("*",), forget_hold_point=True))


def _hold_after(args: Args, target: Target) -> Planned:
    return _queued(SetHoldPoint(**target.fields(), point=args["point"]))


def _kill(args: Args, target: Target) -> Planned:
    return _queued(KillTasks(**target.fields(), task_globs=check_task_ids(args["tasks"])))


def _poll(args: Args, target: Target) -> Planned:
    return _queued(PollTasks(**target.fields(), task_globs=check_task_ids(args["tasks"])))


def _flows(args: Args) -> dict[str, Any]:
    """The fields of commands that say which flows are meant.

    Raises:
        Refused: they do not say it well.
    """
    flow = [str(one) for one in args.get("flow") or []]
    check_flow(flow, bool(args.get("flowWait")))
    return {
        "flow": () if flow == ["all"] else tuple(flow),
        "flow_wait": bool(args.get("flowWait")),
        "flow_description": args.get("flowDescr") or "",
    }


def _trigger(args: Args, target: Target) -> Planned:
    globs = check_task_ids(args["tasks"])
    fields = _flows(args)
    return _queued(TriggerTasks(**target.fields(), task_globs=globs, on_resume=bool(args.get("onResume")), **fields))


def _set(args: Args, target: Target) -> Planned:
    globs = check_task_ids(args["tasks"])
    fields = _flows(args)
    outputs, prerequisites = args.get("outputs") or [], args.get("prerequisites") or []
    if outputs and prerequisites:
        raise Refused("Use --prerequisite or --output, not both.")
    return _queued(
        SetTasks(**target.fields(), task_globs=globs, outputs=tuple(outputs), prerequisites=tuple(prerequisites), **fields)
    )


def _remove(args: Args, target: Target) -> Planned:
    globs = check_task_ids(args["tasks"])
    flow = [str(one) for one in args.get("flow") or []]
    if not all(one.isdecimal() for one in flow) and flow != ["all"]:
        raise Refused("Flow values must be integers")
    if args.get("noSpawn"):
        raise Refused(NO_SPAWN)
    return _queued(RemoveTasks(**target.fields(), task_globs=globs, flow=() if flow == ["all"] else tuple(flow)))


def _reload(args: Args, target: Target) -> Planned:
    if args.get("reloadGlobal"):
        raise Refused(GLOBAL_RELOAD)
    return _queued(ReloadRun(**target.fields()))


def _external_trigger(args: Args, target: Target) -> Planned:
    command = SendExternalTrigger(**target.fields(), message=args["message"], trigger_id=args["id"])
    return Planned(command, "Event queued")


def _broadcast(args: Args, target: Target) -> Planned:
    command = Broadcast(
        **target.fields(),
        mode=str(args.get("mode") or "Set").lower(),
        cycles=tuple(args.get("cyclePoints") or ()),
        namespaces=tuple(args.get("namespaces") or ()),
        settings=tuple(args.get("settings") or ()),
        cutoff=args.get("cutoff"),
    )
    return Planned(command, "", lambda reply: [reply["changed"], reply["bad"]])


def _message(args: Args, target: Target) -> Planned:
    job = args["taskJob"].removeprefix("//").split("/")
    if len(job) != 3 or not all(job) or not job[2].isdecimal():
        raise Refused(f"{args['taskJob'][:200]!r} is not a job: CYCLE/TASK/NN")
    messages: list[tuple[str, str]] = []
    for pair in args.get("messages") or []:
        if not pair or len(pair) != 2 or pair[1] is None:
            raise Refused("each message must be a [severity, text] pair")
        messages.append((pair[0] or "INFO", pair[1]))
    if not messages:
        raise Refused("there is no message to queue")
    if len(messages) > _MAX_MESSAGES:
        raise Refused(f"at most {_MAX_MESSAGES} messages in one request, not {len(messages)}")
    report = ReportJob(
        **target.fields(),
        cycle=job[0],
        task=job[1],
        submit_num=int(job[2]),
        event_time=args.get("eventTime"),
        messages=tuple(messages),
    )
    return Planned(report, f"Messages queued: {len(messages)}")


def _queued(command: Command) -> Planned:
    # The id is what the real scheduler logs a queued command under; clients print "Command queued" and drop it.
    return Planned(command, str(uuid.uuid4()))


def _unsupported(sentence: str) -> Callable[[Args, Target], Planned]:
    def planner(args: Args, target: Target) -> Planned:
        raise Refused(sentence)

    return planner


_PLANNERS: Final[Mapping[str, Callable[[Args, Target], Planned]]] = {
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "hold": _hold,
    "release": _release,
    "kill": _kill,
    "poll": _poll,
    "trigger": _trigger,
    "message": _message,
    "releaseHoldPoint": _release_all,
    "setHoldPoint": _hold_after,
    "reload": _reload,
    "setVerbosity": _unsupported(VERBOSITY),
    "remove": _remove,
    "set": _set,
    "extTrigger": _external_trigger,
    "broadcast": _broadcast,
}

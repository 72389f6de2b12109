"""Standalone activities: a run that hosts one activity and no workflow code. Source: contract durable 2.7.

The host run never has a workflow task. Its activity is offered to workers like any other, and how that ends is how the
run ends. Cancelling, terminating, pausing and holding are those of every run.
"""

from typing import Any

from triplane.commands.base import RunCommand
from triplane.commands.graphs import SendExternalTrigger
from triplane.commands.messages import AppendMessage, SignalRun, UpdateRun
from triplane.engines.durable import activities, closing, ids
from triplane.engines.durable.reading import read_activity
from triplane.engines.durable.state import Activity
from triplane.engines.durable.turn import Turn
from triplane.entities import HOST_TYPE
from triplane.errors import InvalidFields, NotSupported
from triplane.queries import RunView
from triplane.values import value

_SEQUENCE = 1
_STATUSES = {"queued": "pending", "leased": "running", "backoff": "pending"}


@value()
class StandaloneActivity:
    """How a standalone activity stands.

    Attributes:
        status: `pending`, `running`, `completed`, `failed`, `timed_out`, `cancelled` or `terminated`.
        attempts: given to workers so far.
        heartbeat, schedule_to_start_deadline, schedule_to_close_deadline: wall-clock seconds, None where there is none.
    """

    activity_type: str
    activity_class: str | None
    execution_id: str
    status: str
    attempts: int
    heartbeat: float | None
    schedule_to_start_deadline: float | None
    schedule_to_close_deadline: float | None


def check_start(turn: Turn) -> None:
    """Refuse a host without an activity, and an activity without its host.

    Raises:
        InvalidFields
    """
    run, given = turn.state.run, turn.state.detail.options.get("activity")
    if (run.workflow_type == HOST_TYPE) != (given is not None):
        raise InvalidFields({"workflow_type": [f"{HOST_TYPE} is the type of standalone activities, and of nothing else"]})
    if given is not None and not isinstance(given, dict):
        raise InvalidFields({"activity": ["must be an object"]})


def start(turn: Turn) -> None:
    """Offer the activity; the run waits for nothing else.

    Raises:
        InvalidFields: by `activity.<field>`.
    """
    detail = turn.state.detail
    command = read_activity({**detail.options["activity"], "arguments": detail.input}, turn.settings)
    turn.own.counter = _SEQUENCE
    activities.schedule(turn, command, _SEQUENCE, {})
    turn.step.set_run(status="running")


def refuse(command: RunCommand) -> None:
    """Raise `NotSupported` for what a run without workflow code cannot take."""
    if isinstance(command, (SignalRun, UpdateRun, AppendMessage, SendExternalTrigger)):
        raise NotSupported(f"a standalone activity takes no {command.name!r}", command=command.name)


def settle(turn: Turn) -> None:
    """Close the run once its activity is over."""
    if turn.own.activities or not turn.state.run.is_open:
        return
    event = turn.state.history[-1]
    if event.name == "ActivityCompleted":
        output = event.data["result"]
        closing.close(turn, "completed", "WorkflowCompleted", {"output": output, "payload_codec": "avro"}, output=output)
    elif event.name == "ActivityCancelled":
        closing.close(turn, "cancelled", "WorkflowCancelled", {"reason": "the activity was cancelled"}, reason="cancelled")
    else:
        keys = ("message", "exception_type", "exception_class", "exception", "non_retryable", "failure_category", "timeout_kind")
        data: dict[str, Any] = {key: event.data[key] for key in keys if key in event.data}
        data["failed_activity_execution_id"] = event.data["activity_execution_id"]
        closing.close(turn, "failed", "WorkflowFailed", data, reason="timed_out" if event.name == "ActivityTimedOut" else None)


def describe(view: RunView) -> StandaloneActivity:
    """The activity of a host run, open or closed."""
    options = view.detail.options["activity"]
    task = view.tasks[(ids.CYCLE, ids.activity_name(options["activity_type"], _SEQUENCE))]
    activity, run = Activity(*task.data["activity"]), view.run
    if run.is_open:
        status = _STATUSES[activity.phase]
    else:
        status = "timed_out" if run.closed_reason == "timed_out" else run.status
    limits = {kind: activity.options.get(f"{kind}_timeout") for kind in ("schedule_to_start", "schedule_to_close")}
    deadlines = {kind: activity.scheduled + within if within is not None else None for kind, within in limits.items()}
    return StandaloneActivity(
        activity_type=activity.activity_type,
        activity_class=options.get("activity_class"),
        execution_id=ids.activity_execution_id(run.run_id, _SEQUENCE),
        status=status,
        attempts=len(view.jobs),
        heartbeat=activity.heartbeat if activity.heartbeat > activity.started else None,
        schedule_to_start_deadline=deadlines["schedule_to_start"],
        schedule_to_close_deadline=deadlines["schedule_to_close"],
    )

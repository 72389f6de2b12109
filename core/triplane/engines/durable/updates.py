"""Signals and updates. Source: contract durable 2.3, 5.3."""

from typing import Any

from triplane.commands.graphs import SendExternalTrigger
from triplane.commands.messages import SignalRun, UpdateRun
from triplane.effects import Resolve
from triplane.engines.durable import conditions, messages
from triplane.engines.durable.payloads import as_arguments
from triplane.engines.durable.turn import Turn
from triplane.errors import InvalidFields, LimitReached, RefusedInput

MAX_SIGNAL_NAME = 256


def signal(turn: Turn, command: SignalRun) -> dict[str, Any]:
    """Record a signal; the workflow is woken to see it."""
    if command.signal_name == messages.SIGNAL:
        raise InvalidFields({"signal_name": ["is reserved for message streams"]})
    turn.refuse_if_full()
    arguments = as_arguments(command.arguments, turn.settings.max_payload_bytes, "the signal's arguments")
    signal_id = f"sig-{turn.run_id}-{turn.next_arrival}"
    data = {"signal_name": command.signal_name, "signal_id": signal_id, "arguments": arguments, "payload_codec": "avro"}
    turn.receive(turn.happening("SignalReceived", data))
    turn.issue_next()
    run = turn.state.run
    return {"workflow_id": run.workflow_id, "run_id": run.run_id, "signal_id": signal_id}


def trigger_from_outside(turn: Turn, command: SendExternalTrigger) -> dict[str, Any]:
    """An external trigger is a signal here: named by its message, with its id as the argument."""
    if len(command.message) > MAX_SIGNAL_NAME:
        raise RefusedInput(f"on a durable run the message is a signal's name, of at most {MAX_SIGNAL_NAME} characters")
    address = {"namespace": command.namespace, "workflow_id": command.workflow_id, "run_id": command.run_id}
    return signal(turn, SignalRun(**address, signal_name=command.message, arguments=[command.trigger_id]))


def accept(turn: Turn, command: UpdateRun) -> dict[str, Any]:
    """Accept an update; a workflow task of its own runs it in its turn."""
    turn.refuse_if_full()
    most = turn.settings.max_pending_updates
    if len(turn.own.updates) >= most:
        raise LimitReached(f"{most} updates wait already (engines.durable.max_pending_updates); try again", limit=most)
    arguments = as_arguments(command.arguments, turn.settings.max_payload_bytes, "the update's arguments")
    update_id = f"upd-{turn.run_id}-{turn.next_arrival}"
    turn.own.updates[update_id] = command.update_name
    data = {"update_id": update_id, "update_name": command.update_name, "arguments": arguments, "payload_codec": "avro"}
    turn.receive(turn.happening("UpdateAccepted", data, update_id=update_id))
    turn.issue_next()
    run = turn.state.run
    return {"workflow_id": run.workflow_id, "run_id": run.run_id, "update_id": update_id}


def complete(turn: Turn, command: dict[str, Any]) -> None:
    """An update's handler gave a result; `UpdateApplied` makes replays run the handler again."""
    update_id = command["update_id"]
    name = turn.own.updates.pop(update_id, "")
    applied: dict[str, Any] = {"update_id": update_id, "update_name": name, "payload_codec": "avro"}
    accepted = next(
        (e.data for e in reversed(turn.state.history) if e.name == "UpdateAccepted" and e.data["update_id"] == update_id), None
    )
    if accepted is not None:
        applied["arguments"] = accepted["arguments"]
    turn.emit("UpdateApplied", applied)
    conditions.satisfy_selected(turn)
    result = {"update_id": update_id, "update_name": name, "result": command["result"], "payload_codec": "avro"}
    _tell(turn, update_id, turn.emit("UpdateCompleted", result).data)


def fail(turn: Turn, command: dict[str, Any]) -> None:
    """An update's handler failed; what it did is not replayed."""
    _fail(turn, command["update_id"], {k: command[k] for k in _FAILURE_KEYS if command.get(k) is not None})


def fail_all(turn: Turn, message: str) -> None:
    """The run closes: no update will be completed any more."""
    for update_id in list(turn.own.updates):
        _fail(turn, update_id, {"message": message, "exception_type": "WorkflowClosed", "exception_class": "WorkflowClosed"})


_FAILURE_KEYS = ("message", "exception_type", "exception_class", "non_retryable")


def _fail(turn: Turn, update_id: str, failure: dict[str, Any]) -> None:
    name = turn.own.updates.pop(update_id, "")
    failure.setdefault("message", "the update failed")
    data = {"update_id": update_id, "update_name": name, "failure_id": f"fail-{update_id}", "failure": dict(failure), **failure}
    _tell(turn, update_id, turn.emit("UpdateCompleted", data).data)


def _tell(turn: Turn, update_id: str, data: Any) -> None:
    turn.step.effect(Resolve(turn.run_id, "update_completed", {"update_id": update_id, "data": data}))

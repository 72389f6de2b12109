"""Cooperative cancellation: the workflow is told at the call where it waits, and may clean up until a deadline.

A request is an event of the history. From then on the run's tasks go only to workers that understand it. Such a worker
says at which call of the workflow it delivers the cancellation; that too becomes an event, what the call was waiting for
is given up, and replays raise there. What follows is the workflow's own: it may undo what it did, and ends as cancelled if
it lets the cancellation through. Source: the SDK (2.9.0, 2.12.0), `_cooperative_cancellation.py`; contract durable 1.2, 2.8.
"""

from typing import Any

from triplane.commands.cancelling import BeginCancellation, DeliverCancellation
from triplane.commands.runs import StopMode, StopRun
from triplane.effects import Resolve
from triplane.engines.durable import activities, children, closing, conditions, timers, workflow_tasks
from triplane.engines.durable.alarms import CANCEL_TIMER, iso
from triplane.engines.durable.state import NORMAL, Cancellation
from triplane.engines.durable.turn import CANCELLATION_REQUESTED, Turn, barrier_of
from triplane.errors import Conflict, LeaseLost, NotSupported

WAIT = "wait_cancellation_completed"
_PLACE = ("request_id", "sequence", "call_kind", "sequence_span", "operation_sequence", "operation_sequence_span")


def request(turn: Turn, command: BeginCancellation) -> dict[str, Any]:
    """Record the request and wake the workflow; asked again, the first request stands as it is."""
    own = turn.own
    if turn.is_host:
        raise NotSupported("a standalone activity has no code that could clean up; cancel it")
    duplicate = own.cancellation is not None
    if own.cancellation is None:
        limits = closing.deadlines(turn)
        cleanup_s = command.cleanup_timeout_s
        deadline = turn.now + cleanup_s if cleanup_s is not None else min(limits.values(), default=turn.now + turn.settings.cleanup_s)
        begin(turn, Cancellation(f"cancel-{turn.run_id}", turn.now, max(deadline, turn.now + 0.001), command.reason or ""))
        turn.issue_next()
    run, asked = turn.state.run, own.cancellation
    assert asked is not None
    return {"workflow_id": run.workflow_id, "run_id": run.run_id, "duplicate": duplicate, "cancellation_request": asked.observed()}


def begin(turn: Turn, asked: Cancellation) -> None:
    """Take a request in: it is recorded behind the workflow task that somebody has in hand."""
    run = turn.state.run
    turn.own.cancellation = asked
    turn.touch()
    turn.step.set_timer(CANCEL_TIMER, asked.deadline)
    data = {
        "workflow_command_id": asked.request_id, "workflow_instance_id": run.workflow_id, "workflow_run_id": run.run_id,
        "cleanup_deadline_at": iso(asked.deadline),
    }  # fmt: skip
    if asked.reason:
        data["reason"] = asked.reason
    turn.receive(turn.happening(CANCELLATION_REQUESTED, data))


def deliver(turn: Turn, report: DeliverCancellation) -> dict[str, Any]:
    """A worker delivers the cancellation at a call of the workflow, on the task it holds; saying it again changes nothing.

    Raises:
        TaskNotFound, LeaseLost.
        Conflict: nothing was requested by that id, or it was delivered elsewhere.
    """
    task = workflow_tasks.fence(turn, report)
    own, asked = turn.own, turn.own.cancellation
    if task.phase != "leased":
        raise LeaseLost(f"workflow task {report.task_id!r} is not leased", "task_not_leased", task_id=report.task_id)
    if asked is None or not asked.is_recorded or asked.request_id != report.cancellation_id or task.update_id != NORMAL:
        raise Conflict("no such cancellation waits to be delivered by this task", reason="cancellation_not_requested")
    place = [report.sequence, report.call_kind, report.sequence_span, report.operation_sequence, report.operation_sequence_span]
    if asked.delivered is not None and asked.delivered != place:
        raise Conflict("the cancellation was delivered at another call", reason="cancellation_already_delivered")
    if asked.delivered is None:
        if report.sequence > own.counter + 1:
            raise Conflict(f"the workflow has no call {report.sequence} yet", reason="cancellation_call_unknown")
        if _must_wait(turn, report):
            asked.waits = True
            turn.step.effect(Resolve(turn.run_id, "lease_ended", report.task_id))
            workflow_tasks.finish(turn)
            nowhere = dict.fromkeys(_PLACE)
            return {
                "task_id": report.task_id, "delivered": False, "reason": "cancellation_waiting_for_child", "claim_released": True,
                "workflow_run_id": turn.run_id, "run_id": turn.run_id, **nowhere,
            }  # fmt: skip
        asked.delivered = place
        turn.emit("CooperativeCancellationDelivered", _marker(turn, asked, report))
        _give_up(turn, report)
        own.counter = max(own.counter, report.sequence + report.sequence_span - 1)
        task.snapshot = turn.state.run.history_length
    return {
        "task_id": report.task_id, "delivered": True, "reason": None, "request_id": asked.request_id, "sequence": report.sequence,
        "call_kind": report.call_kind, "sequence_span": report.sequence_span, "operation_sequence": report.operation_sequence,
        "operation_sequence_span": report.operation_sequence_span, "run_id": turn.run_id,
    }  # fmt: skip


def _marker(turn: Turn, asked: Cancellation, report: DeliverCancellation) -> dict[str, Any]:
    data: dict[str, Any] = {
        "workflow_command_id": asked.request_id, "workflow_run_id": turn.run_id, "sequence": report.sequence,
        "call_kind": report.call_kind, "sequence_span": report.sequence_span,
    }  # fmt: skip
    if report.operation_sequence is not None:
        data |= {"operation_sequence": report.operation_sequence, "operation_sequence_span": report.operation_sequence_span}
    return data


def _steps(report: DeliverCancellation) -> range:
    """The workflow steps that the cancelled call waits for."""
    if report.operation_sequence is not None:
        return range(report.operation_sequence, report.operation_sequence + report.operation_sequence_span)
    return range(report.sequence, report.sequence + report.sequence_span)


def _must_wait(turn: Turn, report: DeliverCancellation) -> bool:
    """Whether a child's policy says that it must have ended first; it is asked to, and the worker's task is over meanwhile."""
    waiting = [
        child for step in _steps(report)
        if (child := turn.own.children.get(step)) is not None and child.options.get("cancellation_policy") == WAIT
    ]  # fmt: skip
    for child in waiting:
        if not child.ending:
            children.end(turn, child, children.ASK, "the parent workflow was cancelled", silent=False)
    return any(child.sequence in turn.own.children for child in waiting)


def _give_up(turn: Turn, report: DeliverCancellation) -> None:
    """The workflow does not wait any more for what the cancelled call was waiting for; replays skip all that is said of it."""
    own = turn.own
    for step in _steps(report):
        if step in own.activities:
            activity = own.activities[step]
            own.groups.pop(barrier_of(activity.group), None)
            activities.abandon(turn, activity)
        elif step in own.timers:
            own.groups.pop(barrier_of(own.timers[step].group), None)
            timers.abandon(turn, own.timers[step])
        elif step in own.children:
            _leave(turn, step)
        elif step in own.selected:
            conditions.abandon(turn, own.selected[step])
        elif own.condition is not None and own.condition.sequence == step:
            conditions.drop(turn)


def _leave(turn: Turn, step: int) -> None:
    """A child goes on by itself unless its own policy says that it is cancelled with its parent's call."""
    child = turn.own.children[step]
    turn.own.groups.pop(barrier_of(child.group), None)
    if child.options.get("cancellation_policy", children.ABANDON) == children.ABANDON:
        children.let_go(turn, child)
    else:
        children.end(turn, child, children.ASK, "the parent workflow was cancelled", silent=True)


def is_let_through(turn: Turn, command: dict[str, Any]) -> bool:
    """Whether a workflow that fails does so by the cancellation it was delivered."""
    asked = turn.own.cancellation
    return asked is not None and asked.delivered is not None and command.get("exception_type") == "WorkflowCancelled"


def close(turn: Turn) -> None:
    """The workflow let the cancellation through."""
    asked = turn.own.cancellation
    data = {"reason": asked.reason} if asked is not None and asked.reason else {}
    closing.close(turn, "cancelled", "WorkflowCancelled", data, reason="cancelled")


def alarm(turn: Turn) -> None:
    """The time to clean up is over: the run is cancelled as it stands."""
    turn.step.clear_timer(CANCEL_TIMER)
    asked = turn.own.cancellation
    if asked is not None:
        run, reason = turn.state.run, asked.reason or "the time to clean up is over"
        closing.stop(turn, StopRun(namespace=run.namespace, workflow_id=run.workflow_id, mode=StopMode.GRACEFUL, reason=reason))

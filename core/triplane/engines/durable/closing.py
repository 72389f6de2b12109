"""How a durable run ends, and what ends with it."""

from typing import Any

from triplane.commands.runs import StartRun, StopMode, StopRun
from triplane.effects import Resolve
from triplane.engines.durable import activities, children, ids, messages, outputs, timers, updates
from triplane.engines.durable.alarms import RUN_TIMER
from triplane.engines.durable.turn import Turn


def close(
    turn: Turn, status: str, event: str, data: dict[str, Any], output: Any = None, reason: str | None = None
) -> None:
    """End the run with its terminal event; activities, timers and updates end with it, without events for replays to trip on."""
    if turn.state.streams and status != "completed":
        outputs.end_all(turn, status)
    updates.fail_all(turn, f"the workflow closed ({status}) before the update was completed")
    turn.emit(event, data)
    own = turn.own
    for activity in own.activities.values():
        activities.end_with_run(turn, activity)
    for timer in own.timers.values():
        timers.end_with_run(turn, timer)
    task = own.task
    if task is not None and task.guarded:
        turn.step.effect(Resolve(turn.run_id, "lease_ended", ids.workflow_task_id(turn.run_id, task.number)))
    own.activities, own.timers = {}, {}
    own.agenda, own.parked, own.groups, own.condition = [], [], {}, None
    own.selections, own.selected = {}, {}
    turn.step.close(status, reason, output)
    if own.children or own.inherited:
        children.end_with_run(turn)


def continue_as_new(turn: Turn, command: dict[str, Any]) -> None:
    """Close the run and begin the workflow's next one in the same commit, with what the run has gathered.

    Signals that waited behind the last workflow task go along: the old run's code will never see them.
    """
    run, detail, own = turn.state.run, turn.state.detail, turn.own
    carried = turn.drop_waiting(lambda happening: happening.name == "SignalReceived")
    options = {key: value for key, value in detail.options.items() if key != "faces"}
    options["continued_from_run_id"] = run.run_id
    if "execution" in (limits := deadlines(turn)):
        options["execution_deadline"] = limits["execution"]
    signals = [*messages.carried(turn), *([b.data, b.wire, b.principal] for b in carried)]
    if signals:
        options["carried_signals"] = signals
    if own.memo_blob is not None:
        options["memo_blob"] = own.memo_blob
    if own.cancellation is not None and own.cancellation.delivered is None:
        options["carried_cancellation"] = own.cancellation.to_data()[:4]
    if own.children or own.inherited:
        options["carried_children"] = children.hand_over(turn)
    workflow_type, queue = command.get("workflow_type") or run.workflow_type, command.get("queue") or run.task_queue
    close(turn, "completed", "WorkflowContinuedAsNew", {"workflow_type": workflow_type, "task_queue": queue}, reason="continued")
    turn.step.succeed_with(
        StartRun(
            namespace=run.namespace, workflow_id=run.workflow_id, engine=run.engine, workflow_type=workflow_type,
            task_queue=queue, input=command.get("arguments"), memo=dict(detail.memo),
            search_attributes=dict(detail.search_attributes), options=options, parent=detail.parent,
        )
    )  # fmt: skip


def stop(turn: Turn, command: StopRun) -> dict[str, Any]:
    """Cancel (graceful) or terminate: either closes the run at once, without running any of its code."""
    turn.withdraw_workflow_task()
    turn.own.task = None
    turn.flush(at_end=True)
    data: dict[str, Any] = {"reason": command.reason} if command.reason is not None else {}
    if command.mode is StopMode.GRACEFUL:
        turn.emit("CancelRequested", dict(data))
        close(turn, "cancelled", "WorkflowCancelled", data, reason="cancelled")
    else:
        turn.emit("TerminateRequested", dict(data))
        close(turn, "terminated", "WorkflowTerminated", data, reason="terminated")
    run = turn.state.run
    return {"workflow_id": run.workflow_id, "run_id": run.run_id, "status": run.status}


def set_deadlines(turn: Turn) -> None:
    """Watch the run's own timeout and that of its whole chain. In memory only: both follow from what is stored."""
    limits = deadlines(turn)
    if limits:
        turn.step.set_timer(RUN_TIMER, min(limits.values()), durable=False)


def deadlines(turn: Turn) -> dict[str, float]:
    """`run` and `execution` deadlines, where they are set, in wall-clock seconds."""
    run, options = turn.state.run, turn.state.detail.options
    limits = {}
    if options.get("run_timeout_s") is not None:
        limits["run"] = run.created + float(options["run_timeout_s"])
    if options.get("execution_deadline") is not None:
        limits["execution"] = float(options["execution_deadline"])
    elif options.get("execution_timeout_s") is not None:
        limits["execution"] = run.created + float(options["execution_timeout_s"])
    return limits


def alarm(turn: Turn) -> None:
    """A deadline of the run is over."""
    limits = deadlines(turn)
    over = [kind for kind, at in sorted(limits.items()) if at <= turn.now]
    if not over:
        turn.step.clear_timer(RUN_TIMER)
        set_deadlines(turn)
        return
    turn.withdraw_workflow_task()
    turn.own.task = None
    turn.flush(at_end=True)
    kind = f"{over[0]}_timeout"
    message = f"the workflow's {over[0]} timeout is over"
    close(turn, "failed", "WorkflowTimedOut", {"timeout_kind": kind, "message": message}, reason="timed_out")

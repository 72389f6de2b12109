"""Workflow tasks: leasing, fencing, failing, expiring. What a completion decides is in `decisions`."""

from typing import Any

from triplane.commands.workers import (
    FailWorkflowTask,
    HeartbeatWorkflowTask,
    LeaseTask,
    ReadTaskHistory,
    TaskReport,
)
from triplane.effects import Resolve
from triplane.engines.durable import ids
from triplane.engines.durable.alarms import WORKFLOW_TIMER
from triplane.engines.durable.state import NORMAL, WorkflowTask
from triplane.engines.durable.turn import Turn
from triplane.errors import LeaseLost, TaskNotFound

WAITING_FOR_HISTORY = "WorkflowTaskWaitingForHistory"
"""How a worker says that it has no new commands; not a failure. Source: contract durable 4.3."""


def lease(turn: Turn, command: LeaseTask, number: int) -> dict[str, Any] | None:
    """Give the open workflow task to a worker: the task object, or None where it is not to be had any more."""
    own, run = turn.own, turn.state.run
    task = own.task
    if task is None or task.number != number or task.phase != "ready" or run.paused:
        return None
    if task.grace:
        task.grace = False
        turn.flush()
    task.attempt += 1
    task.phase, task.owner = "leased", command.worker_id
    task.expires = turn.now + turn.settings.workflow_task_lease_s
    task.snapshot = turn.state.run.history_length
    if run.started is None:
        turn.step.set_run(status="running", started=turn.now)
    else:
        turn.step.set_run(status="running")
    turn.arm(WORKFLOW_TIMER, task.expires, durable=False)
    events, next_after = _page(turn, task, 0, command.history_page_size)
    leased = {
        "task_kind": "workflow",
        "task_id": command.task_id,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "workflow_task_attempt": task.attempt,
        "workflow_type": run.workflow_type,
        "payload_codec": "avro",
        "arguments": turn.state.detail.input,
        "run_status": "running",
        "last_history_sequence": task.snapshot,
        "history_events": events,
        "total_history_events": task.snapshot,
        "next_after": next_after,
        "task_queue": run.task_queue,
        "lease_owner": task.owner,
        "lease_expires_at": task.expires,
    }
    if own.cancellation is not None and own.cancellation.is_recorded and task.update_id == NORMAL:
        leased["cancellation_request"] = own.cancellation.observed()
    if task.update_id != NORMAL:
        leased["workflow_update_id"] = task.update_id
    return leased


def _page(turn: Turn, task: WorkflowTask, after: int, size: int) -> tuple[list[Any], int | None]:
    """Events of the history as it was when the task was leased, and where the next page begins."""
    end = min(after + size, task.snapshot)
    return turn.state.history[after:end], end if end < task.snapshot else None


def fence(turn: Turn, report: TaskReport) -> WorkflowTask:
    """The leased task a report is about.

    Raises:
        TaskNotFound, LeaseLost: in the order of contract durable 4.7.
    """
    ref = ids.parse_task_id(report.task_id)
    task, own = turn.own.task, turn.own
    if ref is None or ref.kind != "workflow" or ref.number > own.task_number:
        raise TaskNotFound(f"no workflow task {report.task_id!r}", task_id=report.task_id)
    if task is None or task.number != ref.number or not task.guarded:
        raise LeaseLost(f"workflow task {report.task_id!r} is not leased", "task_not_leased", task_id=report.task_id)
    if task.owner and task.owner != report.lease_owner:
        raise LeaseLost(
            f"workflow task {report.task_id!r} is leased to another worker than {report.lease_owner!r}",
            "lease_owner_mismatch", task_id=report.task_id,
        )  # fmt: skip
    if task.attempt != report.attempt:
        raise LeaseLost(
            f"workflow task {report.task_id!r} is at attempt {task.attempt}, not {report.attempt}",
            "workflow_task_attempt_mismatch", task_id=report.task_id, current_attempt=task.attempt,
        )  # fmt: skip
    if not task.grace and turn.now >= task.expires:
        raise LeaseLost(f"the lease of workflow task {report.task_id!r} has expired", "lease_expired", task_id=report.task_id)
    return task


def finish(turn: Turn) -> None:
    """The open task is over: what waited behind it is recorded, and the next one issued."""
    turn.withdraw_workflow_task()
    turn.own.task = None
    turn.flush()
    if turn.state.run.is_open:
        turn.issue_next()
        turn.step.set_run(status="waiting", status_message="")


def fail(turn: Turn, report: FailWorkflowTask) -> dict[str, Any]:
    """A worker could not do the task, or had nothing new to say."""
    task = fence(turn, report)
    if report.failure.get("type") == WAITING_FOR_HISTORY:
        if task.update_id != NORMAL:
            turn.own.parked.append(task.update_id)
        finish(turn)
    else:
        retry_later(turn, task, str(report.failure.get("message") or report.failure.get("type") or "no reason given"))
    run = turn.state.run
    return {"run_id": run.run_id, "run_status": run.status}


def retry_later(turn: Turn, task: WorkflowTask, reason: str) -> None:
    """Offer the same task again after a wait that doubles with each failure; the run stays open."""
    if task.phase == "ready":
        turn.withdraw_workflow_task()
    task.failures += 1
    task.phase, task.owner, task.grace = "backoff", "", False
    settings = turn.settings
    wait_s = min(settings.backoff_first_s * 2.0 ** min(task.failures - 1, 30), settings.backoff_most_s)
    task.expires = turn.now + wait_s
    turn.arm(WORKFLOW_TIMER, task.expires, durable=False)
    turn.flush()
    turn.step.set_run(
        status="waiting", status_message=f"workflow task failed {task.failures} times, trying again: {reason[:300]}"
    )


def heartbeat(turn: Turn, report: HeartbeatWorkflowTask) -> dict[str, Any]:
    """Keep the lease."""
    task = fence(turn, report)
    task.expires = turn.now + turn.settings.workflow_task_lease_s
    if task.grace:
        # Its owner is alive after all: the task is theirs again, and leaves the queue it was offered in.
        turn.withdraw_workflow_task()
        task.phase, task.owner, task.grace = "leased", report.lease_owner, False
        turn.arm(WORKFLOW_TIMER, task.expires, durable=False)
    return {"lease_expires_at": task.expires, "run_status": turn.state.run.status}


def read_history(turn: Turn, report: ReadTaskHistory) -> dict[str, Any]:
    """A page of the history frozen at the lease."""
    task = fence(turn, report)
    events, next_after = _page(turn, task, report.after, report.page_size)
    return {
        "task_id": report.task_id,
        "workflow_task_attempt": task.attempt,
        "history_events": events,
        "total_history_events": task.snapshot,
        "next_after": next_after,
    }


def release(turn: Turn, number: int, worker_id: str) -> bool:
    """A worker left: its task goes back to the queue at once. Returns whether it held it."""
    task = turn.own.task
    if task is None or task.number != number or task.phase != "leased" or task.owner != worker_id:
        return False
    _reoffer(turn, task)
    return True


def alarm(turn: Turn) -> None:
    """The lease is over, or the wait after a failure; or neither yet, and the alarm is set anew."""
    turn.step.clear_timer(WORKFLOW_TIMER)
    task = turn.own.task
    if task is None or task.phase == "ready":
        return
    if turn.now < task.expires:
        turn.arm(WORKFLOW_TIMER, task.expires, durable=False)
    elif task.phase == "leased":
        turn.step.effect(Resolve(turn.run_id, "lease_ended", ids.workflow_task_id(turn.run_id, task.number)))
        _reoffer(turn, task)
    else:
        task.phase = "ready"
        turn.touch()
        turn.offer_workflow_task()


def _reoffer(turn: Turn, task: WorkflowTask) -> None:
    task.phase, task.owner = "ready", ""
    turn.flush()
    turn.step.set_run(status="waiting")
    turn.offer_workflow_task()


def recover(turn: Turn) -> None:
    """After a restart: offer the open task again, and take the report of whoever held it until somebody else does."""
    task = turn.own.task
    if task is None:
        return
    if task.phase == "backoff":
        turn.arm(WORKFLOW_TIMER, task.expires, durable=False)
        return
    if task.phase == "ready" and not task.grace:
        # Leases are not waited for, so it may have been leased without the disk knowing: that lease had the next number.
        task.attempt += 1
        task.snapshot = turn.state.run.history_length
        task.owner = ""
    task.phase, task.grace = "ready", True
    turn.offer_workflow_task()

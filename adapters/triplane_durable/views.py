"""Runs, events and tasks as this wire shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from triplane.engines.durable.ids import event_id
from triplane.engines.durable.options import build_of
from triplane.engines.durable.waits import waiting_for
from triplane.entities import Run, RunDetail
from triplane.events import Event
from triplane.payloads import PayloadError, decode_envelope, envelope, is_envelope
from triplane.queries import RunView
from triplane_durable.frames import iso_time

BUCKETS = {
    "running": ("pending", "running", "waiting"),
    "completed": ("completed",),
    "failed": ("failed", "cancelled", "terminated"),
}
_BUCKET_OF = {status: bucket for bucket, statuses in BUCKETS.items() for status in statuses}


def type_name(run: Run) -> str:
    """The workflow type as this wire names it: `graph:` and `simulation:` tell the engine."""
    return run.workflow_type if run.engine == "durable" else f"{run.engine}:{run.workflow_type}"


def plain(value: Any) -> Any:
    """A payload decoded for people; one that cannot be decoded is shown as it is."""
    try:
        return decode_envelope(value)
    except PayloadError:
        return value


def run_summary(run: Run, detail: RunDetail) -> dict[str, Any]:
    """One line of a list of workflows (contract section 2.1)."""
    return {
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "workflow_type": type_name(run),
        "business_key": detail.options.get("business_key"),
        "status": run.status,
        "status_bucket": _BUCKET_OF.get(run.status, "running"),
        "task_queue": run.task_queue,
        "namespace": run.namespace,
        "is_terminal": not run.is_open,
        "closed_reason": run.closed_reason or (None if run.is_open else run.status),
        "run_number": run.run_number,
        "started_at": iso_time(run.created),
        "closed_at": iso_time(run.closed),
        "payload_codec": "avro",
        "memo": dict(detail.memo),
        "search_attributes": dict(detail.search_attributes),
    }


def run_view(view: RunView, newest: Run) -> dict[str, Any]:
    """The whole view of a run (contract section 2.1).

    Args:
        newest: the last run of the chain; commands are for that one only.
    """
    run, detail = view.run, view.detail
    options = detail.options
    execution_s, run_s = options.get("execution_timeout_s"), options.get("run_timeout_s")
    execution_deadline = options.get("execution_deadline") or (run.created + execution_s if execution_s else None)
    is_current, archived = newest.run_id == run.run_id, options.get("archived")
    takes_commands = run.is_open and is_current
    wait_kind, wait_reason = waiting_for(run, view.tasks)
    body = run_summary(run, detail) | {
        "run_count": newest.run_number,
        "is_current_run": is_current,
        "compatibility": build_of(options) or None,
        "execution_timeout_seconds": execution_s,
        "run_timeout_seconds": run_s,
        "execution_deadline_at": iso_time(execution_deadline),
        "run_deadline_at": iso_time(run.created + run_s) if run_s else None,
        "input": plain(detail.input),
        "output": plain(detail.output),
        "last_progress_at": iso_time(run.updated),
        "wait_kind": wait_kind,
        "wait_reason": wait_reason,
        "archived_at": iso_time(archived),
        "actions": {
            "can_signal": takes_commands,
            "can_query": True,
            "can_update": takes_commands,
            "can_cancel": takes_commands,
            "can_terminate": takes_commands,
            "can_repair": takes_commands,
            "can_archive": is_current and not run.is_open and archived is None,
            "can_redrive": is_current and run.status == "failed" and run.engine == "durable",
        },
    }
    if detail.parent is not None and "run_id" in detail.parent:
        body["parent_workflow_id"], body["parent_run_id"] = detail.parent["workflow_id"], detail.parent["run_id"]
    if is_envelope(detail.input):
        body["input_envelope"] = detail.input
    if is_envelope(detail.output):
        body["output_envelope"] = detail.output
    return body


def event_view(run_id: str, event: Event) -> dict[str, Any]:
    """A history event (contract section 5.1)."""
    at = iso_time(event.time)
    return {
        "id": event_id(run_id, event.seq),
        "sequence": event.seq,
        "event_type": event.name,
        "payload": event.data if event.name != "WorkflowCompleted" else _completion(event.data),
        "recorded_at": at,
        "timestamp": at,
    }


def _completion(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The end of a run with its output in an envelope, where clients look for the result; other engines keep it plain."""
    if "payload_codec" in data:
        return data
    try:
        return {**data, "output": envelope(data.get("output")), "payload_codec": "avro"}
    except PayloadError:
        return data


def events_view(run_id: str, events: Sequence[Event | Mapping[str, Any]]) -> list[Any]:
    """History events; those the engine has rendered already stay as they are."""
    return [event_view(run_id, event) if isinstance(event, Event) else event for event in events]


def with_iso_times(value: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with the moments in it, kept as seconds in the core, as this wire writes them."""
    shown = dict(value)
    for key in ("lease_expires_at", "last_heartbeat_at"):
        if isinstance(shown.get(key), int | float):
            shown[key] = iso_time(shown[key])
    if shown.get("deadlines"):
        shown["deadlines"] = {what: iso_time(at) for what, at in shown["deadlines"].items()}
    return shown


def task_view(task: dict[str, Any]) -> dict[str, Any]:
    """A leased task (contract sections 4.3 to 4.5)."""
    shown = with_iso_times(task)
    if "history_events" in shown:
        shown["history_events"] = events_view(str(task["run_id"]), shown["history_events"])
    return paged(shown) if "next_after" in shown else shown


def paged(page: dict[str, Any]) -> dict[str, Any]:
    """A page of a task's history, with the core's position as an opaque token (contract section 4.3)."""
    after = page.pop("next_after")
    page["next_history_page_token"] = str(after) if after is not None else None
    return page

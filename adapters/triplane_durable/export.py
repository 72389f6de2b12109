"""A run's history as one document that can be verified and replayed without us (contract section 2.5)."""

import hmac
import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from triplane.entities import Run
from triplane.events import Event
from triplane.jsontext import to_json
from triplane.payloads import PayloadError, envelope
from triplane.queries import RunView
from triplane_durable.canonical import canonical
from triplane_durable.frames import iso_time
from triplane_durable.views import event_view, run_view

_SCHEMA = "durable-workflow.v2.history-export"
_ENDS = {
    "ActivityCompleted": "completed", "ActivityFailed": "failed", "ActivityTimedOut": "timed_out",
    "ActivityCancelled": "cancelled", "TimerFired": "fired", "TimerCancelled": "cancelled",
}  # fmt: skip
_FRAMING = "single-object"
_WRITER_FINGERPRINT = "crc64-avro:e2a33dff55802237"
_FINAL = ("WorkflowFailed", "WorkflowTimedOut")


def bundle(view: RunView, newest: Run, events: Sequence[Event], key: bytes | None, key_id: str | None) -> dict[str, Any]:
    """The export of a run.

    Args:
        events: the whole committed history.
        key: signs the bundle, if given; key_id: what the key is called there.
    """
    run = view.run
    shown = [_event(run.run_id, event) for event in events]
    document: dict[str, Any] = {
        "schema": _SCHEMA,
        "schema_version": 1,
        # The last change in it, not the moment of asking: the same history gives the same bundle.
        "exported_at": iso_time(run.updated),
        "history_complete": not run.is_open,
        "workflow": _workflow(view, newest, events),
        "payloads": _payloads(view),
        "history_events": shown,
        "commands": list(_commands(events)),
        "signals": list(_signals(events)),
        "updates": _updates(events),
        "tasks": [],
        "activities": _steps(events, "Activity", "activity_execution_id", "activity_type"),
        "timers": _steps(events, "Timer", "timer_id", "delay_seconds"),
        "failures": list(_failures(run.run_id, events)),
        "links": _links(view),
        "redaction": {"applied": False, "policy": None, "paths": []},
        "codec_schemas": {},
        "payload_manifest": {"version": 1, "entries": _manifest(view)},
    }
    # What a reader will parse is what is signed: bytes, 64-bit limits and the like are settled before.
    document = json.loads(to_json(document))
    document["integrity"] = _integrity(document, key, key_id)
    return document


def _integrity(document: dict[str, Any], key: bytes | None, key_id: str | None) -> dict[str, Any]:
    text = canonical(document)
    return {
        "canonicalization": "json-recursive-ksort-v1",
        "checksum_algorithm": "sha256",
        "checksum": sha256(text).hexdigest(),
        "signature_algorithm": "hmac-sha256" if key is not None else None,
        "signature": hmac.new(key, text, sha256).hexdigest() if key is not None else None,
        "key_id": key_id if key is not None else None,
    }


def _event(run_id: str, event: Event) -> dict[str, Any]:
    shown = {**event_view(run_id, event), "type": event.name}
    command_id = _command_id(event)
    return {**shown, "workflow_command_id": command_id} if command_id else shown


def _workflow(view: RunView, newest: Run, events: Sequence[Event]) -> dict[str, Any]:
    shown = run_view(view, newest)
    kept = (
        "workflow_type", "namespace", "business_key", "status", "status_bucket", "closed_reason", "task_queue",
        "run_number", "run_count", "is_current_run", "compatibility", "payload_codec", "execution_timeout_seconds",
        "run_timeout_seconds", "started_at", "closed_at", "last_progress_at", "memo", "search_attributes",
    )  # fmt: skip
    return {
        "instance_id": view.run.workflow_id,
        "run_id": view.run.run_id,
        "last_history_sequence": len(events),
        **{name: shown[name] for name in kept},
    }


def _payloads(view: RunView) -> dict[str, Any]:
    arguments, output = _payload(view.detail.input), _payload(view.detail.output)
    payloads = {"codec": "avro", "arguments": {"available": arguments is not None, "data": arguments}}
    return {**payloads, "output": {"available": output is not None, "codec": "avro", "data": output}}


def _payload(value: Any) -> Any:
    """The blob of a payload; a reference to external storage as it is; what other engines keep plain, encoded."""
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("codec"), str):
        return value.get("blob", value)
    try:
        return envelope(value)["blob"]
    except PayloadError:
        return None


def _manifest(view: RunView) -> list[dict[str, Any]]:
    entries = []
    for path, value in (("payloads.arguments.data", view.detail.input), ("payloads.output.data", view.detail.output)):
        payload = _payload(value)
        entry: dict[str, Any] = {"path": path, "codec": "avro", "available": isinstance(payload, str), "redacted": False}
        if isinstance(payload, str):
            entry |= {"avro_framing": _FRAMING, "writer_schema_fingerprint": _WRITER_FINGERPRINT}
        entries.append(entry)
    return entries


def _links(view: RunView) -> dict[str, Any]:
    parent, options = view.detail.parent or {}, view.detail.options
    links = {
        "parent_workflow_instance_id": parent.get("workflow_id"),
        "parent_workflow_run_id": parent.get("run_id"),
        "redriven_from_run_id": options.get("redriven_from_run_id"),
        "continued_from_run_id": options.get("continued_from_run_id"),
    }
    return {name: value for name, value in links.items() if value}


# ---- what the history tells, by kind ---------------------------------------------------------------------------------


def _command_id(event: Event) -> str | None:
    """The id of the client's command that an event records."""
    if event.name == "SignalReceived":
        return _text(event.data.get("signal_id"))
    if event.name in ("UpdateAccepted", "UpdateCompleted", "UpdateApplied"):
        return _text(event.data.get("update_id"))
    return f"{event.name}-{event.seq}" if event.name in ("CancelRequested", "TerminateRequested") else None


def _commands(events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    kinds = {"SignalReceived": "signal", "UpdateAccepted": "update", "CancelRequested": "cancel", "TerminateRequested": "terminate"}
    for event in events:
        kind, command_id = kinds.get(event.name), _command_id(event)
        if kind is not None and command_id is not None:
            at = iso_time(event.time)
            name = event.data.get(f"{kind}_name")
            yield {
                "id": command_id, "type": kind, **({"name": name} if name else {}), "status": "applied",
                "source": event.wire, "accepted_at": at, "applied_at": at, "history_sequence": event.seq,
            }  # fmt: skip


def _signals(events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.name == "SignalReceived":
            yield {
                "id": _command_id(event), "name": event.data.get("signal_name"), "status": "received",
                "received_at": iso_time(event.time), "history_sequence": event.seq,
            }  # fmt: skip


def _updates(events: Sequence[Event]) -> list[dict[str, Any]]:
    updates: dict[Any, dict[str, Any]] = {}
    for event in events:
        update_id = event.data.get("update_id")
        if event.name == "UpdateAccepted":
            updates[update_id] = {
                "id": update_id, "name": event.data.get("update_name"), "status": "accepted",
                "accepted_at": iso_time(event.time), "history_sequence": event.seq,
            }  # fmt: skip
        elif event.name == "UpdateCompleted" and update_id in updates:
            failed = "result" not in event.data
            updates[update_id] |= {"status": "failed" if failed else "completed", "closed_at": iso_time(event.time)}
    return list(updates.values())


def _steps(events: Sequence[Event], kind: str, id_key: str, told: str) -> list[dict[str, Any]]:
    """Activities or timers, each with how it stands at the end of the history."""
    steps: dict[Any, dict[str, Any]] = {}
    for event in events:
        identity = event.data.get(id_key)
        if event.name == f"{kind}Scheduled":
            steps[identity] = {
                "id": identity, "sequence": event.data.get("sequence"), told: event.data.get(told), "status": "open",
                "scheduled_at": iso_time(event.time), "history_sequence": event.seq,
            }  # fmt: skip
        elif identity in steps and event.name in _ENDS and event.name.startswith(kind):
            steps[identity] |= {"status": _ENDS[event.name], "closed_at": iso_time(event.time)}
    return list(steps.values())


def _failures(run_id: str, events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.name in _FINAL or event.name in ("ActivityFailed", "ActivityTimedOut"):
            view = event_view(run_id, event)
            keys = ("message", "exception_type", "exception_class", "non_retryable", "failure_category", "timeout_kind")
            yield {
                "id": view["id"], "source": event.name, "recorded_at": view["recorded_at"], "history_sequence": event.seq,
                **{key: event.data[key] for key in keys if event.data.get(key) is not None},
            }  # fmt: skip


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None

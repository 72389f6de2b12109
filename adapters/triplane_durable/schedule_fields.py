"""Schedules as this wire writes them: reading what clients ask for, and showing what there is (contract section 3)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from triplane.errors import InvalidFields
from triplane.schedules.entities import Overlap, Schedule, ScheduledStart, ScheduleEvent
from triplane.schedules.timetable import read_timetable
from triplane.workflow_types import engine_of
from triplane_durable.frames import Fields, iso_time
from triplane_durable.payload_fields import payload_field

LONGEST_S = 10 * 365 * 86_400
_POLICIES = tuple(policy.value for policy in Overlap)


def spec_field(fields: Fields, required: bool = False) -> dict[str, Any] | None:
    """The `spec`, checked; null entries, which the CLI sends for what was not given, are left out."""
    value = fields.body.get("spec")
    if value is None and not required:
        return None
    if not isinstance(value, dict):
        fields.wrong("spec", "The spec field is required and must be an object.")
        return None
    spec = {key: item for key, item in value.items() if item is not None}
    try:
        read_timetable(spec, 0.0)
    except InvalidFields as error:
        for name, sentences in error.details["errors"].items():
            for sentence in sentences:
                fields.wrong(name, sentence)
    return spec


def action_field(fields: Fields, most_bytes: int, required: bool = False) -> dict[str, Any] | None:
    """What the `action` says, with the names of `ScheduleAction`; only keys that were given.

    Args:
        most_bytes: limit of its input.

    Raises:
        TooLarge
    """
    value = fields.body.get("action")
    if value is None and not required:
        return None
    if not isinstance(value, dict):
        fields.wrong("action", "The action field is required and must be an object.")
        return None
    given = Fields(value)
    action: dict[str, Any] = {}
    workflow_type = given.text("workflow_type", required=required)
    if workflow_type is not None:
        choice = engine_of(workflow_type)
        action |= {"engine": choice.engine, "workflow_type": choice.name, "source": choice.source}
    task_queue = given.text("task_queue")
    if task_queue is not None:
        action["task_queue"] = task_queue
    for name in ("execution_timeout", "run_timeout"):
        seconds = given.number(f"{name}_seconds", least=1, most=LONGEST_S)
        if seconds is not None:
            action[f"{name}_s"] = seconds
    if value.get("input") is not None:
        action["input"] = payload_field(given, "input", most_bytes)
    for name, sentences in given.errors.items():
        for sentence in sentences:
            fields.wrong(f"action.{name}", sentence)
    return action


def overlap_field(fields: Fields) -> str | None:
    """The `overlap_policy`."""
    policy = fields.text("overlap_policy")
    if policy is not None and policy not in _POLICIES:
        fields.wrong("overlap_policy", f"The overlap_policy field must be one of {', '.join(_POLICIES)}.")
    return policy


def moment_field(fields: Fields, name: str) -> float:
    """A required ISO 8601 time as wall-clock seconds; one without a zone is in UTC."""
    text = fields.text(name, required=True, longest=64)
    if text is None:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= 7_258_118_400:
        fields.wrong(name, f"The {name} field must be an ISO 8601 time between 1970 and 2200.")
        return 0.0
    return seconds


def flag_field(fields: Fields, name: str) -> bool:
    """A boolean field; absent and null are false."""
    value = fields.body.get(name)
    if value is not None and not isinstance(value, bool):
        fields.wrong(name, f"The {name} field must be true or false.")
    return value is True


# ---- showing -------------------------------------------------------------------------------------------------------


def schedule_view(schedule: Schedule) -> dict[str, Any]:
    """A schedule with both clients' fields: flat ones for the SDK, nested ones for the CLI."""
    action = action_view(schedule.action)
    next_fire, last_fire = iso_time(schedule.next_fire_at), iso_time(schedule.last_fired_at)
    paused = schedule.paused_at is not None
    return {
        "schedule_id": schedule.schedule_id,
        "namespace": schedule.namespace,
        "status": schedule.status,
        "paused": paused,
        "spec": dict(schedule.spec),
        "action": action,
        "workflow_type": action["workflow_type"],
        "overlap_policy": str(schedule.overlap),
        "note": schedule.note,
        "memo": dict(schedule.memo),
        "search_attributes": dict(schedule.search_attributes),
        "jitter_seconds": schedule.jitter_s,
        "max_runs": schedule.max_runs,
        "remaining_actions": schedule.remaining,
        "fires_count": schedule.fires,
        "failures_count": schedule.failures,
        "next_fire_at": next_fire,
        "last_fired_at": last_fire,
        "next_fire": next_fire,
        "last_fire": last_fire,
        "latest_workflow_instance_id": schedule.latest_workflow_id,
        "paused_at": iso_time(schedule.paused_at),
        "created_at": iso_time(schedule.created),
        "updated_at": iso_time(schedule.updated),
        "state": {"status": schedule.status, "paused": paused, "note": schedule.note},
        "info": {
            "next_fire": next_fire,
            "last_fire": last_fire,
            "fires_count": schedule.fires,
            "failures_count": schedule.failures,
            "recent_actions": [_recent_view(start) for start in schedule.recent],
            "buffered_actions": [_waiting_view(start) for start in schedule.buffer],
            "skipped_trigger_count": schedule.skips,
            "last_skip_reason": schedule.last_skip_reason,
            "last_skipped_at": iso_time(schedule.last_skipped_at),
        },
    }


def action_view(action: Mapping[str, Any]) -> dict[str, Any]:
    """An action as it was given: what was left out is not shown."""
    engine = action["engine"]
    shown: dict[str, Any] = {
        "workflow_type": action["workflow_type"] if engine == "durable" else f"{engine}:{action['workflow_type']}"
    }
    if action["task_queue"]:
        shown["task_queue"] = action["task_queue"]
    if action["input"] is not None:
        shown["input"] = action["input"]
    for name in ("execution_timeout", "run_timeout"):
        seconds = action[f"{name}_s"]
        if seconds is not None:
            shown[f"{name}_seconds"] = int(seconds)
    return shown


def _recent_view(start: Mapping[str, Any]) -> dict[str, Any]:
    return {**start, "fire_time": iso_time(start["fire_time"]), "started_at": iso_time(start["started_at"])}


def _waiting_view(start: ScheduledStart) -> dict[str, Any]:
    return {
        "workflow_id": start.workflow_id, "fire_time": iso_time(start.fire_time), "buffered_at": iso_time(start.accepted),
        "cause": str(start.cause),
    }  # fmt: skip


def schedule_event_view(event: ScheduleEvent) -> dict[str, Any]:
    """One entry of a schedule's history."""
    payload = dict(event.data)
    if isinstance(payload.get("fire_time"), int | float):
        payload["fire_time"] = iso_time(payload["fire_time"])
    return {
        "id": f"{event.schedule_id}:{event.sequence}",
        "sequence": event.sequence,
        "event_type": event.name,
        "payload": payload,
        "workflow_instance_id": event.workflow_id or None,
        "workflow_run_id": event.run_id or None,
        "recorded_at": iso_time(event.time),
    }

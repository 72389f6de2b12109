"""Routes under `/schedules` (contract section 3)."""

import base64
import binascii
import re
from typing import Any

from triplane.commands import (
    BackfillSchedule,
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    TriggerSchedule,
    UpdateSchedule,
)
from triplane.commands.base import WORKFLOW_ID_PATTERN, Access
from triplane.connection import Connection
from triplane.errors import ScheduleNotFound
from triplane.queries import DescribeSchedule, ListSchedules, ReadScheduleHistory
from triplane.schedules.entities import Schedule, ScheduleHistoryPage, SchedulePage
from triplane.workflow_types import ENGINE_PREFIXES, engine_of
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time, whole_number
from triplane_durable.schedule_fields import (
    action_field,
    flag_field,
    moment_field,
    overlap_field,
    schedule_event_view,
    schedule_view,
    spec_field,
)

MOST_RUNS = 1_000_000_000
LONGEST_NOTE = 1_000
STATUSES = ("active", "paused")
_ID = re.compile(WORKFLOW_ID_PATTERN)
_R, _W, _E = Access.READ, Access.WRITE, Access.END

_ROUTES: RouteTable = (
    ("POST", "schedules", Route("create_schedule", "control", _W)),
    ("GET", "schedules", Route("list_schedules", "control", _R)),
    ("GET", "schedules/{schedule_id}", Route("describe_schedule", "control", _R)),
    ("PUT", "schedules/{schedule_id}", Route("update_schedule", "control", _W)),
    ("DELETE", "schedules/{schedule_id}", Route("delete_schedule", "control", _E)),
    ("POST", "schedules/{schedule_id}/pause", Route("pause_schedule", "control", _W)),
    ("POST", "schedules/{schedule_id}/resume", Route("resume_schedule", "control", _W)),
    ("POST", "schedules/{schedule_id}/trigger", Route("trigger_schedule", "control", _E)),
    ("POST", "schedules/{schedule_id}/backfill", Route("backfill_schedule", "control", _E)),
    ("GET", "schedules/{schedule_id}/history", Route("schedule_history", "control", _R)),
)


class Schedules:
    """Handlers of the routes under `/schedules`, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "create_schedule": self.create,
            "list_schedules": self.list,
            "describe_schedule": self.describe,
            "update_schedule": self.update,
            "delete_schedule": self.delete,
            "pause_schedule": self.pause,
            "resume_schedule": self.resume,
            "trigger_schedule": self.trigger,
            "backfill_schedule": self.backfill,
            "schedule_history": self.history,
        }

    # ---- definition ------------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        schedule_id = fields.text("schedule_id", longest=128)
        if schedule_id is not None and not _ID.fullmatch(schedule_id):
            fields.wrong("schedule_id", "The schedule_id field may have letters, digits and . _ : - only.")
        spec = spec_field(fields, required=True)
        action = action_field(fields, self._config.max_payload_bytes, required=True)
        overlap, note = overlap_field(fields), fields.text("note", longest=LONGEST_NOTE)
        jitter_s = fields.number("jitter_seconds", least=0, most=3_600)
        max_runs = fields.number("max_runs", least=1, most=MOST_RUNS)
        memo, attributes = fields.mapping("memo"), fields.mapping("search_attributes")
        paused = flag_field(fields, "paused")
        fields.check()
        command: dict[str, Any] = {
            "namespace": call.namespace, "schedule_id": schedule_id, "spec": spec, "action": action, "overlap": overlap or "skip",
            "jitter_s": jitter_s or 0, "max_runs": max_runs, "memo": memo, "search_attributes": attributes, "paused": paused,
            "note": note,
        }  # fmt: skip
        return 201, await self._connection.dispatch(CreateSchedule(**command))

    async def update(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        changes: dict[str, Any] = {
            "spec": spec_field(fields),
            "action": action_field(fields, self._config.max_payload_bytes),
            "overlap": overlap_field(fields),
            "jitter_s": fields.number("jitter_seconds", least=0, most=3_600),
            "max_runs": fields.number("max_runs", least=1, most=MOST_RUNS),
            "note": fields.text("note", longest=LONGEST_NOTE),
        }
        for name in ("memo", "search_attributes"):
            value = fields.mapping(name)
            changes[name] = value if call.body.get(name) is not None else None
        fields.check()
        return 200, await self._connection.dispatch(UpdateSchedule(**_named(call), **changes))

    async def delete(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, await self._connection.dispatch(DeleteSchedule(**_named(call)))

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def list(self, call: Call) -> tuple[int, dict[str, Any]]:
        query = call.query
        fields = Fields({**query, "page_size": whole_number(query.get("page_size"))})
        status = query.get("status") or None
        if status is not None and status not in STATUSES:
            fields.wrong("status", f"The status field must be one of {', '.join(STATUSES)}.")
        size = fields.number("page_size", least=1, most=200) or 50
        workflow_type, text = fields.text("workflow_type"), fields.text("query", longest=4_096)
        after = _from_token(fields, query.get("next_page_token"))
        fields.check()
        choice = engine_of(workflow_type) if workflow_type else None
        page: SchedulePage = self._connection.query(
            ListSchedules(
                namespace=call.namespace,
                status=status,
                engine=choice.engine if choice is not None and choice.engine in ENGINE_PREFIXES else None,
                workflow_type=choice.name if choice is not None else None,
                text=text or "",
                limit=size,
                after=after,
            )
        )
        return 200, {
            "schedules": [schedule_view(schedule) for schedule in page.schedules],
            "next_page_token": base64.urlsafe_b64encode(page.next.encode()).decode() if page.next is not None else None,
        }

    async def describe(self, call: Call) -> tuple[int, dict[str, Any]]:
        schedule: Schedule = self._connection.query(DescribeSchedule(**_named(call)))
        return 200, schedule_view(schedule)

    async def history(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields({name: whole_number(call.query.get(name)) for name in ("limit", "after_sequence")})
        limit = fields.number("limit", least=0, most=1 << 53)
        after = fields.number("after_sequence", least=0, most=1 << 53) or 0
        fields.check()
        # Clients are promised that a limit is brought within bounds, not refused.
        limit = 100 if limit is None else min(max(limit, 1), 500)
        page: ScheduleHistoryPage = self._connection.query(ReadScheduleHistory(**_named(call), after=after, limit=limit))
        return 200, {
            "schedule_id": page.schedule_id,
            "namespace": call.namespace,
            "events": [schedule_event_view(event) for event in page.events],
            "next_cursor": page.events[-1].sequence if page.has_more else None,
            "has_more": page.has_more,
        }

    # ---- steering --------------------------------------------------------------------------------------------------

    async def pause(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, await self._connection.dispatch(PauseSchedule(**_named(call), note=_note(call)))

    async def resume(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, await self._connection.dispatch(ResumeSchedule(**_named(call), note=_note(call)))

    async def trigger(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        overlap = overlap_field(fields)
        fields.check()
        reply = await self._connection.dispatch(TriggerSchedule(**_named(call), overlap=overlap))
        if reply["outcome"] == "failed":
            return 500, {**reply, "outcome": "trigger_failed"}
        return 200, dict(reply)

    async def backfill(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        start, end = moment_field(fields, "start_time"), moment_field(fields, "end_time")
        overlap = overlap_field(fields)
        fields.check()
        reply = await self._connection.dispatch(BackfillSchedule(**_named(call), start_time=start, end_time=end, overlap=overlap))
        return 200, {**reply, "results": [{**result, "fire_time": iso_time(result["fire_time"])} for result in reply["results"]]}


def _named(call: Call) -> dict[str, Any]:
    """Which schedule a call is about.

    Raises:
        ScheduleNotFound: no schedule can have such an id.
    """
    schedule_id = call.params["schedule_id"]
    if not _ID.fullmatch(schedule_id):
        raise ScheduleNotFound(schedule_id[:128], call.namespace)
    return {"namespace": call.namespace, "schedule_id": schedule_id}


def _note(call: Call) -> str | None:
    fields = Fields(call.body)
    note = fields.text("note", longest=LONGEST_NOTE)
    fields.check()
    return note


def _from_token(fields: Fields, token: str | None) -> str | None:
    if not token:
        return None
    try:
        after = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError, ValueError):
        after = ""
    if not _ID.fullmatch(after):
        fields.wrong("next_page_token", "The next_page_token field is not a token of this list.")
    return after

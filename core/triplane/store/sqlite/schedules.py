"""Schedules and their histories."""

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from triplane.schedules.entities import Schedule, ScheduledStart, ScheduleEvent, SchedulePage
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

if TYPE_CHECKING:
    from triplane.store.sqlite.writer import SqliteWriter

UPSERT_SCHEDULE = (
    "INSERT INTO schedules (namespace, schedule_id, status, engine, workflow_type, deleted, body) VALUES (?,?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET status = excluded.status, engine = excluded.engine, workflow_type = excluded.workflow_type,"
    " deleted = excluded.deleted, body = excluded.body"
)
INSERT_SCHEDULE_EVENT = (
    "INSERT INTO schedule_events (namespace, schedule_id, sequence, time, name, workflow_id, run_id, body) VALUES (?,?,?,?,?,?,?,?)"
)
FORGET_SCHEDULE_EVENTS = "DELETE FROM schedule_events WHERE namespace = ? AND schedule_id = ? AND sequence <= ?"

_FIELDS = tuple(field.name for field in fields(Schedule))
_START_FIELDS = tuple(field.name for field in fields(ScheduledStart))
_EVENT_COLUMNS = "namespace, schedule_id, sequence, time, name, body, workflow_id, run_id"


def schedule_row(schedule: Schedule) -> tuple[Any, ...]:
    """Parameters of `UPSERT_SCHEDULE`."""
    return (
        schedule.namespace, schedule.schedule_id, schedule.status, schedule.action["engine"], schedule.action["workflow_type"],
        math.ceil(schedule.deleted or 0), pack(_body(schedule)),
    )  # fmt: skip


def _body(schedule: Schedule) -> dict[str, Any]:
    body = {name: getattr(schedule, name) for name in _FIELDS}
    for name in ("pending", "buffer"):
        body[name] = [{field: getattr(start, field) for field in _START_FIELDS} for start in body[name]]
    return body


def event_row(event: ScheduleEvent) -> tuple[Any, ...]:
    """Parameters of `INSERT_SCHEDULE_EVENT`."""
    return (
        event.namespace, event.schedule_id, event.sequence, event.time, event.name, event.workflow_id, event.run_id, pack(event.data),
    )  # fmt: skip


def _schedule_from(body: bytes) -> Schedule:
    values: dict[str, Any] = unpack(body)
    for name in ("pending", "buffer"):
        values[name] = tuple(ScheduledStart(**start) for start in values[name])
    values["recent"] = tuple(values["recent"])
    return Schedule(**values)


class SqliteScheduleStore:
    """Reads schedules, and forgets deleted ones."""

    def __init__(self, readers: Readers, writer: "SqliteWriter | None") -> None:
        self._readers, self._writer = readers, writer

    def all(self) -> list[Schedule]:
        """Every schedule that was not deleted."""
        rows = self._readers.get().execute("SELECT body FROM schedules WHERE NOT deleted ORDER BY namespace, schedule_id")
        return [_schedule_from(row[0]) for row in rows]

    def find(self, namespace: str, schedule_id: str) -> Schedule | None:
        """A schedule, deleted or not."""
        body: bytes | None = (
            self._readers.get()
            .execute("SELECT body FROM schedules WHERE namespace = ? AND schedule_id = ?", (namespace, schedule_id))
            .get
        )
        return None if body is None else _schedule_from(body)

    def page(
        self,
        namespace: str,
        *,
        status: str | None,
        engine: str | None,
        workflow_type: str | None,
        text: str,
        limit: int,
        after: str | None,
    ) -> SchedulePage:
        """Schedules that were not deleted, by id.

        Args:
            text: a part of the id or the workflow type, in any case.
            after: the last id of the page before.
        """
        where, parameters = ["namespace = ?", "NOT deleted"], [namespace]
        for column, value in (("status", status), ("engine", engine), ("workflow_type", workflow_type)):
            if value is not None:
                where.append(f"{column} = ?")
                parameters.append(value)
        if after is not None:
            where.append("schedule_id > ?")
            parameters.append(after)
        if text:
            where.append("instr(lower(schedule_id || char(10) || workflow_type), lower(?))")
            parameters.append(text)
        sql = f"SELECT body FROM schedules WHERE {' AND '.join(where)} ORDER BY schedule_id LIMIT ?"
        rows: list[Any] = self._readers.get().execute(sql, (*parameters, limit + 1)).fetchall()
        found = tuple(_schedule_from(row[0]) for row in rows[:limit])
        return SchedulePage(found, found[-1].schedule_id if len(rows) > limit else None)

    def events(self, namespace: str, schedule_id: str, after: int, limit: int) -> list[ScheduleEvent]:
        """History events with a sequence beyond `after`, oldest first."""
        rows: Any = self._readers.get().execute(
            f"SELECT {_EVENT_COLUMNS} FROM schedule_events WHERE namespace = ? AND schedule_id = ? AND sequence > ?"
            " ORDER BY sequence LIMIT ?",
            (namespace, schedule_id, after, limit),
        )
        return [_event_from(row) for row in rows]

    def forget(self, before: float, limit: int) -> int:
        """Remove at most `limit` schedules that were deleted before a moment; waits for a commit that is under way."""
        if self._writer is None:
            return 0
        with self._writer.beside() as connection:
            gone: list[Any] = connection.execute(
                "DELETE FROM schedules WHERE (namespace, schedule_id) IN"
                " (SELECT namespace, schedule_id FROM schedules WHERE deleted AND deleted < ? LIMIT ?)"
                " RETURNING namespace, schedule_id",
                (before, limit),
            ).fetchall()
            connection.executemany("DELETE FROM schedule_events WHERE namespace = ? AND schedule_id = ?", gone)
        return len(gone)


def _event_from(row: tuple[Any, ...]) -> ScheduleEvent:
    namespace, schedule_id, sequence, time, name, body, workflow_id, run_id = row
    return ScheduleEvent(namespace, schedule_id, sequence, time, name, unpack(body), workflow_id, run_id)

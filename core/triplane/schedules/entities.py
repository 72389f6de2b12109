"""What a schedule is made of, as immutable values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from triplane.events import EventType
from triplane.values import value


class Overlap(StrEnum):
    """What a firing does while the run that the schedule started last is still open."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    ALLOW_ALL = "allow_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"


class Cause(StrEnum):
    """Why a schedule fires."""

    TIMER = "timer"
    TRIGGER = "trigger"
    BACKFILL = "backfill"


@value()
class ScheduledStart:
    """A start that was accepted: it happens, once.

    Attributes:
        number: counts all that the schedule ever accepted.
        workflow_id: made from the schedule's id and the time, so that a second try finds the first one's run.
        fire_time: when the spec says that it fires, wall-clock seconds; jitter comes on top.
        accepted: when it was decided.
        stop: `graceful` or `kill` where the run before is ended first, else empty.
    """

    number: int
    workflow_id: str
    fire_time: float
    cause: str
    accepted: float
    stop: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What starts runs by the clock.

    Attributes:
        spec: when, as the client wrote it. action: what, with the fields of `commands.schedules.ScheduleAction`.
        memo, search_attributes: given to every run that it starts.
        remaining: starts left of `max_runs`; None for no limit.
        next_nominal: when the spec fires next; next_fire_at: the same and jitter. None where it fires no more.
        latest: the workflow that was started last, and its run.
        recent: the last ten starts, oldest first, as plain JSON with times in seconds.
        pending: accepted, and not known to be started yet. buffer: waiting for the latest run to close.
        sequence: of its last history event; number: of its last accepted start. Both go on when the id is used anew.
        deleted: when it was deleted; its history stays.
    """

    namespace: str
    schedule_id: str
    spec: Mapping[str, Any]
    action: Mapping[str, Any]
    overlap: str = Overlap.SKIP
    jitter_s: int = 0
    max_runs: int | None = None
    memo: Mapping[str, Any] = field(default_factory=dict)
    search_attributes: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None
    created: float = 0.0
    updated: float = 0.0
    paused_at: float | None = None
    deleted: float | None = None
    remaining: int | None = None
    next_nominal: float | None = None
    next_fire_at: float | None = None
    last_fired_at: float | None = None
    latest_workflow_id: str | None = None
    latest_run_id: str | None = None
    fires: int = 0
    failures: int = 0
    skips: int = 0
    last_skip_reason: str | None = None
    last_skipped_at: float | None = None
    recent: tuple[Mapping[str, Any], ...] = ()
    pending: tuple[ScheduledStart, ...] = ()
    buffer: tuple[ScheduledStart, ...] = ()
    sequence: int = 0
    number: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.schedule_id)

    @property
    def status(self) -> str:
        """`active` or `paused`."""
        return "active" if self.paused_at is None else "paused"

    @property
    def left(self) -> int | None:
        """Starts that may still be accepted; None for no limit."""
        return None if self.remaining is None else max(self.remaining - len(self.pending) - len(self.buffer), 0)


@value()
class ScheduleEvent:
    """One fact in a schedule's history, appended once and never changed.

    Attributes:
        sequence: dense from 1 over all schedules that had this id.
        name: one of `SCHEDULE_EVENTS`.
        workflow_id, run_id: of the run it is about, else empty.
    """

    namespace: str
    schedule_id: str
    sequence: int
    time: float
    name: str
    data: Mapping[str, Any]
    workflow_id: str = ""
    run_id: str = ""


_FIRING = {"cause": "str: timer, trigger or backfill", "fire_time": "float: when the spec says that it fires"}
_BY = {"requested_by": "map: wire and principal, where somebody asked"}

SCHEDULE_EVENTS: tuple[EventType, ...] = (
    EventType("ScheduleCreated", "The schedule was made.", {"overlap_policy": "str", "paused": "bool", "note": "str", **_BY}),
    EventType("SchedulePaused", "It fires no more until it is resumed.", {"note": "str", **_BY}),
    EventType("ScheduleResumed", "It fires again.", {"note": "str", **_BY}),
    EventType("ScheduleUpdated", "Its definition changed.", {"changed": "list[str]: which fields", "note": "str", **_BY}),
    EventType("ScheduleTriggered", "It started a run.", {**_FIRING, **_BY}),
    EventType("ScheduleTriggerSkipped", "A firing started nothing.", {"reason": "str", "message": "str: the refusal", **_FIRING, **_BY}),
    EventType("ScheduleDeleted", "It fires never again.", {**_BY}),
)
"""Every event in the histories of schedules."""


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Schedules by id; `next` is None at the end."""

    schedules: tuple[Schedule, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ScheduleHistoryPage:
    """Events, oldest first, and whether more follow them."""

    schedule_id: str
    events: tuple[ScheduleEvent, ...]
    has_more: bool

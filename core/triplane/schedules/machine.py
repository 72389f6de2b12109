"""What a schedule becomes, step by step. Pure: the time, chance, and whether its run is still open are given."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from triplane.schedules.entities import Cause, Overlap, Schedule, ScheduledStart, ScheduleEvent
from triplane.schedules.timetable import Timetable

RECENT = 10
LONGEST_PREFIX = 96
"""Characters of a schedule's id that its runs' ids begin with; longer ones are cut and marked by a digest."""

_STOPS = {Overlap.CANCEL_OTHER: "graceful", Overlap.TERMINATE_OTHER: "kill"}


@dataclass(frozen=True, slots=True)
class Firing:
    """What became of one firing.

    Attributes:
        outcome: `started` (accepted), `buffered`, `buffer_full` or `skipped`.
        start: the accepted or buffered start.
        reason: why it was skipped.
    """

    outcome: str
    start: ScheduledStart | None = None
    reason: str = ""


class Turn:
    """One step of one schedule: `schedule` is what it has become so far, `events` what is to be recorded.

    Args:
        by: who asked, as `{"wire", "principal"}`; empty for the clock.
    """

    def __init__(self, schedule: Schedule, now: float, by: Mapping[str, str] | None = None) -> None:
        self.schedule, self.now, self.by = schedule, now, by or {}
        self.events: list[ScheduleEvent] = []

    def set(self, **changes: Any) -> None:
        """Replace fields."""
        self.schedule = replace(self.schedule, updated=self.now, **changes)

    def record(self, name: str, data: Mapping[str, Any], workflow_id: str = "", run_id: str = "") -> None:
        """Append an event; keys without a value are left out."""
        schedule = self.schedule
        kept = {key: value for key, value in data.items() if value is not None}
        if self.by:
            kept["requested_by"] = dict(self.by)
        sequence = schedule.sequence + 1
        self.events.append(
            ScheduleEvent(schedule.namespace, schedule.schedule_id, sequence, self.now, name, kept, workflow_id, run_id)
        )
        self.schedule = replace(schedule, sequence=sequence)

    # ---- definition and state ------------------------------------------------------------------------------------------

    def create(self, timetable: Timetable, chance: random.Random) -> None:
        """Begin: `schedule` holds what was asked for."""
        schedule = self.schedule
        self.set(created=self.now, remaining=schedule.max_runs)
        paused = schedule.paused_at is not None
        self.record("ScheduleCreated", {"overlap_policy": str(schedule.overlap), "paused": paused, "note": schedule.note})
        self.plan(timetable, chance, self.now)

    def update(self, changes: Mapping[str, Any], timetable: Timetable, chance: random.Random) -> None:
        """Change the definition; starts left become `max_runs` less those that were (contract section 3)."""
        self.set(**changes)
        if "max_runs" in changes:
            self.set(remaining=max(changes["max_runs"] - self.schedule.fires, 0))
        self.record("ScheduleUpdated", {"changed": sorted(changes), "note": changes.get("note")})
        self.plan(timetable, chance, self.now)

    def pause(self, note: str | None) -> None:
        """Fire no more until resumed."""
        paused = self.schedule.paused_at is not None
        if paused and note in (None, self.schedule.note):
            return
        self.set(paused_at=self.schedule.paused_at if paused else self.now, note=note if note is not None else self.schedule.note)
        self.record("SchedulePaused", {"note": note})

    def resume(self, note: str | None, timetable: Timetable, chance: random.Random) -> None:
        """Fire again from now on."""
        if self.schedule.paused_at is None and note in (None, self.schedule.note):
            return
        self.set(paused_at=None, note=note if note is not None else self.schedule.note)
        self.record("ScheduleResumed", {"note": note})
        self.plan(timetable, chance, self.now)

    def delete(self) -> None:
        """Fire never again."""
        self.set(deleted=self.now, next_nominal=None, next_fire_at=None, pending=(), buffer=())
        self.record("ScheduleDeleted", {})

    def plan(self, timetable: Timetable, chance: random.Random, after: float) -> None:
        """Find the next firing after a moment: none where no starts are left."""
        nominal = timetable.next_after(after) if self.schedule.left != 0 else None
        jitter = chance.uniform(0.0, self.schedule.jitter_s) if self.schedule.jitter_s and nominal is not None else 0.0
        self.schedule = replace(
            self.schedule,
            next_nominal=None if nominal is None else float(nominal),
            next_fire_at=None if nominal is None else nominal + jitter,
        )

    def plan_if_none_left(self) -> None:
        """What was accepted by hand may have been the last start."""
        if self.schedule.left == 0:
            self.schedule = replace(self.schedule, next_nominal=None, next_fire_at=None)

    # ---- firing --------------------------------------------------------------------------------------------------------

    def fire_due(self, running: bool, most_buffered: int, timetable: Timetable, chance: random.Random) -> Firing | None:
        """Fire if it is time; what was missed since is not caught up. None where it is not time."""
        schedule = self.schedule
        due, nominal = schedule.next_fire_at, schedule.next_nominal
        if due is None or nominal is None or due > self.now or schedule.paused_at is not None or schedule.deleted is not None:
            return None
        self.set(last_fired_at=self.now)
        firing = self.offer(nominal, Cause.TIMER, schedule.overlap, running, most_buffered)
        self.plan(timetable, chance, self.now)
        return firing

    def trigger(self, overlap: str | None, running: bool, most_buffered: int) -> Firing:
        """Fire because somebody asked."""
        if self.schedule.paused_at is not None:
            return self._skip(self.now, Cause.TRIGGER, "status_not_triggerable")
        return self.offer(self.now, Cause.TRIGGER, overlap or self.schedule.overlap, running, most_buffered)

    def backfill(self, moments: Sequence[float], overlap: str | None, running: bool) -> list[Firing]:
        """Fire for moments gone by, oldest first."""
        policy = overlap or self.schedule.overlap
        if policy in (Overlap.BUFFER_ONE, Overlap.BUFFER_ALL):
            policy = Overlap.ALLOW_ALL
        return [self.offer(moment, Cause.BACKFILL, policy, running, 0) for moment in moments]

    def offer(self, fire_time: float, cause: Cause, policy: str, running: bool, most_buffered: int) -> Firing:
        """Decide about one firing by its overlap policy."""
        schedule = self.schedule
        if schedule.left == 0:
            return self._skip(fire_time, cause, "remaining_actions_exhausted")
        # What is accepted and not started yet is as good as running, and what waits goes first.
        busy = running or bool(schedule.pending)
        if policy in (Overlap.BUFFER_ONE, Overlap.BUFFER_ALL) and (busy or schedule.buffer):
            if len(schedule.buffer) >= (1 if policy == Overlap.BUFFER_ONE else most_buffered):
                self._skip(fire_time, cause, "buffer_full")
                return Firing("buffer_full", reason="buffer_full")
            start = self._start(fire_time, cause)
            self.set(buffer=(*self.schedule.buffer, start))
            return Firing("buffered", start)
        if busy and policy == Overlap.SKIP:
            return self._skip(fire_time, cause, "overlap_policy_skip")
        start = self._start(fire_time, cause, _STOPS.get(Overlap(policy), "") if busy else "")
        self.set(pending=(*self.schedule.pending, start))
        return Firing("started", start)

    def _start(self, fire_time: float, cause: Cause, stop: str = "") -> ScheduledStart:
        number = self.schedule.number + 1
        self.schedule = replace(self.schedule, number=number)
        return ScheduledStart(number, workflow_id_of(self.schedule.schedule_id, fire_time, cause, number), fire_time, cause, self.now, stop)

    def _skip(self, fire_time: float, cause: Cause, reason: str, message: str | None = None) -> Firing:
        self.set(skips=self.schedule.skips + 1, last_skip_reason=reason, last_skipped_at=self.now)
        self.record("ScheduleTriggerSkipped", {"reason": reason, "cause": str(cause), "fire_time": fire_time, "message": message})
        return Firing("skipped", reason=reason)

    def unbuffer(self) -> bool:
        """The run before has closed: accept the first start that waits. Returns whether there was one."""
        schedule = self.schedule
        if not schedule.buffer or schedule.pending or schedule.paused_at is not None:
            return False
        first, *others = schedule.buffer
        if schedule.remaining == 0:
            self.set(buffer=())
            for start in schedule.buffer:
                self._skip(start.fire_time, Cause(start.cause), "remaining_actions_exhausted")
            return False
        self.set(buffer=tuple(others), pending=(replace_accepted(first, self.now),))
        return True

    # ---- what became of accepted starts ----------------------------------------------------------------------------------

    def started(self, start: ScheduledStart, run_id: str) -> None:
        """A start happened."""
        schedule = self._settled(start)
        said = {
            "workflow_id": start.workflow_id, "run_id": run_id, "fire_time": start.fire_time, "started_at": self.now,
            "cause": str(start.cause),
        }  # fmt: skip
        self.set(
            fires=schedule.fires + 1,
            remaining=None if schedule.remaining is None else max(schedule.remaining - 1, 0),
            last_fired_at=self.now,
            latest_workflow_id=start.workflow_id,
            latest_run_id=run_id,
            recent=(*schedule.recent, said)[-RECENT:],
        )
        self.record("ScheduleTriggered", {"cause": str(start.cause), "fire_time": start.fire_time}, start.workflow_id, run_id)

    def failed(self, start: ScheduledStart, message: str) -> None:
        """A start was refused for good."""
        schedule = self._settled(start)
        self.set(failures=schedule.failures + 1)
        self._skip(start.fire_time, Cause(start.cause), "trigger_failed", message)

    def _settled(self, start: ScheduledStart) -> Schedule:
        self.set(pending=tuple(other for other in self.schedule.pending if other.number != start.number))
        return self.schedule


def replace_accepted(start: ScheduledStart, now: float) -> ScheduledStart:
    """The same start, accepted now."""
    return ScheduledStart(start.number, start.workflow_id, start.fire_time, start.cause, now, start.stop)


def workflow_id_of(schedule_id: str, fire_time: float, cause: str, number: int) -> str:
    """The id of the workflow that a firing starts: the schedule's id and the time, and for firings by hand their number.

    Examples: `nightly-20260301T020000Z`, `nightly-20260301T081502Z-t7` (triggered), `…-b8` (backfilled).
    """
    prefix = schedule_id
    if len(prefix) > LONGEST_PREFIX:
        prefix = f"{prefix[: LONGEST_PREFIX - 17]}.{blake2b(schedule_id.encode(), digest_size=8).hexdigest()}"
    stamp = datetime.fromtimestamp(int(fire_time), UTC).strftime("%Y%m%dT%H%M%SZ")
    mark = {Cause.TIMER: "", Cause.TRIGGER: f"-t{number}", Cause.BACKFILL: f"-b{number}"}[Cause(cause)]
    return f"{prefix}-{stamp}{mark}"

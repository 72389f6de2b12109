"""The service that fires schedules: what the state machine decides is put on disk first, then carried out, then noted.

A schedule takes one step at a time. A start is accepted on disk under a workflow id of its own before it is asked for, and
is asked for again after a crash; the second time it finds the run of the first. So each firing starts exactly one run.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from pydantic import ValidationError

from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.schedules import (
    SCHEDULE_COMMANDS,
    BackfillSchedule,
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    ScheduleAction,
    ScheduleCommand,
    TriggerSchedule,
    UpdateSchedule,
)
from triplane.config.model import SchedulesSection
from triplane.effects import Effect
from triplane.errors import (
    CannotNow,
    InvalidFields,
    InvalidTimeRange,
    LimitReached,
    NamespaceNotFound,
    ScheduleExists,
    ScheduleNotFound,
    ShuttingDown,
    UnknownCommand,
)
from triplane.requests import AnsweredRequests, digest_of
from triplane.schedules.entities import Schedule
from triplane.schedules.machine import Firing, Turn
from triplane.schedules.starting import Started, Starting
from triplane.schedules.timetable import Timetable, read_timetable
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice
from triplane.timers import TimerHeap

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""How long what could not be done now waits until it is tried again."""

DRAIN_S = 3.0
"""How long a stop waits for steps that are under way; what is cut off is taken up by the next start."""

Key = tuple[str, str]


class _Entry:
    """A schedule as it is on disk, and what goes with it in memory."""

    __slots__ = ("lock", "schedule", "timetable", "waits_for")

    def __init__(self, schedule: Schedule, timetable: Timetable) -> None:
        self.schedule, self.timetable = schedule, timetable
        self.lock = asyncio.Lock()
        self.waits_for: asyncio.Future[Any] | None = None


class Scheduling:
    """Answers the commands of schedules, and fires them.

    Attributes:
        settings: `[schedules]`.
        timers: one alarm for each schedule that will fire.

    Args:
        chance: where jitter comes from.
    """

    name: ClassVar[str] = "schedules"
    commands: ClassVar[tuple[type[Command], ...]] = SCHEDULE_COMMANDS
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, settings: SchedulesSection | None = None, chance: random.Random | None = None) -> None:
        self.settings = settings if settings is not None else SchedulesSection()
        self.timers: TimerHeap
        self._chance = chance if chance is not None else random.Random()
        self._entries: dict[Key, _Entry] = {}
        self._creating: set[Key] = set()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._bus: BusPort
        self._starting: Starting

    # ---- life cycle ------------------------------------------------------------------------------------------------

    async def start(self, bus: BusPort) -> None:
        self._bus, self._starting = bus, Starting(bus)
        self.timers = TimerHeap(bus.clock, self._due)
        for schedule in bus.store.schedules.all():
            try:
                entry = _Entry(schedule, read_timetable(schedule.spec, 0.0))
            except InvalidFields as error:
                # Such as a time zone that this machine's database has no more.
                log.error("schedule_unreadable: %s/%s: %s", schedule.namespace, schedule.schedule_id, error)
                continue
            self._entries[schedule.key] = entry
            self._arm(entry)
            if schedule.pending or schedule.buffer:
                self._spawn(self._take_up(schedule.key), f"take up schedule {schedule.schedule_id}")

    async def drain(self) -> None:
        """Fire no more, and let what is under way end."""
        self._draining = True
        self.timers.stop()
        for entry in self._entries.values():
            self._wait_no_more(entry)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=DRAIN_S)

    async def stop(self) -> None:
        """The bus ends its tasks."""

    def forget_namespace(self, namespace: str) -> None:
        """Its schedules fire no more."""
        for key in [key for key in self._entries if key[0] == namespace]:
            self.timers.clear(*key)
            self._wait_no_more(self._entries.pop(key))

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    def _spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        task = self._bus.spawn(coroutine, name)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    # ---- commands --------------------------------------------------------------------------------------------------

    def handle(self, command: Command, caller: Caller) -> "asyncio.Future[Any]":
        if self._draining:
            raise ShuttingDown("the gateway is stopping; try again when it is back")
        if isinstance(command, CreateSchedule):
            work = self._create(command, caller)
        elif isinstance(command, ScheduleCommand):
            work = self._steer(command, caller)
        else:
            raise UnknownCommand(f"schedules do not answer {command.name!r}")
        # A client that hangs up does not interrupt a step that has begun.
        return asyncio.shield(self._spawn(work, command.name))

    async def _create(self, command: CreateSchedule, caller: Caller) -> dict[str, Any]:
        key = (command.namespace, command.schedule_id or f"schedule-{uuid4().hex[:20]}")
        if command.namespace not in self._bus.namespaces:
            raise NamespaceNotFound(command.namespace)
        if key in self._entries or key in self._creating:
            raise ScheduleExists(f"schedule {key[1]!r} exists already", schedule_id=key[1])
        if len(self._entries) + len(self._creating) >= self.settings.max_schedules:
            raise LimitReached(f"there are {len(self._entries)} schedules already (schedules.max_schedules)")
        now = self._bus.clock.now()
        timetable = read_timetable(command.spec, now)
        self._creating.add(key)
        try:
            before = self._bus.store.schedules.find(*key)
            schedule = Schedule(
                *key, command.spec, command.action.model_dump(), str(command.overlap), command.jitter_s, command.max_runs,
                command.memo, command.search_attributes, command.note, now, now, now if command.paused else None,
                sequence=before.sequence if before is not None else 0, number=before.number if before is not None else 0,
            )  # fmt: skip
            entry, turn = _Entry(schedule, timetable), Turn(schedule, now, _by(caller))
            turn.create(timetable, self._chance)
            reply = {"schedule_id": key[1], "outcome": "created"}
            await self._commit(entry, turn, command, caller, reply)
            self._entries[key] = entry
        finally:
            self._creating.discard(key)
        return reply

    async def _steer(self, command: ScheduleCommand, caller: Caller) -> dict[str, Any]:
        key = (command.namespace, command.schedule_id)
        moments: list[int] = []
        if isinstance(command, BackfillSchedule):
            moments = await self._moments(command)
        entry = self._entry(key)
        async with entry.lock:
            self._entry(key)  # it may have been deleted meanwhile
            turn = Turn(entry.schedule, self._bus.clock.now(), _by(caller))
            if isinstance(command, TriggerSchedule):
                return await self._trigger(command, entry, turn, caller)
            if isinstance(command, BackfillSchedule):
                return await self._backfill(command, moments, entry, turn, caller)
            reply = {"schedule_id": command.schedule_id, "outcome": self._change(command, entry, turn)}
            await self._commit(entry, turn, command, caller, reply)
            await self._settle(entry)
            return reply

    def _entry(self, key: Key) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            raise ScheduleNotFound(*reversed(key))
        return entry

    def _change(self, command: ScheduleCommand, entry: _Entry, turn: Turn) -> str:
        """Take the step that a command asks for; its outcome."""
        if isinstance(command, PauseSchedule):
            turn.pause(command.note)
            return "paused"
        if isinstance(command, ResumeSchedule):
            turn.resume(command.note, entry.timetable, self._chance)
            return "resumed"
        if isinstance(command, DeleteSchedule):
            turn.delete()
            return "deleted"
        assert isinstance(command, UpdateSchedule)
        changes = {
            name: given
            for name in ("spec", "jitter_s", "max_runs", "memo", "search_attributes", "note")
            if (given := getattr(command, name)) is not None
        }
        if command.overlap is not None:
            changes["overlap"] = str(command.overlap)
        if command.action is not None:
            changes["action"] = _merged(entry.schedule.action, command.action)
        if command.spec is not None:
            entry.timetable = read_timetable(command.spec, turn.now)
        turn.update(changes, entry.timetable, self._chance)
        return "updated"

    async def _trigger(self, command: TriggerSchedule, entry: _Entry, turn: Turn, caller: Caller) -> dict[str, Any]:
        firing = turn.trigger(command.overlap, self._runs(entry.schedule), self.settings.max_buffered)
        turn.plan_if_none_left()
        reply: dict[str, Any] = {"schedule_id": command.schedule_id, "outcome": firing.outcome}
        if firing.reason:
            reply["reason"] = firing.reason
        if firing.outcome in ("buffered", "buffer_full"):
            reply["buffer_depth"] = len(turn.schedule.buffer)
        if firing.outcome != "started" or firing.start is None:
            await self._commit(entry, turn, command, caller, reply)
            await self._settle(entry)
            return reply
        reply |= {"outcome": "triggered", "workflow_id": firing.start.workflow_id}
        await self._commit(entry, turn, command, caller, reply)
        started = (await self._settle(entry)).get(firing.start.number, Started(later=True))
        if started.run_id is not None:
            reply["run_id"] = started.run_id
        elif not started.later:
            reply = {"schedule_id": command.schedule_id, "outcome": "failed", "reason": "trigger_failed", "message": started.message}
        await self._remember(command, caller, reply)
        return reply

    async def _moments(self, command: BackfillSchedule) -> list[int]:
        if command.end_time <= command.start_time:
            raise InvalidTimeRange("end_time must be later than start_time")
        timetable, most = self._entry((command.namespace, command.schedule_id)).timetable, self.settings.max_backfill
        moments = await asyncio.to_thread(timetable.between, command.start_time, command.end_time, most + 1)
        if len(moments) > most:
            sentence = f"The window holds more than {most} firings (schedules.max_backfill); choose a shorter one."
            raise InvalidFields({"end_time": [sentence]})
        return moments

    async def _backfill(
        self, command: BackfillSchedule, moments: list[int], entry: _Entry, turn: Turn, caller: Caller
    ) -> dict[str, Any]:
        firings = turn.backfill(moments, command.overlap, self._runs(entry.schedule))
        turn.plan_if_none_left()
        reply = {
            "schedule_id": command.schedule_id, "outcome": "backfill_started", "fires_attempted": len(moments),
            "results": [_result(at, firing, Started(later=True)) for at, firing in zip(moments, firings, strict=True)],
        }  # fmt: skip
        await self._commit(entry, turn, command, caller, reply)
        if any(firing.start is not None for firing in firings):
            came = await self._settle(entry)
            reply["results"] = [
                _result(at, firing, came.get(firing.start.number, Started(later=True)) if firing.start is not None else None)
                for at, firing in zip(moments, firings, strict=True)
            ]
            await self._remember(command, caller, reply)
        return reply

    async def _remember(self, command: Command, caller: Caller, reply: Any) -> None:
        """The answer now says more than the one that was put on disk with the decision."""
        if command.request_id is not None:
            record = AnsweredRequests.record(caller, command, digest_of(command), reply, self._bus.clock.now())
            await self._bus.write(Slice(request=record))

    # ---- the clock, and runs that close ------------------------------------------------------------------------------

    def _due(self, namespace: str, schedule_id: str) -> None:
        self._spawn(self._fire((namespace, schedule_id)), f"fire schedule {schedule_id}")

    async def _fire(self, key: Key) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        async with entry.lock:
            turn = Turn(entry.schedule, self._bus.clock.now())
            try:
                if turn.fire_due(self._runs(entry.schedule), self.settings.max_buffered, entry.timetable, self._chance) is not None:
                    await self._commit(entry, turn)
                    await self._settle(entry)
            except CannotNow as error:
                log.warning("schedule_not_fired: %s/%s: %s; it is tried again", *key, error)
                if not self._draining:
                    self.timers.set(*key, self._bus.clock.now() + RETRY_S)

    async def _take_up(self, key: Key) -> None:
        """Go on with what was accepted, or waits for a run that may have closed."""
        entry = self._entries.get(key)
        if entry is None or self._draining:
            return
        async with entry.lock:
            await self._settle(entry)

    def _runs(self, schedule: Schedule) -> bool:
        """Whether the workflow that was started last is open, as the disk knows it."""
        return self._open_run_id(schedule) is not None

    def _open_run_id(self, schedule: Schedule) -> str | None:
        if schedule.latest_workflow_id is None:
            return None
        run_id = self._bus.current_run_id(schedule.namespace, schedule.latest_workflow_id)
        if run_id is None:
            return None
        view = self._bus.view(run_id)
        return run_id if view is None or view.run.is_open else None

    # ---- steps ---------------------------------------------------------------------------------------------------------

    async def _settle(self, entry: _Entry) -> dict[int, Started]:
        """Carry out accepted starts, and take from the buffer what may start now. Returns what came of each, by number."""
        came: dict[int, Started] = {}
        try:
            while not self._draining:
                if entry.schedule.pending:
                    outcomes = await self._starting.start_all(entry.schedule)
                    came |= outcomes
                    await self._note(entry, outcomes)
                    if entry.schedule.pending:
                        self._again(entry)
                        break
                if not entry.schedule.buffer:
                    break
                if self._runs(entry.schedule):
                    self._watch(entry)
                    break
                turn = Turn(entry.schedule, self._bus.clock.now())
                turn.unbuffer()
                if turn.schedule == entry.schedule:
                    break
                await self._commit(entry, turn)
        except CannotNow as error:
            log.warning("schedule_waits: %s/%s: %s; it is tried again", *entry.schedule.key, error)
            self._again(entry)
        return came

    async def _note(self, entry: _Entry, outcomes: Mapping[int, Started]) -> None:
        turn = Turn(entry.schedule, self._bus.clock.now())
        for start in entry.schedule.pending:
            outcome = outcomes[start.number]
            if outcome.run_id is not None:
                turn.started(start, outcome.run_id)
            elif not outcome.later:
                turn.failed(start, outcome.message)
        if turn.events:
            if turn.schedule.next_fire_at is None or turn.schedule.left == 0:
                turn.plan(entry.timetable, self._chance, turn.now)
            await self._commit(entry, turn)

    def _again(self, entry: _Entry) -> None:
        def take_up() -> None:
            if not self._draining:
                self._spawn(self._take_up(entry.schedule.key), f"take up schedule {entry.schedule.schedule_id}")

        asyncio.get_running_loop().call_later(RETRY_S, take_up)

    async def _commit(
        self, entry: _Entry, turn: Turn, command: Command | None = None, caller: Caller | None = None, reply: Any = None
    ) -> None:
        """Put a step on disk, with who asked for it; memory follows the disk."""
        schedule = turn.schedule
        change = Slice(schedules=(schedule,), schedule_events=tuple(turn.events))
        forgotten = schedule.sequence - self.settings.history_events
        if turn.events and forgotten > 0:
            change.forgotten_schedule_events = ((*schedule.key, forgotten),)
        if command is not None and caller is not None:
            change.audit = (audit_record(command, caller, turn.now, "", "", "accepted"),)
            if command.request_id is not None:
                change.request = AnsweredRequests.record(caller, command, digest_of(command), reply, turn.now)
        await self._bus.write(change)
        entry.schedule = schedule
        if schedule.deleted is not None:
            self._entries.pop(schedule.key, None)
        self._arm(entry)
        if not schedule.buffer:
            self._wait_no_more(entry)

    def _arm(self, entry: _Entry) -> None:
        schedule = entry.schedule
        if self._draining:
            return
        if schedule.next_fire_at is None or schedule.paused_at is not None or schedule.deleted is not None:
            self.timers.clear(*schedule.key)
        else:
            self.timers.set(*schedule.key, schedule.next_fire_at)

    def _watch(self, entry: _Entry) -> None:
        """What is in the buffer is looked at again when the run that it waits for closes."""
        run_id = self._open_run_id(entry.schedule)
        self._wait_no_more(entry)
        if run_id is None:
            return
        key = entry.schedule.key

        def closed(future: "asyncio.Future[Any]") -> None:
            if future.cancelled() or self._draining:
                return
            if future.exception() is not None:
                self._again(entry)  # the run is not known at the moment
            else:
                self._spawn(self._take_up(key), f"take up schedule {key[1]}")

        entry.waits_for = self._bus.when_closed(run_id)
        entry.waits_for.add_done_callback(closed)

    @staticmethod
    def _wait_no_more(entry: _Entry) -> None:
        if entry.waits_for is not None:
            entry.waits_for.cancel()
            entry.waits_for = None


def _by(caller: Caller) -> dict[str, str]:
    return {"wire": caller.wire, "principal": caller.principal}


def _merged(action: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return ScheduleAction.model_validate({**action, **changes}).model_dump()
    except ValidationError as error:
        wrong = {f"action.{'.'.join(map(str, item['loc']))}": [item["msg"]] for item in error.errors(include_input=False)}
        raise InvalidFields(wrong) from error


def _result(at: int, firing: Firing, started: Started | None) -> dict[str, Any]:
    """One entry of a backfill's results."""
    result: dict[str, Any] = {"fire_time": float(at), "outcome": firing.outcome}
    if firing.start is None or started is None:
        return result | {"reason": firing.reason}
    if started.run_id is None and not started.later:
        return result | {"outcome": "failed", "reason": started.message}
    result["workflow_id"] = firing.start.workflow_id
    return result if started.run_id is None else result | {"run_id": started.run_id}



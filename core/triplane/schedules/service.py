"""The service that answers the commands of schedules; what a step decides is put on disk first, then carried out."""

import asyncio
import random
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from pydantic import ValidationError

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
from triplane.schedules.desk import Entry, Key, ScheduleDesk
from triplane.schedules.entities import Schedule
from triplane.schedules.machine import Firing, Turn
from triplane.schedules.starting import Started
from triplane.schedules.timetable import read_timetable
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice
from triplane.visibility.attributes import wrong_values


class Scheduling:
    """Answers the commands of schedules, and fires them.

    Attributes:
        settings: `[schedules]`.
        desk: the schedules there are; from `start` on.

    Args:
        chance: where jitter comes from.
    """

    name: ClassVar[str] = "schedules"
    commands: ClassVar[tuple[type[Command], ...]] = SCHEDULE_COMMANDS
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, settings: SchedulesSection | None = None, chance: random.Random | None = None) -> None:
        self.settings = settings if settings is not None else SchedulesSection()
        self._chance = chance if chance is not None else random.Random()
        self._creating: set[Key] = set()
        self.desk: ScheduleDesk
        self._bus: BusPort

    # ---- life cycle ------------------------------------------------------------------------------------------------

    async def start(self, bus: BusPort) -> None:
        self._bus, self.desk = bus, ScheduleDesk(bus, self.settings, self._chance)
        self.desk.load()
        bus.spawn(self.desk.tidy_up(), "schedules")

    async def drain(self) -> None:
        """Fire no more, and let what is under way end."""
        await self.desk.drain()

    async def stop(self) -> None:
        """The bus ends its tasks."""

    def forget_namespace(self, namespace: str) -> None:
        """Its schedules fire no more."""
        self.desk.forget_namespace(namespace)

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    # ---- commands --------------------------------------------------------------------------------------------------

    def handle(self, command: Command, caller: Caller) -> "asyncio.Future[Any]":
        if self.desk.draining:
            raise ShuttingDown("the gateway is stopping; try again when it is back")
        if isinstance(command, CreateSchedule):
            work = self._create(command, caller)
        elif isinstance(command, ScheduleCommand):
            work = self._steer(command, caller)
        else:
            raise UnknownCommand(f"schedules do not answer {command.name!r}")
        # A client that hangs up does not interrupt a step that has begun.
        return asyncio.shield(self.desk.spawn(work, command.name))

    async def _create(self, command: CreateSchedule, caller: Caller) -> dict[str, Any]:
        key = (command.namespace, command.schedule_id or f"schedule-{uuid4().hex[:20]}")
        self._check(key[0], command.search_attributes)
        if key in self.desk.entries or key in self._creating:
            raise ScheduleExists(f"schedule {key[1]!r} exists already", schedule_id=key[1])
        if len(self.desk.entries) + len(self._creating) >= self.settings.max_schedules:
            raise LimitReached(f"there are {len(self.desk.entries)} schedules already (schedules.max_schedules)")
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
            entry, turn = Entry(schedule, timetable), Turn(schedule, now, _by(caller))
            turn.create(timetable, self.desk.chance)
            reply = {"schedule_id": key[1], "outcome": "created"}
            await self.desk.commit(entry, turn, command, caller, reply)
            if key[0] in self._bus.namespaces:  # else it was deleted in that moment, and takes this along
                self.desk.entries[key] = entry
        finally:
            self._creating.discard(key)
        return reply

    def _check(self, namespace: str, attributes: Mapping[str, Any]) -> None:
        """Refuse what every start would be refused for.

        Raises:
            NamespaceNotFound
            InvalidFields: of `search_attributes.<name>`.
        """
        if namespace not in self._bus.namespaces:
            raise NamespaceNotFound(namespace)
        wrong = wrong_values(attributes, self._bus.definitions.of(namespace))
        if wrong:
            raise InvalidFields({f"search_attributes.{name}": sentences for name, sentences in wrong.items()})

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
            await self.desk.commit(entry, turn, command, caller, reply)
            await self.desk.settle(entry)
            return reply

    def _entry(self, key: Key) -> Entry:
        entry = self.desk.entries.get(key)
        if entry is None:
            raise ScheduleNotFound(*reversed(key))
        return entry

    def _change(self, command: ScheduleCommand, entry: Entry, turn: Turn) -> str:
        """Take the step that a command asks for; its outcome."""
        if isinstance(command, PauseSchedule):
            turn.pause(command.note)
            return "paused"
        if isinstance(command, ResumeSchedule):
            turn.resume(command.note, entry.timetable, self.desk.chance)
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
        self._check(command.namespace, changes.get("search_attributes", {}))
        if command.overlap is not None:
            changes["overlap"] = str(command.overlap)
        if command.action is not None:
            changes["action"] = _merged(entry.schedule.action, command.action)
        if command.spec is not None:
            entry.timetable = read_timetable(command.spec, turn.now)
        turn.update(changes, entry.timetable, self.desk.chance)
        return "updated"

    async def _trigger(self, command: TriggerSchedule, entry: Entry, turn: Turn, caller: Caller) -> dict[str, Any]:
        firing = turn.trigger(command.overlap, self.desk.runs(entry.schedule), self.settings.max_buffered)
        turn.plan_if_none_left()
        reply: dict[str, Any] = {"schedule_id": command.schedule_id, "outcome": firing.outcome}
        if firing.reason:
            reply["reason"] = firing.reason
        if firing.outcome in ("buffered", "buffer_full"):
            reply["buffer_depth"] = len(turn.schedule.buffer)
        if firing.outcome != "started" or firing.start is None:
            await self.desk.commit(entry, turn, command, caller, reply)
            await self.desk.settle(entry)
            return reply
        reply |= {"outcome": "triggered", "workflow_id": firing.start.workflow_id}
        await self.desk.commit(entry, turn, command, caller, reply)
        started = (await self.desk.settle(entry)).get(firing.start.number, Started(later=True))
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
        self, command: BackfillSchedule, moments: list[int], entry: Entry, turn: Turn, caller: Caller
    ) -> dict[str, Any]:
        firings = turn.backfill(moments, command.overlap, self.desk.runs(entry.schedule))
        turn.plan_if_none_left()
        reply = {
            "schedule_id": command.schedule_id, "outcome": "backfill_started", "fires_attempted": len(moments),
            "results": [_result(at, firing, Started(later=True)) for at, firing in zip(moments, firings, strict=True)],
        }  # fmt: skip
        await self.desk.commit(entry, turn, command, caller, reply)
        if any(firing.start is not None for firing in firings):
            came = await self.desk.settle(entry)
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



"""Schedules in memory, each as it is on disk: their alarms, their steps, and what follows from a step.

A schedule takes one step at a time. A start is accepted on disk under a workflow id of its own before it is asked for, and
is asked for again after a crash; the second time it finds the run of the first. So each firing starts exactly one run.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping
from typing import Any

from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.config.model import SchedulesSection
from triplane.errors import CannotNow, InvalidFields, NamespaceNotFound
from triplane.requests import AnsweredRequests, digest_of
from triplane.schedules.entities import Schedule
from triplane.schedules.machine import Turn
from triplane.schedules.starting import Started, Starting
from triplane.schedules.timetable import NEVER, Timetable, read_timetable
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice
from triplane.timers import TimerHeap

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""How long what could not be done now waits until it is tried again."""

DRAIN_S = 3.0
"""How long a stop waits for steps that are under way; what is cut off is taken up by the next start."""

TIDY_EVERY_S = 3_600.0
FORGET_AT_ONCE = 100

Key = tuple[str, str]
"""(namespace, schedule id)"""


class Entry:
    """A schedule, and what goes with it in memory. Whoever takes a step holds the lock from reading to commit."""

    __slots__ = ("lock", "schedule", "timetable", "waits_for")

    def __init__(self, schedule: Schedule, timetable: Timetable) -> None:
        self.schedule, self.timetable = schedule, timetable
        self.lock = asyncio.Lock()
        self.waits_for: asyncio.Future[Any] | None = None


class ScheduleDesk:
    """Fires schedules when they are due, and carries out what their steps decide.

    Attributes:
        entries: every schedule that is not deleted.
        timers: one alarm for each that will fire.
        chance: where jitter comes from.
        under_way: steps that have begun.
    """

    def __init__(self, bus: BusPort, settings: SchedulesSection, chance: random.Random) -> None:
        self._bus, self._settings, self.chance = bus, settings, chance
        self._starting = Starting(bus)
        self.timers = TimerHeap(bus.clock, self._due)
        self.entries: dict[Key, Entry] = {}
        self.under_way: set[asyncio.Task[Any]] = set()
        self.draining = False

    def load(self) -> None:
        """Take up every schedule in the store."""
        for schedule in self._bus.store.schedules.all():
            entry = self.entries[schedule.key] = Entry(schedule, NEVER)
            try:
                entry.timetable = read_timetable(schedule.spec, 0.0)
                self._arm(entry)
            except InvalidFields as error:
                # Such as a time zone that this machine's database has no more. It can still be updated and deleted.
                log.error("schedule_unreadable: %s/%s does not fire: %s", schedule.namespace, schedule.schedule_id, error)
            if schedule.pending or schedule.buffer:
                self.spawn(self._take_up(schedule.key), f"take up schedule {schedule.schedule_id}")

    async def drain(self) -> None:
        """Fire no more, and let what is under way end."""
        self.draining = True
        self.timers.stop()
        for entry in self.entries.values():
            self._wait_no_more(entry)
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=DRAIN_S)

    def forget_namespace(self, namespace: str) -> None:
        """Its schedules fire no more."""
        for key in [key for key in self.entries if key[0] == namespace]:
            self.timers.clear(*key)
            self._wait_no_more(self.entries.pop(key))

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Begin a step that a stop waits for."""
        task = self._bus.spawn(coroutine, name)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def tidy_up(self) -> None:
        """Now and then, forget schedules that were deleted long ago, with their histories."""
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            try:
                await self.forget_deleted()
            except Exception:
                # Nobody waits for this, and the next round may do it.
                log.exception("deleted_schedules_not_forgotten: it is tried again in %.0f s", TIDY_EVERY_S)

    async def forget_deleted(self) -> int:
        """Forget schedules that were deleted longer ago than is kept; returns how many there were."""
        before, forgotten = self._bus.clock.now() - self._settings.keep_deleted_days * 86_400.0, 0
        while True:
            # In another thread: the transaction waits for the commit that is under way, and the loop must not.
            gone = await asyncio.to_thread(self._bus.store.schedules.forget, before, FORGET_AT_ONCE)
            forgotten += gone
            if gone < FORGET_AT_ONCE:
                return forgotten

    # ---- the clock, and runs that close ------------------------------------------------------------------------------

    def _due(self, namespace: str, schedule_id: str) -> None:
        self.spawn(self._fire((namespace, schedule_id)), f"fire schedule {schedule_id}")

    async def _fire(self, key: Key) -> None:
        entry = self.entries.get(key)
        if entry is None:
            return
        async with entry.lock:
            turn = Turn(entry.schedule, self._bus.clock.now())
            try:
                if turn.fire_due(self.runs(entry.schedule), self._settings.max_buffered, entry.timetable, self.chance) is not None:
                    await self.commit(entry, turn)
                    await self.settle(entry)
            except CannotNow as error:
                log.warning("schedule_not_fired: %s/%s: %s; it is tried again", *key, error)
                if not self.draining:
                    self.timers.set(*key, self._bus.clock.now() + RETRY_S)

    async def _take_up(self, key: Key) -> None:
        """Go on with what was accepted, or waits for a run that may have closed."""
        entry = self.entries.get(key)
        if entry is None or self.draining:
            return
        async with entry.lock:
            await self.settle(entry)

    def runs(self, schedule: Schedule) -> bool:
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

    async def settle(self, entry: Entry) -> dict[int, Started]:
        """Carry out accepted starts, and take from the buffer what may start now. Returns what came of each, by number."""
        came: dict[int, Started] = {}
        try:
            while not self.draining:
                if entry.schedule.pending:
                    outcomes = await self._starting.start_all(entry.schedule)
                    came |= outcomes
                    await self._note(entry, outcomes)
                    if entry.schedule.pending:
                        self._again(entry)
                        break
                if not entry.schedule.buffer:
                    break
                if self.runs(entry.schedule):
                    self._watch(entry)
                    break
                turn = Turn(entry.schedule, self._bus.clock.now())
                turn.unbuffer()
                if turn.schedule == entry.schedule:
                    break
                await self.commit(entry, turn)
        except CannotNow as error:
            log.warning("schedule_waits: %s/%s: %s; it is tried again", *entry.schedule.key, error)
            self._again(entry)
        return came

    async def _note(self, entry: Entry, outcomes: Mapping[int, Started]) -> None:
        turn = Turn(entry.schedule, self._bus.clock.now())
        for start in entry.schedule.pending:
            outcome = outcomes[start.number]
            if outcome.run_id is not None:
                turn.started(start, outcome.run_id)
            elif not outcome.later:
                turn.failed(start, outcome.message)
        if turn.events:
            if turn.schedule.next_fire_at is None or turn.schedule.left == 0:
                turn.plan(entry.timetable, self.chance, turn.now)
            await self.commit(entry, turn)

    def _again(self, entry: Entry) -> None:
        def take_up() -> None:
            if not self.draining:
                self.spawn(self._take_up(entry.schedule.key), f"take up schedule {entry.schedule.schedule_id}")

        asyncio.get_running_loop().call_later(RETRY_S, take_up)

    async def commit(
        self, entry: Entry, turn: Turn, command: Command | None = None, caller: Caller | None = None, reply: Any = None
    ) -> None:
        """Put a step on disk, with who asked for it; memory follows the disk."""
        schedule = turn.schedule
        if schedule.namespace not in self._bus.namespaces:
            raise NamespaceNotFound(schedule.namespace)
        change = Slice(schedules=(schedule,), schedule_events=tuple(turn.events))
        forgotten = schedule.sequence - self._settings.history_events
        if turn.events and forgotten > 0:
            change.forgotten_schedule_events = ((*schedule.key, forgotten),)
        if command is not None and caller is not None:
            change.audit = (audit_record(command, caller, turn.now, "", "", "accepted"),)
            if command.request_id is not None:
                change.request = AnsweredRequests.record(caller, command, digest_of(command), reply, turn.now)
        await self._bus.write(change)
        entry.schedule = schedule
        if schedule.deleted is not None:
            self.entries.pop(schedule.key, None)
        self._arm(entry)
        if not schedule.buffer:
            self._wait_no_more(entry)

    def _arm(self, entry: Entry) -> None:
        schedule = entry.schedule
        if self.draining:
            return
        if schedule.next_fire_at is None or schedule.paused_at is not None or schedule.deleted is not None:
            self.timers.clear(*schedule.key)
        else:
            self.timers.set(*schedule.key, schedule.next_fire_at)

    def _watch(self, entry: Entry) -> None:
        """What is in the buffer is looked at again when the run that it waits for closes."""
        run_id = self._open_run_id(entry.schedule)
        self._wait_no_more(entry)
        if run_id is None:
            return
        key = entry.schedule.key

        def closed(future: "asyncio.Future[Any]") -> None:
            if future.cancelled() or self.draining:
                return
            if future.exception() is not None:
                self._again(entry)  # the run is not known at the moment
            else:
                self.spawn(self._take_up(key), f"take up schedule {key[1]}")

        entry.waits_for = self._bus.when_closed(run_id)
        entry.waits_for.add_done_callback(closed)

    @staticmethod
    def _wait_no_more(entry: Entry) -> None:
        if entry.waits_for is not None:
            entry.waits_for.cancel()
            entry.waits_for = None

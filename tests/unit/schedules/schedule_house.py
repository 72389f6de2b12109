"""A gateway with schedules of runs that go on until they are stopped."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.commands import CreateSchedule, StopRun, TriggerSchedule
from triplane.commands.base import Command
from triplane.config.model import SchedulesSection
from triplane.connection import Connection
from triplane.engines.durable import DurableEngine
from triplane.entities import Run
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.queries import DescribeSchedule, ListRuns, ReadScheduleHistory
from triplane.schedules.entities import Schedule, ScheduleEvent
from triplane.schedules.service import Scheduling
from triplane.store.interface import Slice, Store
from triplane.store.sqlite import SqliteStore, open_store
from triplane.testing.house import eventually
from unit.core.counting import CountingEngine, PreparingEngine

HOURLY = {"intervals": [{"every": "PT1H"}]}
ACTION = {"engine": "counting", "workflow_type": "demo"}
START = 1_800_000_000.0
"""When the clock begins: a whole hour."""


class ScheduleHouse:
    """One gateway; `connection` is a client's.

    Attributes:
        committed: called after each group is on disk.
    """

    connection: Connection
    store: SqliteStore

    def __init__(self, directory: Path, clock: ManualClock | None = None, **settings: Any) -> None:
        self.directory, self.clock, self.settings = directory, clock or ManualClock(START), SchedulesSection(**settings)
        self.committed: Callable[[], None] | None = None

    async def open(self) -> "ScheduleHouse":
        self.store = open_store(self.directory)
        self.store.writer = _Telling(self, self.store.writer)  # type: ignore[assignment]
        self.scheduling = Scheduling(self.settings, random.Random(7))
        engines = {"counting": CountingEngine(), "preparing": PreparingEngine(), "durable": DurableEngine()}
        self.gateway = Gateway(self.store, engines, [Matching(), self.scheduling], clock=self.clock, authenticator=Authenticator())
        await self.gateway.start()
        self.connection = self.gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
        return self

    async def close(self) -> None:
        await self.gateway.stop()
        assert self.gateway.bus.faults == []
        self.store.writer = self.store.writer.inner  # type: ignore[attr-defined]
        self.store.close()

    async def restart(self) -> None:
        """Stop with everything accepted on disk, and begin again."""
        await self.close()
        await self.open()
        await self.idle()

    # ---- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, command: type[Command], schedule_id: str = "s", **fields: Any) -> dict[str, Any]:
        reply: dict[str, Any] = await self.connection.dispatch(command(schedule_id=schedule_id, **fields))  # type: ignore[call-arg]
        return reply

    async def create(self, schedule_id: str = "s", **fields: Any) -> Schedule:
        await self.ask(CreateSchedule, schedule_id, **({"spec": HOURLY, "action": ACTION} | fields))
        return self.schedule(schedule_id)

    async def trigger(self, overlap: str | None = None, schedule_id: str = "s") -> dict[str, Any]:
        return await self.ask(TriggerSchedule, schedule_id, overlap=overlap)

    def schedule(self, schedule_id: str = "s") -> Schedule:
        found: Schedule = self.connection.query(DescribeSchedule(schedule_id=schedule_id))
        return found

    def events(self, schedule_id: str = "s") -> Sequence[ScheduleEvent]:
        events: Sequence[ScheduleEvent] = self.connection.query(ReadScheduleHistory(schedule_id=schedule_id, limit=1_000)).events
        return events

    def names(self, schedule_id: str = "s") -> list[str]:
        return [event.name.removeprefix("Schedule") for event in self.events(schedule_id)]

    def runs(self) -> list[Run]:
        """Every run that there is, oldest first."""
        return [run for run, _ in self.connection.query(ListRuns(limit=1_000)).runs][::-1]

    def open_runs(self) -> list[str]:
        return [run.workflow_id for run in self.runs() if run.is_open]

    # ---- time ------------------------------------------------------------------------------------------------------

    async def advance(self, seconds: float) -> None:
        """Move the clock, fire what is due, and wait until that is done."""
        self.clock.advance(seconds)
        self.scheduling.desk.timers.tick()
        await self.idle()

    async def idle(self) -> None:
        await eventually("schedules are idle", lambda: not self.scheduling.desk.under_way)

    async def close_run(self, workflow_id: str) -> None:
        await self.connection.dispatch(StopRun(workflow_id=workflow_id))
        await self.idle()


class _Telling:
    """A writer that says when a group is on disk."""

    def __init__(self, house: ScheduleHouse, inner: Any) -> None:
        self._house, self.inner = house, inner

    def commit(self, group: Sequence[Slice]) -> None:
        self.inner.commit(group)
        if self._house.committed is not None:
            self._house.committed()


def verify(store: Store, schedule_id: str) -> int:
    """What was started is what the schedule says it started; returns how many runs that are."""
    schedule = store.schedules.find("default", schedule_id)
    assert schedule is not None and schedule.pending == ()
    events = store.schedules.events("default", schedule_id, 0, 100_000)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    said = [(event.workflow_id, event.run_id) for event in events if event.name == "ScheduleTriggered"]
    page = store.runs.page(
        "default", engine=None, workflow_type=None, statuses=(), open=None, text=f"{schedule_id}-", limit=100_000, after=None
    )
    started = [(run.workflow_id, run.run_id) for run, _ in page.runs]
    assert all(run.run_number == 1 for run, _ in page.runs)
    assert sorted(said) == sorted(started)
    assert schedule.fires == len(said)
    numbers = [detail.options["schedule"]["number"] for _, detail in page.runs]
    assert len(set(numbers)) == len(numbers)
    return len(started)

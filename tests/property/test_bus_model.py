"""The core against lists: bursts of commands, repeated request ids, full disks, lost power and restarts, in any order."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crash.commands import CrashHouse
from crash.vfs import FaultyVFS, FullAfter, Trace, write_image
from triplane.commands import DuplicatePolicy, SignalRun, StartRun, StopRun
from triplane.commands.base import Command
from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter
from triplane.errors import StorageFull
from triplane.queries import DescribeRun, ReadHistory, ReadTable
from triplane.store.interface import Slice
from triplane.subscriptions import Subscription

WORKFLOWS = ("left", "right")
PICKS = st.integers(0, 1)
VARIANTS = st.sampled_from(["whole", "lost", "torn"])
ENOUGH = 10**9


@dataclass
class ModelRun:
    """What a workflow's current run should have done."""

    run_id: str
    number: int
    added: list[str] = field(default_factory=list)
    rows: int = 0
    timers: int = 0
    is_open: bool = True


class BusModel(RuleBasedStateMachine):
    """One client with two workflows, and one subscriber that is told everything."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.trace, self.space = Trace(), FullAfter(ENOUGH)
        self.vfs = FaultyVFS(self.trace, self.space)
        self.house = CrashHouse(self.directory / "0", self.vfs)
        self.runs: dict[str, ModelRun] = {}
        self.made = self.incarnation = 0
        self.last_command: tuple[Command, Any] | None = None
        self.connection: Connection
        self.subscription: Subscription
        self.seen: list[Delta] = []
        self.run(self.open())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    async def open(self) -> None:
        await self.house.open()
        self.connection = self.house.connect()
        self.subscription = self.connection.subscribe(DeltaFilter())
        self.seen = []

    # ---- what clients do ---------------------------------------------------------------------------------------------

    def next_id(self) -> str:
        self.made += 1
        return f"request-{self.made}"

    def open_runs(self) -> list[str]:
        return [workflow_id for workflow_id, model in self.runs.items() if model.is_open]

    def any_open(self) -> bool:
        return bool(self.open_runs())

    def add_command(self, workflow_id: str) -> Command:
        token = self.next_id()
        self.runs[workflow_id].added.append(token)
        return SignalRun(workflow_id=workflow_id, signal_name="add", arguments=token, request_id=token)

    def commit_one(self, command: Command) -> Any:
        reply = self.run(self.connection.dispatch(command))
        self.last_command = (command, reply)
        return reply

    @initialize()
    def first(self) -> None:
        self.start(0)

    @precondition(lambda self: len(self.open_runs()) < len(WORKFLOWS))
    @rule(pick=PICKS)
    def start(self, pick: int) -> None:
        free = [workflow_id for workflow_id in WORKFLOWS if workflow_id not in self.open_runs()]
        workflow_id = free[pick % len(free)]
        policy = DuplicatePolicy.ALLOW
        command = StartRun(
            workflow_id=workflow_id, engine="counting", workflow_type="demo", duplicate_policy=policy, request_id=self.next_id()
        )
        before = self.runs.get(workflow_id)
        reply = self.commit_one(command)
        assert reply["run_number"] == (before.number + 1 if before else 1)
        self.runs[workflow_id] = ModelRun(reply["run_id"], reply["run_number"])

    @precondition(any_open)
    @rule(picks=st.lists(PICKS, min_size=1, max_size=12))
    def burst(self, picks: list[int]) -> None:
        targets = [self.open_runs()[pick % len(self.open_runs())] for pick in picks]
        commands = [self.add_command(workflow_id) for workflow_id in targets]

        async def send() -> list[Any]:
            return await asyncio.gather(*(self.connection.submit(command) for command in commands))

        for workflow_id, command, reply in zip(targets, commands, self.run(send()), strict=True):
            assert self.runs[workflow_id].added[reply["count"] - 1] == command.request_id

    @precondition(lambda self: self.last_command is not None)
    @rule()
    def repeat_the_last_command(self) -> None:
        assert self.last_command is not None
        command, reply = self.last_command
        assert self.run(self.connection.dispatch(command)) == {**reply, "retained": True}

    @precondition(any_open)
    @rule(pick=PICKS, count=st.integers(0, 3))
    def append_rows(self, pick: int, count: int) -> None:
        workflow_id = self.open_runs()[pick % len(self.open_runs())]
        self.runs[workflow_id].rows += count
        self.commit_one(SignalRun(workflow_id=workflow_id, signal_name="rows", arguments=count, request_id=self.next_id()))

    @precondition(any_open)
    @rule(pick=PICKS)
    def let_a_timer_fire(self, pick: int) -> None:
        workflow_id = self.open_runs()[pick % len(self.open_runs())]
        timer = {"id": self.next_id(), "in": 60}
        self.commit_one(SignalRun(workflow_id=workflow_id, signal_name="timer", arguments=timer, request_id=self.next_id()))
        self.runs[workflow_id].timers += 1

        async def fire() -> None:
            bus = self.house.gateway.bus
            self.house.clock.advance(61)
            bus.timers.tick()
            await bus.write(Slice())  # goes to disk behind what the timer did

        self.run(fire())

    @precondition(any_open)
    @rule(pick=PICKS)
    def stop(self, pick: int) -> None:
        workflow_id = self.open_runs()[pick % len(self.open_runs())]
        self.commit_one(StopRun(workflow_id=workflow_id, request_id=self.next_id()))
        self.runs[workflow_id].is_open = False

    # ---- what happens to the gateway ---------------------------------------------------------------------------------

    @precondition(any_open)
    @rule(picks=st.lists(PICKS, min_size=1, max_size=5), writes=st.integers(0, 8))
    def the_disk_fills_during_a_burst(self, picks: list[int], writes: int) -> None:
        targets = [self.open_runs()[pick % len(self.open_runs())] for pick in picks]
        commands = [self.add_command(workflow_id) for workflow_id in targets]
        self.space.writes = writes

        async def send() -> list[Any]:
            return await asyncio.gather(*(self.connection.submit(command) for command in commands), return_exceptions=True)

        outcomes = self.run(send())
        self.space.writes = ENOUGH
        refused = [c.request_id for c, outcome in zip(commands, outcomes, strict=True) if isinstance(outcome, StorageFull)]
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception) and not isinstance(outcome, StorageFull)]
        for model in self.runs.values():
            model.added = [token for token in model.added if token not in refused]

    @rule()
    def restart(self) -> None:
        self.run(self.house.close())
        self.run(self.open())

    @rule(picks=st.lists(PICKS, max_size=8), turns=st.integers(0, 4), variant=VARIANTS)
    def lose_power_in_a_burst(self, picks: list[int], turns: int, variant: str) -> None:
        targets = [self.open_runs()[pick % len(self.open_runs())] for pick in picks if self.any_open()]
        commands = [self.add_command(workflow_id) for workflow_id in targets]

        async def send() -> tuple[list[Any], dict[str, bytes]]:
            futures = [self.connection.submit(command) for command in commands]
            for _ in range(turns):
                await asyncio.sleep(0)
            image = self.trace.image(len(self.trace.operations), variant)
            answers = [future.result() if future.done() else None for future in futures]
            # What is answered from here on is answered on a disk that no longer counts.
            await self.house.close()
            await asyncio.gather(*futures, return_exceptions=True)
            return answers, image

        answers, image = self.run(send())
        self.incarnation += 1
        directory = self.directory / str(self.incarnation)
        write_image(image, directory)
        self.trace = self.vfs.trace = Trace()
        for name, content in image.items():
            self.trace.record_file(name, content)
        self.house.directory = directory
        self.run(self.open())
        # The client repeats whatever it had no answer to; what it had one to must be there without that.
        for workflow_id, command, answer in zip(targets, commands, answers, strict=True):
            repeated = self.run(self.connection.dispatch(command))
            if answer is not None:
                assert repeated == {**answer, "retained": True}
            assert self.runs[workflow_id].added[repeated["count"] - 1] == command.request_id

    # ---- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def every_run_has_done_what_it_was_told_once_and_in_order(self) -> None:
        assert self.house.broken == []
        for workflow_id, model in self.runs.items():
            view = self.connection.query(DescribeRun(workflow_id=workflow_id))
            assert (view.run.run_id, view.run.is_open) == (model.run_id, model.is_open)
            assert view.run.data["count"] == len(model.added)
            events = self.connection.query(ReadHistory(workflow_id=workflow_id, limit=1_000)).events
            assert [event.data["with"] for event in events if event.name == "Added"] == model.added
            assert len([event for event in events if event.name == "TimerFired"]) == model.timers
            assert [event.seq for event in events] == list(range(1, view.run.history_length + 1))
            table = self.connection.query(ReadTable(workflow_id=workflow_id, table="Numbers"))
            assert (len(table.rows) if table is not None else 0) == model.rows
            stored = self.house.store.runs.load(model.run_id)
            assert stored is not None and (stored.run, stored.detail) == (view.run, view.detail)

    @invariant()
    def the_subscriber_was_told_every_commit_in_order(self) -> None:
        items = self.subscription.drain()
        assert all(isinstance(item, Delta) for item in items)
        self.seen += [item for item in items if isinstance(item, Delta)]
        cursors = [delta.cursor for delta in self.seen]
        assert cursors == sorted(set(cursors))
        for delta in self.seen:
            assert [event.seq for event in delta.events] == list(
                range(delta.run.history_length - len(delta.events) + 1, delta.run.history_length + 1)
            )
        latest = {delta.run.run_id: delta.run for delta in self.seen}
        for run_id, run in latest.items():
            stored = self.house.store.runs.load(run_id)
            assert stored is not None and stored.run == run
        if self.seen:
            behind = len(self.seen) // 2
            resumed = self.connection.subscribe(DeltaFilter(), cursor=self.seen[behind].cursor)
            assert resumed.drain() == self.seen[behind + 1 :], "a subscriber that resumes gets what it missed"
            resumed.close()

    def teardown(self) -> None:
        self.run(self.house.close())
        self.vfs.unregister()
        self.loop.close()
        shutil.rmtree(self.directory)


TestBusModel = BusModel.TestCase
TestBusModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

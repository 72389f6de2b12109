"""Workers that repeat themselves, answer late and out of turn, hang up, leave and come back, on the engine with matching: each
task is completed once, every other word on it is refused, and no workflow is stuck past a lease.

Every schedule is a workflow of its own on a queue of its own, in one gateway that lives through all of them.
"""

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triplane.commands import CompleteActivity, CompleteWorkflowTask, DeregisterWorker, FailWorkflowTask
from triplane.errors import Conflict, LeaseLost, NotFound, WorkerNotRegistered
from triplane.payloads import envelope
from unit.durable_engine.harness import activity, complete
from unit.matching.conftest import House

WORKERS = ("w1", "w2", "w3")
ACTIVITIES = 2
LEASE_S = 10.0

POLL = st.tuples(st.just("poll"), st.sampled_from(WORKERS), st.sampled_from(["workflow", "activity"]), st.sampled_from([None, "p"]))
REPORT = st.tuples(st.just("report"), st.integers(0, 30))
HANG_UP = st.tuples(st.just("hang_up"), st.sampled_from(WORKERS), st.sampled_from(["workflow", "activity"]))
LEAVE = st.tuples(st.just("leave"), st.sampled_from(WORKERS))
TIME = st.tuples(st.just("time"), st.sampled_from([1.0, 6.0, LEASE_S + 0.1]))
STEPS = st.lists(st.one_of(POLL, POLL, POLL, REPORT, REPORT, REPORT, HANG_UP, LEAVE, TIME), min_size=8, max_size=30)
MEMORY = Path("/dev/shm")
"""Thousands of workflows write little and often; that what they write outlives a crash is proved elsewhere."""


class Schedules:
    """One gateway, and the loop it lives on."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.house = House(directory, workflow_task_lease_s=LEASE_S, activity_lease_s=LEASE_S, handover_s=0.0)
        self.count = 0
        self.do(self.house.open())

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        self.do(self.house.close())
        self.loop.close()


@pytest.fixture(scope="module")
def schedules() -> Iterator[Schedules]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        schedules = Schedules(Path(directory) / "data")
        yield schedules
        schedules.close()


class Schedule:
    """One workflow, and three workers of its queue."""

    def __init__(self, house: House, number: int) -> None:
        self.house, self.queue, self.workflow_id = house, f"q-{number}", f"flow-{number}"
        self.leased: list[dict[str, Any]] = []
        self.won: set[str] = set()

    async def begin(self) -> None:
        for worker_id in WORKERS:
            await self.register(worker_id)
        await self.house.start(self.workflow_id, self.queue)

    def name(self, worker_id: str) -> str:
        return f"{self.queue}-{worker_id}"

    async def register(self, worker_id: str) -> None:
        await self.house.register(self.name(worker_id), self.queue)

    async def poll(self, worker_id: str, kind: str, poll_id: str | None = None) -> dict[str, Any] | None:
        try:
            task = await self.house.poll(kind, self.name(worker_id), queue=self.queue, poll_id=poll_id)
        except WorkerNotRegistered:
            await self.register(worker_id)
            return None
        if task is not None and task not in self.leased:
            self.leased.append(task)
        return task

    async def report(self, task: dict[str, Any]) -> bool:
        """Say what the task came to; whether the word was taken."""
        if "activity_attempt_id" in task:
            unit, kinds = task["activity_execution_id"], ("task_id", "activity_attempt_id", "lease_owner")
            report: Any = CompleteActivity(**{key: task[key] for key in kinds}, result=envelope(1))
        else:
            unit = task["task_id"]
            events = [event.name for event in task["history_events"]]
            lease = {"task_id": unit, "lease_owner": task["lease_owner"], "attempt": task["workflow_task_attempt"]}
            scheduled, done = events.count("ActivityScheduled"), events.count("ActivityCompleted")
            if scheduled > done:
                report = FailWorkflowTask(**lease, failure={"type": "WorkflowTaskWaitingForHistory"})
            else:
                command = activity(queue=self.queue) if scheduled < ACTIVITIES else complete(done)
                report = CompleteWorkflowTask(**lease, commands=(command,))
        try:
            await self.house.do(report)
        except (LeaseLost, Conflict, NotFound):
            return False
        assert unit not in self.won, f"{unit} was completed twice"
        self.won.add(unit)
        return True

    async def step(self, action: tuple[Any, ...]) -> None:
        match action:
            case ("poll", worker_id, kind, poll_id):
                await self.poll(worker_id, kind, poll_id)
            case ("report", which):
                if self.leased:
                    await self.report(self.leased[which % len(self.leased)])
            case ("hang_up", worker_id, kind):
                try:
                    poll = self.house.polling(kind, self.name(worker_id), queue=self.queue)
                    poll.cancel()
                    await asyncio.sleep(0)
                except WorkerNotRegistered:
                    await self.register(worker_id)
            case ("leave", worker_id):
                try:
                    await self.house.do(DeregisterWorker(worker_id=self.name(worker_id)))
                except WorkerNotRegistered:
                    await self.register(worker_id)
            case ("time", seconds):
                self.house.advance(seconds)

    async def end(self) -> None:
        """Left to one honest worker: whatever was leased before comes back within its lease and 5 s."""
        worker = "w1"
        await self.register(worker)
        for _ in range(2 * (ACTIVITIES + 1) + 2):
            for attempt in range(2):
                task = await self.poll(worker, "workflow") or await self.poll(worker, "activity")
                if task is not None or self.house.run(self.workflow_id).closed is not None:
                    break
                assert attempt == 0, "nothing is to be had past the lease"
                self.house.advance(LEASE_S + 5.0)
                await asyncio.sleep(0)
            if task is None:
                break
            # Whoever had it, or anything before it, comes too late.
            for earlier in self.leased:
                if earlier is not task:
                    assert not await self.report(earlier)
            assert await self.report(task)
        run = self.house.run(self.workflow_id)
        assert run.status == "completed"
        events = [event.name for event in self.house.store.histories.read(run.run_id, 0, 1_000)]
        assert events.count("ActivityScheduled") == events.count("ActivityCompleted") == ACTIVITIES
        for task in self.leased:
            assert not await self.report(task)
        for worker_id in WORKERS:
            if self.house.matching.registry.get(("default", self.name(worker_id))) is not None:
                await self.house.do(DeregisterWorker(worker_id=self.name(worker_id)))


def play(schedules: Schedules, steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        schedules.count += 1
        schedule = Schedule(schedules.house, schedules.count)
        await schedule.begin()
        for step in steps:
            await schedule.step(step)
        await schedule.end()
        desk = schedules.house.matching.desk
        assert len(desk) == 0 and desk.queues("default") == []
        assert schedules.house.matching.leases.of(("default", schedule.name("w1"))) == []

    schedules.do(run())


QUICK = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
FULL = settings(deadline=None, max_examples=10_000, suppress_health_check=list(HealthCheck))


@QUICK
@given(steps=STEPS)
def test_of_all_words_on_a_task_one_is_taken_and_nothing_is_stuck(schedules, steps):
    play(schedules, steps)


@pytest.mark.full
@pytest.mark.timeout(1_800)
@FULL
@given(steps=STEPS)
def test_ten_thousand_schedules_of_words_on_tasks(schedules, steps):
    play(schedules, steps)

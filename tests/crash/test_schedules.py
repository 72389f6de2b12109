"""A gateway that is cut off around a firing: each firing starts exactly one run, and the schedule knows it."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from crash.load.serving import ServedGateway
from triplane.clock import ManualClock
from triplane.commands import (
    BackfillSchedule,
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    StopRun,
    TriggerSchedule,
    UpdateSchedule,
)
from triplane.commands.base import Command
from triplane.queries import ListRuns
from triplane.schedules.machine import workflow_id_of
from triplane.testing.house import eventually
from unit.schedules.schedule_house import ACTION, HOURLY, START, ScheduleHouse, verify

HOUR = 3_600.0
FIRST = workflow_id_of("s", START + HOUR, "timer", 0)
Scenario = Callable[[ScheduleHouse], Awaitable[object]]


async def fires(house: ScheduleHouse) -> None:
    await house.create(overlap="allow_all")
    await house.advance(HOUR)


async def triggers(house: ScheduleHouse) -> None:
    await fires(house)
    await house.trigger("allow_all")


async def ends_the_other(house: ScheduleHouse) -> None:
    await house.create(overlap="terminate_other")
    await house.advance(HOUR)
    await house.trigger()


async def drains_its_buffer(house: ScheduleHouse) -> None:
    await house.create(overlap="buffer_all")
    await house.advance(HOUR)
    for _ in range(2):
        await house.trigger()
    for _ in range(2):
        await house.connection.dispatch(StopRun(workflow_id=house.open_runs()[0]))
        await house.idle()


async def backfills(house: ScheduleHouse) -> None:
    await fires(house)
    await house.ask(BackfillSchedule, start_time=START - 3 * HOUR, end_time=START)


async def backfills_one_by_one(house: ScheduleHouse) -> None:
    await fires(house)
    await house.ask(BackfillSchedule, start_time=START - 3 * HOUR, end_time=START, overlap="cancel_other")


SCENARIOS = [fires, triggers, ends_the_other, drains_its_buffer, backfills, backfills_one_by_one]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_crash_behind_any_commit_of_a_firing_leaves_exactly_one_run_for_it(tmp_path: Path, scenario: Scenario):
    live, images = tmp_path / "live", tmp_path / "images"
    house = ScheduleHouse(live)
    count = 0

    def copy() -> None:
        nonlocal count
        image = images / str(count)
        image.mkdir(parents=True)
        for file in live.glob("triplane.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, image / file.name)
        count += 1

    await house.open()
    house.committed = copy
    await scenario(house)
    house.committed = None
    whole = len(house.runs())
    await house.close()
    assert count >= 4
    for number in range(count):
        again = await ScheduleHouse(images / str(number), ManualClock(START + 1.5 * HOUR)).open()
        await again.advance(0)
        verify(again.store, "s")
        assert [run.workflow_id for run in again.runs()].count(FIRST) == 1, f"behind commit {number}"
        assert len(again.runs()) <= whole
        before = [run.run_id for run in again.runs()]
        await again.restart()
        assert [run.run_id for run in again.runs()] == before
        await again.close()


async def test_every_change_that_was_answered_is_there_after_a_crash(tmp_path: Path):
    live = tmp_path / "live"
    house = await ScheduleHouse(live).open()
    steps: list[tuple[type[Command], dict[str, Any]]] = [
        (CreateSchedule, {"spec": HOURLY, "action": ACTION, "max_runs": 3}), (UpdateSchedule, {"note": "n", "max_runs": 9}),
        (PauseSchedule, {"note": "p"}), (ResumeSchedule, {}), (TriggerSchedule, {}), (DeleteSchedule, {}),
        (CreateSchedule, {"spec": HOURLY, "action": ACTION, "paused": True}),
    ]  # fmt: skip
    for number, (command, fields) in enumerate(steps):
        reply = await house.ask(command, "s", request_id=f"r-{number}", **fields)
        image = tmp_path / f"image-{number}"
        image.mkdir()
        for file in live.glob("triplane.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, image / file.name)
        again = await ScheduleHouse(image).open()
        assert again.store.schedules.find("default", "s") == house.store.schedules.find("default", "s")
        assert again.names() == house.names()
        assert await again.ask(command, "s", request_id=f"r-{number}", **fields) == reply | {"retained": True}
        assert again.names() == house.names()
        await again.close()
    await house.close()


async def all_fired(gateway: ServedGateway) -> bool:
    headers = {"X-Durable-Workflow-Control-Plane-Version": "2"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{gateway.http}/api/schedules") as answer:
        return all(schedule["fires_count"] > 3 for schedule in (await answer.json())["schedules"])


@pytest.mark.parametrize(
    "kills", [pytest.param(2, id="reduced"), pytest.param(30, id="full", marks=[pytest.mark.full, pytest.mark.timeout(300)])]
)
async def test_a_gateway_that_is_killed_again_and_again_starts_each_firing_once(tmp_path: Path, kills: int):
    gateway, choice = ServedGateway(tmp_path), random.Random(11)
    names = [f"every-{number}" for number in range(12)]
    try:
        gateway.start()
        await gateway.ready()
        async with aiohttp.ClientSession() as session:
            for number, name in enumerate(names):
                body = {
                    "schedule_id": name, "spec": {"intervals": [{"every": "PT1S"}]}, "jitter_seconds": number % 2,
                    "action": {"workflow_type": "report", "task_queue": "q"},
                    "overlap_policy": ["allow_all", "terminate_other", "cancel_other"][number % 3],
                }  # fmt: skip
                status, answer = await gateway.post(session, "/api/schedules", body)
                assert status == 201, answer
        for _ in range(kills):
            await asyncio.sleep(choice.uniform(0.9, 1.6))  # the moment of the crash is meant to be any
            gateway.kill()
            gateway.start()
            await gateway.ready()
        await eventually("each has fired a few times", lambda: all_fired(gateway), deadline_s=30)
        assert await gateway.stop() == 0, gateway.tail()
    finally:
        gateway.end()
    house = await ScheduleHouse(gateway.data, ManualClock(0.0)).open()  # what was cut off is taken up; nothing is due in 1970
    try:
        await house.idle()
        for name in names:
            assert verify(house.store, name) > 3
            fired = [event.data["fire_time"] for event in house.events(name) if event.name == "ScheduleTriggered"]
            assert len(set(fired)) == len(fired)
        assert house.connection.query(ListRuns(limit=1)).runs
    finally:
        await house.close()

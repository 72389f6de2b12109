"""Random lives of a schedule, over restarts: what it counts is what was started, and never more than its policy lets run."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from triplane.commands import BackfillSchedule, PauseSchedule, ResumeSchedule, StopRun, UpdateSchedule
from triplane.schedules.entities import Overlap
from unit.schedules.schedule_house import START, ScheduleHouse, verify

HOUR = 3_600.0
STEPS = st.one_of(
    st.sampled_from(["hour", "hour", "hour", "close", "close", "trigger", "pause", "resume", "restart", "backfill", "crowd"]),
    st.tuples(st.just("policy"), st.sampled_from(list(Overlap))),
    st.tuples(st.just("limit"), st.integers(1, 12)),
)


async def take(house: ScheduleHouse, step: Any) -> None:
    match step:
        case "hour":
            await house.advance(HOUR)
        case "close":
            for workflow_id in house.open_runs()[:1]:
                await house.connection.dispatch(StopRun(workflow_id=workflow_id))
        case "trigger":
            await house.trigger()
        case "crowd":
            await asyncio.gather(*(house.trigger() for _ in range(4)))
        case "pause":
            await house.ask(PauseSchedule)
        case "resume":
            await house.ask(ResumeSchedule)
        case "restart":
            await house.restart()
        case "backfill":
            await house.ask(BackfillSchedule, start_time=START - 2 * HOUR, end_time=START, overlap="skip")
        case ("limit", most):
            await house.ask(UpdateSchedule, max_runs=most)
        case ("policy", policy):
            await house.ask(UpdateSchedule, overlap=policy)
    await house.idle()


async def live(steps: list[Any], policy: str, most: int | None, directory: Path) -> None:
    house = await ScheduleHouse(directory, max_buffered=3).open()
    try:
        await house.create(overlap=policy, max_runs=most)
        overlapping, highest, count = policy == Overlap.ALLOW_ALL, most, 0
        for step in steps:
            await take(house, step)
            overlapping = overlapping or step == ("policy", Overlap.ALLOW_ALL)
            if step[0] == "limit":
                # A limit takes nothing back of what it finds started.
                highest = max(step[1], count if highest is None else highest)
            schedule = house.schedule()
            count = verify(house.store, "s")
            open_runs = house.open_runs()
            assert overlapping or len(open_runs) <= 1, step
            assert highest is None or count <= highest
            assert len(schedule.buffer) <= 3
            if schedule.buffer and schedule.paused_at is None:
                assert schedule.latest_workflow_id in open_runs, "what waits, waits for something"
            if schedule.next_fire_at is not None and schedule.paused_at is None:
                assert schedule.next_fire_at > house.clock.now()
            skipped = [event for event in house.events() if event.name == "ScheduleTriggerSkipped"]
            assert schedule.skips == len(skipped)
    finally:
        await house.close()


@settings(max_examples=60, deadline=None)
@example(["hour", "hour", ("limit", 1)], Overlap.ALLOW_ALL, None)
@given(st.lists(STEPS, max_size=25), st.sampled_from(list(Overlap)), st.none() | st.integers(1, 10))
def test_a_schedule_keeps_its_promises_whatever_happens(steps: list[Any], policy: Overlap, most: int | None):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(steps, str(policy), most, Path(directory) / "data"))

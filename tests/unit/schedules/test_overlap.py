"""What each overlap policy does while the run that was started last is open, also over restarts."""

from typing import Any

import pytest

from triplane.commands import DeleteSchedule, PauseSchedule, ResumeSchedule, UpdateSchedule
from triplane.schedules.machine import workflow_id_of
from unit.schedules.schedule_house import START, ScheduleHouse

HOUR = 3_600.0


def at(hours: int) -> str:
    """The workflow that the clock starts after so many hours."""
    return workflow_id_of("s", START + hours * HOUR, "timer", 0)


@pytest.fixture(params=[False, True], ids=["running on", "restarting"])
def restarting(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def hours(house: ScheduleHouse, count: int, restarting: bool) -> None:
    for _ in range(count):
        await house.advance(HOUR)
        if restarting:
            await house.restart()


async def test_skip_leaves_out_what_would_overlap(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="skip")
    await hours(house, 3, restarting)
    assert house.open_runs() == [at(1)]
    schedule = house.schedule()
    assert (schedule.fires, schedule.skips, schedule.last_skip_reason) == (1, 2, "overlap_policy_skip")
    await house.close_run(at(1))
    await hours(house, 1, restarting)
    assert house.open_runs() == [at(4)]


async def test_buffer_one_keeps_one_for_when_the_run_closes(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="buffer_one")
    await hours(house, 3, restarting)
    assert house.open_runs() == [at(1)]
    assert [start.workflow_id for start in house.schedule().buffer] == [at(2)]
    assert house.schedule().last_skip_reason == "buffer_full"
    await house.close_run(at(1))
    assert house.open_runs() == [at(2)]
    assert house.schedule().buffer == ()


async def test_buffer_all_keeps_all_and_starts_them_one_after_another(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="buffer_all")
    await hours(house, 4, restarting)
    for number in (1, 2, 3):
        assert house.open_runs() == [at(number)]
        await house.close_run(at(number))
        if restarting:
            await house.restart()
    assert house.open_runs() == [at(4)]
    assert (house.schedule().fires, house.schedule().skips, house.schedule().buffer) == (4, 0, ())


async def test_a_run_that_closes_while_the_gateway_is_down_frees_the_buffer_at_the_next_start(new_house: Any):
    house = await new_house().open()
    await house.create(overlap="buffer_all")
    await hours(house, 2, False)
    # Schedules stop first, so the closing is not seen by them.
    await house.scheduling.drain()
    await house.close_run(at(1))
    assert house.open_runs() == []
    await house.restart()
    assert house.open_runs() == [at(2)]
    await house.close()


async def test_a_full_buffer_takes_no_more(tmp_path: Any):
    house = await ScheduleHouse(tmp_path / "data", max_buffered=2).open()
    await house.create(overlap="buffer_all")
    assert [(await house.trigger())["outcome"] for _ in range(4)] == ["triggered", "buffered", "buffered", "buffer_full"]
    assert (await house.trigger())["buffer_depth"] == 2
    await house.close()


async def test_allow_all_starts_beside_what_runs(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="allow_all")
    await hours(house, 3, restarting)
    assert house.open_runs() == [at(1), at(2), at(3)]


@pytest.mark.parametrize("policy", ["cancel_other", "terminate_other"])
async def test_the_other_run_is_ended_first(house: ScheduleHouse, restarting: bool, policy: str):
    await house.create(overlap=policy)
    await hours(house, 3, restarting)
    assert [run.workflow_id for run in house.runs()] == [at(1), at(2), at(3)]
    assert house.open_runs() == [at(3)]


async def test_a_missed_firing_comes_once_after_a_long_stop_and_what_follows_is_not_caught_up(new_house: Any):
    house = await new_house().open()
    await house.create(overlap="allow_all")
    await house.close()
    house.clock.advance(10.5 * HOUR)
    await house.open()
    await house.advance(0)
    assert house.open_runs() == [at(1)]
    assert house.schedule().next_fire_at == START + 11 * HOUR
    await house.close()


async def test_a_paused_schedule_does_not_fire_and_goes_on_from_now_when_resumed(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="allow_all")
    assert (await house.ask(PauseSchedule, note="holiday"))["outcome"] == "paused"
    await hours(house, 3, restarting)
    assert house.runs() == []
    assert (await house.trigger()) == {"schedule_id": "s", "outcome": "skipped", "reason": "status_not_triggerable"}
    assert (await house.ask(ResumeSchedule, note="back"))["outcome"] == "resumed"
    assert (await house.ask(ResumeSchedule))["outcome"] == "resumed"
    assert house.schedule().note == "back"
    await hours(house, 1, restarting)
    assert house.open_runs() == [at(4)]
    assert house.names() == ["Created", "Paused", "TriggerSkipped", "Resumed", "Triggered"]


async def test_what_is_buffered_waits_while_the_schedule_is_paused(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="buffer_one")
    await hours(house, 2, restarting)
    await house.ask(PauseSchedule)
    await house.close_run(at(1))
    assert house.open_runs() == []
    if restarting:
        await house.restart()
        assert house.open_runs() == []
    await house.ask(ResumeSchedule)
    await house.idle()
    assert house.open_runs() == [at(2)]


async def test_no_more_runs_than_allowed_are_started(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="buffer_all", max_runs=3)
    await hours(house, 5, restarting)
    assert house.schedule().next_fire_at is None
    assert (await house.trigger("allow_all")) == {"schedule_id": "s", "outcome": "skipped", "reason": "remaining_actions_exhausted"}
    for number in (1, 2, 3):
        await house.close_run(at(number))
    assert [run.workflow_id for run in house.runs()] == [at(1), at(2), at(3)]
    assert (house.schedule().remaining, house.schedule().fires) == (0, 3)
    await house.ask(UpdateSchedule, max_runs=4)
    assert house.schedule().remaining == 1
    await hours(house, 3, restarting)
    assert house.schedule().fires == 4


async def test_fewer_runs_than_are_buffered_drop_the_rest(house: ScheduleHouse):
    await house.create(overlap="buffer_all", max_runs=5)
    await hours(house, 4, False)
    await house.ask(UpdateSchedule, max_runs=1)
    await house.close_run(at(1))
    assert house.open_runs() == []
    assert house.schedule().buffer == ()
    assert house.schedule().last_skip_reason == "remaining_actions_exhausted"


async def test_a_deleted_schedule_fires_no_more_and_its_id_is_free(house: ScheduleHouse, restarting: bool):
    await house.create(overlap="buffer_all")
    await hours(house, 2, restarting)
    await house.ask(DeleteSchedule)
    await house.close_run(at(1))
    await hours(house, 2, restarting)
    assert house.open_runs() == []
    assert house.names() == ["Created", "Triggered", "Deleted"]
    await house.create(overlap="allow_all")
    await hours(house, 1, restarting)
    assert house.open_runs() == [at(5)]
    assert house.names() == ["Created", "Triggered", "Deleted", "Created", "Triggered"]
    assert [event.sequence for event in house.events()] == [1, 2, 3, 4, 5]

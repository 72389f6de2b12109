"""Schedules by command: what they answer, record and refuse."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from triplane.commands import (
    BackfillSchedule,
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    StartRun,
    TriggerSchedule,
    UpdateSchedule,
)
from triplane.entities import Namespace
from triplane.errors import (
    InvalidFields,
    InvalidTimeRange,
    LimitReached,
    NamespaceNotFound,
    RequestIdReused,
    ScheduleExists,
    ScheduleNotFound,
    StorageFull,
)
from triplane.queries import DescribeRun, ListSchedules, ReadAudit, ReadScheduleHistory
from triplane.schedules.entities import SCHEDULE_EVENTS
from triplane.schedules.machine import workflow_id_of
from triplane.store.interface import Slice
from unit.schedules.schedule_house import ACTION, HOURLY, START, ScheduleHouse

HOUR = 3_600.0
WINDOW = {"start_time": START - 5 * HOUR, "end_time": START - 2 * HOUR}


async def test_a_firing_is_recorded_and_described(house: ScheduleHouse):
    created = await house.create(note="first", max_runs=9, memo={"team": "data"}, action=ACTION | {"input": [1], "run_timeout_s": 60})
    assert (created.next_fire_at, created.remaining, created.fires, created.created) == (START + HOUR, 9, 0, START)
    await house.advance(HOUR)
    schedule = house.schedule()
    workflow_id = workflow_id_of("s", START + HOUR, "timer", 1)
    assert (schedule.fires, schedule.remaining, schedule.last_fired_at, schedule.next_fire_at) == (1, 8, START + HOUR, START + 2 * HOUR)
    assert (schedule.latest_workflow_id, schedule.pending) == (workflow_id, ())
    assert [(start["workflow_id"], start["run_id"], start["cause"]) for start in schedule.recent] == [
        (workflow_id, schedule.latest_run_id, "timer")
    ]
    event = house.events()[-1]
    assert (event.name, event.workflow_id, event.run_id, event.sequence) == ("ScheduleTriggered", workflow_id, schedule.latest_run_id, 2)
    assert dict(event.data) == {"cause": "timer", "fire_time": START + HOUR}
    view = house.connection.query(DescribeRun(workflow_id=workflow_id))
    assert (view.detail.input, view.detail.memo, view.detail.options["run_timeout_s"]) == ([1], {"team": "data"}, 60)


async def test_only_the_newest_ten_starts_are_shown(house: ScheduleHouse):
    await house.create(overlap="allow_all")
    for _ in range(12):
        await house.advance(HOUR)
    assert len(house.schedule().recent) == 10
    assert house.schedule().recent[-1]["fire_time"] == START + 12 * HOUR


async def test_jitter_comes_on_top_of_the_firing_and_not_into_its_name(house: ScheduleHouse):
    delays = []
    await house.create(jitter_s=600, overlap="allow_all")
    for number in range(1, 9):
        schedule = house.schedule()
        assert schedule.next_nominal == START + number * HOUR and schedule.next_fire_at is not None
        delays.append(schedule.next_fire_at - schedule.next_nominal)
        house.clock.advance(schedule.next_fire_at - 0.5 - house.clock.now())
        await house.advance(0)
        assert house.schedule().fires == number - 1
        await house.advance(0.5)
        assert house.schedule().latest_workflow_id == workflow_id_of("s", START + number * HOUR, "timer", 0)
    assert all(0 <= delay <= 600 for delay in delays) and max(delays) - min(delays) > 60


async def test_a_trigger_starts_at_once_and_leaves_the_next_firing(house: ScheduleHouse):
    await house.create()
    reply = await house.trigger()
    schedule = house.schedule()
    started = {"workflow_id": schedule.latest_workflow_id, "run_id": schedule.latest_run_id}
    assert reply == {"schedule_id": "s", "outcome": "triggered"} | started
    assert schedule.next_fire_at == START + HOUR
    assert (await house.trigger()) == {"schedule_id": "s", "outcome": "skipped", "reason": "overlap_policy_skip"}
    assert (await house.trigger("allow_all"))["workflow_id"] != reply["workflow_id"]
    assert house.events()[2].data["requested_by"] == {"wire": "test", "principal": "local"}


async def test_many_triggers_at_once_start_one_run(house: ScheduleHouse):
    await house.create()
    replies = await asyncio.gather(*(house.trigger() for _ in range(20)))
    assert sorted(reply["outcome"] for reply in replies) == ["skipped"] * 19 + ["triggered"]
    assert len(house.runs()) == 1


async def test_a_repeated_trigger_with_the_same_request_id_starts_nothing_more(house: ScheduleHouse):
    await house.create(overlap="allow_all")
    first = await house.ask(TriggerSchedule, request_id="r-1")
    assert await house.ask(TriggerSchedule, request_id="r-1") == first | {"retained": True}
    await house.restart()
    assert await house.ask(TriggerSchedule, request_id="r-1") == first | {"retained": True}
    assert len(house.runs()) == 1
    with pytest.raises(RequestIdReused):
        await house.ask(PauseSchedule, request_id="r-1")


async def test_a_backfill_fires_for_its_window_whatever_is_running(house: ScheduleHouse):
    await house.create(overlap="buffer_all")
    reply = await house.ask(BackfillSchedule, **WINDOW)
    assert (reply["outcome"], reply["fires_attempted"]) == ("backfill_started", 3)
    assert [(result["fire_time"], result["outcome"]) for result in reply["results"]] == [
        (START - 5 * HOUR, "started"), (START - 4 * HOUR, "started"), (START - 3 * HOUR, "started"),
    ]  # fmt: skip
    assert {result["workflow_id"] for result in reply["results"]} == set(house.open_runs())
    again = await house.ask(BackfillSchedule, **WINDOW)
    assert len(house.open_runs()) == 6 and len({result["run_id"] for result in reply["results"] + again["results"]}) == 6


@pytest.mark.parametrize(
    ("policy", "outcomes", "left_open"),
    [
        ("skip", ["started", "skipped", "skipped"], 1),
        ("cancel_other", ["started"] * 3, 1),
        ("terminate_other", ["started"] * 3, 1),
        ("allow_all", ["started"] * 3, 3),
    ],
)
async def test_a_backfill_may_have_a_policy_of_its_own(house: ScheduleHouse, policy: str, outcomes: list[str], left_open: int):
    await house.create(overlap="buffer_one")
    reply = await house.ask(BackfillSchedule, **WINDOW, overlap=policy)
    assert [result["outcome"] for result in reply["results"]] == outcomes
    assert len(house.open_runs()) == left_open
    assert house.open_runs()[-1] == house.schedule().latest_workflow_id


async def test_a_backfill_is_bounded_by_starts_left_and_by_the_limit(tmp_path: Any):
    house = await ScheduleHouse(tmp_path / "data", max_backfill=3).open()
    await house.create(overlap="allow_all", max_runs=2)
    reply = await house.ask(BackfillSchedule, **WINDOW)
    assert [result.get("reason") for result in reply["results"]] == [None, None, "remaining_actions_exhausted"]
    with pytest.raises(InvalidFields, match="max_backfill"):
        await house.ask(BackfillSchedule, start_time=START - 5 * HOUR, end_time=START)
    for end_time in (START, START - 1):
        with pytest.raises(InvalidTimeRange):
            await house.ask(BackfillSchedule, start_time=START, end_time=end_time)
    await house.close()


async def test_an_update_changes_what_is_given_and_merges_the_action(house: ScheduleHouse):
    await house.create(note="old", max_runs=5, action=ACTION | {"input": [1], "task_queue": "q"})
    await house.trigger()
    await house.ask(
        UpdateSchedule, spec={"intervals": [{"every": "PT2H"}]}, action={"input": [2]}, overlap="allow_all", max_runs=3, note="new",
        jitter_s=0,
    )  # fmt: skip
    schedule = house.schedule()
    assert (schedule.action["input"], schedule.action["task_queue"], schedule.action["workflow_type"]) == ([2], "q", "demo")
    assert (schedule.overlap, schedule.note, schedule.remaining, schedule.next_fire_at) == ("allow_all", "new", 2, START + 2 * HOUR)
    assert house.events()[-1].data["changed"] == ["action", "jitter_s", "max_runs", "note", "overlap", "spec"]
    with pytest.raises(InvalidFields, match=r"action\.workflow_type"):
        await house.ask(UpdateSchedule, action={"workflow_type": ""})
    with pytest.raises(InvalidFields, match="spec"):
        await house.ask(UpdateSchedule, spec={"cron_expressions": ["never"]})
    await house.restart()
    assert house.schedule() == schedule


async def test_a_start_that_is_refused_counts_as_a_failure(house: ScheduleHouse):
    await house.create(action={"engine": "preparing", "workflow_type": "broken"}, max_runs=1)
    reply = await house.trigger()
    assert (reply["outcome"], reply["reason"], reply["message"]) == ("failed", "trigger_failed", "line 3: not a definition")
    schedule = house.schedule()
    assert (schedule.fires, schedule.failures, schedule.remaining, schedule.next_fire_at) == (0, 1, 1, START + HOUR)
    assert house.events()[-1].data["message"] == "line 3: not a definition"
    await house.advance(HOUR)
    assert house.schedule().failures == 2
    await house.ask(UpdateSchedule, action={"workflow_type": "whole"})
    await house.advance(HOUR)
    assert len(house.open_runs()) == 1


async def test_a_workflow_of_somebody_else_under_a_firings_id_is_a_failure(house: ScheduleHouse):
    await house.create()
    taken = workflow_id_of("s", START + HOUR, "timer", 0)
    await house.connection.dispatch(StartRun(workflow_id=taken, engine="counting", workflow_type="x"))
    await house.advance(HOUR)
    schedule = house.schedule()
    assert (schedule.fires, schedule.failures, schedule.last_skip_reason) == (0, 1, "trigger_failed")


async def test_what_cannot_be_stored_now_is_fired_later_and_once(house: ScheduleHouse):
    await house.create(overlap="allow_all")

    def full() -> None:
        raise StorageFull("the disk is full")

    inner, house.store.writer.commit = house.store.writer.commit, lambda group: full()  # type: ignore[method-assign]
    await house.advance(HOUR)
    with pytest.raises(StorageFull):
        await house.trigger()
    assert house.schedule().fires == 0
    house.store.writer.commit = inner  # type: ignore[method-assign]
    await house.advance(1)
    assert house.open_runs() == [workflow_id_of("s", START + HOUR, "timer", 0)]
    assert house.names() == ["Created", "Triggered"]


async def test_commands_and_refusals(house: ScheduleHouse):
    await house.create()
    with pytest.raises(ScheduleExists):
        await house.create()
    made = await asyncio.gather(*(house.create("twin") for _ in range(2)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in made) == ["Schedule", "ScheduleExists"]
    reply = await house.connection.dispatch(CreateSchedule(spec=HOURLY, action=ACTION))
    assert house.schedule(reply["schedule_id"]).status == "active"
    for command in (UpdateSchedule, PauseSchedule, TriggerSchedule, DeleteSchedule):
        with pytest.raises(ScheduleNotFound):
            await house.ask(command, "nobody")
    with pytest.raises(ScheduleNotFound):
        house.schedule("nobody")
    with pytest.raises(ScheduleNotFound):
        house.connection.query(ReadScheduleHistory(schedule_id="nobody"))
    with pytest.raises(NamespaceNotFound):
        await house.gateway.bus.send(CreateSchedule(namespace="nowhere", spec=HOURLY, action=ACTION))
    commands = [line["command"] for line in house.connection.query(ReadAudit())]
    assert commands == ["create_schedule"] * 3


async def test_there_is_a_limit_of_schedules(tmp_path: Any):
    house = await ScheduleHouse(tmp_path / "data", max_schedules=2).open()
    await house.create("a")
    await house.create("b")
    with pytest.raises(LimitReached, match="max_schedules"):
        await house.create("c")
    await house.ask(DeleteSchedule, "a")
    await house.create("c")
    await house.close()


async def test_lists_have_filters_and_pages(house: ScheduleHouse):
    for number in range(5):
        await house.create(f"nightly-{number}", paused=number % 2 == 1)
    await house.create("weekly", action={"engine": "preparing", "workflow_type": "report"})
    await house.create("gone")
    await house.ask(DeleteSchedule, "gone")

    def listed(**wanted: Any) -> tuple[list[str], str | None]:
        page = house.connection.query(ListSchedules(**wanted))
        return [schedule.schedule_id for schedule in page.schedules], page.next

    assert listed(status="paused") == (["nightly-1", "nightly-3"], None)
    assert listed(text="NIGHT", limit=3) == (["nightly-0", "nightly-1", "nightly-2"], "nightly-2")
    assert listed(text="NIGHT", limit=3, after="nightly-2") == (["nightly-3", "nightly-4"], None)
    assert listed(workflow_type="report") == listed(engine="preparing") == (["weekly"], None)
    assert listed(text="gone") == ([], None)


async def test_only_the_newest_events_are_kept_and_pages_go_on_by_sequence(tmp_path: Any):
    house = await ScheduleHouse(tmp_path / "data", history_events=100).open()
    await house.create()
    for _ in range(130):
        await house.trigger()
    page = house.connection.query(ReadScheduleHistory(schedule_id="s", limit=60))
    assert [event.sequence for event in page.events] == list(range(32, 92)) and page.has_more
    page = house.connection.query(ReadScheduleHistory(schedule_id="s", limit=60, after=91))
    assert [event.sequence for event in page.events] == list(range(92, 132)) and not page.has_more
    await house.close()


async def test_an_asker_that_hangs_up_does_not_interrupt_a_firing(house: ScheduleHouse):
    await house.create()
    asked = asyncio.ensure_future(house.trigger())
    await asyncio.sleep(0)
    asked.cancel()
    await house.idle()
    assert (house.schedule().fires, house.schedule().pending, len(house.runs())) == (1, (), 1)


async def test_hundreds_of_schedules_cost_nothing_until_they_are_due(tmp_path: Any):
    house = await ScheduleHouse(tmp_path / "data").open()
    for number in range(300, 700):
        daily = {"cron_expressions": [f"{number % 60} {number // 60} * * *"]}
        await house.create(f"s-{number}", spec=daily)
    looked: list[Any] = []
    fire = house.scheduling.desk._fire
    house.scheduling.desk._fire = lambda key: looked.append(key) or fire(key)  # type: ignore[method-assign, func-returns-value, return-value]
    begin = START - START % 86_400
    minute = int((START - begin) // 60)
    await house.advance(60 * 60)
    assert len(looked) == len(house.runs()) == len([n for n in range(300, 700) if minute < n <= minute + 60]) == 60
    await house.close()


async def test_schedules_are_found_by_what_they_have(house: ScheduleHouse):
    for number, tier in enumerate(("gold", "silver", "gold")):
        await house.create(f"s-{number}", search_attributes={"Tier": tier, "Size": number}, paused=number == 2)
    await house.create("plain", action={"engine": "preparing", "workflow_type": "report", "task_queue": "q"})

    def found(text: str, **wanted: Any) -> list[str]:
        return [schedule.schedule_id for schedule in house.connection.query(ListSchedules(text=text, **wanted)).schedules]

    assert found('Tier = "gold"') == ["s-0", "s-2"]
    assert found('Tier = "gold" AND Size > 0') == ["s-2"]
    assert found('Tier = "gold"', status="active") == ["s-0"]
    assert found('NOT Tier = "gold"') == ["plain", "s-1"]
    assert found('Tier IS NULL OR Size BETWEEN 1 AND 1') == ["plain", "s-1"]
    assert found('ScheduleStatus IN ("paused") OR WorkflowType = "preparing:report"') == ["plain", "s-2"]
    assert found('ScheduleId STARTS_WITH "s-" AND TaskQueue = ""') == ["s-0", "s-1", "s-2"]
    assert found('NextFireTime > "2027-01-15T08:30:00Z" AND StartTime < "2027-01-16" AND Size >= 1') == ["s-1", "s-2"]
    page = house.connection.query(ListSchedules(text='Tier = "gold"', limit=1))
    assert page.next == "s-0" and found('Tier = "gold"', limit=1, after=page.next) == ["s-2"]
    with pytest.raises(InvalidFields, match="Position"):
        found('Tier = "gold" AND')


async def test_what_every_start_would_be_refused_for_is_refused_at_once(house: ScheduleHouse):
    with pytest.raises(InvalidFields, match="system attribute"):
        await house.create(search_attributes={"WorkflowType": "mine"})
    await house.create()
    with pytest.raises(InvalidFields, match="system attribute"):
        await house.ask(UpdateSchedule, search_attributes={"Status": "mine"})


async def test_deleted_schedules_are_forgotten_after_their_time(house: ScheduleHouse):
    for name in ("old", "new", "kept"):
        await house.create(name)
    await house.ask(DeleteSchedule, "old")
    await house.advance(20 * 86_400)
    await house.ask(DeleteSchedule, "new")
    await house.advance(11 * 86_400)
    assert await house.scheduling.desk.forget_deleted() == 1
    assert house.names("new")[-1] == "Deleted" and house.names("kept")
    with pytest.raises(ScheduleNotFound):
        house.names("old")


async def test_a_deleted_namespace_takes_its_schedules_along(house: ScheduleHouse):
    await house.create(overlap="allow_all")
    house.gateway.bus.forget_namespace("default")
    del house.gateway.namespaces["default"]
    await house.advance(HOUR)
    assert house.store.runs.open_run_ids() == []
    with pytest.raises(NamespaceNotFound):
        await house.gateway.bus.send(CreateSchedule(spec=HOURLY, action=ACTION))


async def test_a_schedule_in_a_time_zone_that_is_gone_can_be_mended_and_deleted(house: ScheduleHouse):
    await house.create("a")
    await house.create("b")
    for name in ("a", "b"):
        lost = replace(house.schedule(name), spec=HOURLY | {"timezone": "Atlantis/Capital"})
        await house.gateway.bus.write(Slice(schedules=(lost,)))
    await house.restart()
    await house.advance(2 * HOUR)
    assert house.runs() == []
    await house.ask(DeleteSchedule, "a")
    await house.ask(UpdateSchedule, "b", spec=HOURLY)
    await house.advance(HOUR)
    assert len(house.runs()) == 1


async def test_only_events_of_the_catalogue_are_recorded(house: ScheduleHouse):
    await house.create(action={"engine": "preparing", "workflow_type": "broken"}, note="n")
    for command in (PauseSchedule, ResumeSchedule, UpdateSchedule, TriggerSchedule):
        await house.ask(command, **({"note": "m"} if command is not TriggerSchedule else {}))
    await house.ask(UpdateSchedule, action={"workflow_type": "whole"})
    await house.trigger()
    await house.ask(DeleteSchedule)
    catalogue = {kind.name: set(kind.fields) for kind in SCHEDULE_EVENTS}
    assert {event.name for event in house.events()} == set(catalogue)
    for event in house.events():
        assert set(event.data) <= catalogue[event.name], event


async def test_namespaces_have_schedules_of_their_own(house: ScheduleHouse):
    team = Namespace("team")
    await house.gateway.bus.write(Slice(namespaces=(team,)))
    house.gateway.namespaces["team"] = team
    await house.create()
    await house.gateway.bus.send(CreateSchedule(namespace="team", schedule_id="s", spec=HOURLY, action=ACTION, max_runs=1))
    await house.restart()
    await house.advance(HOUR)
    await house.advance(HOUR)
    workflow_id = workflow_id_of("s", START + HOUR, "timer", 0)
    for namespace in ("default", "team"):
        assert house.store.runs.current_run_id(namespace, workflow_id) is not None
    found = house.store.schedules.find("team", "s")
    assert found is not None and (found.fires, found.remaining) == (1, 0)
    assert (house.schedule().fires, house.schedule().skips) == (1, 1)

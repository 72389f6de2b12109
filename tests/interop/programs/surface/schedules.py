"""Schedules, by the client and by a handle."""

from durable_workflow import ScheduleAction, ScheduleNotFound, ScheduleSpec
from durable_workflow.errors import ScheduleAlreadyExists

from surface.house import case, refused

DAILY = ScheduleSpec(cron_expressions=["0 3 * * *"], timezone="Europe/Paris")


async def made(house, **options):
    """A schedule that never fires by itself while the cases run; its handle."""
    action = ScheduleAction(workflow_type="greets", task_queue=house.queue, input=["clock"])
    given = {"schedule_id": house.name("schedule"), "spec": DAILY, "action": action, "overlap_policy": "allow_all", **options}
    return await house.client.create_schedule(**given)


async def types(house, schedule_id):
    return [event.event_type for event in (await house.client.get_schedule_history(schedule_id)).events]


@case("Client.create_schedule", "Client.describe_schedule", "ScheduleHandle.describe")
async def create(house):
    handle = await made(house, memo={"m": 1}, note="nightly", max_runs=3, jitter_seconds=0)
    for seen in (await house.client.describe_schedule(handle.schedule_id), await handle.describe()):
        assert (seen.schedule_id, seen.status, seen.overlap_policy, seen.note) == (handle.schedule_id, "active", "allow_all", "nightly")
        assert seen.spec["cron_expressions"] == DAILY.cron_expressions and seen.spec["timezone"] == "Europe/Paris"
        assert seen.action["workflow_type"] == "greets" and seen.max_runs == seen.remaining_actions == 3
        assert seen.next_fire_at.endswith("Z") and seen.memo == {"m": 1} and seen.fires_count == 0
    await refused(made(house, schedule_id=handle.schedule_id), ScheduleAlreadyExists)
    await refused(house.client.describe_schedule("nobody"), ScheduleNotFound)


@case("Client.list_schedules")
async def list_schedules(house):
    first, second = await made(house), await made(house, paused=True)
    seen = {each.schedule_id: each.status for each in (await house.client.list_schedules(page_size=200)).schedules}
    assert (seen[first.schedule_id], seen[second.schedule_id]) == ("active", "paused")
    paused = {each.schedule_id for each in (await house.client.list_schedules(status="paused", page_size=200)).schedules}
    assert second.schedule_id in paused and first.schedule_id not in paused
    page = await house.client.list_schedules(page_size=1)
    following = await house.client.list_schedules(page_size=1, next_page_token=page.next_page_token)
    assert page.schedules[0].schedule_id != following.schedules[0].schedule_id


@case("Client.update_schedule", "ScheduleHandle.update")
async def update(house):
    handle = await made(house)
    await house.client.update_schedule(handle.schedule_id, spec=ScheduleSpec(intervals=[{"every": "PT12H"}]), max_runs=7)
    await handle.update(overlap_policy="skip", note="slower", action=ScheduleAction(workflow_type="waits"))
    seen = await handle.describe()
    assert seen.spec["intervals"] == [{"every": "PT12H"}] and seen.max_runs == 7
    assert (seen.overlap_policy, seen.note, seen.action["workflow_type"]) == ("skip", "slower", "waits")
    assert seen.action["task_queue"] == house.queue
    await refused(house.client.update_schedule("nobody", note="x"), ScheduleNotFound)


@case("Client.pause_schedule", "Client.resume_schedule", "ScheduleHandle.pause", "ScheduleHandle.resume")
async def pause(house):
    handle = await made(house)
    await house.client.pause_schedule(handle.schedule_id, note="holiday")
    assert ((await handle.describe()).status, (await handle.describe()).note) == ("paused", "holiday")
    await house.client.resume_schedule(handle.schedule_id)
    assert (await handle.describe()).status == "active"
    await handle.pause()
    await handle.resume(note="back")
    assert (await handle.describe()).status == "active"
    paused = ["SchedulePaused", "ScheduleResumed"]
    assert await types(house, handle.schedule_id) == ["ScheduleCreated", *paused, *paused]


@case("Client.trigger_schedule", "ScheduleHandle.trigger")
async def trigger(house):
    handle = await made(house)
    for fired in (await house.client.trigger_schedule(handle.schedule_id), await handle.trigger(overlap_policy="allow_all")):
        assert fired.outcome == "triggered" and fired.workflow_id and fired.run_id
        assert (await house.status(fired.workflow_id, "completed")).output == "hello clock"
    assert (await handle.describe()).fires_count == 2
    await handle.pause()
    skipped = await handle.trigger()
    assert (skipped.outcome, skipped.reason) == ("skipped", "status_not_triggerable")


@case("Client.backfill_schedule", "ScheduleHandle.backfill")
async def backfill(house):
    handle = await made(house, spec=ScheduleSpec(cron_expressions=["0 * * * *"]))
    window = {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-01T03:00:00Z"}
    for filled in (await house.client.backfill_schedule(handle.schedule_id, **window), await handle.backfill(**window)):
        assert (filled.outcome, filled.fires_attempted) == ("backfill_started", 3)
        assert [each["outcome"] for each in filled.results] == ["started"] * 3
    assert (await house.status(filled.results[0]["workflow_id"], "completed")).output == "hello clock"


@case("Client.get_schedule_history", "Client.iter_schedule_history", "ScheduleHandle.history", "ScheduleHandle.iter_history")
async def history(house):
    handle = await made(house)
    await handle.pause()
    await handle.resume()
    expected = ["ScheduleCreated", "SchedulePaused", "ScheduleResumed"]
    page = await house.client.get_schedule_history(handle.schedule_id, limit=2)
    assert [event.event_type for event in page.events] == expected[:2] and page.has_more
    following = await handle.history(after_sequence=page.next_cursor)
    assert [event.event_type for event in following.events] == expected[2:] and not following.has_more
    assert [event.event_type async for event in house.client.iter_schedule_history(handle.schedule_id, limit=1)] == expected
    assert [event.event_type async for event in handle.iter_history(after_sequence=1)] == expected[1:]


@case("Client.delete_schedule", "ScheduleHandle.delete")
async def delete(house):
    first, second = await made(house), await made(house)
    await house.client.delete_schedule(first.schedule_id)
    await second.delete()
    for handle in (first, second):
        await refused(handle.describe(), ScheduleNotFound)
        assert (await types(house, handle.schedule_id))[-1] == "ScheduleDeleted"
    await made(house, schedule_id=first.schedule_id)


@case("Client.get_schedule_handle")
async def get_handle(house):
    made_one = await made(house)
    handle = house.client.get_schedule_handle(made_one.schedule_id)
    assert (await handle.describe()).schedule_id == made_one.schedule_id

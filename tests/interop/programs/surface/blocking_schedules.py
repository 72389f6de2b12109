"""The blocking client's schedules, activities, namespaces and queues."""

from durable_workflow import ScheduleAction, ScheduleNotFound, ScheduleSpec

from surface.blocking_client import refused
from surface.house import sync_case

WINDOW = {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-01T02:00:00Z"}


def made(client, house):
    return client.create_schedule(
        schedule_id=house.name("schedule"), spec=ScheduleSpec(cron_expressions=["0 * * * *"]), overlap_policy="allow_all",
        action=ScheduleAction(workflow_type="greets", task_queue=house.queue, input=["clock"]),
    )  # fmt: skip


@sync_case(
    "sync.Client.create_schedule", "sync.Client.describe_schedule", "sync.Client.list_schedules", "sync.Client.update_schedule",
    "sync.Client.pause_schedule", "sync.Client.resume_schedule", "sync.Client.trigger_schedule", "sync.Client.backfill_schedule",
    "sync.Client.delete_schedule",
)  # fmt: skip
def schedules(client, house):
    schedule_id = made(client, house).schedule_id
    assert schedule_id in {each.schedule_id for each in client.list_schedules(page_size=200).schedules}
    client.update_schedule(schedule_id, note="new")
    client.pause_schedule(schedule_id)
    assert client.describe_schedule(schedule_id).status == "paused"
    client.resume_schedule(schedule_id, note="new")
    assert (client.describe_schedule(schedule_id).status, client.describe_schedule(schedule_id).note) == ("active", "new")
    assert client.trigger_schedule(schedule_id).outcome == "triggered"
    assert client.backfill_schedule(schedule_id, **WINDOW).fires_attempted == 2
    client.delete_schedule(schedule_id)
    refused(lambda: client.describe_schedule(schedule_id), ScheduleNotFound)


@sync_case(
    "sync.Client.get_schedule_handle", "sync.SyncScheduleHandle.describe", "sync.SyncScheduleHandle.update",
    "sync.SyncScheduleHandle.pause", "sync.SyncScheduleHandle.resume", "sync.SyncScheduleHandle.trigger",
    "sync.SyncScheduleHandle.backfill", "sync.SyncScheduleHandle.delete",
)  # fmt: skip
def handles(client, house):
    handle = client.get_schedule_handle(made(client, house).schedule_id)
    handle.update(max_runs=9)
    handle.pause(note="wait")
    assert (handle.describe().status, handle.describe().max_runs) == ("paused", 9)
    handle.resume()
    assert handle.trigger().outcome == "triggered"
    assert handle.backfill(**WINDOW).outcome == "backfill_started"
    handle.delete()
    refused(handle.describe, ScheduleNotFound)

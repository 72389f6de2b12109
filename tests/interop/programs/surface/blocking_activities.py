"""The blocking client's activities."""

from durable_workflow.errors import WorkflowCancelled

from surface.blocking_client import refused
from surface.house import sync_case


def activity(client, house, activity_type="hello", queue=None):
    return client.start_activity(
        activity_type=activity_type, activity_id=house.name("activity"), task_queue=queue or house.queue, input=["ann"]
    )


@sync_case(
    "sync.Client.start_activity", "sync.Client.get_activity_handle", "sync.Client.describe_activity", "sync.Client.list_activities",
    "sync.Client.get_activity_result", "sync.SyncStandaloneActivityHandle.describe", "sync.SyncStandaloneActivityHandle.result",
    "sync.SyncStandaloneActivityHandle.cancel",
)  # fmt: skip
def activities(client, house):
    handle = activity(client, house)
    assert client.get_activity_result(handle, poll_interval=0.1) == handle.result() == "hello ann"
    assert client.describe_activity(handle.activity_id).status == handle.describe().status == "completed"
    assert client.get_activity_handle(handle.activity_id).describe().result == "hello ann"
    assert handle.activity_id in {each.activity_id for each in client.list_activities(page_size=200).activities}
    other = activity(client, house, "nobody-has-it", house.name("nobody"))
    other.cancel(reason="enough")
    refused(lambda: other.result(poll_interval=0.1), WorkflowCancelled)

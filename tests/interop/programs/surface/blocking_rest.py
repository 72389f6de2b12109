"""The blocking client's namespaces, queues, exports and repairs."""

from surface.blocking_client import begin, refused
from surface.house import sync_case


@sync_case(
    "sync.Client.create_namespace", "sync.Client.describe_namespace", "sync.Client.list_namespaces", "sync.Client.update_namespace",
    "sync.Client.delete_namespace", "sync.Client.set_namespace_external_storage", "sync.Client.test_external_storage",
)  # fmt: skip
def namespaces(client, house):
    name = house.name("space")
    client.create_namespace(name, description="first")
    client.update_namespace(name, retention_days=3)
    assert client.describe_namespace(name).retention_days == 3
    assert client.set_namespace_external_storage(name, driver="local").external_payload_storage.driver == "local"
    assert name in {each.name for each in client.list_namespaces().namespaces}
    assert client.delete_namespace(name).status == "deleted"
    assert client.test_external_storage(driver="local").namespace == "default"


@sync_case(
    "sync.Client.list_task_queues", "sync.Client.describe_task_queue", "sync.Client.list_task_queue_build_ids",
    "sync.Client.drain_task_queue_build_id", "sync.Client.promote_task_queue_build_id", "sync.Client.resume_task_queue_build_id",
)  # fmt: skip
def queues(client, house):
    assert house.queue in {each.name for each in client.list_task_queues().task_queues}
    assert client.describe_task_queue(house.queue).name == house.queue
    queue = house.name("build")
    assert client.drain_task_queue_build_id(queue, "b1").drain_intent == "draining"
    assert client.resume_task_queue_build_id(queue, "b1").drain_intent == "active"
    assert client.promote_task_queue_build_id(queue, "b1").new_start_selected is True
    assert client.list_task_queue_build_ids(queue).task_queue == queue


@sync_case(
    "sync.Client.export_history", "sync.Client.archive_workflow", "sync.Client.redrive_workflow",
    "sync.SyncWorkflowHandle.export_history", "sync.SyncWorkflowHandle.archive", "sync.SyncWorkflowHandle.redrive",
)  # fmt: skip
def closed_runs(client, house):
    first, second = begin(client, house, "fails"), begin(client, house, "fails")
    for handle in (first, second):
        refused(lambda handle=handle: handle.result(timeout=20), Exception)
    assert client.export_history(first.workflow_id, first.run_id)["schema"] == first.export_history()["schema"]
    assert client.redrive_workflow(first.workflow_id, first.run_id).workflow_id == first.workflow_id
    assert second.redrive().workflow_id == second.workflow_id
    waiting = begin(client, house)
    waiting.terminate()
    assert client.archive_workflow(waiting.workflow_id).outcome == "archived"
    assert waiting.archive().outcome == "archive_not_needed"

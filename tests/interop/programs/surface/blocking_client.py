"""The blocking client: the same methods, each once, in a thread of its own."""

from durable_workflow import WorkflowTerminated
from durable_workflow.errors import WorkflowCancelled

from surface.house import sync_case


def refused(call, *kinds):
    try:
        answer = call()
    except kinds as error:
        return error
    raise AssertionError(f"expected {kinds}, got {answer!r}")


def begin(client, house, workflow_type="waits", *arguments):
    return client.start_workflow(
        workflow_type=workflow_type, task_queue=house.queue, workflow_id=house.name("blocking"), input=list(arguments)
    )


@sync_case("sync.Client.health", "sync.Client.close")
def health(client, house):
    assert client.health()["status"] == "serving"
    client.close()
    refused(client.health, RuntimeError)


@sync_case(
    "sync.Client.start_workflow", "sync.Client.get_result", "sync.Client.describe_workflow", "sync.Client.list_workflows",
    "sync.Client.get_history", "sync.Client.list_workflow_runs", "sync.Client.describe_workflow_run",
)  # fmt: skip
def reading(client, house):
    handle = begin(client, house, "greets", "gil")
    assert client.get_result(handle, timeout=20) == "hello gil"
    assert client.describe_workflow(handle.workflow_id).status == "completed"
    assert handle.workflow_id in {each.workflow_id for each in client.list_workflows(page_size=200).executions}
    assert client.get_history(handle.workflow_id, handle.run_id)["events"][0]["event_type"] == "StartAccepted"
    assert client.list_workflow_runs(handle.workflow_id).run_count == 1
    assert client.describe_workflow_run(handle.workflow_id, handle.run_id).output == "hello gil"


@sync_case("sync.Client.signal_workflow", "sync.Client.query_workflow", "sync.Client.update_workflow")
def steering(client, house):
    handle = begin(client, house)
    assert client.signal_workflow(handle.workflow_id, "say", args=["a"])["outcome"] == "signal_received"
    assert client.update_workflow(handle.workflow_id, "add", args=[4], wait_for="completed")["result"] == 4
    assert client.query_workflow(handle.workflow_id, "said")["result"] == ["a"]


@sync_case("sync.Client.cancel_workflow", "sync.Client.terminate_workflow")
def ending(client, house):
    first, second = begin(client, house), begin(client, house)
    client.cancel_workflow(first.workflow_id, reason="enough")
    client.terminate_workflow(second.workflow_id, reason="enough")
    refused(lambda: first.result(timeout=20), WorkflowCancelled)
    refused(lambda: second.result(timeout=20), WorkflowTerminated)


@sync_case(
    "sync.SyncWorkflowHandle.result", "sync.SyncWorkflowHandle.describe", "sync.SyncWorkflowHandle.get_history",
    "sync.SyncWorkflowHandle.list_runs", "sync.SyncWorkflowHandle.describe_run", "sync.SyncWorkflowHandle.signal",
    "sync.SyncWorkflowHandle.query", "sync.SyncWorkflowHandle.update",
)  # fmt: skip
def handle_methods(client, house):
    handle = begin(client, house)
    handle.signal("say", ["b"])
    assert handle.update("add", [1], wait_for="completed")["result"] == 1
    assert handle.query("said", [True])["result"] == ["B"]
    handle.signal("go")
    assert handle.result(timeout=20) == [["b", "go"], 1]
    assert handle.describe().status == handle.describe_run().status == "completed"
    assert handle.list_runs().run_count == 1
    assert handle.get_history()["events"][0]["event_type"] == "StartAccepted"


@sync_case("sync.SyncWorkflowHandle.cancel", "sync.SyncWorkflowHandle.terminate")
def handle_ends(client, house):
    first, second = begin(client, house), begin(client, house)
    first.cancel(reason="enough")
    second.terminate()
    assert (first.describe().status, second.describe().status) == ("cancelled", "terminated")

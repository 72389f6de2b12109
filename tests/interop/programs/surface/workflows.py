"""Starting, reading and steering workflows with the client."""

from durable_workflow import WorkflowAlreadyStarted, WorkflowNotFound, WorkflowTerminated
from durable_workflow.errors import ServerError, UpdateFailed, WorkflowCancelled, WorkflowFailed

from surface.house import case, refused


@case("Client.health")
async def health(house):
    assert (await house.client.health())["status"] == "serving"


@case("Client.get_cluster_info")
async def cluster_info(house):
    info = await house.client.get_cluster_info()
    assert info["control_plane"]["version"] == "2"
    assert info["worker_protocol"]["server_capabilities"]["query_tasks"] is True


@case("Client.tls_context")
async def tls_context(house):
    assert house.client.tls_context is None


@case("Client.aclose")
async def closing(house):
    client = type(house.client)(house.url)
    assert (await client.health())["status"] == "serving"
    await client.aclose()
    await refused(client.health(), RuntimeError)


@case("Client.start_workflow")
async def start(house):
    workflow_id = house.name("start")
    handle = await house.start(workflow_id=workflow_id, memo={"a": 1}, priority=3, fairness_key="tenant", fairness_weight=2)
    assert (handle.workflow_id, handle.workflow_type) == (workflow_id, "waits") and handle.run_id
    await refused(house.start(workflow_id=workflow_id), WorkflowAlreadyStarted)
    again = await house.start(workflow_id=workflow_id, duplicate_policy="use-existing")
    assert again.run_id == handle.run_id


@case("Client.describe_workflow", "WorkflowHandle.describe")
async def describe(house):
    handle = await house.waiting("x", memo={"kept": True})
    for seen in (await house.client.describe_workflow(handle.workflow_id), await handle.describe()):
        assert (seen.run_id, seen.workflow_type, seen.status, seen.namespace) == (handle.run_id, "waits", "waiting", "default")
        assert seen.input == ["x"] and seen.memo == {"kept": True} and seen.task_queue == house.queue
    await refused(house.client.describe_workflow("nobody"), WorkflowNotFound)


@case("Client.list_workflows")
async def list_workflows(house):
    first, second = await house.waiting(), await house.waiting()
    seen = await house.client.list_workflows(workflow_type="waits", status="running", page_size=200)
    assert {first.workflow_id, second.workflow_id} <= {each.workflow_id for each in seen.executions}
    page = await house.client.list_workflows(workflow_type="waits", page_size=1)
    following = await house.client.list_workflows(workflow_type="waits", page_size=1, next_page_token=page.next_page_token)
    assert len(page.executions) == len(following.executions) == 1 and page.executions[0].run_id != following.executions[0].run_id


@case("Client.get_history", "WorkflowHandle.get_history")
async def history(house):
    handle = await house.closed("greets", "ann")
    whole = await handle.get_history(page_size=1_000)
    assert whole["events"][0]["event_type"] == "StartAccepted" and whole["events"][-1]["event_type"] == "WorkflowCompleted"
    page = await house.client.get_history(handle.workflow_id, handle.run_id, page_size=2)
    following = await house.client.get_history(handle.workflow_id, handle.run_id, page_size=2, next_page_token=page["next_page_token"])
    assert page["events"] + following["events"] == whole["events"][:4]


@case("Client.list_workflow_runs", "WorkflowHandle.list_runs")
async def runs(house):
    handle = await house.start("chains", 2)
    await house.status(handle.workflow_id, "completed")
    for seen in (await house.client.list_workflow_runs(handle.workflow_id), await handle.list_runs()):
        assert seen.run_count == len(seen.runs) >= 1 and seen.runs[0].run_id == handle.run_id


@case("Client.describe_workflow_run", "WorkflowHandle.describe_run")
async def describe_run(house):
    handle = await house.closed("greets", "bob")
    for seen in (await house.client.describe_workflow_run(handle.workflow_id, handle.run_id), await handle.describe_run()):
        assert (seen.run_id, seen.status, seen.is_current_run, seen.run_number) == (handle.run_id, "completed", True, 1)
        assert seen.output == "hello bob" and seen.input == ["bob"]
    error = await refused(house.client.describe_workflow_run(handle.workflow_id, "nothing"), ServerError)
    assert error.status == 404 and error.reason() == "run_not_found"


@case("Client.get_workflow_handle")
async def get_handle(house):
    started = await house.closed("greets", "cat")
    handle = house.client.get_workflow_handle(started.workflow_id, run_id=started.run_id)
    assert await handle.result(timeout=20) == "hello cat"


@case("Client.signal_workflow", "WorkflowHandle.signal")
async def signal(house):
    handle = await house.waiting()
    once = house.name("once")
    first = await house.client.signal_workflow(handle.workflow_id, "say", args=[1], request_id=once)
    again = await house.client.signal_workflow(handle.workflow_id, "say", args=[1], request_id=once)
    assert first["outcome"] == "signal_received" and again["retained"] is True
    await handle.signal("say", [2])
    await handle.signal("go")
    assert await handle.result(timeout=20) == [[1, 2, "go"], 0]


@case("Client.query_workflow", "WorkflowHandle.query")
async def query(house):
    handle = await house.waiting()
    await handle.signal("say", ["word"])
    await house.until(handle, "SignalReceived")
    assert (await house.client.query_workflow(handle.workflow_id, "said", args=[True]))["result"] == ["WORD"]
    assert (await handle.query("said"))["result"] == ["word"]


@case("Client.update_workflow", "WorkflowHandle.update")
async def update(house):
    handle = await house.waiting()
    done = await house.client.update_workflow(handle.workflow_id, "add", args=[2], wait_for="completed")
    assert (done["update_status"], done["result"]) == ("completed", 2)
    accepted = await handle.update("add", [3], request_id=house.name("update"))
    assert accepted["update_status"] in ("accepted", "completed") and accepted["update_id"]
    await refused(handle.update("add", [-1], wait_for="completed"), UpdateFailed)
    assert (await handle.update("add", [0], wait_for="completed"))["result"] == 5


@case("Client.cancel_workflow", "WorkflowHandle.cancel")
async def cancel(house):
    first, second = await house.waiting(), await house.waiting()
    await house.client.cancel_workflow(first.workflow_id, reason="enough")
    await second.cancel()
    for handle in (first, second):
        await refused(handle.result(timeout=20), WorkflowCancelled)
        assert (await handle.describe()).status == "cancelled"


@case("Client.terminate_workflow", "WorkflowHandle.terminate")
async def terminate(house):
    first, second = await house.waiting(), await house.waiting()
    await house.client.terminate_workflow(first.workflow_id, reason="enough")
    await second.terminate(reason="enough")
    for handle in (first, second):
        await refused(handle.result(timeout=20), WorkflowTerminated)
    error = await refused(house.client.terminate_workflow(first.workflow_id), ServerError)
    assert error.status == 409 and error.reason() == "run_not_active"


@case("Client.get_result", "WorkflowHandle.result")
async def result(house):
    handle = await house.start("greets", "dan")
    assert await house.client.get_result(handle, timeout=20) == await handle.result(timeout=20) == "hello dan"
    error = await refused((await house.start("fails")).result(timeout=20), WorkflowFailed)
    assert "on purpose" in str(error)


@case("Client.list_workers")
async def list_workers(house):
    seen = await house.client.list_workers(task_queue=house.queue)
    assert house.worker.worker_id in {each.worker_id for each in seen.workers}
    assert not (await house.client.list_workers(task_queue="nobody-polls-this")).workers

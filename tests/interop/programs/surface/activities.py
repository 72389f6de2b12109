"""Activities without a workflow around them."""

from durable_workflow.errors import WorkflowCancelled, WorkflowFailed

from surface.house import case, refused


async def begun(house, activity_type="hello", *arguments, **options):
    given = {"activity_id": house.name("activity"), "task_queue": house.queue, "start_to_close_timeout_seconds": 30, **options}
    return await house.client.start_activity(activity_type=activity_type, input=list(arguments), **given)


@case("Client.start_activity", "Client.get_activity_result", "StandaloneActivityHandle.result")
async def start(house):
    handle = await begun(house, "hello", "ann", activity_class="greeting", business_key="b-1")
    assert handle.workflow_run_id and handle.activity_execution_id and handle.workflow_type == "dw.standalone_activity"
    assert await house.client.get_activity_result(handle, poll_interval=0.1) == await handle.result() == "hello ann"
    failing = await begun(house, "fails", "no", retry_policy={"max_attempts": 2, "backoff_seconds": [0]})
    await refused(failing.result(poll_interval=0.1), WorkflowFailed)


@case("Client.describe_activity", "StandaloneActivityHandle.describe", "Client.get_activity_handle")
async def describe(house):
    started = await begun(house, "hello", "bob", activity_class="greeting", business_key="b-2")
    await started.result(poll_interval=0.1)
    handle = house.client.get_activity_handle(started.activity_id)
    for seen in (await house.client.describe_activity(started.activity_id), await handle.describe()):
        assert (seen.activity_id, seen.activity_type, seen.status, seen.result) == (started.activity_id, "hello", "completed", "hello bob")
        assert (seen.activity_class, seen.business_key, seen.task_queue) == ("greeting", "b-2", house.queue)
        assert seen.attempt_count == 1 and seen.closed_at.endswith("Z")
    assert started.activity_id not in {each.workflow_id for each in (await house.client.list_workflows(page_size=200)).executions}


@case("Client.list_activities")
async def list_activities(house):
    done = await begun(house, "hello", "cat")
    await done.result(poll_interval=0.1)
    waiting = await begun(house, "nobody-has-it", task_queue=house.name("nobody"))
    seen = {each.activity_id: each.status for each in (await house.client.list_activities(page_size=200)).activities}
    assert seen[done.activity_id] == "completed" and seen[waiting.activity_id] not in ("completed", "failed")
    running = {each.activity_id for each in (await house.client.list_activities(status="running", page_size=200)).activities}
    assert waiting.activity_id in running and done.activity_id not in running
    page = await house.client.list_activities(page_size=1)
    following = await house.client.list_activities(page_size=1, next_page_token=page.next_page_token)
    assert page.activities[0].activity_id != following.activities[0].activity_id


@case("StandaloneActivityHandle.cancel")
async def cancel(house):
    handle = await begun(house, "nobody-has-it", task_queue=house.name("nobody"))
    await handle.cancel(reason="enough")
    await refused(handle.result(poll_interval=0.1), WorkflowCancelled)

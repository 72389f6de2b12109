"""The worker's own methods, called by hand: what `Worker` does, one request at a time."""

import asyncio

from durable_workflow import Worker, serializer
from durable_workflow.errors import ServerError

from surface.exercised import ACTIVITIES, WORKFLOWS
from surface.house import case, refused


def envelope(value):
    return serializer.envelope(value)


class Hand:
    """A worker on a queue of its own, driven by hand."""

    def __init__(self, house):
        self.client, self.queue, self.worker_id = house.client, house.name("hand"), house.name("hand-worker")
        self.house = house

    async def register(self, **more):
        given = {
            "worker_id": self.worker_id, "task_queue": self.queue, "supported_workflow_types": ["by-hand"],
            "supported_activity_types": ["by-hand"], "capability_manifest": {},
            "workflow_command_contracts": {"by-hand": {"queries": ["q"], "signals": ["s"], "updates": ["u"], "update_validators": ["u"]}},
            "capabilities": ["query_tasks", "update_validation_tasks"],
        }  # fmt: skip
        return await self.client.register_worker(**{**given, **more})

    async def started(self):
        await self.register()
        return await self.house.start("by-hand", "x", task_queue=self.queue)

    async def poll(self, **more):
        return await self.client.poll_workflow_task(worker_id=self.worker_id, task_queue=self.queue, timeout=10, **more)

    def lease(self, task):
        return {"task_id": task["task_id"], "lease_owner": self.worker_id, "workflow_task_attempt": task["workflow_task_attempt"]}

    async def complete(self, task, *commands):
        return await self.client.complete_workflow_task(**self.lease(task), commands=list(commands))

    async def activity(self):
        """Start a run, let it schedule an activity, and lease that."""
        await self.started()
        command = {"type": "schedule_activity", "activity_type": "by-hand", "arguments": envelope([7]), "queue": self.queue}
        await self.complete(await self.poll(), command)
        task = await self.client.poll_activity_task(worker_id=self.worker_id, task_queue=self.queue, timeout=10)
        return task, {"task_id": task["task_id"], "activity_attempt_id": task["activity_attempt_id"], "lease_owner": self.worker_id}

    async def query_task(self):
        """Start a run that waits, ask it something, and lease the query; the task and the asker's call."""
        handle = await self.started()
        await self.complete(await self.poll(), {"type": "open_condition_wait", "condition_key": "k"})
        asking = asyncio.create_task(handle.query("q", [1]))
        task = await self.client.poll_query_task(worker_id=self.worker_id, task_queue=self.queue, timeout=10)
        lease = {"query_task_id": task["query_task_id"], "lease_owner": self.worker_id, "query_task_attempt": task["query_task_attempt"]}
        return task, lease, asking


@case("Client.register_worker", "Client.heartbeat_worker")
async def register(house):
    hand = Hand(house)
    assert (await hand.register())["registered"] is True
    beat = await house.client.heartbeat_worker(worker_id=hand.worker_id, task_slots={"workflow_available": 1})
    assert beat["acknowledged"] is True and beat["heartbeat_interval_seconds"] >= 1
    error = await refused(house.client.heartbeat_worker(worker_id="nobody"), ServerError)
    assert error.status == 404 and error.reason() == "worker_not_registered"


@case("Client.deregister_worker_registration")
async def deregister(house):
    hand = Hand(house)
    await hand.started()
    assert (await hand.poll())["workflow_type"] == "by-hand"
    gone = await house.client.deregister_worker_registration(hand.worker_id)
    assert (gone["outcome"], gone["recovered_workflow_task_count"]) == ("deregistered", 1)
    assert (await house.client.deregister_worker_registration(hand.worker_id))["outcome"] == "already_deregistered"


@case("Client.poll_workflow_task", "Client.poll_workflow_task_response")
async def poll(house):
    hand = Hand(house)
    handle = await hand.started()
    answer = await house.client.poll_workflow_task_response(
        worker_id=hand.worker_id, task_queue=hand.queue, timeout=10, poll_request_id="p1"
    )
    task = answer["task"]
    assert (task["run_id"], task["workflow_type"], task["history_events"][0]["event_type"]) == (handle.run_id, "by-hand", "StartAccepted")
    again = await hand.poll(poll_request_id="p1")
    assert (again["task_id"], again["workflow_task_attempt"]) == (task["task_id"], task["workflow_task_attempt"])
    assert (await house.client.poll_workflow_task(worker_id=hand.worker_id, task_queue=hand.queue, timeout=1)) is None


@case("Client.complete_workflow_task")
async def complete(house):
    hand = Hand(house)
    handle = await hand.started()
    done = await hand.complete(await hand.poll(), {"type": "complete_workflow", "result": envelope({"by": "hand"})})
    assert (done["outcome"], done["recorded"], done["run_status"]) == ("completed", True, "completed")
    assert await handle.result(timeout=20) == {"by": "hand"}


@case("Client.fail_workflow_task")
async def fail(house):
    hand = Hand(house)
    handle = await hand.started()
    task = await hand.poll()
    failed = await house.client.fail_workflow_task(**hand.lease(task), message="broken", failure_type="SomeError", stack_trace="at line 1")
    assert failed["outcome"] == "failed" and failed["recorded"] is True
    again = await hand.poll()
    assert again["run_id"] == handle.run_id and again["workflow_task_attempt"] > task["workflow_task_attempt"]


@case("Client.heartbeat_workflow_task")
async def heartbeat(house):
    hand = Hand(house)
    await hand.started()
    task = await hand.poll()
    beat = await house.client.heartbeat_workflow_task(**hand.lease(task))
    assert {key: beat[key] for key in hand.lease(task)} == hand.lease(task) and beat["renewed"] is True


@case("Client.workflow_task_history")
async def task_history(house):
    hand = Hand(house)
    handle = await hand.started()
    for number in range(5):
        await handle.signal("s", [number])
    task = await hand.poll(history_page_size=2)
    seen, token = task["history_events"], task["next_history_page_token"]
    while token:
        page = await house.client.workflow_task_history(**hand.lease(task), next_history_page_token=token)
        seen, token = seen + page["history_events"], page["next_history_page_token"]
    assert [event["sequence"] for event in seen] == list(range(1, task["total_history_events"] + 1))


@case("Client.poll_activity_task", "Client.complete_activity_task")
async def activity(house):
    hand = Hand(house)
    task, lease = await hand.activity()
    assert serializer.decode_envelope(task["arguments"]) == [7] and task["attempt_number"] == 1
    done = await house.client.complete_activity_task(**lease, result="seven")
    assert (done["outcome"], done["recorded"]) == ("completed", True)
    task = await hand.poll()
    assert task["history_events"][-1]["event_type"] == "ActivityCompleted"


@case("Client.fail_activity_task")
async def fail_activity(house):
    hand = Hand(house)
    _, lease = await hand.activity()
    done = await house.client.fail_activity_task(**lease, message="no", failure_type="Oh", non_retryable=True, details={"why": 1})
    assert (done["outcome"], done["recorded"]) == ("failed", True)
    event = (await hand.poll())["history_events"][-1]
    assert (event["event_type"], event["payload"]["exception_type"], event["payload"]["non_retryable"]) == ("ActivityFailed", "Oh", True)


@case("Client.heartbeat_activity_task")
async def heartbeat_activity(house):
    hand = Hand(house)
    task, lease = await hand.activity()
    beat = await house.client.heartbeat_activity_task(**lease, details={"done": 1})
    assert beat["can_continue"] is True and beat["cancel_requested"] is False and beat["heartbeat_recorded"] is True
    await house.client.cancel_workflow(task["workflow_id"])
    beat = await house.client.heartbeat_activity_task(**lease)
    assert beat["cancel_requested"] is True


@case("Client.poll_query_task", "Client.complete_query_task")
async def query(house):
    task, lease, asking = await Hand(house).query_task()
    assert task["query_name"] == "q" and serializer.decode_envelope(task["query_arguments"]) == [1]
    assert (await house.client.complete_query_task(**lease, result=[1, 2]))["outcome"] == "completed"
    assert (await asking)["result"] == [1, 2]


@case("Client.fail_query_task")
async def fail_query(house):
    _, lease, asking = await Hand(house).query_task()
    assert (await house.client.fail_query_task(**lease, message="not today"))["outcome"] == "failed"
    error = await refused(asking, Exception)
    assert type(error).__name__ == "QueryFailed" and "not today" in str(error)


@case("Worker.run", "Worker.stop", "Worker.sticky_cache_metrics")
async def worker(house):
    queue = house.name("own")
    own = Worker(house.client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, poll_timeout=2)
    running = asyncio.create_task(own.run())
    handle = await house.start("greets", "eve", task_queue=queue)
    assert await handle.result(timeout=20) == "hello eve"
    assert all(isinstance(number, int) for number in own.sticky_cache_metrics().values())
    await own.stop()
    await asyncio.wait_for(running, 20)
    assert own.worker_id not in {each.worker_id for each in (await house.client.list_workers(task_queue=queue)).workers}


@case("Worker.run_until")
async def run_until(house):
    queue = house.name("until")
    own = Worker(house.client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, poll_timeout=1)
    handle = await house.start("greets", "fay", task_queue=queue)
    seen = await own.run_until(workflow_id=handle.workflow_id, timeout=30, poll_interval=0.1)
    assert (seen.status, seen.output) == ("completed", "hello fay")

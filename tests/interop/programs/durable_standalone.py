"""Every method around standalone activities, through the real SDK with a real worker. Prints what was seen as JSON.

Arguments: base URL, prefix of activity ids.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Worker, activity, workflow
from durable_workflow.sync import Client as SyncClient

QUEUE = "standalone"
tries: dict[str, int] = {}
noticed: list[str] = []


@activity.defn(name="greet")
def greet(name):
    return f"hello {name}"


@activity.defn(name="flaky")
def flaky(key, failures):
    tries[key] = tries.get(key, 0) + 1
    if tries[key] <= failures:
        raise ValueError(f"try {tries[key]}")
    return tries[key]


@activity.defn(name="beat")
async def beat(seconds):
    for _ in range(int(seconds / 0.2)):
        await asyncio.sleep(0.2)
        try:
            await activity.context().heartbeat({"at": 1})
        except BaseException as error:
            noticed.append(type(error).__name__)
            raise
    return seconds


@activity.defn(name="sleepy")
async def sleepy(seconds):
    await asyncio.sleep(seconds)


@workflow.defn(name="idle")
class Idle:
    def run(self, ctx):
        return "idle"


async def error_of(awaitable):
    try:
        await awaitable
    except BaseException as error:  # the SDK's own cancellation is no Exception
        return type(error).__name__
    return None


async def main(url, prefix):
    seen = {}
    async with Client(url) as client:
        worker = Worker(client, task_queue=QUEUE, workflows=[Idle], activities=[greet, flaky, beat, sleepy], poll_timeout=5)
        running = asyncio.create_task(worker.run())

        async def start(name, kind, *arguments, **options):
            return await client.start_activity(
                activity_type=kind, task_queue=QUEUE, activity_id=f"{prefix}-{name}", input=list(arguments), **options
            )

        greeting = await start("greet", "greet", "bob", activity_class="Greeter", business_key="b-1")
        seen["started"] = [greeting.activity_id, greeting.workflow_type, greeting.activity_type, bool(greeting.activity_execution_id)]
        seen["result"] = await greeting.result()
        described = await greeting.describe()
        seen["described"] = [
            described.status, described.activity_status, described.activity_class, described.business_key,
            described.attempt_count, described.result, described.task_queue, bool(described.closed_at),
        ]
        seen["again"] = await error_of(start("greet", "greet", "bob"))
        made_up = await client.start_activity(activity_type="greet", task_queue=QUEUE, input=["x"])
        seen["made_up"] = [bool(made_up.activity_id), await client.get_activity_handle(made_up.activity_id).result()]

        retried = await start("retried", "flaky", f"{prefix}-r", 2, retry_policy={"max_attempts": 3, "backoff_seconds": [0, 1]})
        seen["retried"] = [await retried.result(), (await retried.describe()).attempt_count]
        hopeless = await start("hopeless", "flaky", f"{prefix}-h", 9, retry_policy={
            "max_attempts": 5, "backoff_seconds": [0], "non_retryable_error_types": ["ValueError"]})
        seen["hopeless"] = [await error_of(hopeless.result()), (await hopeless.describe()).attempt_count]

        late = [
            await start("late-close", "sleepy", 3, start_to_close_timeout_seconds=1),
            await start("late-all", "sleepy", 3, schedule_to_close_timeout_seconds=1),
            await start("late-beat", "sleepy", 3, heartbeat_timeout_seconds=1),
            await start("late-start", "nobody-has-it", 3, schedule_to_start_timeout_seconds=1),
        ]
        seen["late"] = [await error_of(each.result()) for each in late]
        seen["late_status"] = [(await each.describe()).activity_status for each in late]

        beating = await start("beating", "beat", 1, heartbeat_timeout_seconds=1)
        seen["beating"] = [await beating.result(), bool((await beating.describe()).last_heartbeat_at)]

        stopped = await start("stopped", "beat", 20)
        while (await stopped.describe()).attempt_count == 0:
            await asyncio.sleep(0.05)
        await stopped.cancel(reason="bored")
        seen["stopped"] = [await error_of(stopped.result()), (await stopped.describe()).status]
        async with asyncio.timeout(20):
            while not noticed:
                await asyncio.sleep(0.05)
        seen["noticed"] = noticed[0]
        ended = await start("ended", "nobody-has-it")
        await client.terminate_workflow(ended.activity_id)
        seen["ended"] = await error_of(ended.result())
        seen["too_soon"] = await error_of((await start("open", "nobody-has-it")).result(timeout=0.1))

        ids, token = [], None
        while True:
            page = await client.list_activities(page_size=3, next_page_token=token)
            ids += [a.activity_id for a in page.activities if a.activity_id.startswith(prefix)]
            token = page.next_page_token
            if token is None:
                break
        seen["listed"] = ids
        seen["failed"] = sorted(
            a.activity_id for a in (await client.list_activities(status="failed")).activities if a.activity_id.startswith(prefix)
        )
        await client.start_workflow(workflow_type="idle", workflow_id=f"{prefix}-idle", task_queue=QUEUE, input=[])
        everything = (await client.list_workflows(page_size=100)).executions
        seen["workflows"] = [w.workflow_id for w in everything if w.workflow_id.startswith(prefix)]
        seen["no_activity"] = [await error_of(client.describe_activity(f"{prefix}-idle")), await error_of(client.describe_activity("none"))]
        seen["reserved"] = await error_of(client.start_workflow(
            workflow_type="dw.standalone_activity", workflow_id=f"{prefix}-x", task_queue=QUEUE, input=[]))

        def blocking():
            with SyncClient(url) as sync:
                handle = sync.start_activity(activity_type="greet", task_queue=QUEUE, activity_id=f"{prefix}-sync", input=["sue"])
                return [handle.result(), handle.describe().status, sync.describe_activity(handle.activity_id).result]

        seen["sync"] = await asyncio.to_thread(blocking)
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

"""A parent with children, its gateway killed under it: waits until all is over, however often the gateway goes and comes.

Arguments: base URL, `wait` (the parent awaits its children) or `close` (it is terminated while its child sleeps). Prints JSON.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, workflow

QUEUE = "family"


@workflow.defn(name="half")
class Half:
    def run(self, ctx, value):
        yield ctx.sleep(0)
        return value / 2


@workflow.defn(name="sleeper")
class Sleeper:
    def run(self, ctx):
        yield ctx.sleep(3_000)


@workflow.defn(name="family")
class Family:
    def run(self, ctx):
        one = yield ctx.start_child_workflow("half", [10])
        more = yield [ctx.start_child_workflow("half", [number]) for number in (2, 4, 6)]
        return [one, more]


@workflow.defn(name="guardian")
class Guardian:
    def run(self, ctx):
        yield ctx.start_child_workflow("sleeper", [], parent_close_policy="terminate")


async def stubborn(call, *arguments, **fields):
    """Ask again until the gateway is there to answer."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call(*arguments, **fields)
            except Exception:
                await asyncio.sleep(0.1)


async def status(client, workflow_id, *wanted):
    async with asyncio.timeout(80):
        while (described := await stubborn(client.describe_workflow, workflow_id)).status not in wanted:
            await asyncio.sleep(0.1)
    return described


async def children_of(client, described):
    history = await stubborn(client.get_history, described.workflow_id, described.run_id)
    kids = [e["payload"]["child_workflow_instance_id"] for e in history["events"] if e["event_type"] == "ChildRunStarted"]
    ended = [e["payload"]["sequence"] for e in history["events"] if e["event_type"] == "ChildRunCompleted"]
    return history, kids, ended


async def wait(client):
    await client.start_workflow(workflow_type="family", workflow_id="parent", task_queue=QUEUE, input=[])
    described = await status(client, "parent", "completed", "failed")
    history, kids, ended = await children_of(client, described)
    runs = [len((await client.list_workflow_runs(kid)).runs) for kid in kids]
    replayed = [type(command).__name__ for command in Replayer(workflows=[Family]).replay(history).commands]
    return {"output": described.output, "ended": ended, "runs": runs, "replayed": replayed}


async def close(client):
    await client.start_workflow(workflow_type="guardian", workflow_id="parent", task_queue=QUEUE, input=[])
    described = await status(client, "parent", "waiting")
    kids = []
    async with asyncio.timeout(30):
        while not kids:
            _, kids, _ = await children_of(client, described)
    await status(client, kids[0], "waiting")
    try:
        await client.terminate_workflow("parent", reason="enough")
    except Exception:
        pass  # the answer was lost with the gateway
    return {"parent": (await status(client, "parent", "terminated")).status, "child": (await status(client, kids[0], "terminated")).status}


async def main(url, what):
    async with Client(url) as client:
        worker = Worker(client, task_queue=QUEUE, workflows=[Half, Sleeper, Family, Guardian], activities=[], poll_timeout=5)
        running = asyncio.create_task(worker.run())
        seen = await (wait if what == "wait" else close)(client)
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

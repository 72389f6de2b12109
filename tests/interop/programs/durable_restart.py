"""A real worker with workflows that take a while. Prints `started` once all are, then their results and replays as JSON.

Arguments: base URL, how many workflows.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow


@activity.defn(name="slow")
async def slow(value):
    await asyncio.sleep(0.2)
    return value


@workflow.defn(name="pipeline")
class Pipeline:
    def run(self, ctx, number):
        done = []
        for step in range(4):
            done.append((yield ctx.schedule_activity("slow", [step])))
        done.append((yield [ctx.schedule_activity("slow", [number]), ctx.schedule_activity("slow", ["b"]), ctx.start_timer(1)]))
        for step in range(4):
            done.append((yield ctx.side_effect(lambda step=step: step * 10)))
            done.append((yield ctx.schedule_activity("slow", [step])))
        return done


async def stubborn(call, *arguments, **fields):
    """Ask again until the gateway is there to answer."""
    async with asyncio.timeout(90):
        while True:
            try:
                return await call(*arguments, **fields)
            except Exception:
                await asyncio.sleep(0.2)


async def main(url, count):
    async with Client(url) as client:
        worker = Worker(client, task_queue="restarts", workflows=[Pipeline], activities=[slow], poll_timeout=5)
        running = asyncio.create_task(worker.run())
        ids = [f"pipeline-{number}" for number in range(count)]
        for number, workflow_id in enumerate(ids):
            await client.start_workflow(workflow_type="pipeline", workflow_id=workflow_id, task_queue="restarts", input=[number])
        print("started", flush=True)
        seen = []
        for workflow_id in ids:
            while (described := await stubborn(client.describe_workflow, workflow_id)).status not in ("completed", "failed"):
                await asyncio.sleep(0.2)
            history = await stubborn(client.get_history, workflow_id, described.run_id)
            ended = [event["payload"]["sequence"] for event in history["events"] if event["event_type"] == "ActivityCompleted"]
            replayed = [type(command).__name__ for command in Replayer(workflows=[Pipeline]).replay(history).commands]
            seen.append([described.output, len(ended) == len(set(ended)) == 10, replayed])
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))

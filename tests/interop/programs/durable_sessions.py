"""Workers of one queue and workflows whose activities must find each other's files. Prints where each ran as JSON.

Arguments: base URL, task queue.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Worker, WorkerSessionOptions, activity, workflow


def program_of(name):
    """The same workflow and activity, as the worker of that name has them."""

    @activity.defn(name="step")
    async def step(number):
        await asyncio.sleep(0.05)
        return name

    @workflow.defn(name="sessions")
    class Sessions:
        def run(self, ctx, session_id):
            options = WorkerSessionOptions(session_id=session_id, lease_seconds=30, ttl_seconds=600)
            seen = yield [ctx.schedule_activity("step", [n], worker_session=options) for n in range(4)]
            seen.append((yield ctx.schedule_activity("step", [4], worker_session=options)))
            return seen

    return Sessions, step


async def main(url, queue):
    seen = {}
    async with Client(url) as client:
        workers, running = [], []
        for name in ("a", "b"):
            flow, step = program_of(name)
            workers.append(
                Worker(client, task_queue=queue, worker_id=f"{queue}-{name}", workflows=[flow], activities=[step], poll_timeout=5)
            )
            running.append(asyncio.create_task(workers[-1].run()))
        handles = [
            await client.start_workflow(workflow_type="sessions", workflow_id=f"{queue}-{n}", task_queue=queue, input=[f"{queue}-s{n}"])
            for n in range(6)
        ]
        results = [await handle.result(timeout=60) for handle in handles]
        seen["together"] = [len(result) == 5 and len(set(result)) == 1 for result in results]

        own = workers[0].worker_session(WorkerSessionOptions(session_id=f"{queue}-own", lease_seconds=30))
        created = await own.create()
        renewed = await own.renew(60)
        longer = renewed["lease_expires_at"] > created["lease_expires_at"]
        seen["by_hand"] = [created["outcome"], created["worker_id"], renewed["outcome"], longer]
        handle = await client.start_workflow(
            workflow_type="sessions", workflow_id=f"{queue}-own", task_queue=queue, input=[f"{queue}-own"]
        )
        seen["own"] = await handle.result(timeout=60)
        other = workers[1].worker_session(WorkerSessionOptions(session_id=f"{queue}-own"))
        try:
            await other.create()
        except Exception as error:
            seen["held"] = [type(error).__name__, error.reason()]
        seen["closed"] = (await own.close())["outcome"]
        seen["taken"] = (await other.create())["worker_id"]

        await workers[1].stop()
        handle = await client.start_workflow(
            workflow_type="sessions", workflow_id=f"{queue}-left", task_queue=queue, input=[f"{queue}-own"]
        )
        seen["left"] = await handle.result(timeout=60)
        await workers[0].stop()
        await asyncio.wait_for(asyncio.gather(*running), 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

"""A worker that does jobs of a graph, through the real SDK. Ends when its standard input does; prints what it did as JSON.

Arguments: base URL, task queue.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Worker, activity

seen: dict[str, list] = {"given": [], "stopped": []}


@activity.defn(name="fit")
def fit(environment):
    seen["given"].append({name: environment[name] for name in ("CYLC_TASK_JOB", "CYLC_WORKFLOW_ID", "DEPTH")})
    return environment["DEPTH"]


@activity.defn(name="bad")
def bad(environment):
    raise ValueError(f"no {environment['CYLC_TASK_NAME']} today")


@activity.defn(name="beat")
async def beat(environment):
    while True:
        await asyncio.sleep(0.2)
        try:
            await activity.context().heartbeat({"at": 1})
        except BaseException as error:
            seen["stopped"].append(type(error).__name__)
            raise


async def main(url, queue):
    async with Client(url) as client:
        worker = Worker(client, task_queue=queue, workflows=[], activities=[fit, bad, beat])
        serving = asyncio.create_task(worker.run())
        await asyncio.to_thread(sys.stdin.read)
        await worker.stop()
        await asyncio.wait([serving], timeout=10)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))

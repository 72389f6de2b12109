"""A real worker for all scenarios; it runs until it is killed.

Arguments: base URL. SCENARIO_GATES names the folder of the gates.
"""

import asyncio
import sys

from durable_workflow import Client, Worker
from scenarios import all_workflows
from scenarios.scenario import ACTIVITIES, QUEUE


async def main(url):
    async with Client(url) as client:
        worker = Worker(
            client, task_queue=QUEUE, workflows=all_workflows(), activities=ACTIVITIES, poll_timeout=3,
            max_concurrent_workflow_tasks=60, max_concurrent_activity_tasks=120,
        )  # fmt: skip
        await worker.run()


asyncio.run(main(sys.argv[1]))

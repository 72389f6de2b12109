"""Cases for the public methods of the SDK, one module for each part of it. They run together against one gateway and one worker."""

import asyncio
import importlib
import pkgutil
import traceback

from durable_workflow import Worker

from surface.exercised import ACTIVITIES, WORKFLOWS
from surface.house import CASES, House

AT_ONCE = 8
CASE_S = 40.0


async def run_cases(url, methods, report):
    """Run the cases of `methods` in the modules beside this one; `report` is given `{case, error}`, error None where it passed."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"surface.{module.name}")
    limit = asyncio.Semaphore(AT_ONCE)
    house = House(url)
    async with house.client:
        worker = Worker(house.client, task_queue=house.queue, workflows=WORKFLOWS, activities=ACTIVITIES, poll_timeout=5)
        running = asyncio.create_task(worker.run())
        house.worker = worker
        await house.worker_is_there()

        async def one(name, run):
            async with limit:
                try:
                    async with asyncio.timeout(CASE_S):
                        await run(house)
                except BaseException:
                    report({"case": name, "error": traceback.format_exc()[-3_000:]})
                else:
                    report({"case": name, "error": None})

        await asyncio.gather(*(one(name, run) for name, run in CASES.items() if name in methods))
        await worker.stop()
        await asyncio.wait_for(running, 30)

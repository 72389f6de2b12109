"""A real SDK worker whose activities wait at gates: an activity ends when a file of its gate's name appears.

Arguments: base URL, task queue, directory of the gates.
"""

import asyncio
import pathlib
import sys

from durable_workflow import Client, Worker, activity, workflow

GATES = pathlib.Path(sys.argv[3])


@activity.defn(name="gate")
async def gate(name: str) -> str:
    while not (GATES / name).exists():
        await asyncio.sleep(0.02)
    return name


@workflow.defn(name="gated")
class Gated:
    def __init__(self) -> None:
        self.go = False

    @workflow.signal("go")
    def on_go(self) -> None:
        self.go = True

    def run(self, ctx, name):
        yield ctx.schedule_activity("gate", [f"{name}-one"])
        yield ctx.start_timer(1)
        yield ctx.schedule_activity("gate", [f"{name}-two"])
        yield ctx.wait_condition(lambda: self.go, key="go")
        yield ctx.schedule_activity("gate", [f"{name}-three"])
        return name


async def main() -> None:
    async with Client(sys.argv[1]) as client:
        await Worker(client, task_queue=sys.argv[2], workflows=[Gated], activities=[gate]).run()


asyncio.run(main())

"""What a real worker and a real client see of update validators and of names that no worker has. Prints it as JSON.

Arguments: base URL, task queue.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, workflow


@workflow.defn(name="ledger")
class Ledger:
    def __init__(self):
        self.total, self.closed = 0, False

    @workflow.signal("close")
    def close(self):
        self.closed = True

    @workflow.query("total")
    def read(self):
        return self.total

    @workflow.update("add")
    def add(self, amount):
        self.total += amount
        return self.total

    @add.validator
    def check_add(self, amount):
        if amount < 0:
            raise ValueError("the amount must not be negative")

    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.closed, key="closed")
        return self.total


async def outcome(call):
    """What a call returns, or the name of the error and what it says."""
    try:
        return await call
    except Exception as error:
        return [type(error).__name__, str(error)]


async def until(holds):
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.05)


async def main(url, queue):
    seen = {}
    async with Client(url) as client:
        await client.start_workflow(workflow_type="ledger", workflow_id=f"{queue}-early", task_queue=queue)
        early = client.get_workflow_handle(f"{queue}-early")
        # Nobody has said yet what a ledger understands.
        signalled, updated = await early.signal("whatever"), await early.update("whatever")
        seen["anything"] = [signalled["outcome"], updated["update_status"]]

        worker = Worker(client, task_queue=queue, worker_id=f"{queue}-w", workflows=[Ledger])
        running = asyncio.create_task(worker.run())
        handle = await client.start_workflow(workflow_type="ledger", workflow_id=queue, task_queue=queue)

        async def waits():
            return (await handle.describe()).status == "waiting"

        await until(waits)
        seen["rejected"] = await outcome(handle.update("add", [-1], wait_for="completed"))
        seen["unchanged"] = [event["event_type"] for event in (await handle.get_history())["events"]]
        seen["approved"] = [(await handle.update("add", [7], wait_for="completed"))["result"]]
        accepted = await handle.update("add", [5])
        seen["approved"].append(accepted["update_status"])
        seen["unknown_signal"] = (await outcome(handle.signal("open")))[0]
        seen["unknown_update"] = (await outcome(handle.update("subtract", [1])))[0]
        seen["unknown_query"] = (await outcome(handle.query("balance")))[0]

        async def is_twelve():
            return (await handle.query("total"))["result"] == 12

        await until(is_twelve)
        await handle.signal("close")
        seen["result"] = await handle.result(timeout=30)
        history = await handle.get_history()
        seen["replayed"] = [type(command).__name__ for command in Replayer(workflows=[Ledger]).replay(history).commands]
        seen["after"] = (await outcome(handle.update("add", [1])))[0]
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

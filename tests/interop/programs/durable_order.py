"""A real worker and a real client: one activity, one timer, a signal, a query and an update. Prints what it saw as JSON.

Arguments: base URL, workflow id.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow


@activity.defn(name="price")
def price(item: str) -> int:
    return len(item) * 10


@workflow.defn(name="order")
class Order:
    def __init__(self) -> None:
        self.paid: int | None = None
        self.note = ""

    @workflow.signal("pay")
    def pay(self, amount: int) -> None:
        self.paid = amount

    @workflow.query("status")
    def status(self) -> dict:
        return {"paid": self.paid, "note": self.note}

    @workflow.update("annotate")
    def annotate(self, note: str) -> str:
        self.note = note
        return note.upper()

    def run(self, ctx, item):
        cost = yield ctx.schedule_activity("price", [item])
        yield ctx.start_timer(1)
        yield ctx.wait_condition(lambda: self.paid is not None, key="paid")
        return {"item": item, "cost": cost, "paid": self.paid, "note": self.note}


async def main(url: str, workflow_id: str) -> None:
    seen: dict = {}
    async with Client(url) as client:
        worker = Worker(client, task_queue="orders", workflows=[Order], activities=[price])
        running = asyncio.create_task(worker.run())
        handle = await client.start_workflow(
            workflow_type="order", workflow_id=workflow_id, task_queue="orders", input=["book"]
        )
        async with asyncio.timeout(60):
            while not any(e["event_type"] == "ConditionWaitOpened" for e in (await handle.get_history())["events"]):
                await asyncio.sleep(0.05)
        seen["update"] = (await handle.update("annotate", ["gift"], wait_for="completed"))["result"]
        seen["query"] = (await handle.query("status"))["result"]
        await handle.signal("pay", [40])
        seen["result"] = await handle.result(timeout=60)
        described = await handle.describe()
        seen["status"] = described.status
        history = await handle.get_history()
        seen["events"] = [event["event_type"] for event in history["events"]]
        seen["listed"] = [w.workflow_id for w in (await client.list_workflows()).executions]
        outcome = Replayer(workflows=[Order]).replay(history)
        seen["replayed"] = [type(command).__name__ for command in outcome.commands]
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

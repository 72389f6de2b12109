"""Message streams through the real SDK: order, duplicates, batches, two streams at once, and continuing as new.

Arguments: base URL, prefix of workflow ids. Prints what was seen as JSON.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow

QUEUE = "messages"


@activity.defn(name="echo")
def echo(value):
    return value


@workflow.defn(name="reader")
class Reader:
    def run(self, ctx, wanted):
        orders, prices = ctx.message_stream("orders"), ctx.message_stream("prices")
        read = []
        while len(read) < wanted:
            batch = yield from orders.receive(3)
            for message in batch:
                done = yield ctx.schedule_activity("echo", [message.arguments])
                read.append([message.message_id, message.position, done])
        price = yield from prices.receive_one()
        return [read, price.arguments]


@workflow.defn(name="ledger")
class Ledger:
    def run(self, ctx, gathered, generation):
        stream = ctx.message_stream("entries")
        batch = yield from stream.receive(4)
        gathered = gathered + [[m.message_id, m.position] for m in batch]
        if len(gathered) < 20:
            return ctx.continue_as_new(gathered, generation + 1)
        yield ctx.schedule_activity("echo", [len(gathered)])
        return [gathered, generation > 0]


WORKFLOWS = [Reader, Ledger]


async def replayed(client, workflow_id, run_id):
    history = await client.get_history(workflow_id, run_id, page_size=1000)
    return [type(command).__name__ for command in Replayer(workflows=WORKFLOWS).replay(history).commands]


async def ended(client, workflow_id):
    async with asyncio.timeout(60):
        while (described := await client.describe_workflow(workflow_id)).status not in ("completed", "failed"):
            await asyncio.sleep(0.1)
    return described


async def main(url, prefix):
    seen = {}
    async with Client(url) as client:
        worker = Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[echo], poll_timeout=5)
        running = asyncio.create_task(worker.run())

        reader = await client.start_workflow(workflow_type="reader", workflow_id=f"{prefix}-reader", task_queue=QUEUE, input=[7])
        first = await reader.append_message("orders", "o-1", args=["tea", 1])
        again = await reader.append_message("orders", "o-1", args=["tea", 1])
        seen["receipts"] = [[r["position"], r["outcome"], r["stream_name"], r["message_id"]] for r in (first, again)]
        for number in range(2, 8):
            await client.append_message_stream(f"{prefix}-reader", "orders", f"o-{number}", args=[number])
        await client.append_message_stream(f"{prefix}-reader", "prices", "p-1", args=[42])
        described = await ended(client, f"{prefix}-reader")
        seen["reader"] = described.output
        seen["reader_replayed"] = await replayed(client, f"{prefix}-reader", described.run_id)
        try:
            await reader.append_message("orders", "o-9")
        except Exception as error:
            seen["closed"] = getattr(error, "status", type(error).__name__)

        await client.start_workflow(workflow_type="ledger", workflow_id=f"{prefix}-ledger", task_queue=QUEUE, input=[[], 0])

        async def send(sender):
            for number in range(5):
                # Every message twice: a resend finds the first, whichever run of the chain has it.
                for _ in range(2):
                    await client.append_message_stream(f"{prefix}-ledger", "entries", f"{sender}-{number}", args=[number])
                await asyncio.sleep(0.03)

        await asyncio.gather(*(send(f"s{number}") for number in range(4)))
        described = await ended(client, f"{prefix}-ledger")
        entries, continued = described.output
        seen["ledger"] = [sorted(e[0] for e in entries), [e[1] for e in entries], continued]
        runs = (await client.list_workflow_runs(f"{prefix}-ledger")).runs
        seen["ledger_replayed"] = [await replayed(client, f"{prefix}-ledger", run.run_id) for run in runs]
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

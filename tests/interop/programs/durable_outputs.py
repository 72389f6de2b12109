"""Output streams through the real SDK: from workflow code and from a client, read while they grow and after they ended.

Arguments: base URL, prefix of workflow ids. Prints what was seen as JSON.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow
from durable_workflow.client import WorkflowStreamAppendItem as Item

QUEUE = "outputs"


@activity.defn(name="work")
async def work(value):
    await asyncio.sleep(0.05)
    return value * 2


@workflow.defn(name="speaker")
class Speaker:
    def run(self, ctx, count):
        for number in range(count):
            done = yield ctx.schedule_activity("work", [number])
            yield ctx.append_workflow_stream("out", [
                Item(payload={"step": number, "done": done}, item_type="progress"), Item(payload=[number], content_type="x/y"),
            ])
        yield ctx.append_workflow_stream("files", [Item(payload_reference="s3://bucket/report")], max_pending_items=5)
        yield ctx.close_workflow_stream("files", retention_seconds=3600)
        yield ctx.close_workflow_stream("out")
        return count


@workflow.defn(name="broken")
class Broken:
    def run(self, ctx):
        yield ctx.append_workflow_stream("out", [Item(payload="first")])
        yield ctx.error_workflow_stream("out", "the pump stopped")
        yield ctx.append_workflow_stream("left-open", [Item(payload="never closed")])
        raise ValueError("sorry")


@workflow.defn(name="patient")
class Patient:
    def __init__(self):
        self.over = False

    @workflow.signal("end")
    def end(self):
        self.over = True

    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.over, key="over")
        return "ended"


WORKFLOWS = [Speaker, Broken, Patient]


async def error_of(awaitable):
    try:
        await awaitable
    except BaseException as error:
        return [type(error).__name__, getattr(error, "status", None)]
    return None


async def until_closed(client, handle):
    async with asyncio.timeout(60):
        while (described := await handle.describe()).status not in ("completed", "failed"):
            await asyncio.sleep(0.05)
    history = await client.get_history(handle.workflow_id, handle.run_id, page_size=1000)
    return [described.status, [type(command).__name__ for command in Replayer(workflows=WORKFLOWS).replay(history).commands]]


async def main(url, prefix):
    seen = {}
    async with Client(url) as client:
        worker = Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[work], poll_timeout=5)
        running = asyncio.create_task(worker.run())

        async def start(kind, *arguments):
            return await client.start_workflow(
                workflow_type=kind, workflow_id=f"{prefix}-{kind}", task_queue=QUEUE, input=list(arguments)
            )

        speaker = await start("speaker", 6)
        run = (speaker.workflow_id, speaker.run_id)
        # The reader is there before the stream is.
        heard = [item async for item in client.iter_workflow_stream(*run, "out", max_items=4, wait_seconds=5)]
        seen["heard"] = [[i.offset, i.payload, i.item_type, i.content_type, i.origin] for i in heard]
        seen["keys"] = len({i.idempotency_key for i in heard})
        seen["speaker"] = await until_closed(client, speaker)
        page = await client.subscribe_workflow_stream(*run, "out", from_offset=10, max_items=1)
        seen["page"] = [[i.offset for i in page.items], page.next_offset, page.terminal]
        last = await client.subscribe_workflow_stream(*run, "out", from_offset=12, wait_seconds=5)
        seen["last"] = [last.items, last.next_offset, last.terminal, last.stream.pending_items]
        files = (await client.subscribe_workflow_stream(*run, "files")).items
        seen["files"] = [[i.payload, i.payload_reference] for i in files]
        streams = await client.list_workflow_streams(*run)
        seen["streams"] = [[s.stream_name, s.status, s.total_items, s.retention_seconds, s.terminal] for s in streams]
        seen["none"] = [
            await error_of(client.describe_workflow_stream(*run, "none")), await error_of(client.subscribe_workflow_stream(*run, "none")),
        ]

        broken = await start("broken")
        seen["broken"] = await until_closed(client, broken)
        run = (broken.workflow_id, broken.run_id)
        described = [await client.describe_workflow_stream(*run, name) for name in ("out", "left-open")]
        seen["errored"] = [[s.status, s.error_reason, s.total_items] for s in described]

        patient = await start("patient")
        run = (patient.workflow_id, patient.run_id)
        first = await client.append_workflow_stream(*run, "in/out", [Item(payload=1, idempotency_key="k"), Item(payload=2)])
        again = await client.append_workflow_stream(*run, "in/out", [Item(payload=1, idempotency_key="k"), Item(payload=3)])
        seen["appended"] = [[r.accepted_offsets, r.accepted_count, r.deduplicated_count, r.stream.total_items] for r in (first, again)]
        seen["full"] = await error_of(client.append_workflow_stream(*run, "in/out", [Item(payload=4)], max_pending_items=3))
        waiting = asyncio.create_task(client.subscribe_workflow_stream(*run, "in/out", from_offset=3, wait_seconds=20))
        await asyncio.sleep(0.3)
        await client.append_workflow_stream(*run, "in/out", [Item(payload=4)], max_pending_items=3)
        page = await asyncio.wait_for(waiting, 5)
        seen["waited"] = [[i.payload for i in page.items], page.next_offset, page.terminal]
        stop = asyncio.Event()
        waiting = asyncio.create_task(client.subscribe_workflow_stream(*run, "in/out", from_offset=4, wait_seconds=30, cancel_event=stop))
        await asyncio.sleep(0.1)
        stop.set()
        await asyncio.gather(waiting, return_exceptions=True)
        seen["cancelled"] = waiting.cancelled()
        closed = await client.close_workflow_stream(*run, "in/out", error_reason="enough", retention_seconds=60)
        seen["closed"] = [closed.status, closed.error_reason, closed.retention_seconds, bool(closed.closed_at), closed.last_offset]
        seen["late"] = await error_of(client.append_workflow_stream(*run, "in/out", [Item(payload=5)]))
        await patient.signal("end")
        seen["patient"] = await until_closed(client, patient)
        # Services may append and close after the run has ended.
        after = await client.append_workflow_stream(*run, "after", [Item(payload="z", idempotency_key="k")])
        retry = await client.append_workflow_stream(*run, "after", [Item(payload="z", idempotency_key="k")])
        ended = await client.close_workflow_stream(*run, "after")
        page = await client.subscribe_workflow_stream(*run, "after")
        seen["after"] = [after.accepted_offsets, retry.deduplicated_count, ended.status, [i.payload for i in page.items], page.terminal]
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

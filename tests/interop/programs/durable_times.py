"""Timeouts, retries, and what runs without a server's task, through the real SDK. Prints what was seen as JSON.

Arguments: base URL, prefix of workflow ids.
"""

import asyncio
import json
import sys
import time

from durable_workflow import Client, Replayer, Worker, activity, workflow

QUEUE = "times"
tries: dict[str, list[float]] = {}


def tried(key):
    tries.setdefault(key, []).append(time.monotonic())
    return len(tries[key])


@activity.defn(name="echo")
def echo(value):
    return value


@activity.defn(name="flaky")
def flaky(key, failures):
    if (number := tried(key)) <= failures:
        raise RuntimeError(f"try {number}")
    return number


@activity.defn(name="silent-once")
async def silent_once(key):
    """Says nothing for too long the first time, and beats the second."""
    if tried(key) == 1:
        await asyncio.sleep(5)
    for _ in range(4):
        await asyncio.sleep(0.4)
        await activity.context().heartbeat()
    return len(tries[key])


@activity.defn(name="slow-once")
async def slow_once(key):
    if tried(key) == 1:
        await asyncio.sleep(5)
    return len(tries[key])


class Refused(Exception):
    pass


@activity.defn(name="refuse")
def refuse(key):
    tried(key)
    raise Refused("no")


@workflow.defn(name="retries")
class Retries:
    def run(self, ctx, key):
        waited = yield ctx.schedule_activity("flaky", [f"{key}-list", 2], retry_policy={"max_attempts": 3, "backoff_seconds": [1, 0]})
        silent = yield ctx.schedule_activity(
            "silent-once", [f"{key}-silent"], heartbeat_timeout=1, retry_policy={"max_attempts": 2, "backoff_seconds": [0]}
        )
        slow = yield ctx.schedule_activity(
            "slow-once", [f"{key}-slow"], start_to_close_timeout=1, retry_policy={"max_attempts": 2, "backoff_seconds": [0]}
        )
        ends = []
        for operation in (
            ctx.schedule_activity("refuse", [f"{key}-refuse"], retry_policy={
                "max_attempts": 5, "backoff_seconds": [0], "non_retryable_error_types": ["Refused"]}),
            ctx.schedule_activity("flaky", [f"{key}-never", 99], schedule_to_close_timeout=2, retry_policy={
                "max_attempts": 99, "backoff_seconds": [1]}),
        ):
            try:
                yield operation
            except Exception as error:
                ends.append(type(error).__name__)
        return [waited, silent, slow, ends]


@workflow.defn(name="local")
class Local:
    def run(self, ctx, key):
        done = yield ctx.local_activity("flaky", [f"{key}-l", 1], retry_policy={"max_attempts": 3, "backoff_seconds": [0, 0]})
        ends = []
        for operation in (
            ctx.local_activity("flaky", [f"{key}-l2", 9], retry_policy={"max_attempts": 2, "backoff_seconds": [0]}),
            ctx.local_activity("slow-once", [f"{key}-l3"], start_to_close_timeout=1),
            ctx.local_activity("refuse", [f"{key}-l4"]),
        ):
            try:
                yield operation
            except Exception as error:
                ends.append(type(error).__name__)
        last = yield ctx.schedule_activity("echo", ["after"])
        return [done, ends, last]


@workflow.defn(name="zero")
class Zero:
    def run(self, ctx):
        yield ctx.sleep(0)
        at_once = yield ctx.wait_condition(lambda: False, key="now", timeout=0)
        both = yield [ctx.start_timer(0), ctx.start_timer(0), ctx.schedule_activity("echo", [1])]
        return [at_once, both[2]]


@workflow.defn(name="notes")
class Notes:
    def run(self, ctx):
        yield ctx.upsert_memo({"a": 1, "b": {"deep": [True, None]}, "c": "gone"})
        yield ctx.upsert_search_attributes({"Tier": "gold", "Count": 3})
        yield ctx.upsert_memo({"c": None, "d": 2.5})
        yield ctx.upsert_search_attributes({"Tier": None})
        return (yield ctx.schedule_activity("echo", ["noted"]))


@workflow.defn(name="endless")
class Endless:
    def run(self, ctx):
        yield ctx.wait_condition(lambda: False, key="never")


WORKFLOWS = [Retries, Local, Zero, Notes, Endless]


async def ended(client, workflow_id):
    async with asyncio.timeout(60):
        while (described := await client.describe_workflow(workflow_id)).status not in ("completed", "failed"):
            await asyncio.sleep(0.1)
    history = await client.get_history(workflow_id, described.run_id, page_size=1000)
    is_whole = history["events"][-1]["event_type"] != "WorkflowTimedOut"
    replayed = Replayer(workflows=WORKFLOWS).replay(history).commands if is_whole else []
    return described, [type(command).__name__ for command in replayed], history["events"]


async def main(url, prefix):
    seen = {}
    async with Client(url) as client:
        worker = Worker(
            client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[echo, flaky, silent_once, slow_once, refuse], poll_timeout=5
        )
        running = asyncio.create_task(worker.run())

        async def outcome(name, *arguments, **options):
            workflow_id = f"{prefix}-{name}"
            handle = await client.start_workflow(
                workflow_type=name, workflow_id=workflow_id, task_queue=QUEUE, input=list(arguments), **options
            )
            described, replayed, events = await ended(client, workflow_id)
            seen[name] = [described.status, described.output, replayed]
            return handle, described, events

        async def timed_out():
            handle, described, events = await outcome("endless", run_timeout_seconds=1)
            try:
                await handle.result()
            except Exception as error:
                seen["endless"] = [described.status, type(error).__name__, events[-1]["payload"]["timeout_kind"]]

        async def notes():
            _, described, events = await outcome("notes")
            merged = [e["payload"]["merged"] for e in events if e["event_type"] == "SearchAttributesUpserted"]
            seen["noted"] = [described.memo, described.search_attributes, merged]

        await asyncio.gather(
            outcome("retries", prefix), outcome("local", prefix), outcome("zero"), notes(), timed_out()
        )
        gaps = [round(b - a) for a, b in zip(tries[f"{prefix}-list"], tries[f"{prefix}-list"][1:], strict=False)]
        seen["backoff"] = gaps
        seen["refused"] = len(tries[f"{prefix}-refuse"])
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

"""Every feature of durable runs, each as a workflow of the real SDK with a real worker. Prints results and replays as JSON.

Arguments: base URL, prefix of workflow ids.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow

QUEUE = "features"
attempts: dict[str, int] = {}


@activity.defn(name="echo")
def echo(value):
    return value


@activity.defn(name="slow")
async def slow(seconds):
    await asyncio.sleep(seconds)
    return seconds


@activity.defn(name="flaky")
def flaky(key, failures):
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] <= failures:
        raise RuntimeError(f"try {attempts[key]}")
    return attempts[key]


@activity.defn(name="beat")
async def beat(times):
    for number in range(times):
        await activity.context().heartbeat({"number": number})
        await asyncio.sleep(0.4)
    return times


@workflow.defn(name="parallel")
class Parallel:
    def __init__(self):
        self.added = []

    @workflow.signal("add")
    def add(self, value):
        self.added.append(value)

    def run(self, ctx):
        flat = yield [ctx.schedule_activity("slow", [0.2]), ctx.schedule_activity("echo", ["b"]), ctx.start_timer(1)]
        nested = yield [ctx.schedule_activity("echo", [1]), [ctx.schedule_activity("echo", [2]), ctx.schedule_activity("slow", [0.3])]]
        yield ctx.wait_condition(lambda: len(self.added) >= 3, key="three")
        single = yield [ctx.schedule_activity("echo", [9])]
        return [flat, nested, single, self.added]


@workflow.defn(name="retry")
class Retry:
    def run(self, ctx, key):
        tries = yield ctx.schedule_activity("flaky", [key, 2], retry_policy={"max_attempts": 4, "backoff_seconds": [0, 1]})
        failures = []
        for operation in (
            ctx.schedule_activity("flaky", [f"{key}-hopeless", 9], retry_policy={"max_attempts": 2, "backoff_seconds": [0]}),
            ctx.schedule_activity("slow", [3], start_to_close_timeout=1),
            ctx.schedule_activity("nobody-has-it", [1], schedule_to_start_timeout=1),
        ):
            try:
                yield operation
            except Exception as error:
                failures.append(type(error).__name__)
        beats = yield ctx.schedule_activity("beat", [6], heartbeat_timeout=2)
        return [tries, failures, beats]


@workflow.defn(name="records")
class Records:
    def run(self, ctx):
        version = yield ctx.get_version("change", 1, 3)
        effect = yield ctx.side_effect(lambda: 77)
        yield ctx.upsert_search_attributes({"Tier": "gold"})
        yield ctx.upsert_memo({"kept": {"list": [1, 2]}, "gone": None})
        local = yield ctx.local_activity("echo", ["here"])
        in_time = yield ctx.wait_condition(lambda: False, key="never", timeout=1)
        yield ctx.sleep(0)
        patched = yield ctx.patched("patch")
        return [version, effect, local, in_time, bool(patched)]


@workflow.defn(name="entity")
class Entity:
    def __init__(self):
        self.pushed, self.seen, self.count = [], [], 0

    @workflow.signal("push")
    def push(self, value):
        self.pushed.append(value)

    @workflow.update("bump")
    def bump(self, by):
        if by < 0:
            raise ValueError("negative")
        self.count += by
        return self.count

    @workflow.query("count")
    def get_count(self):
        return self.count

    def run(self, ctx, total):
        while len(self.seen) < total:
            yield ctx.wait_condition(lambda: len(self.pushed) > 0, key="pushed")
            while self.pushed:
                self.seen.append((yield ctx.schedule_activity("echo", [self.pushed.pop(0)])))
        return [sorted(self.seen), self.count]


@workflow.defn(name="selection")
class Selection:
    def __init__(self):
        self.go = False

    @workflow.signal("go")
    def set_go(self):
        self.go = True

    def run(self, ctx):
        first = yield ctx.select({"work": ctx.schedule_activity("echo", ["x"]), "late": ctx.start_timer(40)})
        signalled = yield ctx.select({"go": ctx.wait_condition(lambda: self.go, key="go"), "late": ctx.start_timer(40)})
        pair = [ctx.schedule_activity("echo", [1]), ctx.schedule_activity("echo", [2])]
        grouped = yield ctx.select({"pair": pair, "late": ctx.start_timer(40), "slow": ctx.schedule_activity("slow", [1])})
        yield grouped.handles["late"].cancel()
        loser = yield grouped.handles["slow"].await_result()
        failed = yield ctx.select([ctx.schedule_activity("flaky", [str(ctx.uuid4()), 5]), ctx.start_timer(40)])
        timed = yield ctx.select({"never": ctx.wait_condition(lambda: False, key="n", timeout=1), "late": ctx.start_timer(40)})
        return [first.key, signalled.key, grouped.key, grouped.result(), loser, failed.succeeded, timed.key, timed.value]


@workflow.defn(name="chain")
class Chain:
    def __init__(self):
        self.added = []

    @workflow.signal("add")
    def add(self, value):
        self.added.append(value)

    def run(self, ctx, number, gathered):
        yield ctx.schedule_activity("echo", [number])
        yield ctx.upsert_memo({"number": number})
        if number < 3:
            return ctx.continue_as_new(number + 1, gathered + self.added)
        yield ctx.wait_condition(lambda: len(gathered + self.added) >= 3, key="all")
        return [number, sorted(gathered + self.added)]


@workflow.defn(name="failing")
class Failing:
    def run(self, ctx):
        yield ctx.schedule_activity("echo", [1])
        raise ValueError("sorry")


WORKFLOWS = [Parallel, Retry, Records, Entity, Selection, Chain, Failing]


async def drive(client, name, workflow_id):
    """Start one workflow and do to it what it waits for; whatever its own clients see is returned."""
    given = {"retry": [workflow_id], "entity": [12], "chain": [0, []]}.get(name, [])
    handle = await client.start_workflow(workflow_type=name, workflow_id=workflow_id, task_queue=QUEUE, input=given)
    if name in ("parallel", "chain"):
        for number in range(3):
            await client.signal_workflow(workflow_id, "add", args=[number])
    elif name == "selection":
        await wait_for_event(client, handle, "ConditionWaitOpened")
        await handle.signal("go", [])
    elif name == "entity":
        pushes = [handle.signal("push", [number]) for number in range(12)]
        bumps = [handle.update("bump", [1], wait_for="completed") for _ in range(5)]
        await asyncio.gather(*pushes, *bumps)
        try:
            await handle.update("bump", [-1], wait_for="completed")
        except Exception as error:
            return [type(error).__name__, (await handle.query("count"))["result"]]
    return None


async def wait_for_event(client, handle, event_type):
    async with asyncio.timeout(60):
        while not any(e["event_type"] == event_type for e in (await handle.get_history())["events"]):
            await asyncio.sleep(0.05)


async def outcome(client, name, prefix):
    workflow_id = f"{prefix}-{name}"
    seen = await drive(client, name, workflow_id)
    async with asyncio.timeout(100):
        while (described := await client.describe_workflow(workflow_id)).status not in ("completed", "failed"):
            await asyncio.sleep(0.1)
    history = await client.get_history(workflow_id, described.run_id)
    replayed = [type(command).__name__ for command in Replayer(workflows=WORKFLOWS).replay(history).commands]
    return {"status": described.status, "output": described.output, "seen": seen, "memo": described.memo, "replayed": replayed}


async def main(url, prefix):
    async with Client(url) as client:
        activities = [echo, slow, flaky, beat]
        worker = Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=activities, poll_timeout=5)
        running = asyncio.create_task(worker.run())
        names = ["parallel", "retry", "records", "entity", "selection", "chain", "failing"]
        outcomes = await asyncio.gather(*(outcome(client, name, prefix) for name in names))
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(dict(zip(names, outcomes, strict=True))))


asyncio.run(main(*sys.argv[1:3]))

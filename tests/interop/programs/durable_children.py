"""Workflows that start others, as workflows of the real SDK with a real worker. Prints results and replays as JSON.

Arguments: base URL, prefix of workflow ids.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow

QUEUE = "children"
attempts: dict[str, int] = {}
undone: list[str] = []


@activity.defn(name="echo")
def echo(value):
    return value


@activity.defn(name="undo")
def undo(value):
    undone.append(value)


@activity.defn(name="count")
def count(key):
    attempts[key] = attempts.get(key, 0) + 1
    return attempts[key]


@workflow.defn(name="double")
class Double:
    def run(self, ctx, value):
        return 2 * (yield ctx.schedule_activity("echo", [value]))


@workflow.defn(name="fails")
class Fails:
    def run(self, ctx, message):
        yield ctx.schedule_activity("echo", [message])
        raise ValueError(message)


@workflow.defn(name="third-time")
class ThirdTime:
    def run(self, ctx, key):
        tries = yield ctx.schedule_activity("count", [key])
        if tries < 3:
            raise RuntimeError(f"try {tries}")
        return tries


@workflow.defn(name="sleeps")
class Sleeps:
    def run(self, ctx, seconds):
        yield ctx.sleep(seconds)
        return "slept"


@workflow.defn(name="goes-on")
class GoesOn:
    def run(self, ctx, left, gathered):
        yield ctx.schedule_activity("echo", [left])
        if left:
            return ctx.continue_as_new(left - 1, [*gathered, left])
        return gathered


@workflow.defn(name="one")
class One:
    def run(self, ctx):
        good = yield ctx.start_child_workflow("double", [21])
        try:
            yield ctx.start_child_workflow("fails", ["no luck"])
        except Exception as error:
            return [good, type(error).__name__, str(error)]


@workflow.defn(name="nested")
class Nested:
    def run(self, ctx, depth):
        if depth == 0:
            return [0]
        below = yield ctx.start_child_workflow("nested", [depth - 1])
        return [*below, depth]


@workflow.defn(name="group")
class Group:
    def __init__(self):
        self.poked = 0

    @workflow.signal("poke")
    def poke(self):
        self.poked += 1

    def run(self, ctx):
        mixed = yield [
            ctx.start_child_workflow("sleeps", [1]), ctx.start_child_workflow("double", [1]),
            [ctx.schedule_activity("echo", ["a"]), ctx.start_child_workflow("double", [2])], ctx.start_timer(1),
        ]
        try:
            yield [ctx.start_child_workflow("double", [1]), ctx.start_child_workflow("fails", ["x"])]
        except Exception as error:
            return [mixed, type(error).__name__, self.poked]


@workflow.defn(name="choice")
class Choice:
    def run(self, ctx):
        quick = yield ctx.select({"kid": ctx.start_child_workflow("double", [4]), "late": ctx.start_timer(60)})
        slow = yield ctx.select({"kid": ctx.start_child_workflow("sleeps", [600]), "soon": ctx.start_timer(1)})
        yield slow.handles["kid"].cancel()
        failed = yield ctx.select([ctx.start_child_workflow("fails", ["y"]), ctx.start_timer(60)])
        return [quick.key, quick.result(), slow.key, failed.succeeded]


@workflow.defn(name="again")
class Again:
    def run(self, ctx, key):
        tries = yield ctx.start_child_workflow("third-time", [key], retry_policy={"max_attempts": 3, "backoff_seconds": [0, 1]})
        try:
            yield ctx.start_child_workflow("sleeps", [60], run_timeout_seconds=1)
        except Exception as error:
            return [tries, type(error).__name__]


@workflow.defn(name="chain")
class Chain:
    def run(self, ctx):
        return (yield ctx.start_child_workflow("goes-on", [3, []]))


@workflow.defn(name="engines")
class Engines:
    def run(self, ctx):
        graph = yield ctx.start_child_workflow("graph:pair", [])
        flow = yield ctx.start_child_workflow("simulation:flow", [{"duration": 3}])
        try:
            yield ctx.start_child_workflow("graph:nowhere", [])
        except Exception as error:
            return [graph, flow, type(error).__name__]


@workflow.defn(name="saga")
class Trip:
    def run(self, ctx):
        saga = ctx.saga()
        yield ctx.start_child_workflow("double", [1])
        saga.add_compensation("undo", ["first"])
        yield ctx.start_child_workflow("double", [2])
        saga.add_compensation("undo", ["second"])
        try:
            yield ctx.start_child_workflow("fails", ["full"])
        except Exception as error:
            yield from saga.compensate(error)
            return "undone"


@workflow.defn(name="calls")
class Calls:
    def run(self, ctx):
        answer = yield ctx.call_nexus_service("math", "numbers", "double", [8])
        accepted = yield ctx.start_nexus_operation("math", "numbers", "double", [9])
        failures = []
        for operation in ("fail", "unknown"):
            try:
                yield ctx.call_nexus_service("math", "numbers", operation, ["z"])
            except Exception as error:
                failures.append(type(error).__name__)
        return [answer.result, accepted.status, failures]


@workflow.defn(name="keeper")
class Keeper:
    def run(self, ctx, policy, ending):
        kid = ctx.start_child_workflow("sleeps", [600], parent_close_policy=policy)
        yield ctx.select({"kid": kid, "soon": ctx.start_timer(1)})
        if ending == "fail":
            raise ValueError("over")
        if ending == "wait":
            yield ctx.sleep(600)
        return "over"


WORKFLOWS = [
    Double, Fails, ThirdTime, Sleeps, GoesOn, One, Nested, Group, Choice, Again, Chain, Engines, Trip, Calls, Keeper,
]  # fmt: skip
ARGUMENTS = {"nested": [4]}
PARENTS = ["one", "nested", "group", "choice", "again", "chain", "engines", "saga", "calls"]
POLICIES = [
    ("abandon", "complete"), ("request_cancel", "complete"), ("terminate", "fail"), ("terminate", "wait"), ("request_cancel", "time"),
]  # fmt: skip


async def closed(client, workflow_id):
    async with asyncio.timeout(100):
        while (described := await client.describe_workflow(workflow_id)).status not in ("completed", "failed", "cancelled", "terminated"):
            await asyncio.sleep(0.1)
    return described


async def children_of(client, run_id, workflow_id):
    history = await client.get_history(workflow_id, run_id)
    return [e["payload"] for e in history["events"] if e["event_type"] == "ChildRunStarted"]


async def replay(client, described):
    history = await client.get_history(described.workflow_id, described.run_id)
    # The keys of service calls are made of the run's own ids.
    replayed = Replayer(workflows=WORKFLOWS).replay(history, workflow_id=described.workflow_id, run_id=described.run_id)
    return [type(command).__name__ for command in replayed.commands]


async def outcome(client, name, prefix):
    workflow_id = f"{prefix}-{name}"
    given = {"again": [workflow_id]}.get(name, ARGUMENTS.get(name, []))
    await client.start_workflow(workflow_type=name, workflow_id=workflow_id, task_queue=QUEUE, input=given)
    if name == "group":
        for _ in range(3):
            await asyncio.sleep(0.2)
            await client.signal_workflow(workflow_id, "poke", args=[])
    described = await closed(client, workflow_id)
    kids = []
    for kid in await children_of(client, described.run_id, workflow_id):
        try:
            seen = await client.describe_workflow(kid["child_workflow_instance_id"])
            kids.append(seen.status)
            if not kid["child_workflow_type"].startswith(("graph:", "simulation:")) and seen.status == "completed":
                assert await replay(client, seen) == ["CompleteWorkflow"]
        except Exception as error:
            kids.append(type(error).__name__)
    return {"status": described.status, "output": described.output, "replayed": await replay(client, described), "children": kids}


async def keeper(client, policy, ending, prefix):
    workflow_id = f"{prefix}-keeper-{policy}-{ending}"
    timeouts = {"run_timeout_seconds": 8} if ending == "time" else {}
    given = [policy, "wait" if ending in ("wait", "time") else ending]
    handle = await client.start_workflow(workflow_type="keeper", workflow_id=workflow_id, task_queue=QUEUE, input=given, **timeouts)
    if ending == "wait":
        while not await children_of(client, handle.run_id, workflow_id):
            await asyncio.sleep(0.1)
        await client.cancel_workflow(workflow_id)
    described = await closed(client, workflow_id)
    (kid,) = await children_of(client, described.run_id, workflow_id)
    kid_id = kid["child_workflow_instance_id"]
    if policy == "abandon":
        await asyncio.sleep(0.5)
        seen = (await client.describe_workflow(kid_id)).status
        await client.terminate_workflow(kid_id)
        return [described.status, seen]
    return [described.status, (await closed(client, kid_id)).status]


async def main(url, prefix):
    async with Client(url) as client:
        worker = Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[echo, undo, count], poll_timeout=5)
        running = asyncio.create_task(worker.run())
        outcomes, kept = await asyncio.gather(
            asyncio.gather(*(outcome(client, name, prefix) for name in PARENTS)),
            asyncio.gather(*(keeper(client, *case, prefix) for case in POLICIES)),
        )
        twice = {"workflow_type": "sleeps", "workflow_id": f"{prefix}-replaced", "task_queue": QUEUE, "input": [600]}
        for _ in range(2):
            second = await client.start_workflow(**twice, duplicate_policy="terminate_existing")
        replaced = [run.status for run in (await client.list_workflow_runs(second.workflow_id)).runs]
        await second.terminate()
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps({"outcomes": dict(zip(PARENTS, outcomes, strict=True)), "kept": kept, "undone": undone, "replaced": replaced}))


asyncio.run(main(*sys.argv[1:3]))

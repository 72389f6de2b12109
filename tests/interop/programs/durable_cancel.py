"""Workflows that are cancelled with their own help, with a worker of the real SDK that understands it. Prints JSON.

Arguments: base URL, prefix of workflow ids.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow
from durable_workflow.errors import WorkflowCancelled

QUEUE = "cancelling"


@activity.defn(name="echo")
def echo(value):
    return value


@workflow.defn(name="sleeper")
class Sleeper:
    def run(self, ctx):
        yield ctx.sleep(600)


def tidy(ctx, operation, by_activity=False):
    """Wait for something; when cancelled, clean up and let the cancellation through."""
    try:
        yield operation
    except WorkflowCancelled:
        seen = ctx.is_cancellation_requested
        with ctx.cancellation_shield():
            # An activity costs such a worker two processes, so not every workflow here has one.
            cleaned = (yield ctx.schedule_activity("echo", ["clean"])) if by_activity else (yield ctx.side_effect(lambda: "clean"))
            yield ctx.upsert_memo({"cleaned": cleaned, "seen": seen})
        raise


@workflow.defn(name="on-timer")
class OnTimer:
    def run(self, ctx):
        yield ctx.side_effect(lambda: "before")
        yield from tidy(ctx, ctx.start_timer(600), by_activity=True)


@workflow.defn(name="on-activity")
class OnActivity:
    def run(self, ctx):
        yield from tidy(ctx, ctx.schedule_activity("nobody-has-it", []))


@workflow.defn(name="on-condition")
class OnCondition:
    def run(self, ctx):
        yield from tidy(ctx, ctx.wait_condition(lambda: False, key="never", timeout=600))


@workflow.defn(name="on-child")
class OnChild:
    def run(self, ctx):
        yield from tidy(ctx, ctx.start_child_workflow("sleeper", [], cancellation_policy="try_cancel"))


@workflow.defn(name="on-patient-child")
class OnPatientChild:
    def run(self, ctx):
        yield from tidy(ctx, ctx.start_child_workflow("on-condition", [], cancellation_policy="wait_cancellation_completed"))


@workflow.defn(name="leaver")
class Leaver:
    def run(self, ctx):
        kid = ctx.start_child_workflow("on-condition", [], parent_close_policy="request_cancellation")
        yield ctx.select({"kid": kid, "soon": ctx.start_timer(1)})
        return "left"


@workflow.defn(name="on-group")
class OnGroup:
    def run(self, ctx):
        yield from tidy(ctx, [ctx.start_timer(0), ctx.start_timer(600), ctx.schedule_activity("nobody-has-it", [])])


@workflow.defn(name="saga")
class Trip:
    def run(self, ctx):
        saga = ctx.saga()

        def forward(_):
            yield ctx.side_effect(lambda: "booked")
            saga.add_compensation("echo", ["unbooked"])
            yield ctx.sleep(600)

        yield from saga.run(forward)


@workflow.defn(name="survivor")
class Survivor:
    def run(self, ctx):
        try:
            yield ctx.sleep(600)
        except WorkflowCancelled:
            return "kept what there was"


@workflow.defn(name="stubborn")
class Stubborn:
    def run(self, ctx):
        try:
            yield ctx.sleep(600)
        except WorkflowCancelled:
            with ctx.cancellation_shield():
                yield ctx.sleep(600)


WORKFLOWS = [
    Sleeper, OnTimer, OnActivity, OnCondition, OnChild, OnPatientChild, Leaver, OnGroup, Trip, Survivor, Stubborn,
]  # fmt: skip
NAMES = ["on-timer", "on-activity", "on-condition", "on-child", "on-patient-child", "on-group", "saga", "survivor", "stubborn"]
AWAITED = {
    "on-activity": "ActivityScheduled", "on-condition": "ConditionWaitOpened", "on-child": "ChildRunStarted",
    "on-patient-child": "ChildRunStarted",
}  # fmt: skip
TERMINAL = ("completed", "failed", "cancelled", "terminated")


async def closed(client, workflow_id):
    async with asyncio.timeout(90):
        while (described := await client.describe_workflow(workflow_id)).status not in TERMINAL:
            await asyncio.sleep(0.1)
    return described


async def outcome(client, name, prefix):
    workflow_id = f"{prefix}-{name}"
    handle = await client.start_workflow(workflow_type=name, workflow_id=workflow_id, task_queue=QUEUE, input=[])
    async with asyncio.timeout(60):
        while AWAITED.get(name, "TimerScheduled") not in [e["event_type"] for e in (await handle.get_history())["events"]]:
            await asyncio.sleep(0.05)
    timeout = {"cleanup_timeout_seconds": 2} if name == "stubborn" else {}
    first = await client.request_workflow_cancellation(workflow_id, reason="enough", **timeout)
    again = None
    try:
        again = await client.request_workflow_cancellation(workflow_id)
    except Exception as error:
        again = {"error": type(error).__name__}
    same = "error" in again or (again["duplicate"] and again["cancellation_request"] == first["cancellation_request"])
    described = await closed(client, workflow_id)
    history = await client.get_history(workflow_id, described.run_id)
    replayed = Replayer(workflows=WORKFLOWS).replay(history, workflow_id=workflow_id, run_id=described.run_id)
    return {
        "status": described.status, "output": described.output, "memo": described.memo, "same": same,
        "replayed": [type(command).__name__ for command in replayed.commands],
        "last": history["events"][-1]["event_type"], "reason": history["events"][-1]["payload"].get("reason"),
        "children": [e["payload"]["child_workflow_instance_id"] for e in history["events"] if e["event_type"] == "ChildRunStarted"],
        "child_ends": [e["event_type"] for e in history["events"] if e["event_type"].startswith("ChildRunC")],
        "activities": [e["event_type"] for e in history["events"] if e["event_type"] == "ActivityCompleted"],
    }  # fmt: skip


async def main(url, prefix):
    async with Client(url) as client:
        refused = None
        await client.start_workflow(workflow_type="sleeper", workflow_id=f"{prefix}-alone", task_queue="nobody", input=[])
        try:
            await client.request_workflow_cancellation(f"{prefix}-alone")
        except Exception as error:
            refused = [type(error).__name__, str(error)]
        # Such a worker starts two processes for each activity, and gives one up that is not there within five seconds.
        worker = Worker(
            client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[echo], poll_timeout=5, max_concurrent_activity_tasks=1,
            capabilities=["cooperative_cancellation"],
        )  # fmt: skip
        running = asyncio.create_task(worker.run())
        outcomes = await asyncio.gather(*(outcome(client, name, prefix) for name in NAMES))
        child = (await closed(client, outcomes[NAMES.index("on-child")]["children"][0])).status
        patient = await closed(client, outcomes[NAMES.index("on-patient-child")]["children"][0])
        left = await client.start_workflow(workflow_type="leaver", workflow_id=f"{prefix}-leaver", task_queue=QUEUE, input=[])
        events = (await client.get_history(left.workflow_id, (await closed(client, left.workflow_id)).run_id))["events"]
        begun = next(event["payload"] for event in events if event["event_type"] == "ChildRunStarted")
        orphan = await closed(client, begun["child_workflow_instance_id"])
        kin = [[each.status, each.memo] for each in (patient, orphan)]
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps({"outcomes": dict(zip(NAMES, outcomes, strict=True)), "child": child, "refused": refused, "kin": kin}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))

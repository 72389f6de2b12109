"""Children, alone and in groups, and service operations."""

import asyncio

from durable_workflow import workflow
from durable_workflow.errors import ChildWorkflowFailed

from scenarios.scenario import at_gate, reaches_gate, scenario
from scenarios.waits import Gathering


@workflow.defn(name="c-gated")
class Gated:
    """A child that is held at the gate that its parent names."""

    def run(self, ctx, name):
        options = {"heartbeat_timeout": 3, "retry_policy": {"max_attempts": 50, "backoff_seconds": [0]}}
        return (yield ctx.schedule_activity("gate", [name], **options))


@workflow.defn(name="c-echo")
class Echo:
    def run(self, ctx, value):
        return (yield ctx.schedule_activity("echo", [value]))


@workflow.defn(name="c-fails")
class FailingChild:
    def run(self, ctx):
        yield ctx.schedule_activity("echo", [1])
        raise ValueError("child's fault")


@workflow.defn(name="c-chain")
class ChainChild:
    def run(self, ctx, left):
        yield ctx.schedule_activity("echo", [left])
        return ctx.continue_as_new(left - 1) if left else "end of the chain"


@scenario("child", ["open", "after"], Gated, Echo)
@workflow.defn(name="s-child")
class Child:
    def run(self, ctx):
        held = yield ctx.start_child_workflow("c-gated", [ctx.workflow_id])
        return [held, (yield ctx.start_child_workflow("c-echo", ["after"]))]


@scenario("children in a list", ["open", 1, [2, 3]], Gated, Echo)
@workflow.defn(name="s-children")
class Children:
    def run(self, ctx):
        pair = [ctx.start_child_workflow("c-echo", [2]), ctx.schedule_activity("echo", [3])]
        return (yield [ctx.start_child_workflow("c-gated", [ctx.workflow_id]), ctx.start_child_workflow("c-echo", [1]), pair])


@scenario("child failing", ["open", "child's fault"], Gated, FailingChild)
@workflow.defn(name="s-child-failing")
class ChildFailing:
    def run(self, ctx):
        held = yield ctx.start_child_workflow("c-gated", [ctx.workflow_id])
        try:
            yield ctx.start_child_workflow("c-fails", [])
        except ChildWorkflowFailed as error:
            return [held, "child's fault" if "child's fault" in str(error) else repr(error)]


@scenario("child that continues as new", ["open", "end of the chain"], ChainChild)
@workflow.defn(name="s-child-chain")
class ChildChain:
    def run(self, ctx):
        held = yield at_gate(ctx)
        return [held, (yield ctx.start_child_workflow("c-chain", [2]))]


@scenario("select of a child", ["child", "open"], Gated)
@workflow.defn(name="s-select-child")
class SelectChild:
    def run(self, ctx):
        first = yield ctx.select({"child": ctx.start_child_workflow("c-gated", [ctx.workflow_id]), "late": ctx.start_timer(90)})
        return [first.key, first.result()]


@workflow.defn(name="c-waits")
class WaitingChild(Gathering):
    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.over, key="over")
        return "over"


async def child_is_terminated(client, handle):
    await client.terminate_workflow(handle.workflow_id, reason="enough")
    async with asyncio.timeout(30):
        while [child.status for child in (await client.list_workflows(workflow_type="c-waits")).executions] != ["terminated"]:
            await asyncio.sleep(0.1)


@scenario("parent terminated", None, WaitingChild, before=reaches_gate, after=child_is_terminated, status="terminated")
@workflow.defn(name="s-parent-terminated")
class ParentTerminated:
    def run(self, ctx):
        yield [ctx.start_child_workflow("c-waits", [], parent_close_policy="terminate"), at_gate(ctx)]


@scenario("service operation", ["open", "called"], Echo)
@workflow.defn(name="s-operation")
class Operation:
    def run(self, ctx):
        held = yield at_gate(ctx)
        done = yield ctx.call_nexus_service("shop", "orders", "echo", ["called"])
        return [held, done.result]


@scenario("service operation that is held", ["open", True], Gated)
@workflow.defn(name="s-operation-held")
class OperationHeld:
    def run(self, ctx):
        done = yield ctx.call_nexus_service("shop", "orders", "gated", [ctx.workflow_id])
        return [done.result, done.accepted]


@scenario("service operation started", [True, "open"], Echo)
@workflow.defn(name="s-operation-started")
class OperationStarted:
    def run(self, ctx):
        started = yield ctx.start_nexus_operation("shop", "orders", "echo", ["later"])
        return [started.accepted, (yield at_gate(ctx))]


@scenario("activity, child, timer and operation", ["open", "child", "called"], Echo)
@workflow.defn(name="s-everything")
class Everything:
    def run(self, ctx):
        held, child, _ = yield [at_gate(ctx), ctx.start_child_workflow("c-echo", ["child"]), ctx.start_timer(1)]
        done = yield ctx.call_nexus_service("shop", "orders", "echo", ["called"])
        return [held, child, done.result]

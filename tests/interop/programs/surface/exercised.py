"""Workflows and activities of the worker that the cases use."""

import asyncio

from durable_workflow import WorkflowStreamAppendItem, activity, workflow


@activity.defn(name="hello")
def hello(name):
    return f"hello {name}"


@activity.defn(name="fails")
def fails(text):
    raise ValueError(text)


@activity.defn(name="beats")
async def beats(seconds):
    for _ in range(int(seconds * 10)):
        await activity.context().heartbeat({"alive": True})
        await asyncio.sleep(0.1)
    return "done"


@workflow.defn(name="greets")
class Greets:
    def run(self, ctx, name="you"):
        return (yield ctx.schedule_activity("hello", [name]))


@workflow.defn(name="fails")
class Fails:
    def run(self, ctx):
        yield ctx.schedule_activity("hello", ["nobody"])
        raise ValueError("on purpose")


@workflow.defn(name="chains")
class Chains:
    def run(self, ctx, number):
        yield ctx.schedule_activity("hello", [str(number)])
        if number > 1:
            return ctx.continue_as_new(number - 1)
        return "end of the chain"


@workflow.defn(name="waits")
class Waits:
    def __init__(self):
        self.said, self.count = [], 0

    @workflow.signal("say")
    def say(self, value):
        self.said.append(value)

    @workflow.signal("go")
    def go(self):
        self.said.append("go")

    @workflow.query("said")
    def get_said(self, upper=False):
        return [str(each).upper() for each in self.said] if upper else self.said

    @workflow.update("add")
    def add(self, by):
        if by < 0:
            raise ValueError("negative")
        self.count += by
        return self.count

    def run(self, ctx, *_):
        yield ctx.wait_condition(lambda: "go" in self.said, key="go")
        return [self.said, self.count]


@workflow.defn(name="listens")
class Listens:
    def run(self, ctx, count):
        inbox, heard = ctx.message_stream("inbox"), []
        while len(heard) < count:
            heard.append((yield from inbox.receive_one()).arguments[0])
        return heard


@workflow.defn(name="publishes")
class Publishes:
    def run(self, ctx, count):
        for number in range(count):
            yield ctx.append_workflow_stream("numbers", [WorkflowStreamAppendItem(payload=number)])
        yield ctx.close_workflow_stream("numbers")
        return count


ACTIVITIES = [hello, fails, beats]
WORKFLOWS = [Greets, Fails, Chains, Waits, Listens, Publishes]

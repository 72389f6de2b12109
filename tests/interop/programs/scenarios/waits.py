"""Timers, conditions, signals, updates and selections."""

import asyncio

from durable_workflow import workflow

from scenarios.scenario import at_gate, event, reaches_gate, scenario, waits_for


@scenario("timer", ["open", "rang"])
@workflow.defn(name="s-timer")
class Timer:
    def run(self, ctx):
        held, _ = yield [at_gate(ctx), ctx.start_timer(2)]
        return [held, "rang"]


@scenario("timers in a list", [None, None, "open"])
@workflow.defn(name="s-timers")
class Timers:
    def run(self, ctx):
        rang = yield [ctx.start_timer(3), ctx.start_timer(1), at_gate(ctx)]
        return [None, None, rang[2]]


@scenario("sleep", ["open", True])
@workflow.defn(name="s-sleep")
class Sleep:
    def run(self, ctx):
        began = ctx.now()
        yield ctx.sleep(1)
        held = yield at_gate(ctx)
        yield ctx.sleep(0)
        return [held, ctx.now() == began or ctx.now() > began]


class Gathering:
    """What the waiting workflows share: values by signal, and a flag."""

    def __init__(self):
        self.values, self.total, self.over = [], 0, False

    @workflow.signal("value")
    def value(self, value):
        self.values.append(value)

    @workflow.signal("over")
    def end(self):
        self.over = True

    @workflow.update("add")
    def add(self, by):
        if by < 0:
            raise ValueError("negative")
        self.total += by
        return self.total

    @workflow.query("total")
    def get_total(self):
        return self.total


async def sends_three(client, handle):
    for number in range(3):
        await client.signal_workflow(handle.workflow_id, "value", args=[number])


async def sends_over(client, handle):
    await client.signal_workflow(handle.workflow_id, "over")


@scenario("condition", [0, 1, 2], before=waits_for("ConditionWaitOpened"), after=sends_three)
@workflow.defn(name="s-condition")
class Condition(Gathering):
    def run(self, ctx):
        yield ctx.wait_condition(lambda: len(self.values) >= 3, key="three")
        return self.values


@scenario("condition with time", [False, True, "open"], after=sends_over)
@workflow.defn(name="s-condition-time")
class ConditionTime(Gathering):
    def run(self, ctx):
        first = yield ctx.wait_condition(lambda: False, key="never", timeout=1)
        held = yield at_gate(ctx)
        second = yield ctx.wait_condition(lambda: self.over, key="over", timeout=60)
        return [first, second, held]


async def first_signals(client, handle):
    await event(client, handle, "ConditionWaitOpened")
    for number in range(5):
        await client.signal_workflow(handle.workflow_id, "value", args=[number])
    await event(client, handle, "SignalReceived", 5)


async def more_signals(client, handle):
    for number in range(5, 10):
        await client.signal_workflow(handle.workflow_id, "value", args=[number])
    await sends_over(client, handle)


@scenario("signals before and after", list(range(10)), before=first_signals, after=more_signals)
@workflow.defn(name="s-signals")
class Signals(Gathering):
    def run(self, ctx):
        seen = []
        while not self.over or self.values:
            yield ctx.wait_condition(lambda: self.values or self.over, key="any")
            while self.values:
                seen.append((yield ctx.schedule_activity("echo", [self.values.pop(0)])))
        return seen


async def first_updates(client, handle):
    await event(client, handle, "ConditionWaitOpened")
    await asyncio.gather(*(handle.update("add", [1], wait_for="completed") for _ in range(3)))


async def more_updates(client, handle):
    results = [(await handle.update("add", [10], wait_for="completed"))["result"] for _ in range(2)]
    assert results == [13, 23], results
    try:
        await handle.update("add", [-1], wait_for="completed")
    except Exception as error:
        assert type(error).__name__ == "UpdateFailed", error
    else:
        raise AssertionError("the update was to fail")
    assert (await client.query_workflow(handle.workflow_id, "total"))["result"] == 23
    await sends_over(client, handle)


@scenario("updates and a query", 23, before=first_updates, after=more_updates)
@workflow.defn(name="s-updates")
class Updates(Gathering):
    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.over, key="over")
        return self.total


async def updates_at_gate(client, handle):
    await reaches_gate(client, handle)
    accepted = await handle.update("add", [5], wait_for="accepted")
    assert accepted["update_id"]


@scenario("update during an activity", ["open", 5], before=updates_at_gate)
@workflow.defn(name="s-update-busy")
class UpdateBusy(Gathering):
    def run(self, ctx):
        held = yield at_gate(ctx)
        yield ctx.wait_condition(lambda: self.total >= 5, key="five")
        return [held, self.total]


@scenario("select of an activity", ["gate", "open"])
@workflow.defn(name="s-select")
class Select:
    def run(self, ctx):
        first = yield ctx.select({"gate": at_gate(ctx), "late": ctx.start_timer(90)})
        return [first.key, first.result()]


@scenario("select of a timer", ["soon", "open"])
@workflow.defn(name="s-select-timer")
class SelectTimer:
    def run(self, ctx):
        first = yield ctx.select({"gate": at_gate(ctx), "soon": ctx.start_timer(1)})
        return [first.key, (yield first.handles["gate"].await_result())]


@scenario("select of a group", ["pair", ["open", 2], "late"])
@workflow.defn(name="s-select-group")
class SelectGroup:
    def run(self, ctx):
        pair = [at_gate(ctx), ctx.schedule_activity("echo", [2])]
        first = yield ctx.select({"pair": pair, "late": ctx.start_timer(90)})
        yield first.handles["late"].cancel()
        return [first.key, first.result(), "late"]


@scenario("select of a condition", "over", before=waits_for("ConditionWaitOpened"), after=sends_over)
@workflow.defn(name="s-select-condition")
class SelectCondition(Gathering):
    def run(self, ctx):
        first = yield ctx.select({"over": ctx.wait_condition(lambda: self.over, key="over"), "late": ctx.start_timer(90)})
        return first.key


async def cancels(client, handle):
    await client.cancel_workflow(handle.workflow_id, reason="enough")


@scenario("cancelled", None, after=cancels, status="cancelled", before=waits_for("ConditionWaitOpened"))
@workflow.defn(name="s-cancelled")
class Cancelled(Gathering):
    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.over, key="over")


async def terminates(client, handle):
    await client.terminate_workflow(handle.workflow_id, reason="enough")


@scenario("terminated", None, after=terminates, status="terminated", before=waits_for("ConditionWaitOpened"))
@workflow.defn(name="s-terminated")
class Terminated(Gathering):
    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.over, key="over")

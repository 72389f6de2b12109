"""What a workflow records: side effects, versions, search attributes, memo; and successors of itself."""

import asyncio

from durable_workflow import workflow

from scenarios.scenario import at_gate, reaches_gate, scenario
from scenarios.waits import Gathering


@scenario("side effect", [5, "open", True])
@workflow.defn(name="s-side-effect")
class SideEffect:
    def run(self, ctx):
        import os

        first = yield ctx.side_effect(lambda: os.getpid())
        held = yield at_gate(ctx)
        # The process may be another one by now; what was recorded is still what the first one was.
        second = yield ctx.side_effect(lambda: 5)
        return [second, held, isinstance(first, int) and first > 0]


@scenario("version", [3, "open", 3, True])
@workflow.defn(name="s-version")
class Version:
    def run(self, ctx):
        first = yield ctx.get_version("change", 1, 3)
        held = yield at_gate(ctx)
        again = yield ctx.get_version("change", 1, 3)
        patched = yield ctx.patched("patch")
        yield ctx.deprecate_patch("old-patch")
        return [first, held, again, bool(patched)]


async def finds_attributes(client, handle):
    described = await client.describe_workflow(handle.workflow_id)
    assert described.search_attributes == {"Tier": "gold", "Level": 3}, described.search_attributes


@scenario("search attributes", "open", after=finds_attributes)
@workflow.defn(name="s-attributes")
class Attributes:
    def run(self, ctx):
        yield ctx.upsert_search_attributes({"Tier": "silver", "Gone": "x"})
        yield ctx.upsert_search_attributes({"Tier": "gold", "Level": 3, "Gone": None})
        return (yield at_gate(ctx))


async def finds_memo(client, handle):
    described = await client.describe_workflow(handle.workflow_id)
    assert described.memo == {"kept": {"list": [1, 2]}}, described.memo


@scenario("memo", "open", after=finds_memo)
@workflow.defn(name="s-memo")
class Memo:
    def run(self, ctx):
        yield ctx.upsert_memo({"kept": {"list": [1]}, "gone": True})
        yield ctx.upsert_memo({"kept": {"list": [1, 2]}, "gone": None})
        return (yield at_gate(ctx))


@scenario("now, random and ids", ["open", True, True])
@workflow.defn(name="s-deterministic")
class Deterministic:
    def run(self, ctx):
        drawn, name, moment = ctx.random().random(), str(ctx.uuid4()), ctx.now().isoformat()
        recorded = yield ctx.side_effect(lambda: [drawn, name, moment])
        held = yield at_gate(ctx)
        return [held, recorded == [drawn, name, moment], len(str(ctx.uuid7())) == 36]


@scenario("continue as new", ["end", 3, "open"])
@workflow.defn(name="s-continue")
class Continue:
    def run(self, ctx, number=0, held=None):
        yield ctx.upsert_memo({"number": number})
        if number == 1:
            held = yield at_gate(ctx)
        if number < 3:
            return ctx.continue_as_new(number + 1, held)
        return ["end", number, held]


async def signals_first_run(client, handle):
    await reaches_gate(client, handle)
    for number in range(2):
        await client.signal_workflow(handle.workflow_id, "value", args=[number])


async def signals_second_run(client, handle):
    # A signal that comes between the gate's result and the task that continues as new would not be seen by either run.
    while (await client.list_workflow_runs(handle.workflow_id)).run_count < 2:
        await asyncio.sleep(0.1)
    await client.signal_workflow(handle.workflow_id, "value", args=[2])


@scenario("continue as new with signals", [[0, 1, 2], "open"], before=signals_first_run, after=signals_second_run)
@workflow.defn(name="s-continue-signals")
class ContinueSignals(Gathering):
    def run(self, ctx, kept=(), held=None):
        if held is None:
            held = yield at_gate(ctx)
            return ctx.continue_as_new([*kept, *self.values], held)
        yield ctx.wait_condition(lambda: len(self.values) + len(kept) >= 3, key="three")
        return [sorted([*kept, *self.values]), held]


@scenario("saga that succeeds", ["booked", "open"])
@workflow.defn(name="s-saga")
class Saga:
    def run(self, ctx):
        def forward(saga):
            booked = yield ctx.schedule_activity("echo", ["booked"])
            saga.add_compensation("echo", ["unbooked"])
            return [booked, (yield at_gate(ctx))]

        return (yield from ctx.saga().run(forward))


@scenario("saga that compensates", ["hotel", "flight"])
@workflow.defn(name="s-saga-undone")
class SagaUndone:
    def run(self, ctx):
        undone = []

        def forward(saga):
            for what in ("flight", "hotel"):
                yield ctx.schedule_activity("echo", [what])
                saga.add_compensation("echo", [what])
                undone.insert(0, what)
            yield at_gate(ctx)
            yield ctx.schedule_activity("breaks", ["no car"])

        try:
            yield from ctx.saga().run(forward)
        except Exception:
            return undone


@scenario("all records together", [5, 1, "here", "open", [1, "b"]])
@workflow.defn(name="s-together")
class Together:
    def run(self, ctx):
        effect = yield ctx.side_effect(lambda: 5)
        version = yield ctx.get_version("together", 1, 1)
        yield ctx.upsert_search_attributes({"Tier": "gold"})
        yield ctx.upsert_memo({"a": 1})
        local = yield ctx.local_activity("echo", ["here"])
        held, _ = yield [at_gate(ctx), ctx.start_timer(1)]
        rest = yield [ctx.schedule_activity("echo", [1]), ctx.schedule_activity("echo", ["b"])]
        return [effect, version, local, held, rest]

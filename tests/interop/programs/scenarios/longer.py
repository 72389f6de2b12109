"""Long histories, and everything at once."""

import asyncio

from durable_workflow import workflow

from scenarios.scenario import at_gate, event, scenario
from scenarios.waits import Gathering


@scenario("history of many pages", ["open", 600])
@workflow.defn(name="s-pages")
class Pages:
    def run(self, ctx):
        total = 0
        for _ in range(3):
            for _ in range(200):
                total += yield ctx.side_effect(lambda: 1)
            yield ctx.schedule_activity("echo", [total])
        return [(yield at_gate(ctx)), total]


@scenario("selects in a loop", [["fast", 0], ["fast", 1], ["gate", "open"]])
@workflow.defn(name="s-selects")
class Selects:
    def run(self, ctx):
        seen = []
        for number in range(3):
            member = {"gate": at_gate(ctx)} if number == 2 else {"fast": ctx.schedule_activity("echo", [number])}
            first = yield ctx.select({**member, "late": ctx.start_timer(90)})
            yield first.handles["late"].cancel()
            seen.append([first.key, first.result()])
        return seen


async def fills(client, handle):
    await event(client, handle, "ConditionWaitOpened")
    signals = [client.signal_workflow(handle.workflow_id, "value", args=[number]) for number in range(8)]
    updates = [handle.update("add", [1], wait_for="completed") for _ in range(4)]
    await asyncio.gather(*signals, *updates)


async def empties(client, handle):
    assert (await client.query_workflow(handle.workflow_id, "total"))["result"] == 4
    await asyncio.gather(*(handle.update("add", [1], wait_for="completed") for _ in range(4)))
    await client.signal_workflow(handle.workflow_id, "over")


@scenario("entity", [list(range(8)), 8, True], before=fills, after=empties)
@workflow.defn(name="s-entity")
class Entity(Gathering):
    def run(self, ctx):
        seen = []
        while not self.over or self.values:
            yield ctx.wait_condition(lambda: self.values or self.over, key="any", timeout=60)
            while self.values:
                batch, self.values = self.values, []
                seen += yield [ctx.schedule_activity("echo", [value]) for value in batch]
        patched = yield ctx.patched("later")
        return [sorted(seen), self.total, bool(patched)]

"""Message streams: repeated input, each message once and in order, over a chain of runs too."""

from durable_workflow import workflow

from scenarios.scenario import at_gate, event, reaches_gate, scenario


def heard(message):
    return message.arguments[0]


async def sends_first(client, handle):
    await event(client, handle, "ConditionWaitOpened")
    for number in range(3):
        await client.append_message_stream(handle.workflow_id, "inbox", f"m-{number}", args=[number])


async def sends_rest(client, handle):
    # The third one again: whoever sends is not sure what became of it.
    for number in range(2, 6):
        seen = await client.append_message_stream(handle.workflow_id, "inbox", f"m-{number}", args=[number])
        assert seen["position"] == number + 1 and (seen["outcome"] == "duplicate") == (number == 2), seen


@scenario("message stream", list(range(6)), before=sends_first, after=sends_rest)
@workflow.defn(name="s-stream")
class Stream:
    def run(self, ctx):
        inbox, seen = ctx.message_stream("inbox"), []
        while len(seen) < 6:
            for message in (yield from inbox.receive(max_items=4)):
                seen.append((yield ctx.schedule_activity("echo", [heard(message)])))
        return seen


async def sends_two_streams(client, handle):
    await reaches_gate(client, handle)
    for stream in ("left", "right"):
        for number in range(2):
            await client.append_message_stream(handle.workflow_id, stream, f"{stream}-{number}", args=[f"{stream}{number}"])


@scenario("two message streams", ["open", ["left0", "left1"], ["right0", "right1"]], before=sends_two_streams)
@workflow.defn(name="s-streams")
class Streams:
    def run(self, ctx):
        held = yield at_gate(ctx)
        seen = {"left": [], "right": []}
        for name in ("right", "left", "left", "right"):
            seen[name].append(heard((yield from ctx.message_stream(name).receive_one())))
        return [held, seen["left"], seen["right"]]


async def sends_over_chain(client, handle):
    for number in range(4):
        await client.append_message_stream(handle.workflow_id, "inbox", f"m-{number}", args=[number])
    await reaches_gate(client, handle)


@scenario("message stream over a chain", [[0, 1, 2, 3], "open"], before=sends_over_chain)
@workflow.defn(name="s-stream-chain")
class StreamChain:
    def run(self, ctx, seen=(), held=None):
        seen = [*seen, heard((yield from ctx.message_stream("inbox").receive_one()))]
        if len(seen) == 2:
            held = yield at_gate(ctx)
        if len(seen) < 4:
            return ctx.continue_as_new(seen, held)
        return [seen, held]

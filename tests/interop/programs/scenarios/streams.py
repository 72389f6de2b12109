"""Output streams: what a workflow publishes is there once, however often it is replayed."""

from durable_workflow import WorkflowStreamAppendItem, workflow

from scenarios.scenario import at_gate, scenario


def items(*values):
    return [WorkflowStreamAppendItem(payload=value) for value in values]


def holds(stream, status, *values):
    """An `after` that waits for the stream's end and compares what it holds."""

    async def after(client, handle):
        page = await client.subscribe_workflow_stream(handle.workflow_id, handle.run_id, stream, wait_seconds=0)
        offset, seen = page.next_offset, [item.payload for item in page.items]
        while not page.terminal:
            page = await client.subscribe_workflow_stream(handle.workflow_id, handle.run_id, stream, from_offset=offset, wait_seconds=5)
            offset, seen = page.next_offset, seen + [item.payload for item in page.items]
        assert (seen, page.stream.status) == (list(values), status), (seen, page.stream.status)

    return after


@scenario("output stream", "open", after=holds("out", "closed", 0, 1, 2, "last"))
@workflow.defn(name="s-publish")
class Publish:
    def run(self, ctx):
        yield ctx.append_workflow_stream("out", items(0, 1))
        yield ctx.append_workflow_stream("out", items(2))
        held = yield at_gate(ctx)
        yield ctx.append_workflow_stream("out", items("last"))
        yield ctx.close_workflow_stream("out")
        return held


@scenario("output stream with an error", "open", after=holds("out", "errored", "only"))
@workflow.defn(name="s-publish-error")
class PublishError:
    def run(self, ctx):
        yield ctx.append_workflow_stream("out", items("only"))
        held = yield at_gate(ctx)
        yield ctx.error_workflow_stream("out", "broken")
        return held


@scenario("output stream of many steps", "open", after=holds("out", "closed", *range(20)))
@workflow.defn(name="s-publish-many")
class PublishMany:
    def run(self, ctx):
        for number in range(20):
            if number == 10:
                held = yield at_gate(ctx)
            yield ctx.append_workflow_stream("out", items((yield ctx.schedule_activity("echo", [number]))))
        yield ctx.close_workflow_stream("out")
        return held

"""Activities: in a row, retried, failing, timing out, local, and in groups."""

from durable_workflow import workflow
from durable_workflow.errors import ActivityFailed

from scenarios.scenario import at_gate, scenario


@scenario("activity", "open")
@workflow.defn(name="s-activity")
class OneActivity:
    def run(self, ctx):
        return (yield at_gate(ctx))


@scenario("activities in a row", [0, 1, 2, "open", 3, 4])
@workflow.defn(name="s-activities")
class Row:
    def run(self, ctx):
        seen = []
        for number in range(5):
            if number == 3:
                seen.append((yield at_gate(ctx)))
            seen.append((yield ctx.schedule_activity("echo", [number])))
        return seen


@scenario("activity retried", ["at last", "open", "at last"])
@workflow.defn(name="s-retried")
class Retried:
    def run(self, ctx):
        policy = {"max_attempts": 4, "backoff_seconds": [0, 1]}
        first = yield ctx.schedule_activity("flaky", [f"{ctx.workflow_id}-a", 2], retry_policy=policy)
        held = yield at_gate(ctx)
        return [first, held, (yield ctx.schedule_activity("flaky", [f"{ctx.workflow_id}-b", 1], retry_policy=policy))]


@scenario("activity failing", ["first", "open", "second"])
@workflow.defn(name="s-failing")
class Failing:
    def run(self, ctx):
        seen = []
        for text in ("first", "second"):
            if text == "second":
                seen.append((yield at_gate(ctx)))
            try:
                yield ctx.schedule_activity("breaks", [text])
            except ActivityFailed as error:
                seen.append(text if text in str(error) else repr(error))
        return seen


@scenario("activity timing out", ["timed out", "open"])
@workflow.defn(name="s-timing-out")
class TimingOut:
    def run(self, ctx):
        held = None
        try:
            yield [at_gate(ctx), ctx.schedule_activity("slow", [30], start_to_close_timeout=1)]
        except Exception:
            held = yield ctx.schedule_activity("echo", ["open"])
        return ["timed out", held]


@scenario("local activity", ["here", "open", 7])
@workflow.defn(name="s-local")
class Local:
    def run(self, ctx):
        first = yield ctx.local_activity("echo", ["here"])
        held = yield ctx.local_activity("local-gate", [ctx.workflow_id])
        return [first, held, (yield ctx.local_activity("add", [3, 4]))]


@scenario("local activity beside others", ["open", 1, 2])
@workflow.defn(name="s-local-mixed")
class LocalMixed:
    def run(self, ctx):
        held = yield at_gate(ctx)
        first = yield ctx.local_activity("echo", [1])
        return [held, first, (yield ctx.schedule_activity("echo", [first + 1]))]


@scenario("list", [["open", "a", "b"], ["c"]])
@workflow.defn(name="s-list")
class FlatList:
    def run(self, ctx):
        first = yield [at_gate(ctx), ctx.schedule_activity("echo", ["a"]), ctx.schedule_activity("echo", ["b"])]
        return [first, (yield [ctx.schedule_activity("echo", ["c"])])]


@scenario("nested lists", [1, [2, ["open", 3]], 4])
@workflow.defn(name="s-nested")
class NestedList:
    def run(self, ctx):
        inner = [at_gate(ctx), ctx.schedule_activity("echo", [3])]
        return (yield [ctx.schedule_activity("echo", [1]), [ctx.schedule_activity("echo", [2]), inner], ctx.schedule_activity("echo", [4])])


@scenario("lists in a row", [["open", 0], [1, 1], [2, 2]])
@workflow.defn(name="s-lists")
class Lists:
    def run(self, ctx):
        seen = [(yield [at_gate(ctx), ctx.schedule_activity("echo", [0])])]
        for number in (1, 2):
            seen.append((yield [ctx.schedule_activity("echo", [number]), ctx.schedule_activity("echo", [number])]))
        return seen


@scenario("list with a failure", "second member")
@workflow.defn(name="s-list-failure")
class ListFailure:
    def run(self, ctx):
        try:
            yield [at_gate(ctx), ctx.schedule_activity("breaks", ["second member"]), ctx.schedule_activity("echo", [3])]
        except ActivityFailed as error:
            return "second member" if "second member" in str(error) else repr(error)


@scenario("many activities at once", [list(range(40)), "open"])
@workflow.defn(name="s-many")
class Many:
    def run(self, ctx):
        first = yield [ctx.schedule_activity("echo", [number]) for number in range(40)]
        return [first, (yield at_gate(ctx))]


@scenario("workflow that fails", None, status="failed")
@workflow.defn(name="s-fails")
class Fails:
    def run(self, ctx):
        yield at_gate(ctx)
        raise ValueError("on purpose")

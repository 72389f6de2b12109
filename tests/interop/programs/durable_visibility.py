"""What the real SDK finds, exports, archives and redrives. Prints what it saw as JSON.

Arguments: base URL, prefix of workflow ids, signing key of exports.
"""

import asyncio
import json
import sys

from durable_workflow import Client, Replayer, Worker, activity, workflow
from durable_workflow.history_bundle_verify import verify_bundle

QUEUE = "visibility"
tries: dict[str, int] = {}
noted: list = []


@activity.defn(name="note")
def note(value):
    noted.append(value)
    return value


@workflow.defn(name="tagged")
class Tagged:
    def run(self, ctx, tier, score):
        yield ctx.schedule_activity("note", [tier])
        yield ctx.upsert_search_attributes({"Tier": tier, "Score": score, "Tags": [tier, "all"]})
        yield ctx.upsert_memo({"tier": tier})
        return {"tier": tier, "größe": 1.5}


@workflow.defn(name="wrongly-tagged")
class WronglyTagged:
    def run(self, ctx):
        yield ctx.upsert_search_attributes({"Score": "high"})
        return "never"


@workflow.defn(name="stubborn")
class Stubborn:
    def run(self, ctx, key):
        yield ctx.schedule_activity("note", [key])
        count = yield ctx.side_effect(lambda: tries.setdefault(key, 0))
        tries[key] = count + 1
        if count == 0:
            raise ValueError("not the first time")
        return [key, count]


@workflow.defn(name="waiting")
class Waiting:
    def __init__(self):
        self.go = False

    @workflow.signal("go")
    def set_go(self):
        self.go = True

    @workflow.update("twice")
    def twice(self, number):
        return number * 2

    def run(self, ctx):
        yield ctx.wait_condition(lambda: self.go, key="go", timeout=50)
        return "gone"


WORKFLOWS = [Tagged, WronglyTagged, Stubborn, Waiting]


async def ids(client, query, **fields):
    page, found = await client.list_workflows(query=query, page_size=2, **fields), []
    while True:
        found += [execution.workflow_id for execution in page.executions]
        if page.next_page_token is None:
            return found
        page = await client.list_workflows(query=query, page_size=2, next_page_token=page.next_page_token, **fields)


async def findings(client, workflow_id, key):
    described = await client.describe_workflow(workflow_id)
    exported = await client.export_history(workflow_id, described.run_id)
    report = verify_bundle(exported, key)
    replayed = [type(command).__name__ for command in Replayer(workflows=WORKFLOWS).replay(exported["history_events"]).commands]
    return {
        "status": report["status"], "found": report["findings"], "signed": report["integrity"]["signature_verified"],
        "complete": exported["history_complete"], "replayed": replayed,
    }  # fmt: skip


async def newest(client, workflow_id):
    described = await client.describe_workflow(workflow_id)
    return await client.describe_workflow_run(workflow_id, described.run_id)


async def until(what, holds):
    async with asyncio.timeout(30):
        while not (value := await holds()):
            await asyncio.sleep(0.05)
    return value


async def refused(work):
    try:
        await work
    except Exception as error:
        return [type(error).__name__, str(error)[:300]]
    return None


async def main(url, prefix, key):
    seen = {}
    async with Client(url) as client:
        for name, kind in (("Tier", "keyword"), ("Score", "double"), ("Tags", "keyword_list")):
            await client.create_search_attribute(name, kind)
        listed = await client.list_search_attributes()
        seen["custom"], seen["system"] = listed.custom_attributes, sorted(listed.system_attributes)
        worker = Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[note], poll_timeout=5)
        running = asyncio.create_task(worker.run())

        async def start(workflow_type, name, arguments, **fields):
            return await client.start_workflow(
                workflow_type=workflow_type, workflow_id=f"{prefix}-{name}", task_queue=QUEUE, input=arguments, **fields
            )

        handles = [await start("tagged", f"t{n}", [("gold", "tin")[n % 2], n / 2]) for n in range(5)]
        await asyncio.gather(*(handle.result(timeout=30) for handle in handles))
        wrong = await start("wrongly-tagged", "wrong", [])
        stubborn = await start("stubborn", "stubborn", [f"{prefix}-s"])
        waiting = await start("waiting", "waiting", [], search_attributes={"Tier": "lead"})
        seen["failed"] = await refused(stubborn.result(timeout=30))
        seen["gold"] = await ids(client, 'Tier = "gold"')
        seen["better"] = await ids(client, 'Score >= 1 AND Tags = "all" ORDER BY StartTime')
        seen["open"] = await ids(client, 'ExecutionStatus = "Running" AND WorkflowType != "wrongly-tagged"')
        seen["bucket"] = await ids(client, None, status="failed")
        seen["mentioned"] = await ids(client, f"{prefix}-T3".upper())
        seen["bad query"] = await refused(client.list_workflows(query='Tier = "gold" AND AND'))
        seen["bad token"] = await refused(client.list_workflows(next_page_token="forged"))
        seen["bad start"] = await refused(start("tagged", "bad", [1, 1], search_attributes={"Score": "high"}))

        described = await until("the refusal to show", lambda: refusal_shown(client, wrong.workflow_id))
        seen["wrong"] = [described.status, described.wait_reason]
        await client.terminate_workflow(wrong.workflow_id, reason="enough")

        async def waits():
            now = await newest(client, waiting.workflow_id)
            return now if now.wait_kind == "condition" else None

        seen["waits"] = (await until("the condition", waits)).wait_reason
        seen["twice"] = (await client.update_workflow(waiting.workflow_id, "twice", args=[21], wait_for="completed"))["result"]
        seen["archive open"] = await refused(client.archive_workflow(waiting.workflow_id))
        names = ("t0", "stubborn", "waiting", "wrong")
        seen["exports"] = {name: await findings(client, f"{prefix}-{name}", key) for name in names}
        await waiting.signal("go", [])
        seen["waited"] = await waiting.result(timeout=30)
        seen["exports"]["waited"] = await findings(client, waiting.workflow_id, key)

        odd = await start("tagged", "odd", ["tin", 9], memo={"text": "größe ✓ 😀 \x7f /", "numbers": [1e22, 1e-7, 1e16, -0.0, 2**53]})
        await odd.result(timeout=30)
        seen["odd export"] = await findings(client, odd.workflow_id, key)

        archived = await client.archive_workflow(f"{prefix}-t0", reason="done with it")
        again = await client.archive_workflow(f"{prefix}-t0")
        seen["archived"] = [archived.outcome, again.outcome, await ids(client, 'Tier = "gold" AND ArchiveTime IS NULL')]

        failed_run = (await client.describe_workflow(stubborn.workflow_id)).run_id
        redriven = await client.redrive_workflow(stubborn.workflow_id, failed_run, request_id=f"{prefix}-redrive")
        repeated = await client.redrive_workflow(stubborn.workflow_id, failed_run, request_id=f"{prefix}-redrive")
        seen["redriven"] = [redriven.outcome, redriven.run_id == repeated.run_id, redriven.run_id != failed_run]
        seen["second try"] = await client.get_workflow_handle(stubborn.workflow_id, run_id=redriven.run_id).result(timeout=30)
        seen["noted"] = noted.count(f"{prefix}-s")
        report = await findings(client, stubborn.workflow_id, key)
        seen["exports"]["redriven"] = report
        seen["chain"] = [run.status for run in (await client.list_workflow_runs(stubborn.workflow_id)).runs]
        good = await client.describe_workflow(f"{prefix}-t1")
        seen["redrive completed"] = await refused(client.redrive_workflow(good.workflow_id, good.run_id))
        for name in ("Tier", "Score", "Tags"):
            await client.delete_search_attribute(name)
        await worker.stop()
        await asyncio.wait_for(running, 30)
    print(json.dumps(seen))


async def refusal_shown(client, workflow_id):
    described = await newest(client, workflow_id)
    return described if "Score" in (described.wait_reason or "") else None


asyncio.run(main(*sys.argv[1:4]))

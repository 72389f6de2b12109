"""Graphs and simulations through the ordinary methods of the real SDK. Prints what it saw as JSON.

Arguments: base URL, prefix of workflow ids.
"""

import asyncio
import json
import sys

from durable_workflow import Client
from durable_workflow.errors import WorkflowCancelled
from durable_workflow.history_bundle_verify import verify_bundle

QUERIES = (
    'WorkflowType = "graph:steps"',
    'Engine = "simulation" AND Status = "completed"',
    'TaskQueue = "none" AND Engine = "graph"',
)


async def until(what, holds):
    async with asyncio.timeout(40):
        while not (value := await holds()):
            await asyncio.sleep(0.05)
    return value


async def refused(work):
    try:
        await work
    except (Exception, WorkflowCancelled) as error:
        return type(error).__name__
    return None


async def exported(client, workflow_id):
    described = await client.describe_workflow(workflow_id)
    report = verify_bundle(await client.export_history(workflow_id, described.run_id))
    return [report["status"], report["findings"]]


async def graph(client, workflow_id):
    seen = {}
    handle = await client.start_workflow(workflow_type="graph:steps", workflow_id=workflow_id, task_queue="none")

    async def states():
        rows = (await handle.query("tasks"))["result"]
        return {f"{row['cycle']}/{row['name']}": row["state"] for row in rows}

    seen["run"] = vars(await client.describe_workflow_run(workflow_id, handle.run_id))
    seen["held"] = (await handle.update("hold", ["1/third"], wait_for="completed"))["result"]
    await handle.signal("pause", [])
    seen["paused"] = (await client.describe_workflow_run(workflow_id, handle.run_id)).wait_kind
    await handle.signal("resume", [])

    async def second_is_done():
        return (await states()).get("1/second") == "succeeded"

    await until("the second step", second_is_done)
    seen["open export"] = await exported(client, workflow_id)
    held = [row for row in (await handle.query("tasks"))["result"] if row["is_held"]]
    seen["is held"] = [row["name"] for row in held]
    nonsense = (handle.signal("nonsense", []), handle.query("nonsense"), handle.update("nonsense", []))
    seen["unknown"] = [await refused(each) for each in nonsense]
    await handle.update("release", ["1/third"], wait_for="completed")
    seen["result"] = await handle.result(timeout=40)
    seen["jobs"] = sorted(row["name"] for row in (await handle.query("jobs"))["result"])
    history = await client.get_history(workflow_id, handle.run_id, page_size=1000)
    names = [event["event_type"] for event in history["events"]]
    seen["events"] = [names[0], names[-1], len([name for name in names if name.startswith("Workflow")])]
    seen["export"] = await exported(client, workflow_id)
    return seen


async def simulation(client, workflow_id):
    seen = {}
    start = {"workflow_type": "simulation:material_flow", "task_queue": "none"}
    handle = await client.start_workflow(workflow_id=workflow_id, input=[{"duration": 12, "seed": 4}], **start)
    seen["result"] = await handle.result(timeout=40)
    seen["finish"] = (await handle.query("table", ["Finish"]))["result"]
    seen["export"] = await exported(client, workflow_id)
    for name, ends in (("cancelled", "cancel"), ("terminated", "terminate")):
        slow = await client.start_workflow(workflow_id=f"{workflow_id}-{name}", input=[{"duration": 500, "pace_s": 5}], **start)
        await getattr(slow, ends)(reason="enough")

        async def closed(slow=slow):
            return (await slow.describe()).status in ("cancelled", "terminated")

        await until(name, closed)
        seen[name] = [(await slow.describe()).status, await refused(slow.result(timeout=5)), await exported(client, slow.workflow_id)]
    stopped = await client.start_workflow(workflow_id=f"{workflow_id}-stopped", input=[{"duration": 500, "pace_s": 5}], **start)
    await stopped.update("stop", ["kill"], wait_for="completed")
    seen["stopped"] = (await stopped.describe()).status
    seen["missing"] = await refused(client.start_workflow(workflow_type="simulation:nowhere", workflow_id="x", task_queue="none"))
    return seen


async def main(url, prefix):
    async with Client(url) as client:
        runs = await asyncio.gather(graph(client, f"{prefix}-graph"), simulation(client, f"{prefix}-sim"))
        listed = {}
        for query in QUERIES:
            page = await client.list_workflows(query=query)
            listed[query] = [execution.workflow_id for execution in page.executions if execution.workflow_id.startswith(prefix)]
        typed = await client.list_workflows(workflow_type="graph:steps", status="completed")
        listed["typed"] = [e.workflow_type for e in typed.executions if e.workflow_id.startswith(prefix)]
    print(json.dumps({"graph": runs[0], "simulation": runs[1], "listed": listed}))


asyncio.run(main(*sys.argv[1:3]))

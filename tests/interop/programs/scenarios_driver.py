"""Starts scenarios and brings each to its middle, says so, waits for a line, and brings them to their ends.

Arguments: base URL, names of scenarios as a JSON list. SCENARIO_GATES names the folder of the gates.
Prints `middle`, then a JSON line for each scenario: {name, error}, error None where all is right.
"""

import asyncio
import json
import sys
import traceback

from durable_workflow import Client, Replayer
from durable_workflow.client import WorkflowHandle
from durable_workflow.history_bundle_verify import verify_bundle
from scenarios import all_scenarios, all_workflows
from scenarios.scenario import QUEUE, reaches_gate

ENDS = {"completed": "CompleteWorkflow", "failed": "FailWorkflow"}


async def stubborn(call, *arguments, **keywords):
    """Ask again until the gateway is there to answer."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call(*arguments, **keywords)
            except (OSError, ConnectionError) as error:
                last = error
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in ("httpx", "httpcore"):
                    raise
                last = error
            await asyncio.sleep(0.2)
            del last


class Stubborn:
    """The client, each of whose methods asks again until the gateway is there."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)

        async def call(*arguments, **keywords):
            return await stubborn(method, *arguments, **keywords)

        return call if asyncio.iscoroutinefunction(method) else method


async def to_the_middle(client, scenario):
    handle = await client.start_workflow(
        workflow_type=scenario.workflows[0].__workflow_name__, workflow_id=scenario.name.replace(" ", "-").replace(",", ""),
        task_queue=QUEUE, input=list(scenario.arguments),
    )  # fmt: skip
    await (scenario.before or reaches_gate)(client, handle)
    return handle


async def to_the_end(client, scenario, handle):
    """Let it end, and look at what came of it.

    Raises:
        AssertionError: it is not what the scenario says.
    """
    if scenario.after is not None:
        await scenario.after(client, WorkflowHandle(client, handle.workflow_id, handle.run_id, handle.workflow_type))
    async with asyncio.timeout(80):
        while (seen := await client.describe_workflow(handle.workflow_id)).status not in ("completed", "failed", "cancelled", "terminated"):
            await asyncio.sleep(0.1)
    assert seen.status == scenario.status, f"ended {seen.status}: {seen.output}"
    right = scenario.expected(seen.output) if callable(scenario.expected) else seen.output == scenario.expected
    assert right, f"gave {seen.output!r}, expected {scenario.expected!r}"
    await agree(client, scenario, handle.workflow_id)


async def whole_history(client, workflow_id, run_id):
    """Every page of a run's history as one."""
    page = await client.get_history(workflow_id, run_id, page_size=1_000)
    events = page["events"]
    while page["next_page_token"]:
        page = await client.get_history(workflow_id, run_id, page_size=1_000, next_page_token=page["next_page_token"])
        events += page["events"]
    return {**page, "events": events}


async def agree(client, scenario, workflow_id):
    """Replay every run of the chain, and verify its bundle."""
    replayer = Replayer(workflows=all_workflows())
    runs = (await client.list_workflow_runs(workflow_id)).runs
    for run in runs:
        history = await whole_history(client, workflow_id, run.run_id)
        events = [event["event_type"] for event in history["events"]]
        ends = [event for event in events if event in END_EVENTS]
        assert events[:2] == ["StartAccepted", "WorkflowStarted"] and ends == events[-1:], events
        commands = [type(command).__name__ for command in replayer.replay(history, workflow_id=workflow_id, run_id=run.run_id).commands]
        verdict = verify_bundle(await client.export_history(workflow_id, run.run_id))
        assert (verdict["status"], verdict["findings"]) == ("ok", []), verdict
        last = "ContinueAsNew" if run is not runs[-1] else ENDS.get(scenario.status)
        assert last is None or commands == [last], f"replayed to {commands}, expected {last}: {events[-30:]}"


END_EVENTS = {
    "WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled", "WorkflowTerminated", "WorkflowTimedOut", "WorkflowContinuedAsNew",
}  # fmt: skip


async def main(url, names):
    scenarios = [all_scenarios()[name] for name in names]
    async with Client(url) as plain:
        client = Stubborn(plain)
        handles = await asyncio.gather(*(to_the_middle(client, scenario) for scenario in scenarios), return_exceptions=True)
        print("middle", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def end(scenario, handle):
            try:
                if isinstance(handle, BaseException):
                    raise handle
                await to_the_end(client, scenario, handle)
            except BaseException:
                print(json.dumps({"name": scenario.name, "error": traceback.format_exc()[-3_000:]}), flush=True)
            else:
                print(json.dumps({"name": scenario.name, "error": None}), flush=True)

        await asyncio.gather(*(end(*pair) for pair in zip(scenarios, handles, strict=True)))


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))

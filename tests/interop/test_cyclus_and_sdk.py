"""A simulation started, asked and awaited by the unmodified SDK, and watched by a websocket client."""

import json
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from gateway_process import GatewayProcess
from interop import clients

SCRIPT = """
import asyncio, json, sys
from durable_workflow import Client
async def main():
    async with Client(sys.argv[1], token=None) as client:
        start = dict(workflow_type="simulation:material_flow", task_queue="none")
        good = await client.start_workflow(workflow_id="good", input=[{"duration": 12, "seed": 4}], **start)
        result = await good.result(timeout=20)
        finish = await client.query_workflow("good", "table", args=["Finish"])
        bad = await client.start_workflow(workflow_id="bad", input=[{"durat": 12}], **start)
        try:
            await bad.result(timeout=20)
        except Exception as error:
            print(json.dumps({"result": result, "finish": finish["result"], "error": str(error)}))
asyncio.run(main())
"""


@pytest.mark.parametrize("sdk", [clients.sdk_290, clients.sdk_212])
def test_the_sdk_gets_a_simulation_s_result_and_its_failure(tmp_path: Path, sdk) -> None:
    python = sdk() / "python"
    with GatewayProcess(tmp_path) as gateway:
        command = [str(python), "-c", SCRIPT, f"http://127.0.0.1:{gateway.http_port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr + gateway.output[-2_000:]
        told = json.loads(done.stdout)
        with connect(f"ws://localhost:{gateway.websocket_port}/runs/good") as socket:
            socket.send('{"event": "table_data", "params": {"table": "History", "conds": [["event", "==", "WorkflowCompleted"]]}}')
            while (answer := json.loads(socket.recv(10)))["event"] == "heartbeat":
                pass
    assert told["result"]["steps"] == 12 and told["finish"][0]["EndTime"] == 12
    assert "durat: no such key" in told["error"]
    assert answer["data"]["data"][0][-1] == {"output": told["result"]}

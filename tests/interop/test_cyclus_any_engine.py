"""Runs of every engine, started, watched and steered by a websocket client at `/runs/ID`."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from gateway_process import GatewayProcess

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    [[graph]]
        R1 = a => b => c
[runtime]
    [[a]]
        script = true
    [[b]]
        script = sleep 60
    [[c]]
        script = true
"""
ids = itertools.count(1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("home")) as process:
        folder = Path(process.definitions, "pipeline")
        folder.mkdir()
        (folder / "flow.cylc").write_text(FLOW)
        yield process


def at(gateway: GatewayProcess, path: str) -> Any:
    return websockets.connect(f"ws://localhost:{gateway.websocket_port}{path}")


async def ask(client: Any, event: str, **params: Any) -> dict[str, Any]:
    """Send an event; its answer."""
    number = next(ids)
    await client.send(json.dumps({"event": event, "params": params, "id": number}))
    while (frame := json.loads(await asyncio.wait_for(client.recv(), 20))).get("id") != number:
        pass
    answer: dict[str, Any] = frame
    return answer


async def delta(client: Any, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The next pushed change for which something holds."""
    async with asyncio.timeout(30):
        while True:
            frame: dict[str, Any] = json.loads(await client.recv())
            if frame["event"] == "delta" and holds(frame["data"]):
                return frame


def task_is(name: str, state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda data: any((task["name"], task["state"]) == (name, state) for task in data["tasks"])


async def tasks(client: Any) -> dict[str, tuple[str, bool]]:
    rows = (await ask(client, "table_data", table="Tasks", orient="records"))["data"]
    return {row["name"]: (row["state"], row["is_held"]) for row in rows}


async def test_a_graph_is_started_watched_steered_and_ended(gateway):
    async with at(gateway, "/runs/graph-1?deltas=1&status=1") as watcher, at(gateway, "/runs/graph-1?tables=all") as client:
        started = await ask(client, "start", type="graph:pipeline")
        assert started["event"] == "started" and started["data"]["workflow_id"] == "graph-1"
        assert (await delta(watcher, lambda data: data["opened"]))["params"]["run_id"] == started["data"]["run_id"]
        await delta(watcher, task_is("b", "running"))
        assert (await ask(client, "table_names_request"))["data"] == ["History", "Jobs", "Tasks"]
        assert (await ask(client, "hold", tasks=["1/c"]))["data"] == ["1/c"]
        assert (await ask(client, "poll", tasks="1/b"))["event"] == "poll"
        assert (await ask(client, "pause"))["success"] is True
        await delta(watcher, lambda data: data["run"]["paused"])
        # Reads go on in a pause.
        jobs = (await ask(client, "table_data", table="Jobs", orient="records", conds=[["name", "==", "b"]]))["data"]
        assert [(job["name"], job["submit_num"]) for job in jobs] == [("b", 1)]
        assert (await ask(client, "unpause"))["success"] is True
        assert (await ask(client, "kill", tasks=["1/b"]))["data"] == ["1/b"]
        await delta(watcher, task_is("b", "failed"))
        assert (await ask(client, "set", tasks=["1/b"], outputs=["succeeded"]))["event"] == "set"
        assert (await tasks(client))["c"] == ("waiting", True)
        assert (await ask(client, "release", tasks="1/c"))["data"] == ["1/c"]
        closing = await delta(watcher, lambda data: data["closed"])
        assert closing["data"]["run"]["status"] in ("completed", "cancelled")
        history = (await ask(client, "table_data", table="History", orient="records"))["data"]
        assert history[0]["event"] == "WorkflowStarted" and history[0]["wire"] == "cyclus"
        # What was missed comes again from a cursor.
        async with at(gateway, f"/runs/graph-1?after={closing['params']['cursor'] - 1}") as late:
            assert await delta(late, lambda data: data["closed"]) == closing


async def test_a_durable_run_is_started_watched_paused_and_ended(gateway):
    async with at(gateway, "/runs/orders-1?deltas=1") as watcher, at(gateway, "/runs/orders-1") as client:
        refused = await ask(client, "start", type="orders")
        assert refused["params"] == {"event": "start", "code": "refused_input"} and "queue" in refused["data"]
        started = await ask(client, "start", type="orders", queue="q", input=[1])
        assert started["data"]["workflow_id"] == "orders-1"
        again = await ask(client, "start", type="orders", queue="q")
        assert again["params"]["code"] == "workflow_exists"
        assert (await delta(watcher, lambda data: data["opened"]))["data"]["run"]["engine"] == "durable"
        await ask(client, "pause")
        await delta(watcher, lambda data: data["run"]["paused"])
        await ask(client, "unpause")
        await delta(watcher, lambda data: not data["run"]["paused"])
        assert await tasks(client) == {}
        for event in ("set", "remove", "trigger", "poll"):
            answer = await ask(client, event, tasks=["1/x"])
            assert answer["event"] == "error" and answer["params"]["code"] in ("not_supported", "nothing_matched"), answer
        not_a_simulation = await ask(client, "load")
        assert not_a_simulation["params"] == {"status": "error"} and "no simulation" in not_a_simulation["error"]
        assert (await ask(client, "shutdown", when="now"))["event"] == "shutdown"
        assert (await delta(watcher, lambda data: data["closed"]))["data"]["run"]["status"] == "terminated"


async def test_only_definitions_that_the_gateway_has_can_be_started(gateway):
    async with at(gateway, "/") as client:
        for kind in ("graph:nothing", "simulation:nothing", "graph:../definitions/pipeline", "graph:/etc"):
            answer = await ask(client, "start", type=kind, id="x")
            assert answer["event"] == "error" and answer["params"]["event"] == "start", kind
        started = await ask(client, "start", type="simulation:material_flow", input={"duration": 3})
        async with at(gateway, f"/runs/{started['data']['workflow_id']}?after=0") as watcher:
            assert (await delta(watcher, lambda data: data["closed"]))["data"]["run"]["status"] == "completed"

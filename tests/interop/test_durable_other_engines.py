"""Graphs and simulations started, steered, asked and awaited by the unmodified SDK, in both versions."""

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = "first => second => third"
[runtime]
    [[first, second, third]]
        script = true
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    house = GatewayProcess(tmp_path_factory.mktemp("engines"))
    flow = house.definitions / "steps"
    flow.mkdir()
    (flow / "flow.cylc").write_text(FLOW)
    with house:
        yield house


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_the_sdk_s_ordinary_methods_work_on_graphs_and_simulations(gateway, client):
    seen = run_program(client, "durable_other_engines.py", f"http://127.0.0.1:{gateway.http_port}", client.name)
    graph, simulation = seen["graph"], seen["simulation"]
    assert (graph["run"]["workflow_type"], graph["run"]["run_number"]) == ("graph:steps", 1)
    # The SDK sends 3600 and 600 seconds unasked; here that pair means none.
    assert graph["run"]["execution_timeout_seconds"] is graph["run"]["run_deadline_at"] is None
    assert (graph["paused"], graph["is held"]) == ("paused", ["third"])
    assert graph["result"] == {"tasks": {"1/first": "succeeded", "1/second": "succeeded", "1/third": "succeeded"}}
    assert graph["jobs"] == ["first", "second", "third"]
    assert graph["events"] == ["WorkflowStarted", "WorkflowCompleted", 2]
    assert graph["unknown"] == ["SignalFailed", "QueryFailed", "ServerError"]
    assert graph["open export"] == graph["export"] == simulation["export"] == ["ok", []]
    assert simulation["result"]["steps"] == 12 and simulation["finish"][0]["EndTime"] == 12
    assert simulation["cancelled"] == ["cancelled", "WorkflowCancelled", ["ok", []]]
    assert simulation["terminated"] == ["terminated", "WorkflowTerminated", ["ok", []]]
    assert (simulation["stopped"], simulation["missing"] is not None) == ("terminated", True)
    assert seen["listed"] == {
        'WorkflowType = "graph:steps"': [f"{client.name}-graph"],
        'Engine = "simulation" AND Status = "completed"': [f"{client.name}-sim"],
        'TaskQueue = "none" AND Engine = "graph"': [f"{client.name}-graph"],
        "typed": ["graph:steps"],
    }

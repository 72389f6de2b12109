"""Workflows that start others through the real SDK's worker; each history replays to exactly its last command."""

import json

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

GRAPH = """
[scheduling]
    [[graph]]
        R1 = "a => b"
[runtime]
    [[a]]
        script = true
    [[b]]
        script = true
"""
OPERATIONS = """
[nexus.math.numbers.double]
workflow_type = "double"
task_queue = "children"
[nexus.math.numbers.fail]
workflow_type = "fails"
task_queue = "children"
"""
EXPECTED = {
    "one": [42, "ChildWorkflowFailed", "no luck"],
    "nested": [0, 1, 2, 3, 4],
    "group": [["slept", 2, ["a", 4], None], "ChildWorkflowFailed", 3],
    "choice": ["kid", 8, "soon", False],
    "again": [3, "ChildWorkflowFailed"],
    "chain": [3, 2, 1],
    "saga": "undone",
    "calls": [16, "accepted", ["NexusOperationFailed", "NexusOperationFailed"]],
}
CHILDREN = {
    "one": ["completed", "failed"],
    "choice": ["completed", "cancelled", "failed"],
    "again": ["completed", "failed"],
    "chain": ["completed"],
    "engines": ["completed", "completed", "WorkflowNotFound"],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    served = GatewayProcess(tmp_path_factory.mktemp("children"), OPERATIONS)
    (served.definitions / "pair").mkdir()
    (served.definitions / "pair" / "flow.cylc").write_text(GRAPH)
    ore = {"model": "material_flow", "input": {"duration": 2, "seed": 3}, "title": "Ore"}
    (served.definitions / "flow.json").write_text(json.dumps(ore))
    with served:
        yield served


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_parents_and_children_of_every_kind_with_the_real_worker(gateway, client):
    seen = run_program(client, "durable_children.py", f"http://127.0.0.1:{gateway.http_port}", f"c-{client.name}")
    outcomes = seen["outcomes"]
    engines = outcomes["engines"]["output"]
    assert {name: each["output"] for name, each in outcomes.items() if name != "engines"} == EXPECTED
    assert engines[0] == {"tasks": {"1/a": "succeeded", "1/b": "succeeded"}} and engines[2] == "ChildWorkflowFailed"
    assert engines[1], "the simulation's summary"
    assert {each["status"] for each in outcomes.values()} == {"completed"}
    assert {name: each["replayed"] for name, each in outcomes.items()} == {name: ["CompleteWorkflow"] for name in outcomes}
    assert {name: outcomes[name]["children"] for name in CHILDREN} == CHILDREN
    assert sorted(seen["undone"]) == ["first", "second"] and seen["undone"] == ["second", "first"]
    assert seen["replaced"][0] == "terminated" and seen["replaced"][1] != "terminated"
    assert seen["kept"] == [
        ["completed", "waiting"], ["completed", "cancelled"], ["failed", "terminated"], ["cancelled", "terminated"],
        ["failed", "cancelled"],
    ]  # fmt: skip

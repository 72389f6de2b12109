"""Every feature of durable runs through the real SDK's worker; each history replays to exactly its last command."""

import pytest

from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

EXPECTED = {
    "parallel": [[0.2, "b", None], [1, [2, 0.3]], [9], [0, 1, 2]],
    "retry": [3, ["ActivityFailed", "ActivityFailed", "ActivityFailed"], 6],
    "records": [3, 77, "here", False, True],
    "entity": [list(range(12)), 5],
    "selection": ["work", "go", "pair", [1, 2], 1, False, "never", False],
    "chain": [3, [0, 1, 2]],
}


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_every_feature_ends_right_with_the_real_worker(gateway_process, client):
    seen = run_program(client, "durable_features.py", f"http://127.0.0.1:{gateway_process.http_port}", f"f-{client.name}")
    assert {name: each["output"] for name, each in seen.items() if name != "failing"} == EXPECTED
    assert {name for name, each in seen.items() if each["status"] != "completed"} == {"failing"}
    assert {name: each["replayed"] for name, each in seen.items()} == {
        name: ["FailWorkflow" if name == "failing" else "CompleteWorkflow"] for name in seen
    }
    assert seen["entity"]["seen"] == ["UpdateFailed", 5]
    assert seen["records"]["memo"] == {"kept": {"list": [1, 2]}}
    assert seen["chain"]["memo"] == {"number": 3}

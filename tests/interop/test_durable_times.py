"""Timeouts of every kind, retries with their waits, local activities and notes, with the real worker of both versions."""

import pytest

from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_every_timeout_and_retry_ends_as_the_workflow_asked_for(gateway_process, client):
    seen = run_program(client, "durable_times.py", f"http://127.0.0.1:{gateway_process.http_port}", f"t-{client.name}")
    done = ["CompleteWorkflow"]
    assert seen == {
        "retries": ["completed", [3, 2, 2, ["ActivityFailed", "ActivityFailed"]], done],
        "backoff": [1, 0],
        "refused": 1,
        "local": ["completed", [2, ["ActivityFailed"] * 3, "after"], done],
        "zero": ["completed", [False, 1], done],
        "notes": ["completed", "noted", done],
        "noted": [
            {"a": 1, "b": {"deep": [True, None]}, "d": 2.5}, {"Count": 3}, [{"Tier": "gold", "Count": 3}, {"Count": 3}],
        ],
        "endless": ["failed", "WorkflowTimedOut", "run_timeout"],
    }  # fmt: skip

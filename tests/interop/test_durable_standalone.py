"""Standalone activities through the real SDK, in both versions: every public method of the handle, every way to end."""

import pytest

from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

NAMES = [
    "open", "ended", "stopped", "beating", "late-start", "late-beat", "late-all", "late-close", "hopeless", "retried", "greet",
]  # fmt: skip


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_standalone_activities_do_all_that_the_sdk_promises(gateway_process, client):
    prefix = f"sa-{client.name}"
    seen = run_program(client, "durable_standalone.py", f"http://127.0.0.1:{gateway_process.http_port}", prefix)
    assert seen == {
        "started": [f"{prefix}-greet", "dw.standalone_activity", "greet", True],
        "result": "hello bob",
        "described": ["completed", "completed", "Greeter", "b-1", 1, "hello bob", "standalone", True],
        "again": "WorkflowAlreadyStarted",
        "made_up": [True, "hello x"],
        "retried": [3, 3],
        "hopeless": ["WorkflowFailed", 1],
        "late": ["WorkflowFailed"] * 4,
        "late_status": ["timed_out"] * 4,
        "beating": [1, True],
        "stopped": ["WorkflowCancelled", "cancelled"],
        "noticed": "ActivityCancelled",
        "ended": "WorkflowTerminated",
        "too_soon": "TimeoutError",
        "listed": [f"{prefix}-{name}" for name in NAMES],
        "failed": sorted(
            f"{prefix}-{name}" for name in NAMES if name.startswith("late") or name in ("hopeless", "stopped", "ended")
        ),
        "workflows": [f"{prefix}-idle"],
        "no_activity": ["WorkflowNotFound", "WorkflowNotFound"],
        "reserved": "InvalidArgument",
        "sync": ["hello sue", "completed", "hello sue"],
    }

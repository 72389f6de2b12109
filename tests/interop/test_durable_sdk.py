"""The real durable-workflow SDK against the gateway, in both versions that the wire is for."""

import json
import subprocess
from pathlib import Path

import pytest

from interop.clients import SDK_212, SDK_290, ForeignClient, bin_dir

PROGRAMS = Path(__file__).parent / "programs"


def run_program(client: ForeignClient, name: str, *arguments: str) -> dict:
    python = bin_dir(client) / "python"
    done = subprocess.run(
        [str(python), str(PROGRAMS / name), *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_a_worker_and_a_client_take_an_order_from_start_to_end(gateway_process, client):
    seen = run_program(client, "durable_order.py", f"http://127.0.0.1:{gateway_process.http_port}", f"order-{client.name}")
    assert seen["update"] == "GIFT"
    assert seen["query"] == {"paid": None, "note": "gift"}
    assert seen["result"] == {"item": "book", "cost": 40, "paid": 40, "note": "gift"}
    assert seen["status"] == "completed"
    assert seen["events"][:2] == ["StartAccepted", "WorkflowStarted"] and seen["events"][-1] == "WorkflowCompleted"
    for expected in ("ActivityCompleted", "TimerFired", "SignalReceived", "UpdateCompleted", "ConditionWaitSatisfied"):
        assert seen["events"].count(expected) == 1, seen["events"]
    assert seen["listed"] == [f"order-{client.name}"]
    assert seen["replayed"] == ["CompleteWorkflow"]

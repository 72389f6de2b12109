"""Workers of the real SDK, in both versions: validators, builds, sessions, and what the operator sees and does."""

import pytest

from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

BOTH = pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)


@BOTH
def test_updates_are_validated_before_they_are_accepted_and_unknown_names_refused(gateway_process, client):
    seen = run_program(client, "durable_workers.py", f"http://127.0.0.1:{gateway_process.http_port}", f"v-{client.name}")
    assert seen == {
        "anything": ["signal_received", "accepted"],
        "rejected": ["UpdateRejected", "the amount must not be negative"],
        "unchanged": ["WorkflowStarted", "ConditionWaitOpened"],
        "approved": [7, "accepted"],
        "unknown_signal": "SignalFailed",
        "unknown_update": "ServerError",
        "unknown_query": "QueryFailed",
        "result": 12,
        "replayed": ["CompleteWorkflow"],
        "after": "ServerError",
    }

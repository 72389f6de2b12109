"""Workers of the real SDK, in both versions: validators, builds, sessions, and what the operator sees and does."""

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

BOTH = pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)


@BOTH
def test_updates_are_validated_before_they_are_accepted_and_unknown_names_refused(gateway_process, client):
    seen = run_program(client, "durable_workers.py", f"http://127.0.0.1:{gateway_process.http_port}", f"v-{client.name}")
    assert seen == {
        "anything": ["signal_received", "accepted"],
        "rejected": ["UpdateRejected", "the amount must not be negative"],
        "unchanged": ["StartAccepted", "WorkflowStarted", "ConditionWaitOpened"],
        "approved": [7, "accepted"],
        "unknown_signal": "SignalFailed",
        "unknown_update": "ServerError",
        "unknown_query": "QueryFailed",
        "result": 12,
        "replayed": ["CompleteWorkflow"],
        "after": "ServerError",
    }


@BOTH
def test_an_operator_moves_new_work_to_another_build_while_old_runs_stay_where_they_are(tmp_path, client):
    queue = f"fleet-{client.name}"
    with GatewayProcess(tmp_path, '[auth]\nlocal_role = "admin"\n') as gateway:
        seen = run_program(client, "durable_fleet.py", f"http://127.0.0.1:{gateway.http_port}", queue)
    assert seen == {
        "worker": ["active", "old", ["flow"], 60],
        "promoted": [True, True],
        "drained": ["draining", True, False],
        "builds": {"new": ["active", "active", True, 1], "old": ["draining", "draining", False, 1]},
        "draining": [f"{queue}-old"],
        "second": "new",
        "first_waits": "waiting",
        "queue": [1, {"active_count": 2, "stale_count": 0}, 1, "accepting", 2],
        "listed": True,
        "resumed": ["active", None],
        "first": "old",
        "pinned": ["old", "new"],
        "sync": ["new", "old"],
        "after": {"new": "active", "old": "no_workers"},
        "removed": "deregistered",
        "left": [],
    }


@BOTH
def test_activities_of_a_session_run_in_one_worker_and_move_on_when_it_leaves(gateway_process, client):
    queue = f"sessions-{client.name}"
    seen = run_program(client, "durable_sessions.py", f"http://127.0.0.1:{gateway_process.http_port}", queue)
    assert seen == {
        "together": [True] * 6,
        "by_hand": ["created", f"{queue}-a", "renewed", True],
        "own": ["a"] * 5,
        "held": ["ServerError", "worker_session_held"],
        "closed": "closed",
        "taken": f"{queue}-b",
        "left": ["a"] * 5,
    }

"""Cancelling with the workflow's own help, with the real SDK's worker that understands it; each history replays."""

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290
from interop.test_durable_sdk import run_program

SHORT_LEASES = """
[engines.durable]
activity_lease_s = 12
"""
"""The SDK says nothing of an activity whose process did not start in time on a busy machine; another attempt does it."""

TIDY = ("on-timer", "on-activity", "on-condition", "on-child", "on-patient-child", "on-group")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with GatewayProcess(tmp_path_factory.mktemp("cancelling"), SHORT_LEASES) as served:
        yield served


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_workflows_are_told_where_they_wait_and_clean_up(gateway, client):
    seen = run_program(client, "durable_cancel.py", f"http://127.0.0.1:{gateway.http_port}", f"x-{client.name}")
    outcomes = seen["outcomes"]
    assert {name: each["status"] for name, each in outcomes.items()} == {
        name: "completed" if name == "survivor" else "cancelled" for name in outcomes
    }
    for name in TIDY:
        assert outcomes[name]["memo"] == {"cleaned": "clean", "seen": True}, name
    assert {outcomes[name]["reason"] for name in outcomes if name != "survivor"} == {"enough"}
    assert outcomes["survivor"]["output"] == "kept what there was"
    assert len(outcomes["saga"]["activities"]) == 1, "unbooked again"
    assert all(each["same"] for each in outcomes.values()), "asked twice, asked once"
    replayed = {name: each["replayed"] for name, each in outcomes.items() if name != "stubborn"}
    assert replayed == {name: ["CompleteWorkflow" if name == "survivor" else "FailWorkflow"] for name in replayed}
    assert seen["child"] == "cancelled"
    assert seen["kin"] == [["cancelled", {"cleaned": "clean", "seen": True}]] * 2, "children are told too where that was agreed"
    assert outcomes["on-patient-child"]["child_ends"] == ["ChildRunCancelled"]
    assert seen["refused"][0] == "ServerError" and "understands cooperative cancellation" in seen["refused"][1]

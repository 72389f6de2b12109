"""Events of other systems (contract section 2.6, and the published outcome contract of bridge adapters, version 1)."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from triplane.bridges import Bridge, Bridges
from triplane_durable.config import DurableConfig
from triplane_durable.contract import cluster_info
from triplane_durable.frames import Request, Response
from unit.durable_http.conftest import CONTROL, Wire, served

SECRET = b"between us"
STARTS = {
    "action": "start_workflow", "idempotency_key": "event-1",
    "target": {"workflow_type": "orders.fulfil", "task_queue": "q", "business_key": "order-1"},
    "input": {"order_id": "order-1"}, "correlation": {"provider": "stripe"},
}  # fmt: skip


@pytest.fixture
async def bridged(tmp_path: Path) -> AsyncIterator[Wire]:
    bridges = Bridges({"stripe": Bridge(("orders.*",)), "signed": Bridge(("*",), SECRET)})
    async with served(tmp_path / "data", bridges=bridges) as wire:
        yield wire


def event(action: str, key: str = "event-1", **target: Any) -> dict[str, Any]:
    return {"action": action, "idempotency_key": key, "target": target}


async def history(wire: Wire, workflow_id: str) -> list[dict[str, Any]]:
    run_id = (await wire.send("GET", f"workflows/{workflow_id}")).body["run_id"]
    events: list[dict[str, Any]] = (await wire.send("GET", f"workflows/{workflow_id}/runs/{run_id}/history")).body["events"]
    return events


async def test_an_event_starts_one_workflow_however_often_it_is_delivered(bridged: Wire) -> None:
    first = await bridged.send("POST", "bridge-adapters/webhook/stripe", STARTS)
    assert first.status == 202
    workflow_id = first.body["workflow_id"]
    assert workflow_id.startswith("bridge-stripe-")
    assert first.body | {"run_id": "r"} == {
        "schema": "durable-workflow.v2.bridge-adapter-outcome.contract", "version": 1, "adapter": "stripe", "action": "start_workflow",
        "accepted": True, "outcome": "accepted", "reason": None, "idempotency_key": "event-1", "correlation": {"provider": "stripe"},
        "target": {"workflow_type": "orders.fulfil", "task_queue": "q", "business_key": "order-1"}, "workflow_id": workflow_id,
        "run_id": "r", "workflow_type": "orders.fulfil", "control_plane_outcome": "started_new",
    }  # fmt: skip
    again = await bridged.send("POST", "bridge-adapters/webhook/stripe", STARTS)
    assert (again.status, again.body["outcome"], again.body["reason"]) == (200, "duplicate", "duplicate_start")
    assert again.body["accepted"] is False and again.body["run_id"] == first.body["run_id"]
    assert again.body["control_plane_outcome"] == "returned_existing_active"
    # Also when the workflow is over, and when the provider sends it with other content.
    await bridged.send("POST", f"workflows/{workflow_id}/terminate", {})
    for body in (STARTS, STARTS | {"input": {"order_id": "other"}}):
        late = await bridged.send("POST", "bridge-adapters/webhook/stripe", body)
        assert (late.status, late.body["outcome"]) == (200, "duplicate")
    listed = await bridged.send("GET", "workflows")
    assert len(listed.body["workflows"]) == 1
    described = await bridged.send("GET", f"workflows/{workflow_id}")
    assert described.body["input"] == [{"order_id": "order-1"}] and described.body["business_key"] == "order-1"


@pytest.mark.parametrize(
    ("action", "field", "name"), [("signal_workflow", "signal_name", "pay"), ("update_workflow", "update_name", "fix")]
)
async def test_an_event_reaches_a_workflow_once(bridged: Wire, action: str, field: str, name: str) -> None:
    await bridged.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "orders.fulfil"})
    body = event(action, workflow_id="w", **{field: name}) | {"input": ["Ada"]}
    first = await bridged.send("POST", "bridge-adapters/webhook/stripe", body)
    assert (first.status, first.body["outcome"], first.body["workflow_id"]) == (202, "accepted", "w")
    for again in (body, body | {"input": ["Grace"]}):
        repeated = await bridged.send("POST", "bridge-adapters/webhook/stripe", again)
        assert (repeated.status, repeated.body["outcome"], repeated.body["accepted"]) == (200, "duplicate", False)
        assert repeated.body["control_plane_outcome"] == "deduped_existing_command"
    other = await bridged.send("POST", "bridge-adapters/webhook/stripe", body | {"idempotency_key": "event-2"})
    assert other.status == 202
    await bridged.send("POST", "workflows/w/terminate", {})
    kinds = {"signal_workflow": "SignalReceived", "update_workflow": "UpdateAccepted"}
    assert [e["event_type"] for e in await history(bridged, "w")].count(kinds[action]) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (event("signal_workflow", workflow_id="nobody", signal_name="go"), "unknown_target"),
        (event("start_workflow", workflow_type="payments.refund"), "unsupported_routing"),
        (event("signal_workflow", workflow_id="other", signal_name="go"), "unsupported_routing"),
        (event("start_workflow", workflow_type="orders.x", workflow_id="taken", duplicate_policy="reject_duplicate"),
         "instance_already_started"),
        (event("signal_workflow", workflow_id="closed", signal_name="go"), "run_not_active"),
        (event("start_workflow"), "malformed_payload"),
        (event("start_workflow", workflow_type="orders.x", workflow_id="a b"), "malformed_payload"),
        (event("start_workflow", workflow_type="orders.x", duplicate_policy="twice"), "malformed_payload"),
        (event("signal_workflow", workflow_id="taken"), "malformed_payload"),
        (event("dance", workflow_id="taken"), "unsupported_action"),
        ({}, "malformed_payload"),
        ({"action": 1, "idempotency_key": "k" * 256, "target": [], "input": 7, "correlation": "x"}, "malformed_payload"),
    ],
)  # fmt: skip
async def test_a_rejected_event_says_why_and_does_nothing(bridged: Wire, body: dict[str, Any], reason: str) -> None:
    for workflow_id, workflow_type in (("taken", "orders.x"), ("other", "payments"), ("closed", "orders.x")):
        await bridged.send("POST", "workflows", {"workflow_id": workflow_id, "workflow_type": workflow_type})
    await bridged.send("POST", "workflows/closed/terminate", {})
    refused = await bridged.send("POST", "bridge-adapters/webhook/stripe", body)
    assert refused.status == 422, refused.body
    assert (refused.body["outcome"], refused.body["accepted"], refused.body["reason"]) == ("rejected", False, reason)
    assert len((await bridged.send("GET", "workflows")).body["workflows"]) == 3


async def signed(wire: Wire, secret: bytes | None, body: bytes, tamper: bytes = b"") -> Response:
    headers = dict(CONTROL)
    if secret is not None:
        headers["x-bridge-signature"] = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return await wire.session.receive(Request("POST", ("bridge-adapters", "webhook", "signed"), {}, headers, body + tamper))


async def test_an_adapter_with_a_secret_takes_only_what_is_signed_with_it(bridged: Wire) -> None:
    body = orjson.dumps(STARTS)
    assert (await signed(bridged, SECRET, body)).status == 202
    for secret, tamper in ((None, b""), (b"guessed", b""), (SECRET, b" ")):
        refused = await signed(bridged, secret, body, tamper)
        assert (refused.status, refused.body["reason"]) == (401, "invalid_signature")
        assert SECRET.decode() not in str(refused.body)


async def test_an_adapter_that_is_not_configured_may_what_its_token_may(bridged: Wire) -> None:
    started = await bridged.send("POST", "bridge-adapters/webhook/any.one", event("start_workflow", workflow_type="T"))
    assert started.status == 202
    refused = await bridged.send("POST", "bridge-adapters/webhook/no one", event("start_workflow", workflow_type="T"))
    assert (refused.status, refused.body["reason"]) == (422, "unsupported_routing")


async def test_discovery_names_what_the_bridge_may_answer() -> None:
    told = cluster_info(DurableConfig(), 0.0)["bridge_adapter_outcome_contract"]
    assert (told["schema"], told["version"]) == ("durable-workflow.v2.bridge-adapter-outcome.contract", 1)
    assert {"unknown_target", "malformed_payload", "unsupported_action", "instance_already_started"} <= set(told["rejection_reasons"])
    assert {name: outcome["http_status"] for name, outcome in told["outcomes"].items()} == {
        "accepted": 202, "duplicate": 200, "rejected": 422,
    }  # fmt: skip

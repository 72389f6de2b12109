"""Service operations over HTTP (contract section 2.6)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from triplane.operations import OperationMap, Operations, OperationTarget
from triplane.payloads import envelope
from unit.durable_http.conftest import Wire, served

PATH = "service-endpoints/shop/services/orders/operations/place/execute"
ASKED = {"arguments": envelope([40])["blob"], "payload_codec": "avro", "caller_namespace": "default"}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Wire]:
    targets = OperationMap({("shop", "orders", "place"): OperationTarget("Place", "q")})
    async with served(tmp_path / "data", Operations(targets)) as wire:
        await wire.send("POST", "worker/register", {"worker_id": "w", "task_queue": "q", "runtime": "python"})
        yield wire


async def serve_one(wire: Wire, *commands: dict[str, Any]) -> dict[str, Any]:
    """Be the worker once; returns the task."""
    polled = await wire.send("POST", "worker/workflow-tasks/poll", {"worker_id": "w", "task_queue": "q", "timeout_seconds": 5})
    task: dict[str, Any] = polled.body["task"]
    lease = {"lease_owner": "w", "workflow_task_attempt": task["workflow_task_attempt"]}
    done = await wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/complete", {**lease, "commands": list(commands)})
    assert done.status == 200, done.body
    return task


async def test_a_call_runs_its_workflow_and_answers_its_result(shop: Wire) -> None:
    asked = asyncio.ensure_future(shop.send("POST", PATH, ASKED))
    task = await serve_one(shop, {"type": "complete_workflow", "result": envelope({"paid": 40})})
    answered = await asked
    assert task["workflow_type"] == "Place" and task["arguments"] == envelope([40])
    assert answered.status == 200
    call = answered.body["service_call"]
    assert (call["endpoint_name"], call["service_name"], call["operation_name"]) == ("shop", "orders", "place")
    assert (call["status"], call["outcome"], call["result"]) == ("completed", "completed", {"paid": 40})
    assert call["response_payload"] == envelope({"paid": 40})["blob"]
    assert answered.body["accepted"] is True and call["linked_workflow_run_id"] == task["run_id"]


async def test_a_call_that_fails_is_a_conflict_of_the_same_shape(shop: Wire) -> None:
    asked = asyncio.ensure_future(shop.send("POST", PATH, ASKED))
    await serve_one(shop, {"type": "fail_workflow", "message": "no stock", "exception_type": "OutOfStock"})
    answered = await asked
    assert (answered.status, answered.body["accepted"]) == (409, False)
    call = answered.body["service_call"]
    assert (call["status"], call["outcome"], call["service_error_type"], call["typed_error_message"]) == (
        "failed", "failed", "OutOfStock", "no stock",
    )  # fmt: skip


async def test_the_same_key_is_the_same_call(shop: Wire) -> None:
    asked = ASKED | {"idempotency_key": "k", "wait_for": "accepted"}
    first = await shop.send("POST", PATH, asked)
    assert (first.status, first.body["status"], first.body["idempotent_replay"]) == (200, "accepted", False)
    again = await shop.send("POST", PATH, asked)
    assert again.body["service_call_id"] == first.body["service_call_id"] and again.body["idempotent_replay"] is True
    waiting = asyncio.ensure_future(shop.send("POST", PATH, asked | {"wait_for": "completed"}))
    await serve_one(shop, {"type": "complete_workflow", "result": envelope("done")})
    assert (await waiting).body["service_call"]["result"] == "done"
    late = await shop.send("POST", PATH, asked | {"wait_for": "completed"})
    assert late.body["service_call"]["result"] == "done"
    refused = await shop.send("POST", PATH, asked | {"duplicate_start_policy": "reject_duplicate"})
    assert (refused.status, refused.body["outcome"], refused.body["accepted"]) == (409, "rejected_duplicate", False)
    elsewhere = await shop.send("POST", PATH, asked | {"caller_namespace": "other"})
    assert elsewhere.body["service_call_id"] != first.body["service_call_id"]
    assert len((await shop.send("GET", "workflows")).body["workflows"]) == 2


async def test_a_wait_that_is_over_says_so_and_leaves_the_call_alone(shop: Wire) -> None:
    answered = await shop.send("POST", PATH, ASKED | {"wait_timeout_seconds": 0})
    assert (answered.status, answered.body["status"], answered.body["service_call"]["wait_timed_out"]) == (200, "accepted", True)
    workflow_id = answered.body["service_call"]["linked_workflow_instance_id"]
    await shop.send("POST", f"workflows/{workflow_id}/cancel", {"reason": "enough"})
    key = await shop.send("POST", PATH, ASKED | {"idempotency_key": "k", "mode_override": "async"})
    assert key.body["service_call"]["operation_mode"] == "async"
    await shop.send("POST", f"workflows/{key.body['service_call']['linked_workflow_instance_id']}/cancel", {"reason": "enough"})
    ended = await shop.send("POST", PATH, ASKED | {"idempotency_key": "k"})
    assert (ended.status, ended.body["status"], ended.body["outcome"]) == (409, "cancelled", "cancelled")


async def test_an_operation_that_nobody_serves_is_not_found(shop: Wire) -> None:
    missing = await shop.send("POST", PATH.replace("place", "steal"), ASKED)
    assert (missing.status, missing.body["reason"]) == (404, "operation_not_found")


async def test_what_is_wrong_is_told_field_by_field(shop: Wire) -> None:
    wrong = {
        "mode_override": "maybe", "wait_for": "ever", "wait_timeout_seconds": -1, "duplicate_start_policy": "x", "memo": 1,
        "labels": 2, "search_attributes": 3, "idempotency_key": 4, "caller_namespace": 5, "queue": 6, "target_workflow_run_id": "r",
    }  # fmt: skip
    refused = await shop.send("POST", PATH, wrong)
    assert refused.status == 422 and sorted(refused.body["errors"]) == sorted(wrong)

"""Payloads that lie elsewhere (contract section 6): whatever refers to them passes through every place unchanged."""

import asyncio
from typing import Any

import pytest

from triplane.payloads import envelope
from unit.durable_http.conftest import Wire

STORED = {
    "codec": "avro",
    "external_storage": {
        "schema": "durable-workflow.v2.external-payload-reference.v1", "uri": "s3://bucket/é/key?v=1", "sha256": "ab" * 32,
        "size_bytes": 5_000_000, "codec": "avro", "expires_at": "2030-01-01T00:00:00.000000Z",
    },
}  # fmt: skip
TRANSPORTED = {
    "codec": "avro",
    "external_payload": {
        "schema": "durable-workflow.v2.runtime-external-payload.v1", "reference_id": "ref-1", "codec": "avro", "size_bytes": 9,
        "sha256": "cd" * 32,
    },
}  # fmt: skip
OTHER_CODEC = {"codec": "own-codec", "blob": "@@ not base64, not ours @@"}
PAYLOADS = [STORED, TRANSPORTED, OTHER_CODEC, envelope({"plain": [1, "é"]})]


class Worker:
    """Takes tasks of one queue and answers them."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def poll(self, kind: str) -> dict[str, Any]:
        body = {"worker_id": "w", "task_queue": "q", "timeout_seconds": 5}
        task: dict[str, Any] = (await self.wire.send("POST", f"worker/{kind}-tasks/poll", body)).body["task"]
        return task

    async def complete(self, task: dict[str, Any], *commands: dict[str, Any]) -> None:
        body = {"lease_owner": "w", "workflow_task_attempt": task["workflow_task_attempt"], "commands": list(commands)}
        done = await self.wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/complete", body)
        assert done.status == 200, done.body


@pytest.fixture
async def worker(wire: Wire) -> Worker:
    await wire.send("POST", "worker/register", {"worker_id": "w", "task_queue": "q", "runtime": "python"})
    return Worker(wire)


def payload_of(events: list[dict[str, Any]], name: str, key: str) -> Any:
    (found,) = [event["payload"] for event in events if event["event_type"] == name]
    return found[key]


@pytest.mark.parametrize("payload", PAYLOADS, ids=["stored", "transported", "other codec", "avro"])
async def test_a_payload_comes_out_of_a_workflow_as_it_went_in(wire: Wire, worker: Worker, payload: dict[str, Any]) -> None:
    start = {"workflow_id": "w1", "workflow_type": "T", "task_queue": "q", "input": payload}
    run_id = (await wire.send("POST", "workflows", start)).body["run_id"]
    task = await worker.poll("workflow")
    assert task["arguments"] == payload
    await worker.complete(task, {"type": "schedule_activity", "activity_type": "a", "arguments": payload, "queue": "q"})
    activity = await worker.poll("activity")
    assert activity["arguments"] == payload
    body = {"activity_attempt_id": activity["activity_attempt_id"], "lease_owner": "w", "result": payload}
    done = await wire.send("POST", f"worker/activity-tasks/{activity['task_id']}/complete", body)
    assert done.status == 200, done.body
    assert (await wire.send("POST", "workflows/w1/signal/go", {"input": payload})).status == 202
    update = await wire.send("POST", "workflows/w1/update/change", {"input": payload, "request_id": "u"})
    task = await worker.poll("workflow")
    await worker.complete(task, {"type": "record_side_effect", "result": payload})
    marker = {"type": "record_version_marker", "change_id": "c", "version": 1, "min_supported": 1, "max_supported": 1}
    while (task := await worker.poll("workflow")).get("workflow_update_id") is None:
        await worker.complete(task, marker)
    await worker.complete(task, {"type": "complete_update", "update_id": update.body["update_id"], "result": payload})
    await worker.complete(await worker.poll("workflow"), {"type": "complete_workflow", "result": payload})
    events = (await wire.send("GET", f"workflows/w1/runs/{run_id}/history?page_size=1000")).body["events"]
    for name, key in (
        ("WorkflowStarted", "input"), ("ActivityCompleted", "result"), ("SignalReceived", "arguments"), ("UpdateAccepted", "arguments"),
        ("UpdateCompleted", "result"), ("SideEffectRecorded", "result"), ("WorkflowCompleted", "output"),
    ):  # fmt: skip
        assert payload_of(events, name, key) == payload, name
    # Whoever reads a view gets what can be decoded decoded, and the rest as it is.
    view = (await wire.send("GET", "workflows/w1")).body
    assert view["input"] == view["output"] == ({"plain": [1, "é"]} if payload == PAYLOADS[3] else payload)
    asked = asyncio.ensure_future(wire.send("POST", "workflows/w1/query/q", {"input": payload}))
    query = await worker.poll("query")
    assert query["workflow_arguments"] == query["query_arguments"] == payload
    answer = {"lease_owner": "w", "query_task_attempt": 1, "result": None, "result_envelope": payload}
    await wire.send("POST", f"worker/query-tasks/{query['query_task_id']}/complete", answer)
    assert (await asked).body["result_envelope"] == payload


async def test_a_continued_run_hands_references_on(wire: Wire, worker: Worker) -> None:
    await wire.send("POST", "workflows", {"workflow_id": "w1", "workflow_type": "T", "task_queue": "q", "input": STORED})
    await worker.complete(await worker.poll("workflow"), {"type": "continue_as_new", "queue": "q", "arguments": STORED})
    assert (await worker.poll("workflow"))["arguments"] == STORED

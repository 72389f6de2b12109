"""Workers, queues, builds, sessions and validators as this wire spells them."""

import asyncio
import re

import pytest

from triplane.engines.durable import DurableSettings
from triplane.matching import Matching
from unit.durable_http.conftest import served

ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
WORKER = {
    "worker_id": "w1", "task_queue": "q", "runtime": "python", "sdk_version": "x/1", "build_id": "b1",
    "supported_workflow_types": ["flow"], "task_slots": {"workflow_available": 3}, "max_concurrent_workflow_tasks": 2,
    "workflow_command_contracts": {"flow": {"signals": ["go"], "updates": ["set"], "update_validators": ["set"]}},
}  # fmt: skip
LEASE = {"lease_owner": "w1", "update_validation_attempt": 1}


async def register(wire, **changes):
    assert (await wire.send("POST", "worker/register", {**WORKER, **changes})).status == 201


async def test_a_worker_is_shown_as_the_contract_has_it(wire):
    await register(wire)
    listed = (await wire.send("GET", "workers?task_queue=q&status=active")).body
    (worker,) = listed["workers"]
    assert worker == (await wire.send("GET", "workers/w1")).body
    assert (worker["status"], worker["build_id"], worker["heartbeat_interval_seconds"]) == ("active", "b1", 60)
    assert worker["task_slots"] == {"workflow_available": 2} and listed["stale_after_seconds"] == 120
    assert all(ISO.match(worker[key]) for key in ("last_heartbeat_at", "registered_at", "updated_at"))
    beat = await wire.send("POST", "worker/heartbeat", {"worker_id": "w1", "task_slots": {}})
    assert beat.body["stale_after_seconds"] == 120


async def test_what_cannot_be_asked_of_workers_is_refused(wire):
    response = await wire.send("GET", "workers/nobody")
    assert (response.status, response.body["reason"]) == (404, "worker_not_found")
    assert "status" in (await wire.send("GET", "workers?status=asleep")).body["errors"]
    response = await wire.send("DELETE", "workers/w1")
    assert (response.status, response.body["allowed_roles"]) == (403, ["admin"])


async def test_an_admin_removes_a_worker_once(tmp_path):
    async with served(tmp_path / "data", role="admin") as wire:
        await register(wire)
        gone = await wire.send("DELETE", "workers/w1")
        assert (gone.status, gone.body["worker_id"], gone.body["outcome"]) == (200, "w1", "deregistered")
        assert (await wire.send("DELETE", "workers/w1")).status == 404


async def test_a_build_is_drained_promoted_and_resumed(wire):
    await register(wire)
    path = "task-queues/q/build-ids"
    response = await wire.send("POST", f"{path}/drain", {})
    assert response.status == 422 and "build_id" in response.body["errors"]
    drained = (await wire.send("POST", f"{path}/drain", {"build_id": "b1"})).body
    assert (drained["drain_intent"], drained["new_start_selected"]) == ("draining", False) and ISO.match(drained["drained_at"])
    response = await wire.send("POST", "worker/workflow-tasks/poll", {"worker_id": "w1", "task_queue": "q"})
    assert (response.status, response.body["reason"], response.body["poll_status"]) == (409, "worker_draining", "draining")
    (build,) = (await wire.send("GET", path)).body["build_ids"]
    assert (build["rollout_status"], build["drained_at"]) == ("draining", drained["drained_at"])
    assert (await wire.send("POST", f"{path}/resume", {"build_id": "b1"})).body["drained_at"] is None
    unversioned = (await wire.send("POST", f"{path}/promote", {"build_id": None})).body
    assert unversioned["build_id"] is None and unversioned["new_start_selected"] and ISO.match(unversioned["promoted_at"])


async def test_a_task_queue_shows_its_leases_with_times(wire):
    await register(wire)
    await wire.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "flow", "task_queue": "q"})
    task = (await wire.send("POST", "worker/workflow-tasks/poll", {"worker_id": "w1", "task_queue": "q"})).body["task"]
    shown = (await wire.send("GET", "task-queues/q")).body
    (lease,) = shown["current_leases"]
    assert (lease["task_id"], lease["lease_expires_at"], lease["is_expired"]) == (task["task_id"], task["lease_expires_at"], False)
    assert [queue["name"] for queue in (await wire.send("GET", "task-queues")).body["task_queues"]] == ["q"]


async def test_polls_over_the_cores_limit_are_refused_in_the_form_that_workers_know(tmp_path):
    matching = Matching(DurableSettings(max_waiting_polls=1))
    async with served(tmp_path / "data", matching=matching) as wire:
        await register(wire)
        body = {"worker_id": "w1", "task_queue": "q", "timeout_seconds": 30}
        waiting = asyncio.ensure_future(wire.send("POST", "worker/activity-tasks/poll", body))
        await asyncio.sleep(0)
        response = await wire.send("POST", "worker/activity-tasks/poll", body)
        waiting.cancel()
    reason = "long_poll_capacity_exhausted"
    assert response.status == 429 and response.headers["Retry-After"] == "1"
    assert {key: response.body[key] for key in ("reason", "poll_status", "task", "task_kind", "task_queue", "retryable")} == {
        "reason": reason, "poll_status": reason, "task": None, "task_kind": "activity_task", "task_queue": "q", "retryable": True,
    }  # fmt: skip


async def updated(wire, outcome, body):
    """Send an update, answer its validation, and give the update's response."""
    await register(wire)
    await wire.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "flow", "task_queue": "q"})
    asking = asyncio.ensure_future(wire.send("POST", "workflows/w/update/set", {"input": [1]}))
    await asyncio.sleep(0)
    poll = {"worker_id": "w1", "task_queue": "q", "task_kinds": ["workflow", "update_validation"]}
    task = (await wire.send("POST", "worker/workflow-tasks/poll", poll)).body["task"]
    assert task["task_kind"] == "update_validation" and ISO.match(task["lease_expires_at"])
    path = f"worker/update-validation-tasks/{task['update_validation_task_id']}/{outcome}"
    assert (await wire.send("POST", path, {**LEASE, **body})).status == 200
    twice = await wire.send("POST", path, {**LEASE, **body})
    assert (twice.status, twice.body["reason"]) == (409, "duplicate_update_validation_completion")
    return await asking


async def test_an_approved_update_is_accepted(wire):
    response = await updated(wire, "approve", {})
    assert (response.status, response.body["update_status"]) == (202, "accepted")


async def test_a_rejected_update_says_why(wire):
    failure = {"message": "no", "reason": "update_validator_rejected", "validation_errors": {"n": ["too small"]}}
    response = await updated(wire, "reject", {"failure": failure})
    assert (response.status, response.body["reason"], response.body["message"]) == (422, "update_validator_rejected", "no")
    assert response.body["validation_errors"] == {"n": ["too small"]} and response.body["control_plane"]["operation"] == "update"


@pytest.mark.parametrize("kinds", [[], "workflow", ["other"], [5], [{}]])
async def test_task_kinds_that_make_no_sense_are_refused(wire, kinds):
    await register(wire)
    response = await wire.send("POST", "worker/workflow-tasks/poll", {"worker_id": "w1", "task_queue": "q", "task_kinds": kinds})
    assert response.status == 422 and "task_kinds" in response.body["errors"]


async def test_names_that_no_worker_has_are_not_found(wire):
    await register(wire)
    await wire.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "flow", "task_queue": "q"})
    signal = await wire.send("POST", "workflows/w/signal/stop", {})
    update = await wire.send("POST", "workflows/w/update/unset", {})
    assert (signal.status, signal.body["reason"]) == (404, "unknown_signal")
    assert (update.status, update.body["reason"]) == (404, "rejected_unknown_update")


async def test_a_session_is_opened_kept_and_closed(wire):
    await register(wire)
    opened = await wire.send("POST", "worker/sessions", {"worker_id": "w1", "session_id": "s/1", "requirements": [], "queue": "q"})
    assert (opened.status, opened.body["outcome"]) == (201, "created") and ISO.match(opened.body["lease_expires_at"])
    await register(wire, worker_id="w2")
    held = await wire.send("POST", "worker/sessions", {"worker_id": "w2", "session_id": "s/1"})
    assert (held.status, held.body["reason"]) == (409, "worker_session_held")
    wrong = await wire.send("POST", "worker/sessions", {"worker_id": "w2", "lease_seconds": 0, "create_if_missing": 1})
    assert wrong.status == 422 and set(wrong.body["errors"]) == {"session_id", "lease_seconds", "create_if_missing"}
    missing = await wire.send("POST", "worker/sessions/none/heartbeat", {"worker_id": "w1"})
    assert (missing.status, missing.body["reason"]) == (404, "worker_session_not_found")

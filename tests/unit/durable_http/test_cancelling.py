"""Cooperative cancellation over HTTP: its routes, and a plain cancel in a namespace that asks the workflow first."""

from dataclasses import replace
from typing import Any

import pytest

from unit.durable_http.conftest import Wire

CAPABLE = {"capabilities": ["cooperative_cancellation"]}


async def run_with_worker(wire: Wire, **info: Any) -> dict[str, Any]:
    """A run that waits for a timer, and its worker; the body of a lease on the worker's next task."""
    await wire.send("POST", "worker/register", {"worker_id": "k", "task_queue": "q", "runtime": "python", **info})
    await wire.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "t", "task_queue": "q"})
    task = await poll(wire)
    await wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/complete", {**lease(task), "commands": [
        {"type": "start_timer", "delay_seconds": 60}]})  # fmt: skip
    return task


async def poll(wire: Wire) -> Any:
    poll = {"worker_id": "k", "task_queue": "q", "timeout_seconds": 0}
    return (await wire.send("POST", "worker/workflow-tasks/poll", poll)).body["task"]


def lease(task: dict[str, Any]) -> dict[str, Any]:
    return {"lease_owner": "k", "workflow_task_attempt": task["workflow_task_attempt"]}


def ask_first(wire: Wire) -> None:
    """As `[namespaces.default] cancel = "cooperative"` would."""
    wire.gateway.namespaces["default"] = replace(wire.gateway.namespaces["default"], cancel="cooperative")


async def test_a_request_is_answered_with_what_the_sdk_checks(wire: Wire) -> None:
    await run_with_worker(wire, **CAPABLE)
    first = await wire.send("POST", "workflows/w/request-cancellation", {"reason": "enough", "cleanup_timeout_seconds": 60})
    run_id = first.body["run_id"]
    again = await wire.send("POST", f"workflows/w/runs/{run_id}/request-cancellation", {})
    assert (first.status, first.body["accepted"], first.body["duplicate"], again.body["duplicate"]) == (200, True, False, True)
    asked = first.body["cancellation_request"]
    assert asked == again.body["cancellation_request"] and asked["requested_at"] < asked["cleanup_deadline_at"]
    assert first.body["control_plane"]["operation"] == "request_cancellation"
    task = await poll(wire)
    assert task["cancellation_request"] == asked
    place = {"request_id": asked["request_id"], "sequence": 1, "call_kind": "timer"}
    told = await wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/deliver-cancellation", lease(task) | place)
    assert (told.status, told.body["delivered"], told.body["sequence_span"], told.body["operation_sequence"]) == (200, True, 1, None)
    history = {**lease(task), "next_history_page_token": asked["history_refresh_page_token"]}
    page = await wire.send("POST", f"worker/workflow-tasks/{task['task_id']}/history", history)
    assert page.body["history_events"][-1]["event_type"] == "CooperativeCancellationDelivered"


async def test_only_workers_that_understand_it_get_the_runs_tasks(wire: Wire) -> None:
    await run_with_worker(wire, **CAPABLE)
    await wire.send("POST", "workflows/w/request-cancellation", {})
    await wire.send("POST", "worker/register", {"worker_id": "k", "task_queue": "q", "runtime": "python"})
    assert await poll(wire) is None
    await wire.send("POST", "worker/register", {"worker_id": "k", "task_queue": "q", "runtime": "python", **CAPABLE})
    assert (await poll(wire))["workflow_id"] == "w"


async def test_without_a_worker_that_understands_it_the_request_is_refused(wire: Wire) -> None:
    await run_with_worker(wire)
    refused = await wire.send("POST", "workflows/w/request-cancellation", {})
    assert (refused.status, refused.body["reason"]) == (409, "cooperative_cancellation_unavailable")
    assert (await wire.send("POST", "workflows/nobody/request-cancellation", {})).status == 404
    await wire.send("POST", "workflows/w/terminate", {})
    assert (await wire.send("POST", "workflows/w/request-cancellation", {})).body["reason"] == "run_not_active"


@pytest.mark.parametrize(("info", "outcome", "status"), [(CAPABLE, "cancellation_requested", "waiting"), ({}, "cancelled", "cancelled")])
async def test_a_plain_cancel_asks_first_where_the_namespace_says_so_and_somebody_can_be_asked(
    wire: Wire, info: dict[str, Any], outcome: str, status: str
) -> None:
    ask_first(wire)
    await run_with_worker(wire, **info)
    cancelled = await wire.send("POST", "workflows/w/cancel", {"reason": "enough"})
    assert (cancelled.status, cancelled.body["outcome"]) == (200, outcome)
    assert (await wire.send("GET", "workflows/w")).body["status"] == status


async def test_a_plain_cancel_elsewhere_closes_the_run_at_once(wire: Wire) -> None:
    await run_with_worker(wire, **CAPABLE)
    assert (await wire.send("POST", "workflows/w/cancel", {})).body["outcome"] == "cancelled"
    assert (await wire.send("GET", "workflows/w")).body["status"] == "cancelled"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("workflows/w/request-cancellation", {"cleanup_timeout_seconds": 0}, "cleanup_timeout_seconds"),
        ("workflows/w/request-cancellation", {"reason": 5}, "reason"),
        ("worker/workflow-tasks/t/deliver-cancellation", {}, "request_id"),
        ("worker/workflow-tasks/t/deliver-cancellation", {"call_kind": "nap"}, "call_kind"),
        ("worker/activity-tasks/t/status", {"lease_owner": "k"}, "activity_attempt_id"),
    ],
)
async def test_wrong_bodies_are_refused_by_field(wire: Wire, path: str, body: dict[str, Any], field: str) -> None:
    refused = await wire.send("POST", path, body)
    assert refused.status == 422 and field in refused.body["errors"]


async def test_a_handle_and_nothing_else_names_what_it_waits_for(wire: Wire) -> None:
    body = {"lease_owner": "k", "workflow_task_attempt": 1, "request_id": "r", "sequence": 4}
    for place in ({"call_kind": "selection_handle"}, {"call_kind": "timer", "operation_sequence": 2}):
        refused = await wire.send("POST", "worker/workflow-tasks/t/deliver-cancellation", body | place)
        assert refused.status == 422 and "operation_sequence" in refused.body["errors"]

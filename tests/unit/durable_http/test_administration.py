"""Namespaces, external storage and system passes over the wire (contract section 2.6), as an administrator asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from triplane.administration.figures import Figures
from triplane.administration.namespaces import Namespaces
from triplane.administration.repairing import Repair
from triplane.administration.retention import Retention
from triplane.commands import StartRun, StopRun
from triplane.matching import Matching
from triplane.payloads import envelope
from unit.durable_http.conftest import CONTROL, Wire, served


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Wire]:
    matching = Matching()
    services = (Namespaces(data_dir=tmp_path / "data"), Retention(), Repair(matching), Figures(matching))
    async with served(tmp_path / "data", *services, role="admin", matching=matching) as wire:
        wire.matching = matching  # type: ignore[attr-defined]
        yield wire


async def test_a_namespace_lives_as_the_contract_says(admin: Wire) -> None:
    made = await admin.send("POST", "namespaces", {"name": "N1", "description": "d", "retention_days": 30})
    assert made.status == 201
    assert made.body == {
        "name": "n1", "description": "d", "retention_days": 30, "status": "active", "created_at": "2027-01-15T08:00:00.000000Z",
        "updated_at": "2027-01-15T08:00:00.000000Z", "external_payload_storage": None,
    }  # fmt: skip
    again = await admin.send("POST", "namespaces", {"name": "n1"})
    assert (again.status, again.body["reason"]) == (409, "namespace_already_exists")
    assert (await admin.send("GET", "namespaces/N1")).body["name"] == "n1"
    changed = await admin.send("PUT", "namespaces/n1", {"retention_days": 9})
    assert (changed.status, changed.body["retention_days"], changed.body["description"]) == (200, 9, "d")
    listed = await admin.send("GET", "namespaces")
    assert [space["name"] for space in listed.body["namespaces"]] == ["default", "n1"]
    started = await admin.send("POST", "workflows", {"workflow_type": "T"}, {**CONTROL, "x-namespace": "N1"})
    assert (started.status, started.body["namespace"]) == (201, "n1")
    gone = await admin.send("DELETE", "namespaces/n1")
    assert gone.status == 200
    assert gone.body == {
        "name": "n1", "status": "deleted",
        "deleted": {
            "workflow_runs": 1, "workflow_schedules": 0, "search_attribute_definitions": 0, "workflow_worker_registrations": 0,
        },
    }  # fmt: skip
    missing = await admin.send("GET", "namespaces/n1")
    assert (missing.status, missing.body["reason"]) == (404, "namespace_not_found")
    assert missing.body["namespace"] == "n1" and missing.body["remediation"]
    nowhere = await admin.send("POST", "workflows", {"workflow_type": "T"}, {**CONTROL, "x-namespace": "n1"})
    assert (nowhere.status, nowhere.body["reason"]) == (404, "namespace_not_found")


async def test_the_namespace_of_the_header_is_not_looked_at_where_namespaces_are_kept(admin: Wire) -> None:
    answered = await admin.send("GET", "namespaces", headers={**CONTROL, "x-namespace": "nobody"})
    assert answered.status == 200


async def test_the_default_namespace_cannot_be_deleted(admin: Wire) -> None:
    refused = await admin.send("DELETE", "namespaces/default")
    assert (refused.status, refused.body["reason"]) == (409, "namespace_protected")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": "a b"}, ["name"]),
        ({"name": "é"}, ["name"]),
        ({"name": "x" * 129, "retention_days": 0, "description": 7}, ["description", "name", "retention_days"]),
        ({"name": "x", "retention_days": 366}, ["retention_days"]),
        ({"name": "x", "retention_days": True}, ["retention_days"]),
    ],
)
async def test_a_namespace_that_cannot_be_made_is_told_field_by_field(admin: Wire, body: object, fields: list[str]) -> None:
    refused = await admin.send("POST", "namespaces", body)
    assert refused.status == 422 and sorted(refused.body["errors"]) == fields


async def test_external_storage_is_shown_as_it_was_set(admin: Wire) -> None:
    body = {"driver": "local", "enabled": True, "threshold_bytes": 10, "config": {"disk": "d", "bucket": None}}
    kept = await admin.send("PUT", "namespaces/default/external-storage", body)
    assert kept.status == 200
    assert kept.body["external_payload_storage"] == {"driver": "local", "enabled": True, "threshold_bytes": 10, "config": {"disk": "d"}}
    wrong = {"driver": "floppy", "enabled": "yes", "threshold_bytes": 0, "config": {"path": "/", "disk": 1}}
    refused = await admin.send("PUT", "namespaces/default/external-storage", wrong)
    assert refused.status == 422
    assert sorted(refused.body["errors"]) == ["config.disk", "config.path", "driver", "enabled", "threshold_bytes"]
    missing = await admin.send("PUT", "namespaces/nobody/external-storage", body)
    assert (missing.status, missing.body["reason"]) == (404, "namespace_not_found")


async def test_a_storage_test_writes_and_reads_back(admin: Wire) -> None:
    passed = await admin.send("POST", "storage/test", {"driver": "local", "small_payload_bytes": 8, "large_payload_bytes": 100_000})
    assert passed.status == 200
    assert (passed.body["status"], passed.body["namespace"], passed.body["driver"]) == ("passed", "default", "local")
    for which, size in (("small_payload", 8), ("large_payload", 100_000)):
        payload = passed.body[which]
        assert (payload["status"], payload["bytes"], len(payload["sha256"])) == ("passed", size, 64)
        assert payload["reference_uri"].startswith("local://default/")


@pytest.mark.parametrize("driver", ["s3", "gcs", "azure"])
async def test_a_storage_test_of_a_driver_that_is_not_there_fails_and_says_so(admin: Wire, driver: str) -> None:
    failed = await admin.send("POST", "storage/test", {"driver": driver})
    assert (failed.status, failed.body["status"], failed.body["reason"]) == (422, "failed", "storage_driver_unavailable")


async def test_retention_shows_what_has_expired_and_removes_it(admin: Wire) -> None:
    connection, clock = admin.connection, admin.gateway.clock
    reply = await connection.dispatch(StartRun(workflow_id="old", engine="durable", workflow_type="T"))
    await connection.dispatch(StopRun(workflow_id="old"))
    clock.advance(31 * 86_400)  # type: ignore[attr-defined]
    status = await admin.send("GET", "system/retention")
    assert status.body == {
        "namespace": "default", "retention_days": 30, "cutoff": "2027-01-16T08:00:00.000000Z", "expired_run_count": 1,
        "expired_run_ids": [reply["run_id"]], "scan_limit": 100, "scan_pressure": False,
    }  # fmt: skip
    done = await admin.send("POST", "system/retention/pass", {"limit": 3})
    assert (done.status, done.body["processed"], done.body["pruned"]) == (200, 1, 1)
    assert (await admin.send("GET", "workflows/old")).status == 404
    assert (await admin.send("GET", "system/retention")).body["expired_run_count"] == 0
    refused = await admin.send("POST", "system/retention/pass", {"run_ids": "a", "limit": 1_000})
    assert refused.status == 422 and sorted(refused.body["errors"]) == ["limit", "run_ids"]


WORKER = {"worker_id": "w", "task_queue": "q", "runtime": "python"}


async def lease(wire: Wire, kind: str) -> dict[str, Any]:
    """Be a worker that takes a task."""
    await wire.send("POST", "worker/register", WORKER)
    polled = await wire.send("POST", f"worker/{kind}-tasks/poll", {"worker_id": "w", "task_queue": "q", "timeout_seconds": 5})
    task: dict[str, Any] = polled.body["task"]
    return task


async def started(wire: Wire) -> str:
    reply = await wire.send("POST", "workflows", {"workflow_id": "w1", "workflow_type": "T", "task_queue": "q"})
    run_id: str = reply.body["run_id"]
    return run_id


def find_ready(wire: Wire) -> str:
    """Take the ready workflow task out of its queue behind everybody's back, as if its offer had been lost."""
    (task_id,) = wire.matching.desk._where  # type: ignore[attr-defined]
    wire.matching.desk.withdraw(task_id)  # type: ignore[attr-defined]
    return str(task_id)


async def test_a_run_that_is_well_needs_no_repair(admin: Wire) -> None:
    run_id = await started(admin)
    admin.gateway.clock.advance(60)  # type: ignore[attr-defined]
    status = (await admin.send("GET", "system/repair")).body
    assert status["candidates"] == {
        "total_candidates": 0, "existing_task_candidates": 0, "missing_task_candidates": 0, "scan_pressure": False, "scopes": [],
    }  # fmt: skip
    assert status["policy"]["scan_limit"] == 1_000
    for path in ("workflows/w1/repair", f"workflows/w1/runs/{run_id}/repair"):
        repaired = await admin.send("POST", path, {})
        assert (repaired.status, repaired.body["outcome"]) == (200, "repair_not_needed")
        assert repaired.body["control_plane"]["operation"] == "repair" and repaired.body["control_plane"]["run_id"] == run_id


@pytest.mark.parametrize("how", ["pass", "named", "instance", "one"])
async def test_a_task_that_is_in_no_queue_is_offered_again(admin: Wire, how: str) -> None:
    run_id = await started(admin)
    task_id = find_ready(admin)
    admin.gateway.clock.advance(60)  # type: ignore[attr-defined]
    found = (await admin.send("GET", "system/repair")).body["candidates"]
    assert (found["existing_task_candidates"], found["scopes"]) == (1, [{"run_id": run_id, "workflow_id": "w1", "kind": "task"}])
    if how == "one":
        assert (await admin.send("POST", "workflows/w1/repair", {})).body["outcome"] == "repair_dispatched"
    else:
        body = {"pass": {}, "named": {"run_ids": [run_id, "nobody"]}, "instance": {"instance_id": "w1"}}[how]
        done = await admin.send("POST", "system/repair/pass", body)
        assert (done.status, done.body["repaired_existing_tasks"], done.body["existing_task_failures"]) == (200, 1, [])
    assert (await lease(admin, "workflow"))["task_id"] == task_id
    assert (await admin.send("POST", "workflows/w1/repair", {})).body["outcome"] == "repair_not_needed"


async def test_a_run_with_nothing_under_way_gets_a_task(admin: Wire) -> None:
    await started(admin)
    task = await lease(admin, "workflow")
    waiting = {"message": "nothing to do", "type": "WorkflowTaskWaitingForHistory"}
    body = {"lease_owner": "w", "workflow_task_attempt": 1, "failure": waiting}
    await admin.send("POST", f"worker/workflow-tasks/{task['task_id']}/fail", body)
    admin.gateway.clock.advance(60)  # type: ignore[attr-defined]
    assert (await admin.send("GET", "system/repair")).body["candidates"]["missing_task_candidates"] == 1
    done = await admin.send("POST", "system/repair/pass", {})
    assert (done.body["selected_missing_task_candidates"], done.body["repaired_missing_tasks"]) == (1, 1)
    assert (await lease(admin, "workflow"))["task_id"] != task["task_id"]


async def test_a_closed_run_is_not_repaired(admin: Wire) -> None:
    await started(admin)
    await admin.send("POST", "workflows/w1/terminate", {})
    refused = await admin.send("POST", "workflows/w1/repair", {})
    assert (refused.status, refused.body["reason"]) == (409, "run_not_active")
    assert (await admin.send("POST", "workflows/nobody/repair", {})).body["reason"] == "instance_not_found"


async def test_an_activity_past_its_time_is_timed_out_once(admin: Wire) -> None:
    await started(admin)
    task = await lease(admin, "workflow")
    schedule = {
        "type": "schedule_activity", "activity_type": "charge", "arguments": envelope([1]), "queue": "q", "start_to_close_timeout": 10,
        "retry_policy": {"max_attempts": 2, "backoff_seconds": [60]},
    }  # fmt: skip
    body = {"lease_owner": "w", "workflow_task_attempt": 1, "commands": [schedule]}
    assert (await admin.send("POST", f"worker/workflow-tasks/{task['task_id']}/complete", body)).status == 200
    activity = await lease(admin, "activity")
    assert (await admin.send("GET", "system/activity-timeouts")).body["expired_count"] == 0
    admin.gateway.clock.advance(11)  # type: ignore[attr-defined]
    execution_id = activity["activity_execution_id"]
    status = (await admin.send("GET", "system/activity-timeouts")).body
    assert status == {"expired_count": 1, "expired_execution_ids": [execution_id], "scan_limit": 100, "scan_pressure": False}
    done = (await admin.send("POST", "system/activity-timeouts/pass", {"execution_ids": [execution_id, "ax-nobody-1"]})).body
    assert (done["processed"], done["enforced"], done["skipped"], done["failed"]) == (2, 1, 1, 0)
    assert done["results"][0] == {"execution_id": execution_id, "outcome": "enforced", "has_retry": True}
    again = (await admin.send("POST", "system/activity-timeouts/pass", {"execution_ids": [execution_id]})).body
    assert again["results"] == [{"execution_id": execution_id, "outcome": "skipped", "reason": "not_expired"}]
    assert (await admin.send("POST", "system/activity-timeouts/pass", {})).body["processed"] == 0


@pytest.mark.parametrize("path", ["system/metrics", "system/operator-metrics"])
async def test_the_figures_are_the_gateways_own(admin: Wire, path: str) -> None:
    await started(admin)
    before = (await admin.send("GET", path)).body
    assert before["runs"] == {"open": 1, "by_status": {"pending": 1}, "by_engine": {"durable": 1}, "paused": 0}
    assert before["task_queues"] == [{"task_queue": "q", "workflow_ready": 1, "activity_ready": 0}]
    await lease(admin, "workflow")
    after = (await admin.send("GET", path)).body
    assert after["runs"]["by_status"] == {"running": 1}
    assert [queue["workflow_ready"] for queue in after["task_queues"]] in ([], [0])
    assert after["workers"] == {"registered": 1, "live": 1}
    assert after["process"]["commits"] > before["process"]["commits"] and after["process"]["resident_bytes"] > 1_000_000

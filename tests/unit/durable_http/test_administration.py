"""Namespaces, external storage and system passes over the wire (contract section 2.6), as an administrator asks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from triplane.administration.namespaces import Namespaces
from triplane.administration.retention import Retention
from triplane.commands import StartRun, StopRun
from unit.durable_http.conftest import CONTROL, Wire, served


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Wire]:
    async with served(tmp_path / "data", Namespaces(data_dir=tmp_path / "data"), Retention(), role="admin") as wire:
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

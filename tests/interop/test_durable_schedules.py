"""Schedules through the real SDK: every method of the client and the handle, and what they start is done by its worker."""

import json

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290
from interop.drivers import eventually
from interop.test_durable_sdk import run_program

FLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 2
    [[graph]]
        P1 = fetch => store
[runtime]
    [[fetch, store]]
        script = true
"""
SIMULATION = {"model": "material_flow", "input": {"duration": 5, "pace_s": 0}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    process = GatewayProcess(tmp_path_factory.mktemp("schedules"))
    flow = process.definitions / "daily"
    flow.mkdir()
    (flow / "flow.cylc").write_text(FLOW)
    (process.definitions / "ore.json").write_text(json.dumps(SIMULATION))
    with process:
        yield process


@pytest.mark.parametrize("client", [SDK_290, SDK_212], ids=lambda client: client.name)
def test_every_schedule_method_does_what_it_says(gateway, client):
    prefix = f"s-{client.name}"
    seen = run_program(client, "durable_schedules.py", f"http://127.0.0.1:{gateway.http_port}", prefix)
    assert seen["id"] == f"{prefix}-nightly"
    assert seen["refused list"] and seen["taken"] and seen["wrong"] and seen["missing"] and seen["deleted"]
    spec = {"cron_expressions": ["30 2 * * *"], "intervals": [{"every": "PT12H", "offset": "PT5M"}], "timezone": "Europe/Berlin"}
    assert seen["described"] == ["active", spec, "skip", "first", {"team": "data"}, 50, 50, 0, True, "report"]
    assert seen["triggered"] == ["triggered", True, True]
    assert seen["result"] == {"day": "monday"}
    assert seen["paused"] == ["paused", "holiday", True, "skipped", "status_not_triggerable", "active"]
    assert seen["updated"] == ["changed", 9, 8, {"intervals": [{"every": "PT6H"}]}, 1]
    times = ["2026-01-01T00:00:00.000000Z", "2026-01-01T06:00:00.000000Z"]
    assert seen["backfilled"] == ["backfill_started", 2, ["started", "started"], times, 4]
    assert seen["page"] == [3, True, 3, "default"]
    assert seen["events"] == [
        "ScheduleCreated", "ScheduleTriggered", "SchedulePaused", "ScheduleTriggerSkipped", "ScheduleResumed", "SchedulePaused",
        "ScheduleResumed", "ScheduleUpdated", "ScheduleUpdated", *["ScheduleTriggered"] * 4,
    ]  # fmt: skip
    assert seen["events again"] == len(seen["events"]) - 2
    assert seen["listed"] == [[f"{prefix}-nightly"], None]
    assert seen["pages"] == [[f"{prefix}-p0", f"{prefix}-p1"], [f"{prefix}-p2"]]
    assert seen["fired"] == [2, 0, None]
    assert seen["last event"] == "ScheduleDeleted"


@pytest.mark.parametrize("kind", ["graph:daily", "simulation:ore"])
def test_a_schedule_starts_runs_of_the_other_engines(gateway, kind):
    schedule_id = kind.replace(":", "-")
    body = {"schedule_id": schedule_id, "spec": {"intervals": [{"every": "PT1S"}]}, "action": {"workflow_type": kind}, "max_runs": 1}
    assert gateway.http("POST", "/api/schedules", body) == (201, {"schedule_id": schedule_id, "outcome": "created"})

    def fired():
        _, schedule = gateway.http("GET", f"/api/schedules/{schedule_id}")
        return schedule if schedule["fires_count"] else None

    seen = eventually("it has fired", fired)
    assert (seen["workflow_type"], seen["remaining_actions"], seen["next_fire_at"]) == (kind, 0, None)
    workflow_id = seen["latest_workflow_instance_id"]

    def ended():
        _, run = gateway.http("GET", f"/api/workflows/{workflow_id}")
        return run if run["is_terminal"] else None

    run = eventually("its run has ended", ended)
    assert (run["workflow_type"], run["status"]) == (kind, "completed"), run

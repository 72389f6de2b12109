"""The schedule routes: fields of both clients, and 422 with every fault for whatever is sent."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SPEC = {"intervals": [{"every": "PT1H"}]}
BODY: dict[str, Any] = {"schedule_id": "s", "spec": SPEC, "action": {"workflow_type": "report", "task_queue": "q"}}


async def test_a_schedule_shows_the_fields_of_both_clients(wire: Any) -> None:
    body = BODY | {
        "action": {"workflow_type": "graph:daily", "input": ["a"], "execution_timeout_seconds": 60}, "jitter_seconds": 0, "max_runs": 3,
        "memo": {"a": 1}, "note": "n", "overlap_policy": "buffer_one",
    }  # fmt: skip
    assert (await wire.send("POST", "schedules", body)).body == {"schedule_id": "s", "outcome": "created"}
    seen = (await wire.send("GET", "schedules/s")).body
    assert seen["next_fire_at"] == seen["next_fire"] == seen["info"]["next_fire"] == "2027-01-15T09:00:00.000000Z"
    assert seen["action"]["workflow_type"] == seen["workflow_type"] == "graph:daily"
    assert seen["action"]["execution_timeout_seconds"] == 60
    assert set(seen["action"]["input"]) == {"codec", "blob"}
    assert (seen["status"], seen["state"]) == ("active", {"status": "active", "paused": False, "note": "n"})
    assert (seen["spec"], seen["max_runs"], seen["remaining_actions"], seen["overlap_policy"]) == (SPEC, 3, 3, "buffer_one")
    assert {"recent_actions": [], "buffered_actions": [], "skipped_trigger_count": 0}.items() <= seen["info"].items()
    assert {"last_fired_at", "last_fire", "latest_workflow_instance_id", "paused_at", "created_at", "updated_at"} <= set(seen)


async def test_a_client_that_sends_its_empty_fields_changes_nothing_by_them(wire: Any) -> None:
    await wire.send("POST", "schedules", BODY | {"memo": {"a": 1}, "note": "n", "max_runs": 3})
    empty = dict.fromkeys(("spec", "action", "overlap_policy", "jitter_seconds", "max_runs", "memo", "search_attributes", "note"))
    before = (await wire.send("GET", "schedules/s")).body
    assert (await wire.send("PUT", "schedules/s", empty)).body == {"schedule_id": "s", "outcome": "updated"}
    after = (await wire.send("GET", "schedules/s")).body
    assert {**before, "updated_at": ""} == {**after, "updated_at": ""}
    assert (await wire.send("PUT", "schedules/s", {"memo": []})).status == 200
    assert (await wire.send("GET", "schedules/s")).body["memo"] == {}


async def test_every_fault_of_a_body_is_told_at_once(wire: Any) -> None:
    body = {
        "schedule_id": "a/b", "spec": {"cron_expressions": ["x", "0 0 * * *"], "timezone": "Nowhere"}, "action": {"task_queue": 7},
        "overlap_policy": "queue", "jitter_seconds": 3_601, "max_runs": 0, "memo": "m", "paused": "yes", "note": "n" * 1_001,
    }  # fmt: skip
    response = await wire.send("POST", "schedules", body)
    assert response.status == 422
    assert set(response.body["errors"]) == {
        "schedule_id", "spec.cron_expressions.0", "spec.timezone", "action.workflow_type", "action.task_queue", "overlap_policy",
        "jitter_seconds", "max_runs", "memo", "paused", "note",
    }  # fmt: skip
    assert set((await wire.send("POST", "schedules", {})).body["errors"]) == {"spec", "action"}
    window = {"start_time": "yesterday", "end_time": 7}
    await wire.send("POST", "schedules", BODY)
    assert set((await wire.send("POST", "schedules/s/backfill", window)).body["errors"]) == {"start_time", "end_time"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("POST", "schedules", BODY, 409, "schedule_already_exists"),
        ("GET", "schedules/no", None, 404, "schedule_not_found"),
        ("PUT", "schedules/no", {}, 404, "schedule_not_found"),
        ("DELETE", "schedules/no", None, 404, "schedule_not_found"),
        ("POST", "schedules/no/pause", [], 404, "schedule_not_found"),
        ("POST", "schedules/no/trigger", {}, 404, "schedule_not_found"),
        ("GET", "schedules/no/history", None, 404, "schedule_not_found"),
        ("GET", f"schedules/{'x' * 300}", None, 404, "schedule_not_found"),
        ("POST", "schedules/s/trigger", {"overlap_policy": "never"}, 422, "validation_failed"),
        ("POST", "schedules/s/pause", {"note": 5}, 422, "validation_failed"),
        ("PUT", "schedules/s", {"action": {"workflow_type": ""}}, 422, "validation_failed"),
        ("PUT", "schedules/s", {"spec": []}, 422, "validation_failed"),
        ("POST", "schedules/s/backfill", {"start_time": "2026-01-02", "end_time": "2026-01-01"}, 422, "invalid_time_range"),
        ("POST", "schedules/s/backfill", {"start_time": "2000-01-01", "end_time": "2020-01-01"}, 422, "validation_failed"),
        ("GET", "schedules?status=gone", None, 422, "validation_failed"),
        ("GET", "schedules?page_size=201", None, 422, "validation_failed"),
        ("GET", "schedules?next_page_token=%", None, 422, "validation_failed"),
        ("GET", "schedules?next_page_token=zzzz", None, 422, "validation_failed"),
        ("GET", "schedules/s/history?after_sequence=-1", None, 422, "validation_failed"),
        ("GET", "schedules/s/history?limit=few", None, 422, "validation_failed"),
    ],
)
async def test_refusals_are_spelled_as_contracted(wire: Any, method: str, path: str, body: Any, status: int, reason: str) -> None:
    await wire.send("POST", "schedules", BODY)
    response = await wire.send(method, path, body)
    assert (response.status, response.body["reason"]) == (status, reason), response.body


async def test_a_start_that_fails_is_told_as_the_contract_says(wire: Any) -> None:
    await wire.send("POST", "schedules", BODY | {"action": {"workflow_type": "simulation:none"}})
    response = await wire.send("POST", "schedules/s/trigger", [])
    assert response.status == 500
    assert {"schedule_id": "s", "outcome": "trigger_failed", "reason": "trigger_failed"}.items() <= response.body.items()
    assert (await wire.send("GET", "schedules/s")).body["failures_count"] == 1


async def test_a_history_page_is_brought_within_its_bounds(wire: Any) -> None:
    await wire.send("POST", "schedules", BODY)
    for _ in range(3):
        await wire.send("POST", "schedules/s/trigger", {})
    for limit, count in ((0, 1), (2, 2), (9_999, 4)):
        page = (await wire.send("GET", f"schedules/s/history?limit={limit}")).body
        assert len(page["events"]) == count and page["has_more"] is (count < 4)
    event = page["events"][1]
    assert (event["event_type"], event["payload"]["cause"]) == ("ScheduleTriggered", "trigger")
    assert event["workflow_run_id"] and event["workflow_instance_id"].startswith("s-")
    assert set(event) == {"id", "sequence", "event_type", "payload", "workflow_instance_id", "workflow_run_id", "recorded_at"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = ("spec", "action", "overlap_policy", "jitter_seconds", "max_runs", "memo", "search_attributes", "paused", "note", "schedule_id")
NAMES = st.sampled_from(["minute", "hour", "day_of_month", "month", "day_of_week", "year", "comment"])
CALENDARS = st.dictionaries(NAMES, JSON, max_size=4)
INTERVALS = st.dictionaries(st.sampled_from(["every", "offset"]), JSON | st.text("PTYMDHS0123456789.-", max_size=9))
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "cron_expressions": st.lists(JSON | st.text("0123456789*/-, LWR#", max_size=14), max_size=2) | JSON,
        "intervals": st.lists(INTERVALS, max_size=2),
        "calendars": st.lists(CALENDARS, max_size=2),
        "timezone": JSON | st.sampled_from(["Europe/Berlin", "UTC", "posixrules", "/etc/passwd"]),
    },
)
ACTIONS = st.fixed_dictionaries(
    {"workflow_type": JSON | st.sampled_from(["report", "graph:x", "dw.standalone_activity"])},
    optional={"task_queue": JSON, "input": JSON, "run_timeout_seconds": JSON},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.none() | SPECS, st.none() | ACTIONS)
async def test_no_body_makes_the_server_fail(wire: Any, body: dict[str, Any], spec: Any, action: Any) -> None:
    body = {name: value for name, value in {**body, "spec": spec, "action": action}.items() if name in body or value is not None}
    raw = json.dumps(body).encode()
    created = await wire.send("POST", "schedules", raw)
    assert created.status in (201, 409, 413, 422), created.body
    assert (await wire.send("POST", "schedules", BODY)).status in (201, 409)
    assert (await wire.send("PUT", "schedules/s", raw)).status in (200, 413, 422)
    if created.status == 201:
        path = f"schedules/{created.body['schedule_id']}"
        assert (await wire.send("GET", path)).status == 200
        assert (await wire.send("POST", f"{path}/trigger", {"overlap_policy": "allow_all"})).status in (200, 500)
        assert (await wire.send("DELETE", path)).status == 200
    await wire.send("DELETE", "schedules/s")

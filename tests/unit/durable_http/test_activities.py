"""Standalone activities over the durable wire: lists apart from workflows, in pages, and bad input."""

from typing import Any

import pytest


async def start(wire: Any, activity_id: str, **fields: Any) -> Any:
    return await wire.send("POST", "activities", {"activity_type": "charge", "task_queue": "q", "activity_id": activity_id, **fields})


async def test_lists_hold_activities_alone_newest_first_in_pages_and_by_status(wire):
    for number in range(5):
        assert (await start(wire, f"a-{number}")).status == 201
    await wire.send("POST", "workflows", {"workflow_id": "w", "workflow_type": "flow", "task_queue": "q"})
    await wire.send("POST", "workflows/a-3/cancel", {})
    seen, token = [], ""
    while token is not None:
        page = (await wire.send("GET", f"activities?page_size=2&next_page_token={token}")).body
        seen += [each["activity_id"] for each in page["activities"]]
        token = page["next_page_token"]
    assert seen == ["a-4", "a-3", "a-2", "a-1", "a-0"]
    failed = (await wire.send("GET", "activities?status=failed")).body["activities"]
    assert [(each["activity_id"], each["activity_status"], each["attempt_count"]) for each in failed] == [("a-3", "cancelled", 0)]
    assert [each["workflow_id"] for each in (await wire.send("GET", "workflows")).body["workflows"]] == ["w"]
    assert (await wire.send("GET", "activities/w")).body["reason"] == "instance_not_found"


@pytest.mark.parametrize(
    "wrong",
    [
        {"activity_type": None}, {"task_queue": 5}, {"retry_policy": [], "heartbeat_timeout_seconds": 0}, {"retry_policy": 5},
        {"retry_policy": {"max_attempts": 0}}, {"start_to_close_timeout_seconds": "long"}, {"activity_class": 5},
    ],
)  # fmt: skip
async def test_a_wrong_field_starts_nothing(wire, wrong):
    answer = await start(wire, "a", **wrong)
    assert answer.status == 422 and answer.body["errors"]
    assert (await wire.send("GET", "activities/a")).status == 404


async def test_an_id_is_taken_once(wire):
    assert (await start(wire, "a")).status == 201
    again = await start(wire, "a")
    assert (again.status, again.body["reason"]) == (409, "duplicate_not_allowed")

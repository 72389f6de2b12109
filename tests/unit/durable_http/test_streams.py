"""Output streams over the durable wire: waiting readers, closed runs, retention, bad input."""

import asyncio
from typing import Any

import pytest

from triplane.payloads import envelope
from triplane.streams.service import Streams


def path(run_id: str, rest: str = "") -> str:
    return f"workflows/w/runs/{run_id}/streams{rest}"


async def started(wire: Any) -> str:
    body = {"workflow_id": "w", "workflow_type": "flow", "task_queue": "q"}
    run_id: str = (await wire.send("POST", "workflows", body)).body["run_id"]
    return run_id


async def append(wire: Any, run_id: str, *values: Any, stream: str = "out", **fields: Any) -> Any:
    items = [{"payload": envelope(value), **fields} for value in values]
    return await wire.send("POST", path(run_id, f"/{stream}/items"), {"items": items})


def streams_of(wire: Any) -> Streams:
    return next(service for service in wire.gateway.bus.services if isinstance(service, Streams))


async def test_a_reader_waits_for_what_is_appended_and_for_the_end(wire):
    run_id = await started(wire)
    reading = asyncio.ensure_future(wire.send("GET", path(run_id, "/out/items?wait_seconds=20")))
    await asyncio.sleep(0.01)
    assert not reading.done()
    assert (await append(wire, run_id, "a", "b")).body["accepted_offsets"] == [0, 1]
    page = (await asyncio.wait_for(reading, 5)).body
    assert [item["payload"] for item in page["items"]] == [envelope("a"), envelope("b")]
    assert (page["next_offset"], page["terminal"], page["stream"]["status"]) == (2, False, "open")
    reading = asyncio.ensure_future(wire.send("GET", path(run_id, "/out/items?from=2&wait_seconds=20")))
    await asyncio.sleep(0.01)
    await wire.send("POST", path(run_id, "/out/close"), {})
    page = (await asyncio.wait_for(reading, 5)).body
    assert (page["items"], page["terminal"], page["stream"]["pending_items"]) == ([], True, 0)


async def test_readers_that_hang_up_leave_nothing_behind(wire):
    run_id = await started(wire)
    readers = [asyncio.ensure_future(wire.send("GET", path(run_id, "/out/items?wait_seconds=60"))) for _ in range(50)]
    await asyncio.sleep(0.01)
    service = streams_of(wire)
    assert service._waits == 50
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await asyncio.sleep(0.01)
    assert service._waits == 0 and service._waiting == {}


async def test_a_closed_run_still_takes_what_services_append_and_remembers_its_keys(wire):
    run_id = await started(wire)
    await append(wire, run_id, "a", idempotency_key="k")
    await wire.send("POST", "workflows/w/terminate", {})
    assert (await append(wire, run_id, "late")).status == 409, "its open streams ended with it"
    assert (await append(wire, run_id, "a", idempotency_key="k")).body["deduped"] == 1
    for deduped in (0, 1):
        answer = await append(wire, run_id, "b", stream="after", idempotency_key="x")
        assert (answer.status, answer.body["accepted_offsets"], answer.body["deduped"]) == (200, [0], deduped)
    both = await asyncio.gather(append(wire, run_id, 1, stream="after"), append(wire, run_id, 2, stream="after"))
    assert [each.body["accepted_offsets"] for each in both] == [[1], [2]]
    listed = (await wire.send("GET", path(run_id))).body["streams"]
    assert [(s["stream_name"], s["status"], s["total_items"]) for s in listed] == [("after", "open", 3), ("out", "errored", 1)]
    assert (await wire.send("GET", path(run_id, "/nothing/items?wait_seconds=20"))).body["reason"] == "stream_not_found"


@pytest.mark.parametrize("open_run", [True, False])
async def test_items_go_when_they_were_kept_long_enough_and_the_head_stays(wire, open_run):
    run_id = await started(wire)
    await append(wire, run_id, "a", "b")
    await wire.send("POST", path(run_id, "/out/close"), {"retention_seconds": 60})
    if not open_run:
        await wire.send("POST", "workflows/w/terminate", {})
    service = streams_of(wire)
    assert await service.expire() == 0
    wire.gateway.clock.advance(61)
    assert await service.expire() == 1 and await service.expire() == 0
    page = (await wire.send("GET", path(run_id, "/out/items"))).body
    assert (page["items"], page["next_offset"], page["terminal"]) == ([], 2, True)
    assert page["stream"]["total_items"] == 2 and page["stream"]["pending_items"] == 0
    assert wire.gateway.bus.store.streams.read(run_id, "out", 0, 10) == []


@pytest.mark.parametrize(
    ("method", "rest", "body", "field"),
    [
        ("POST", "/out/items", {}, "items"), ("POST", "/out/items", {"items": [5]}, "items.0"),
        ("POST", "/out/items", {"items": [{}]}, "items.0.payload"), ("POST", "/out/items", {"items": "x"}, "items"),
        ("POST", "/out/items", {"items": [{"payload": 1}], "max_pending_items": 0}, "max_pending_items"),
        ("POST", "/out/close", {"retention_seconds": 0}, "retention_seconds"),
        ("GET", "/out/items?from=-1", None, "from"), ("GET", "/out/items?max_items=501", None, "max_items"),
        ("GET", "/out/items?wait_seconds=61", None, "wait_seconds"),
    ],
)  # fmt: skip
async def test_bad_input_is_told_by_field(wire, method, rest, body, field):
    run_id = await started(wire)
    answer = await wire.send(method, path(run_id, rest), body)
    assert answer.status == 422 and field in answer.body["errors"], answer.body


async def test_streams_of_no_run_are_not_found(wire):
    await started(wire)
    for method, rest in (("GET", ""), ("GET", "/out/items"), ("POST", "/out/close")):
        answer = await wire.send(method, path("r-none", rest))
        assert (answer.status, answer.body["reason"]) == (404, "run_not_found")
    assert (await append(wire, "r-none", 1)).status == 404

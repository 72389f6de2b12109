"""Output streams out of a run."""

import asyncio

from durable_workflow import WorkflowStreamAppendItem
from durable_workflow.errors import ServerError

from surface.house import case, refused


def items(*values, key=None):
    return [WorkflowStreamAppendItem(payload=value, idempotency_key=key and f"{key}-{value}") for value in values]


@case("Client.append_workflow_stream", "Client.describe_workflow_stream", "Client.list_workflow_streams")
async def append(house):
    handle = await house.waiting()
    where = (handle.workflow_id, handle.run_id, "out")
    first = await house.client.append_workflow_stream(*where, items("a", "b", key="k"))
    again = await house.client.append_workflow_stream(*where, items("b", "c", key="k"))
    assert (first.accepted_offsets, first.accepted_count, again.accepted_count, again.deduplicated_count) == ([0, 1], 2, 1, 1)
    seen = await house.client.describe_workflow_stream(*where)
    assert (seen.stream_name, seen.status, seen.total_items, seen.last_offset) == ("out", "open", 3, 2)
    assert [each.stream_name for each in await house.client.list_workflow_streams(*where[:2])] == ["out"]
    error = await refused(house.client.describe_workflow_stream(*where[:2], "nothing"), ServerError)
    assert error.status == 404


@case("Client.subscribe_workflow_stream", "Client.close_workflow_stream")
async def subscribe(house):
    handle = await house.waiting()
    where = (handle.workflow_id, handle.run_id, "out")
    await house.client.append_workflow_stream(*where, items(1, 2, 3))
    page = await house.client.subscribe_workflow_stream(*where, from_offset=1, max_items=1)
    assert ([item.payload for item in page.items], page.next_offset, page.terminal) == ([2], 2, False)
    waiting = asyncio.create_task(house.client.subscribe_workflow_stream(*where, from_offset=3, wait_seconds=20))
    await asyncio.sleep(0.1)
    await house.client.append_workflow_stream(*where, items(4))
    assert [item.payload for item in (await waiting).items] == [4]
    closed = await house.client.close_workflow_stream(*where, retention_seconds=60)
    assert (closed.status, closed.terminal) == ("closed", True)
    assert (await house.client.subscribe_workflow_stream(*where, from_offset=4)).terminal is True
    errored = await house.client.append_workflow_stream(*where[:2], "other", items(1))
    assert errored.stream.status == "open"
    assert (await house.client.close_workflow_stream(*where[:2], "other", error_reason="broken")).status == "errored"


@case("Client.iter_workflow_stream")
async def iterate(house):
    handle = await house.start("publishes", 5)
    stream = house.client.iter_workflow_stream(handle.workflow_id, handle.run_id, "numbers", max_items=2, wait_seconds=5)
    await handle.result(timeout=20)
    assert [item.payload async for item in stream] == [0, 1, 2, 3, 4]

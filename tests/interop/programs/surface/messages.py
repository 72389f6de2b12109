"""Message streams into a run."""

from surface.house import case


@case("Client.append_message_stream", "WorkflowHandle.append_message")
async def messages(house):
    handle = await house.start("listens", 3)
    first = await house.client.append_message_stream(handle.workflow_id, "inbox", "m-1", args=["one"])
    again = await house.client.append_message_stream(handle.workflow_id, "inbox", "m-1", args=["one"])
    assert first["position"] == again["position"] == 1 and again["outcome"] == "duplicate"
    assert (await handle.append_message("inbox", "m-2", ["two"]))["position"] == 2
    await handle.append_message("inbox", "m-3", ["three"])
    assert await handle.result(timeout=20) == ["one", "two", "three"]

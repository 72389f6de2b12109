"""Exports, repair, archive, redrive, and the passes of the system."""

from durable_workflow.errors import ServerError

from surface.house import case, refused


@case("Client.export_history", "WorkflowHandle.export_history")
async def export(house):
    handle = await house.closed("greets", "ann")
    for bundle in (await house.client.export_history(handle.workflow_id, handle.run_id), await handle.export_history()):
        assert bundle["schema"] == "durable-workflow.v2.history-export" and bundle["history_complete"] is True
        assert bundle["workflow"]["run_id"] == handle.run_id and bundle["history_events"][-1]["type"] == "WorkflowCompleted"


@case("Client.archive_workflow", "WorkflowHandle.archive")
async def archive(house):
    handle = await house.waiting()
    error = await refused(handle.archive(), ServerError)
    assert error.status == 409 and error.reason() == "run_not_closed"
    await handle.terminate()
    assert (await house.client.archive_workflow(handle.workflow_id, reason="old")).outcome == "archived"
    assert (await handle.archive()).outcome == "archive_not_needed"


@case("Client.redrive_workflow", "WorkflowHandle.redrive")
async def redrive(house):
    for call in ("client", "handle"):
        handle = await house.closed("fails")
        if call == "client":
            seen = await house.client.redrive_workflow(handle.workflow_id, handle.run_id, request_id=house.name("redrive"))
        else:
            seen = await handle.redrive()
        assert seen.workflow_id == handle.workflow_id and seen.outcome and seen.command_status == "accepted"
    await refused((await house.closed("greets", "bob")).redrive(), Exception)


@case("Client.retention_status", "Client.retention_pass")
async def retention(house):
    seen = await house.client.retention_status()
    assert seen["namespace"] == "default" and seen["retention_days"] >= 1 and seen["scan_limit"] > 0
    done = await house.client.retention_pass(limit=10)
    assert {"processed", "pruned", "skipped", "failed", "results"} <= done.keys()

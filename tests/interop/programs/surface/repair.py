"""Repair, and the passes of the system."""

from surface.blocking_client import begin
from surface.house import case, sync_case


@case("Client.repair_workflow", "WorkflowHandle.repair")
async def repair(house):
    handle = await house.waiting()
    for seen in (await house.client.repair_workflow(handle.workflow_id), await handle.repair()):
        assert seen.outcome in ("repair_not_needed", "repair_dispatched") and seen.workflow_id == handle.workflow_id


@case("Client.repair_status", "Client.repair_pass")
async def repair_pass(house):
    seen = await house.client.repair_status()
    assert seen["policy"]["scan_limit"] > 0 and seen["candidates"]["total_candidates"] >= 0
    handle = await house.waiting()
    assert isinstance(await house.client.repair_pass(run_ids=[handle.run_id]), dict)


@case("Client.activity_timeout_status", "Client.activity_timeout_pass")
async def timeouts(house):
    assert (await house.client.activity_timeout_status())["expired_count"] >= 0
    done = await house.client.activity_timeout_pass(limit=10)
    assert {"processed", "enforced", "skipped", "failed", "results"} <= done.keys()


@sync_case("sync.Client.repair_workflow", "sync.SyncWorkflowHandle.repair")
def blocking_repair(client, house):
    handle = begin(client, house)
    assert client.repair_workflow(handle.workflow_id).outcome and handle.repair().outcome

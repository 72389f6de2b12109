"""Cancelling with the workflow's own help: asking for it, delivering it, and looking at an activity meanwhile."""

from durable_workflow.errors import ServerError

from surface.house import case, refused
from surface.worker_plane import Hand

CAPABLE = {"capabilities": ["cooperative_cancellation"]}


async def waiting(house):
    """A worker by hand that understands, and its run, which waits for a timer."""
    hand = Hand(house)
    await hand.register(**CAPABLE)
    handle = await house.start("by-hand", "x", task_queue=hand.queue)
    await hand.complete(await hand.poll(), {"type": "start_timer", "delay_seconds": 600})
    return hand, handle


@case("Client.request_workflow_cancellation")
async def request(house):
    hand, handle = await waiting(house)
    first = await house.client.request_workflow_cancellation(handle.workflow_id, reason="enough", cleanup_timeout_seconds=60)
    again = await house.client.request_workflow_cancellation(handle.workflow_id, run_id=first["run_id"])
    assert (first["duplicate"], again["duplicate"]) == (False, True) and first["cancellation_request"] == again["cancellation_request"]
    assert (await hand.poll())["cancellation_request"] == first["cancellation_request"]
    # The house's own worker does not understand it.
    plain = await house.waiting()
    error = await refused(house.client.request_workflow_cancellation(plain.workflow_id), ServerError)
    assert error.status == 409 and error.reason() == "cooperative_cancellation_unavailable"


@case("WorkflowHandle.request_cancellation")
async def handle_request(house):
    _, handle = await waiting(house)
    assert (await handle.request_cancellation(reason="enough"))["accepted"] is True


@case("Client.deliver_workflow_cancellation")
async def deliver(house):
    hand, handle = await waiting(house)
    asked = (await handle.request_cancellation(reason="enough"))["cancellation_request"]
    task = await hand.poll()
    place = {"request_id": asked["request_id"], "sequence": 1, "call_kind": "timer"}
    for _ in range(2):
        assert (await house.client.deliver_workflow_cancellation(**hand.lease(task), **place))["delivered"] is True
    page = await house.client.workflow_task_history(**hand.lease(task), next_history_page_token=asked["history_refresh_page_token"])
    assert page["history_events"][-1]["event_type"] == "CooperativeCancellationDelivered"
    await hand.complete(task, {"type": "fail_workflow", "message": "cancelled", "exception_type": "WorkflowCancelled"})
    assert (await handle.describe()).status == "cancelled"


@case("Client.activity_task_status")
async def status(house):
    hand = Hand(house)
    task, lease = await hand.activity()
    seen = await house.client.activity_task_status(**lease)
    assert seen["can_continue"] is True and seen["cancel_requested"] is False and seen["heartbeat_recorded"] is False
    assert "T" in seen["lease_expires_at"]
    await house.client.cancel_workflow(task["workflow_id"])
    assert (await house.client.activity_task_status(**lease))["cancel_requested"] is True

"""Workers, task queues and build ids as an operator sees them; validation tasks as a worker does."""

import asyncio

from durable_workflow.errors import ServerError, UpdateRejected

from surface.house import case, refused
from surface.worker_plane import Hand


@case("Client.describe_worker", "Client.deregister_worker")
async def workers(house):
    hand = Hand(house)
    await hand.register(build_id="b1", task_slots={"workflow_available": 3})
    seen = await house.client.describe_worker(hand.worker_id)
    assert (seen.worker_id, seen.task_queue, seen.runtime, seen.status) == (hand.worker_id, hand.queue, "python", "active")
    assert seen.build_id == "b1" and seen.supported_workflow_types == ["by-hand"] and seen.last_heartbeat_at.endswith("Z")
    assert (await house.client.deregister_worker(hand.worker_id))["outcome"] == "deregistered"
    error = await refused(house.client.describe_worker(hand.worker_id), ServerError)
    assert error.status == 404 and error.reason() == "worker_not_found"


@case("Client.list_task_queues", "Client.describe_task_queue")
async def queues(house):
    hand = Hand(house)
    await hand.started()
    seen = await house.client.describe_task_queue(hand.queue)
    assert seen.name == hand.queue and seen.stats["approximate_backlog_count"] == 1
    assert seen.stats["workflow_tasks"]["ready_count"] == 1 and seen.admission.workflow_tasks.status
    assert hand.queue in {each.name for each in (await house.client.list_task_queues()).task_queues}
    await hand.poll()
    seen = await house.client.describe_task_queue(hand.queue)
    assert seen.stats["workflow_tasks"]["leased_count"] == 1 and seen.current_leases


@case(
    "Client.list_task_queue_build_ids", "Client.drain_task_queue_build_id", "Client.promote_task_queue_build_id",
    "Client.resume_task_queue_build_id",
)  # fmt: skip
async def build_ids(house):
    hand = Hand(house)
    await hand.register(build_id="b1")
    (cohort,) = (await house.client.list_task_queue_build_ids(hand.queue)).build_ids
    assert (cohort.build_id, cohort.rollout_status, cohort.active_worker_count) == ("b1", "active", 1)
    drained = await house.client.drain_task_queue_build_id(hand.queue, "b1")
    assert drained.drain_intent == "draining" and drained.drained_at
    again = await house.client.drain_task_queue_build_id(hand.queue, "b1")
    assert again.drained_at == drained.drained_at
    resumed = await house.client.resume_task_queue_build_id(hand.queue, "b1")
    assert resumed.drain_intent == "active"
    promoted = await house.client.promote_task_queue_build_id(hand.queue, "b1")
    assert promoted.new_start_selected is True and promoted.promoted_at


async def validation(house):
    """A run whose worker validates updates, and an update on its way; the task's lease and the asker's call."""
    hand = Hand(house)
    handle = await hand.started()
    await hand.complete(await hand.poll(), {"type": "open_condition_wait", "condition_key": "k"})
    asking = asyncio.create_task(handle.update("u", [1]))
    task = await house.client.poll_update_validation_task(worker_id=hand.worker_id, task_queue=hand.queue, timeout=10)
    assert (task["update_name"], task["run_id"]) == ("u", handle.run_id)
    return asking, {
        "update_validation_task_id": task["update_validation_task_id"], "lease_owner": hand.worker_id,
        "update_validation_attempt": task["update_validation_attempt"],
    }  # fmt: skip


@case("Client.poll_update_validation_task", "Client.approve_update_validation_task")
async def approve(house):
    asking, lease = await validation(house)
    await house.client.approve_update_validation_task(**lease)
    assert (await asking)["update_status"] == "accepted"


@case("Client.reject_update_validation_task")
async def reject(house):
    asking, lease = await validation(house)
    errors = {"by": ["must be even"]}
    await house.client.reject_update_validation_task(
        **lease, message="odd", reason="update_validator_rejected", validation_errors=errors
    )
    assert "odd" in str(await refused(asking, UpdateRejected))

"""What administrators and other systems ask through the real SDK's `Client`: namespaces, storage, system passes, bridge, operations.

Arguments: base URL, a prefix for ids. Prints one JSON object.
"""

import asyncio
import json
import sys
from typing import Any

from durable_workflow import Client, Worker, workflow
from durable_workflow.errors import InvalidArgument, NamespaceNotFound, NexusOperationFailed, ServerError


@workflow.defn(name="orders.place")
class Place:
    def __init__(self) -> None:
        self.paid: Any = None

    @workflow.signal("pay")
    def pay(self, amount: Any) -> None:
        self.paid = amount

    @workflow.update("note")
    def note(self, text: str) -> str:
        return text.upper()

    def run(self, ctx: Any, order: Any) -> Any:
        if order == "sold out":
            raise RuntimeError("no stock")
        if order == "later" or isinstance(order, dict):
            yield ctx.wait_condition(lambda: self.paid is not None, key="paid")
        return {"order": order, "paid": self.paid}


async def refused(kind: type[Exception], awaited: Any) -> Any:
    """The refusal's status and reason, or its fields; False where there was none."""
    try:
        await awaited
    except kind as error:
        body = getattr(error, "body", None)
        return [getattr(error, "status", None), body.get("reason") if isinstance(body, dict) else None]
    return False


async def namespaces(client: Client, url: str, prefix: str) -> dict[str, Any]:
    name = f"{prefix}-Team"
    made = await client.create_namespace(name, description="a team", retention_days=7)
    seen: dict[str, Any] = {"made": [made.name, made.description, made.retention_days, made.status]}
    seen["twice"] = await refused(ServerError, client.create_namespace(name))
    changed = await client.update_namespace(name, retention_days=9)
    seen["changed"] = [changed.description, changed.retention_days]
    listed = await client.list_namespaces()
    seen["listed"] = sorted(space.name for space in listed.namespaces if space.name in ("default", made.name))
    stored = await client.set_namespace_external_storage(name, driver="local", threshold_bytes=10, config={"disk": "d"})
    policy = stored.external_payload_storage
    assert policy is not None
    seen["stored"] = [policy.driver, policy.enabled, policy.threshold_bytes, dict(policy.config)]
    async with Client(url, namespace=name) as inside:
        worker = Worker(inside, task_queue="orders", workflows=[Place], activities=[])
        working = asyncio.create_task(worker.run())
        handle = await inside.start_workflow(workflow_type="orders.place", workflow_id="o-1", task_queue="orders", input=["book"])
        seen["result"] = await handle.result(timeout=30)
        await inside.start_workflow(workflow_type="orders.place", workflow_id="o-2", task_queue="orders", input=["later"])
        tested = await inside.test_external_storage(small_payload_bytes=8, large_payload_bytes=200_000)
        assert tested.small_payload is not None and tested.large_payload is not None
        seen["tested"] = [tested.status, tested.driver, tested.small_payload.bytes, tested.large_payload.bytes]
        await worker.stop()
        await asyncio.wait_for(working, 30)
        gone = await client.delete_namespace(name)
        assert gone.deleted is not None
        seen["gone"] = [gone.status, gone.deleted["workflow_runs"]]
        seen["inside"] = await refused(NamespaceNotFound, inside.describe_workflow("o-2"))
    seen["missing"] = await refused(NamespaceNotFound, client.describe_namespace(name))
    seen["default"] = await refused(ServerError, client.delete_namespace("default"))
    seen["no driver"] = await refused(InvalidArgument, client.test_external_storage(driver="s3"))
    again = await client.create_namespace(name)
    async with Client(url, namespace=again.name) as inside:
        seen["empty again"] = [len((await inside.list_workflows()).executions), again.retention_days]
    await client.delete_namespace(name)
    return seen


async def passes(client: Client, prefix: str) -> dict[str, Any]:
    await client.start_workflow(workflow_type="orders.place", workflow_id=f"{prefix}-well", task_queue="nobody", input=["x"])
    repaired = await client.repair_workflow(f"{prefix}-well")
    status, done = await client.repair_status(), await client.repair_pass(instance_id=f"{prefix}-well")
    retention, pruned = await client.retention_status(), await client.retention_pass(limit=3)
    late, timed_out = await client.activity_timeout_status(), await client.activity_timeout_pass(limit=3)
    return {
        "repaired": repaired.outcome,
        "repair": [status["candidates"]["total_candidates"], done["repaired_existing_tasks"]],
        "retention": [retention["namespace"], retention["retention_days"], retention["expired_run_count"], pruned["pruned"]],
        "timeouts": [late["expired_count"], timed_out["enforced"]],
    }


async def bridge(client: Client, prefix: str) -> dict[str, Any]:
    async def send(adapter: str, action: str, key: str, target: dict[str, Any], payload: Any = None) -> Any:
        outcome = await client.send_webhook_bridge_event(
            adapter, action=action, idempotency_key=f"{prefix}-{key}", target=target, input=payload, correlation={"from": "test"}
        )
        return outcome

    target = {"workflow_type": "orders.place", "task_queue": "orders", "business_key": "order-1"}
    first = await send("stripe", "start_workflow", "e1", target, {"order_id": 1})
    again = await send("stripe", "start_workflow", "e1", target, {"order_id": 1})
    assert first.workflow_id == again.workflow_id and first.run_id == again.run_id
    here = {"workflow_id": first.workflow_id}
    update = await send("stripe", "update_workflow", "e2", {**here, "update_name": "note", "wait_for": "completed"}, {"a": 1})
    signals = [await send("stripe", "signal_workflow", "e3", {**here, "signal_name": "pay"}, {"amount": 40}) for _ in range(2)]
    wrong = [
        await send("stripe", "start_workflow", "e4", {"workflow_type": "refunds"}),
        await send("stripe", "signal_workflow", "e5", {"workflow_id": f"{prefix}-nobody", "signal_name": "pay"}),
        await send("stripe", "dance", "e6", here),
    ]
    result = await client.get_workflow_handle(first.workflow_id, run_id=first.run_id, workflow_type="orders.place").result(timeout=30)
    return {
        "first": [first.accepted, first.outcome, first.control_plane_outcome],
        "again": [again.accepted, again.outcome, again.reason],
        "update": update.outcome,
        "signals": [signal.outcome for signal in signals],
        "wrong": [[outcome.accepted, outcome.reason] for outcome in wrong],
        "result": result,
    }


async def operations(client: Client, prefix: str) -> dict[str, Any]:
    async def call(order: str, **options: Any) -> Any:
        return await client.execute_nexus_operation("shop", "orders", "place", [order], **options)

    done = await call("book", idempotency_key=f"{prefix}-1")
    again = await call("book", idempotency_key=f"{prefix}-1")
    accepted = await call("later", mode="async", wait_for="accepted", idempotency_key=f"{prefix}-2")
    waited = await call("later", wait_timeout_seconds=1, idempotency_key=f"{prefix}-2")
    await client.signal_workflow(accepted.response_or_failure_surface["service_call"]["linked_workflow_instance_id"], "pay", args=[7])
    finished = await call("later", idempotency_key=f"{prefix}-2")
    try:
        await call("sold out")
        failure: list[Any] = []
    except NexusOperationFailed as error:
        failure = [error.status, error.service_error_type, "no stock" in str(error)]
    quiet = await call("sold out", raise_on_failure=False)
    return {
        "done": [done.status, done.result, again.service_call_id == done.service_call_id],
        "accepted": [accepted.accepted, accepted.status, waited.status, finished.result],
        "failure": failure,
        "quiet": [quiet.accepted, quiet.is_failure],
        "unknown": await refused(ServerError, client.execute_nexus_operation("shop", "orders", "steal", [])),
    }


async def main(url: str, prefix: str) -> None:
    seen: dict[str, Any] = {}
    async with Client(url) as client:
        seen["namespaces"] = await namespaces(client, url, prefix)
        seen["passes"] = await passes(client, prefix)
        worker = Worker(client, task_queue="orders", workflows=[Place], activities=[])
        working = asyncio.create_task(worker.run())
        seen["bridge"] = await bridge(client, prefix)
        seen["operations"] = await operations(client, prefix)
        await worker.stop()
        await asyncio.wait_for(working, 30)
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:3]))

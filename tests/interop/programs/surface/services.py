"""Nexus operations and the webhook bridge; the gateway's config names `shop.orders.greet` and the bridge `till`."""

from surface.house import case, refused


@case("Client.execute_nexus_operation")
async def nexus(house):
    done = await house.client.execute_nexus_operation("shop", "orders", "greet", ["ann"], idempotency_key=house.name("call"))
    assert done.accepted and done.service_call_id and done.result == "hello ann"
    failed = await house.client.execute_nexus_operation("shop", "orders", "fail", [], raise_on_failure=False)
    assert failed.is_failure
    await refused(house.client.execute_nexus_operation("shop", "orders", "nothing", []), Exception)


@case("Client.send_webhook_bridge_event")
async def bridge(house):
    key, workflow_id = house.name("event"), house.name("bridged")
    target = {"workflow_type": "greets", "task_queue": house.queue, "workflow_id": workflow_id}
    sent = {"action": "start_workflow", "idempotency_key": key, "target": target, "correlation": {"order": "7"}}
    first = await house.client.send_webhook_bridge_event("till", **sent)
    again = await house.client.send_webhook_bridge_event("till", **sent)
    assert first.accepted and (first.adapter, first.action, first.workflow_id) == ("till", "start_workflow", workflow_id)
    assert again.run_id == first.run_id
    rejected = await house.client.send_webhook_bridge_event(
        "till", action="signal_workflow", idempotency_key=house.name("event"), target={"workflow_id": "nobody", "signal_name": "go"}
    )
    assert not rejected.accepted and rejected.reason

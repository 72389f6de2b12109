"""Methods of capabilities that the gateway does not advertise: the SDK, or the missing route, says that they are not to be had."""

from durable_workflow.client import CancellationDelivery, CancellationScopeBudget
from durable_workflow.errors import RuntimeDiscoveryUnavailable, ServerError

from surface.house import case, refused

LEASE = {"task_id": "t", "lease_owner": "w", "workflow_task_attempt": 1}
ATTEMPT = {"task_id": "t", "activity_attempt_id": "a", "lease_owner": "w"}


@case("Client.query_task_status")
async def query_status(house):
    call = house.client.query_task_status(query_task_id="q", lease_owner="w", query_task_attempt=1)
    await refused(call, RuntimeDiscoveryUnavailable)


@case("Client.renew_activity_task_lease")
async def renew(house):
    await refused(house.client.renew_activity_task_lease(**ATTEMPT), RuntimeDiscoveryUnavailable)


async def no_route(call):
    """The method asks no discovery; a server that does not offer its route says so."""
    error = await refused(call, ServerError)
    assert error.status == 404 and error.reason() == "route_not_found", error


@case("Client.acknowledge_activity_cancellation")
async def acknowledge(house):
    await no_route(house.client.acknowledge_activity_cancellation(**ATTEMPT, request_id="r"))


@case("Client.prepared_local_activity_operation")
async def prepared(house):
    await no_route(house.client.prepared_local_activity_operation(**LEASE, operation="prepare"))


@case("Client.open_cancellation_scope_on_claim")
async def open_scope(house):
    await no_route(house.client.open_cancellation_scope_on_claim(**LEASE, run_id="r", sequence=1))


@case("Client.cancellation_scope_boundary_on_claim")
async def scope_boundary(house):
    await no_route(
        house.client.cancellation_scope_boundary_on_claim(
            **LEASE, run_id="r", workflow_id="w", scope_id="s", phase="prepare", budget=CancellationScopeBudget.start(),
            boundary=CancellationDelivery(request_id="r", sequence=1, call_kind="timer"),
        )
    )  # fmt: skip

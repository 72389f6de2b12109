"""Cooperative cancellation: asking for it, delivering it, and what its workers ask of activities (contract sections 1.2, 2.1, 2.8).

Shapes of bodies and answers: the SDK (2.9.0, 2.12.0), `Client.request_workflow_cancellation`,
`deliver_workflow_cancellation` and `activity_task_status`, which check them field by field.
"""

from typing import Any

from triplane.commands.base import Access
from triplane.commands.cancelling import DeliverCancellation, ObserveActivity, RequestCancellation
from triplane.connection import Connection
from triplane.errors import InvalidFields
from triplane.queries import ListNamespaces
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields
from triplane_durable.views import with_iso_times

CALL_KINDS = (
    "activity", "local_activity", "timer", "condition", "signal", "child", "parallel", "selection_handle", "service_operation",
)  # fmt: skip
_REQUEST = Route("request_cancellation", "control", Access.END, "request_cancellation")
_ROUTES: RouteTable = (
    ("POST", "workflows/{workflow_id}/request-cancellation", _REQUEST),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/request-cancellation", _REQUEST),
    ("POST", "worker/workflow-tasks/{task_id}/deliver-cancellation", Route("deliver_cancellation", "worker", Access.WORK)),
    ("POST", "worker/activity-tasks/{task_id}/status", Route("observe_activity", "worker", Access.WORK)),
)


async def ask_to_cancel(connection: Connection, call: Call, reason: str | None, cleanup_s: int | None = None) -> tuple[int, dict[str, Any]]:
    """Ask the run that a call is about to cancel itself.

    Raises:
        Conflict: with reason `cooperative_cancellation_unavailable` where nobody could tell it.
    """
    reply = await connection.dispatch(
        RequestCancellation(
            namespace=call.namespace, workflow_id=call.params["workflow_id"], run_id=call.params.get("run_id"),
            reason=reason, cleanup_timeout_s=cleanup_s,
        )
    )  # fmt: skip
    return 200, {
        "workflow_id": reply["workflow_id"],
        "run_id": reply["run_id"],
        "outcome": "cancellation_requested",
        "command_status": "accepted",
        "command_id": reply["cancellation_request"]["request_id"],
        "accepted": True,
        "duplicate": reply["duplicate"],
        "cancellation_request": reply["cancellation_request"],
    }


def cancels_cooperatively(connection: Connection, namespace: str) -> bool:
    """Whether a plain cancel in that namespace asks the workflow (`[namespaces.NAME] cancel`)."""
    return any(space.name == namespace and space.cancel == "cooperative" for space in connection.query(ListNamespaces(namespace=namespace)))


class Cancelling:
    """Handlers of these routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "request_cancellation": self.request,
            "deliver_cancellation": self.deliver,
            "observe_activity": self.observe,
        }

    async def request(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        reason = fields.text("reason", longest=1_000)
        cleanup_s = fields.number("cleanup_timeout_seconds", least=1, most=3_600)
        fields.check()
        return await ask_to_cancel(self._connection, call, reason, cleanup_s)

    async def deliver(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        owner = fields.text("lease_owner", required=True)
        attempt = fields.number("workflow_task_attempt", least=1, most=1 << 31, required=True)
        request_id = fields.text("request_id", required=True)
        place = {
            "sequence": fields.number("sequence", least=1, most=10**9, required=True),
            "sequence_span": fields.number("sequence_span", least=1, most=1_000) or 1,
            "operation_sequence": fields.number("operation_sequence", least=1, most=10**9),
            "operation_sequence_span": fields.number("operation_sequence_span", least=1, most=1_000) or 1,
        }
        kind = fields.text("call_kind", required=True)
        if kind is not None and kind not in CALL_KINDS:
            fields.wrong("call_kind", f"The call_kind field must be one of {', '.join(CALL_KINDS)}.")
        fields.check()
        if (kind == "selection_handle") != (place["operation_sequence"] is not None):
            raise InvalidFields({"operation_sequence": ["A selection_handle, and nothing else, names what it waits for."]})
        reply = await self._connection.dispatch(
            DeliverCancellation(
                namespace=call.namespace, task_id=call.params["task_id"], lease_owner=owner, attempt=attempt,
                cancellation_id=request_id, call_kind=kind, **place,
            )
        )  # fmt: skip
        return 200, {**reply, "workflow_task_attempt": attempt}

    async def observe(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        attempt = fields.text("activity_attempt_id", required=True, longest=128)
        owner = fields.text("lease_owner", required=True)
        fields.check()
        observed = await self._connection.dispatch(
            ObserveActivity(namespace=call.namespace, task_id=call.params["task_id"], activity_attempt_id=attempt, lease_owner=owner)
        )
        return 200, {"task_id": call.params["task_id"], "activity_attempt_id": attempt, "lease_owner": owner, **with_iso_times(observed)}

"""Polls: workers wait here for tasks of every kind (contract section 4.2), and update validations are answered (4.6)."""

from typing import Any

from triplane.commands.base import Access
from triplane.commands.workers import ApproveUpdate, PollTask, RejectUpdate
from triplane.connection import Connection
from triplane.errors import Conflict, LimitReached, WorkerNotRegistered
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields
from triplane_durable.refusals import refusal
from triplane_durable.views import task_view

DEFAULT_POLL_S = 20.0
"""For polls without `timeout_seconds`, which the CLI sends."""

TASK_KINDS = ("workflow", "update_validation")
"""What a workflow poll may ask for (`task_kinds`)."""

_FULL = "long_poll_capacity_exhausted"
_K = Access.WORK

_ROUTES: RouteTable = (
    ("POST", "worker/workflow-tasks/poll", Route("poll_workflow", "worker", _K)),
    ("POST", "worker/activity-tasks/poll", Route("poll_activity", "worker", _K)),
    ("POST", "worker/query-tasks/poll", Route("poll_query", "worker", _K)),
    ("POST", "worker/update-validation-tasks/poll", Route("poll_update_validation", "worker", _K)),
    ("POST", "worker/update-validation-tasks/{task_id}/approve", Route("approve_update", "worker", _K)),
    ("POST", "worker/update-validation-tasks/{task_id}/reject", Route("reject_update", "worker", _K)),
)


class Polls:
    """Handlers of polls and of update validations, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config
        self._polls = 0

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "poll_workflow": self.poll_workflow,
            "poll_activity": self.poll_activity,
            "poll_query": self.poll_query,
            "poll_update_validation": self.poll_update_validation,
            "approve_update": self.approve_update,
            "reject_update": self.reject_update,
        }

    # ---- polls -----------------------------------------------------------------------------------------------------

    async def poll_workflow(self, call: Call) -> tuple[int, dict[str, Any]]:
        kinds = call.body.get("task_kinds")
        if kinds is None:
            return await self._poll(call, "workflow")
        fields = Fields(call.body)
        if not isinstance(kinds, list) or not kinds or any(kind not in TASK_KINDS for kind in kinds):
            fields.wrong("task_kinds", f"The task_kinds field must be a list of {' and '.join(TASK_KINDS)}.")
        fields.check()
        if "workflow" not in kinds:
            return await self._poll(call, "update_validation")
        return await self._poll(call, "workflow", "update_validation" in kinds)

    async def poll_activity(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._poll(call, "activity")

    async def poll_query(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._poll(call, "query")

    async def poll_update_validation(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._poll(call, "update_validation")

    async def _poll(self, call: Call, kind: str, validations: bool = False) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        worker_id = fields.text("worker_id", required=True)
        queue = fields.text("task_queue", required=True)
        poll_id = fields.text("poll_request_id")
        build_id = fields.text("build_id")
        timeout = fields.number("timeout_seconds", least=0, most=3_600, whole=False)
        size = fields.number("history_page_size", least=1, most=1_000) or 500
        fields.check()
        if self._polls >= self._config.max_polls:
            return self._no_room(kind, queue, f"{self._polls} polls are held already (adapters.durable.max_polls)")
        self._polls += 1
        try:
            task = await self._connection.dispatch(
                PollTask(
                    namespace=call.namespace, kind=kind, worker_id=worker_id, task_queue=queue, poll_id=poll_id,
                    build_id=build_id, history_page_size=size, validations=validations,
                    timeout_s=min(DEFAULT_POLL_S if timeout is None else timeout, self._config.long_poll_s),
                )
            )  # fmt: skip
        except WorkerNotRegistered as error:
            return 412, {"reason": "worker_not_registered", "error": error.message, "worker_id": worker_id, "task": None}
        except LimitReached as error:
            return self._no_room(kind, queue, error.message)
        except Conflict as error:
            status, body = refusal(error, "worker")
            reason = "draining" if body["reason"] == "worker_draining" else body["reason"]
            return status, body | {"task": None, "poll_status": reason, "worker_id": worker_id, "task_queue": queue}
        finally:
            self._polls -= 1
        if task is None:
            return 200, {"task": None, "poll_status": "empty"}
        return 200, {"task": task_view(task), "poll_status": "leased"}

    @staticmethod
    def _no_room(kind: str, queue: str | None, sentence: str) -> tuple[int, dict[str, Any]]:
        """The one refusal of a poll that workers understand as such: they come again after a while."""
        return 429, {
            "reason": _FULL, "poll_status": _FULL, "task": None, "task_kind": f"{kind}_task", "task_queue": queue,
            "retryable": True, "retry_after_seconds": 1, "error": sentence,
        }  # fmt: skip

    # ---- update validations ----------------------------------------------------------------------------------------

    @staticmethod
    def _lease(call: Call, fields: Fields) -> dict[str, Any]:
        owner = fields.text("lease_owner", required=True)
        attempt = fields.number("update_validation_attempt", least=1, most=1 << 31, required=True)
        fields.check()
        return {"namespace": call.namespace, "task_id": call.params["task_id"], "lease_owner": owner, "attempt": attempt}

    async def approve_update(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, Fields(call.body))
        await self._connection.dispatch(ApproveUpdate(**lease))
        return 200, _validated(lease, "approved")

    async def reject_update(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        failure = fields.mapping("failure")
        errors = failure.get("validation_errors")
        if errors is not None and not isinstance(errors, dict):
            fields.wrong("failure.validation_errors", "The validation errors must be an object.")
        lease = self._lease(call, fields)
        await self._connection.dispatch(RejectUpdate(**lease, failure=failure))
        return 200, _validated(lease, "rejected")


def _validated(lease: dict[str, Any], outcome: str) -> dict[str, Any]:
    return {
        "update_validation_task_id": lease["task_id"],
        "update_validation_attempt": lease["attempt"],
        "outcome": outcome,
        "reason": None,
    }

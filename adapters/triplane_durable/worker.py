"""The worker plane: registrations and reports (contract section 4)."""

import math
from typing import Any
from uuid import uuid4

from triplane.commands.base import Access
from triplane.commands.workers import (
    CompleteActivity,
    CompleteQuery,
    CompleteWorkflowTask,
    DeregisterWorker,
    FailActivity,
    FailQuery,
    FailWorkflowTask,
    HeartbeatActivity,
    HeartbeatWorker,
    HeartbeatWorkflowTask,
    ReadTaskHistory,
    RegisterWorker,
)
from triplane.connection import Connection
from triplane.engines.durable.ids import parse_task_id
from triplane.errors import InvalidFields, LeaseLost, WorkerNotRegistered
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time
from triplane_durable.messages import message_cursors
from triplane_durable.views import events_view, paged, with_iso_times

DEAD_ATTEMPT = {"cancel_requested": True, "can_continue": False}


_K = Access.WORK

_ROUTES: RouteTable = (
    ("POST", "worker/register", Route("register", "worker", _K)),
    ("POST", "worker/heartbeat", Route("heartbeat", "worker", _K)),
    ("DELETE", "worker/registrations/{worker_id}", Route("deregister", "worker", _K)),
    ("POST", "worker/workflow-tasks/{task_id}/history", Route("task_history", "worker", _K)),
    ("POST", "worker/workflow-tasks/{task_id}/complete", Route("complete_workflow_task", "worker", _K)),
    ("POST", "worker/workflow-tasks/{task_id}/fail", Route("fail_workflow_task", "worker", _K)),
    ("POST", "worker/workflow-tasks/{task_id}/heartbeat", Route("heartbeat_workflow_task", "worker", _K)),
    ("POST", "worker/activity-tasks/{task_id}/complete", Route("complete_activity", "worker", _K)),
    ("POST", "worker/activity-tasks/{task_id}/fail", Route("fail_activity", "worker", _K)),
    ("POST", "worker/activity-tasks/{task_id}/heartbeat", Route("heartbeat_activity", "worker", _K)),
    ("POST", "worker/query-tasks/{task_id}/complete", Route("complete_query", "worker", _K)),
    ("POST", "worker/query-tasks/{task_id}/fail", Route("fail_query", "worker", _K)),
)


class WorkerPlane:
    """Handlers of the worker plane's routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "register": self.register,
            "heartbeat": self.heartbeat,
            "deregister": self.deregister,
            "task_history": self.task_history,
            "complete_workflow_task": self.complete_workflow_task,
            "fail_workflow_task": self.fail_workflow_task,
            "heartbeat_workflow_task": self.heartbeat_workflow_task,
            "complete_activity": self.complete_activity,
            "fail_activity": self.fail_activity,
            "heartbeat_activity": self.heartbeat_activity,
            "complete_query": self.complete_query,
            "fail_query": self.fail_query,
        }

    # ---- registrations ---------------------------------------------------------------------------------------------

    async def register(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        queue = fields.text("task_queue", required=True)
        fields.text("runtime", required=True)
        worker_id = fields.text("worker_id") or f"worker-{uuid4()}"
        for name in ("supported_workflow_types", "supported_activity_types"):
            types = call.body.get(name)
            if types is not None and (not isinstance(types, list) or not all(isinstance(t, str) for t in types)):
                fields.wrong(name, f"The {name} field must be a list of strings.")
        for name in ("workflow_command_contracts", "task_slots", "process_metrics"):
            fields.mapping(name)
        fields.text("build_id", longest=256)
        fields.check()
        assert queue is not None
        await self._connection.dispatch(
            RegisterWorker(namespace=call.namespace, worker_id=worker_id, task_queue=queue, info=call.body)
        )
        return 201, {
            "worker_id": worker_id,
            "registered": True,
            "heartbeat_interval_seconds": self._config.heartbeat_interval_s,
        }

    async def heartbeat(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        worker_id = fields.text("worker_id", required=True)
        fields.check()
        info = {key: call.body[key] for key in ("task_slots", "process_metrics") if key in call.body}
        reply = await self._connection.dispatch(
            HeartbeatWorker(namespace=call.namespace, worker_id=worker_id, info=info)
        )
        return 200, {
            "worker_id": worker_id,
            "acknowledged": True,
            "heartbeat_interval_seconds": self._config.heartbeat_interval_s,
            "stale_after_seconds": math.ceil(reply["stale_after_seconds"]),
        }

    async def deregister(self, call: Call) -> tuple[int, dict[str, Any]]:
        worker_id = call.params["worker_id"]
        try:
            reply = await self._connection.dispatch(DeregisterWorker(namespace=call.namespace, worker_id=worker_id))
        except WorkerNotRegistered as error:
            return 404, {"reason": "worker_not_found", "error": error.message, "worker_id": worker_id}
        return 200, {
            "worker_id": worker_id,
            "outcome": "deregistered",
            "recovered_workflow_task_count": reply["recovered_workflow_task_count"],
        }

    # ---- workflow tasks --------------------------------------------------------------------------------------------

    def _lease(self, call: Call, attempt: str) -> dict[str, Any]:
        fields = Fields(call.body)
        owner = fields.text("lease_owner", required=True)
        number = fields.number(attempt, least=1, most=1 << 31, required=True)
        fields.check()
        return {
            "namespace": call.namespace, "task_id": call.params["task_id"], "lease_owner": owner, "attempt": number,
        }  # fmt: skip

    async def task_history(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, "workflow_task_attempt")
        token = call.body.get("next_history_page_token") or call.body.get("history_page_token") or "0"
        if not isinstance(token, str) or not token.isdecimal() or len(token) > 32:
            raise InvalidFields({"next_history_page_token": ["The page token is not one of ours."]})
        size = Fields(call.body).number("history_page_size", least=1, most=1_000) or 500
        page = await self._connection.dispatch(ReadTaskHistory(**lease, after=int(token), page_size=size))
        task = parse_task_id(lease["task_id"])
        run_id = task.run_id if task is not None else ""
        return 200, paged({**page, "history_events": events_view(run_id, page["history_events"])})

    async def complete_workflow_task(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, "workflow_task_attempt")
        commands = call.body.get("commands")
        if not isinstance(commands, list) or not commands or not all(isinstance(c, dict) for c in commands):
            raise InvalidFields({"commands": ["The commands field must be a list of at least one object."]})
        reply = await self._connection.dispatch(
            CompleteWorkflowTask(**lease, commands=tuple(commands), message_cursors=message_cursors(call.body))
        )
        return 200, {
            "task_id": lease["task_id"],
            "workflow_task_attempt": lease["attempt"],
            "outcome": "completed",
            "recorded": True,
            "run_id": reply["run_id"],
            "run_status": reply["run_status"],
            "created_task_ids": reply.get("created_task_ids", []),
            "reason": None,
        }

    async def fail_workflow_task(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, "workflow_task_attempt")
        fields = Fields(call.body)
        failure = fields.mapping("failure")
        fields.check()
        reply = await self._connection.dispatch(FailWorkflowTask(**lease, failure=failure))
        return 200, {
            "task_id": lease["task_id"],
            "workflow_task_attempt": lease["attempt"],
            "outcome": "failed",
            "recorded": True,
            "run_id": reply["run_id"],
            "run_status": reply["run_status"],
            "reason": None,
            "next_task_id": reply.get("next_task_id"),
        }

    async def heartbeat_workflow_task(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, "workflow_task_attempt")
        reply = await self._connection.dispatch(HeartbeatWorkflowTask(**lease))
        return 200, {
            "task_id": lease["task_id"],
            "workflow_task_attempt": lease["attempt"],
            "lease_owner": lease["lease_owner"],
            "renewed": True,
            "lease_expires_at": iso_time(reply["lease_expires_at"]),
            "run_status": reply["run_status"],
            "task_status": "leased",
            "reason": None,
        }

    # ---- activity tasks --------------------------------------------------------------------------------------------

    def _attempt(self, call: Call) -> dict[str, Any]:
        fields = Fields(call.body)
        attempt = fields.text("activity_attempt_id", required=True, longest=128)
        owner = fields.text("lease_owner", required=True)
        fields.check()
        return {
            "namespace": call.namespace, "task_id": call.params["task_id"], "activity_attempt_id": attempt,
            "lease_owner": owner,
        }  # fmt: skip

    async def complete_activity(self, call: Call) -> tuple[int, dict[str, Any]]:
        attempt = self._attempt(call)
        reply = await self._connection.dispatch(CompleteActivity(**attempt, result=call.body.get("result")))
        return 200, self._recorded(attempt, "completed", reply)

    async def fail_activity(self, call: Call) -> tuple[int, dict[str, Any]]:
        attempt = self._attempt(call)
        fields = Fields(call.body)
        failure = fields.mapping("failure")
        fields.check()
        reply = await self._connection.dispatch(FailActivity(**attempt, failure=failure))
        return 200, self._recorded(attempt, "failed", reply)

    @staticmethod
    def _recorded(attempt: dict[str, Any], outcome: str, reply: Any) -> dict[str, Any]:
        return {
            "task_id": attempt["task_id"],
            "activity_attempt_id": attempt["activity_attempt_id"],
            "outcome": outcome,
            "recorded": True,
            "reason": None,
            "next_task_id": (reply or {}).get("next_task_id"),
        }

    async def heartbeat_activity(self, call: Call) -> tuple[int, dict[str, Any]]:
        attempt = self._attempt(call)
        body = {
            "task_id": attempt["task_id"],
            "activity_attempt_id": attempt["activity_attempt_id"],
            "lease_owner": attempt["lease_owner"],
        }
        try:
            reply = await self._connection.dispatch(HeartbeatActivity(**attempt, details=call.body.get("details")))
        except LeaseLost as error:
            # Heartbeats of dead attempts are answered with flags, not with an error (contract section 4.4).
            return 200, body | DEAD_ATTEMPT | {"reason": error.reason, "heartbeat_recorded": False}
        return 200, body | {"heartbeat_recorded": bool(reply["can_continue"])} | with_iso_times(reply)

    # ---- query tasks -----------------------------------------------------------------------------------------------

    async def complete_query(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, "query_task_attempt")
        await self._connection.dispatch(
            CompleteQuery(**lease, result=call.body.get("result"), result_envelope=call.body.get("result_envelope"))
        )
        return 200, self._answered(lease, "completed")

    async def fail_query(self, call: Call) -> tuple[int, dict[str, Any]]:
        lease = self._lease(call, "query_task_attempt")
        fields = Fields(call.body)
        failure = fields.mapping("failure")
        fields.check()
        await self._connection.dispatch(FailQuery(**lease, failure=failure))
        return 200, self._answered(lease, "failed")

    @staticmethod
    def _answered(lease: dict[str, Any], outcome: str) -> dict[str, Any]:
        return {
            "query_task_id": lease["task_id"],
            "query_task_attempt": lease["attempt"],
            "outcome": outcome,
            "reason": None,
        }

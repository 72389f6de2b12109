"""Workers, task queues and builds, for operators (contract section 2.6)."""

import math
from collections.abc import Mapping
from typing import Any

from triplane.commands.base import Access
from triplane.commands.fleet import SetBuildRollout, ShowBuilds, ShowTaskQueue, ShowTaskQueues, ShowWorker, ShowWorkers
from triplane.commands.workers import RemoveWorker
from triplane.connection import Connection
from triplane.errors import WorkerNotRegistered
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time

STATUSES = ("active", "draining", "stale")
_TIMES = ("last_heartbeat_at", "registered_at", "updated_at", "lease_expires_at", "first_seen_at", "drained_at", "promoted_at")
_R, _W = Access.READ, Access.WRITE

_ROUTES: RouteTable = (
    ("GET", "workers", Route("list_workers", "control", _R)),
    ("GET", "workers/{worker_id}", Route("describe_worker", "control", _R)),
    ("DELETE", "workers/{worker_id}", Route("remove_worker", "control", Access.ADMIN)),
    ("GET", "task-queues", Route("list_task_queues", "control", _R)),
    ("GET", "task-queues/{task_queue}", Route("describe_task_queue", "control", _R)),
    ("GET", "task-queues/{task_queue}/build-ids", Route("list_build_ids", "control", _R)),
    ("POST", "task-queues/{task_queue}/build-ids/drain", Route("drain_build_id", "control", _W)),
    ("POST", "task-queues/{task_queue}/build-ids/resume", Route("resume_build_id", "control", _W)),
    ("POST", "task-queues/{task_queue}/build-ids/promote", Route("promote_build_id", "control", _W)),
)


class FleetRoutes:
    """Handlers of these routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "list_workers": self.list_workers,
            "describe_worker": self.describe_worker,
            "remove_worker": self.remove_worker,
            "list_task_queues": self.list_task_queues,
            "describe_task_queue": self.describe_task_queue,
            "list_build_ids": self.list_build_ids,
            "drain_build_id": self.drain_build_id,
            "resume_build_id": self.resume_build_id,
            "promote_build_id": self.promote_build_id,
        }

    # ---- workers ---------------------------------------------------------------------------------------------------

    async def list_workers(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.query)
        queue, status = fields.text("task_queue"), fields.text("status")
        if status and status not in STATUSES:
            fields.wrong("status", f"The status field must be one of {', '.join(STATUSES)}.")
        fields.check()
        shown = await self._connection.dispatch(
            ShowWorkers(namespace=call.namespace, task_queue=queue or None, status=status or None)
        )
        return 200, {
            "namespace": call.namespace,
            "workers": [self._worker(worker) for worker in shown["workers"]],
            "stale_after_seconds": math.ceil(shown["stale_after_seconds"]),
        }

    async def describe_worker(self, call: Call) -> tuple[int, dict[str, Any]]:
        worker_id = call.params["worker_id"]
        try:
            return 200, self._worker(await self._connection.dispatch(ShowWorker(namespace=call.namespace, worker_id=worker_id)))
        except WorkerNotRegistered as error:
            return _no_worker(error)

    async def remove_worker(self, call: Call) -> tuple[int, dict[str, Any]]:
        worker_id = call.params["worker_id"]
        try:
            reply = await self._connection.dispatch(RemoveWorker(namespace=call.namespace, worker_id=worker_id))
        except WorkerNotRegistered as error:
            return _no_worker(error)
        return 200, {
            "worker_id": worker_id,
            "outcome": "deregistered",
            "recovered_workflow_task_count": reply["recovered_workflow_task_count"],
        }

    def _worker(self, worker: Mapping[str, Any]) -> dict[str, Any]:
        # A worker that names no types takes any; clients look for a list.
        types = {key: worker.get(key) or [] for key in ("supported_workflow_types", "supported_activity_types")}
        return _with_times(worker) | types | {"heartbeat_interval_seconds": self._config.heartbeat_interval_s}

    # ---- task queues -----------------------------------------------------------------------------------------------

    async def list_task_queues(self, call: Call) -> tuple[int, dict[str, Any]]:
        shown = await self._connection.dispatch(ShowTaskQueues(namespace=call.namespace))
        return 200, {"namespace": call.namespace, "task_queues": shown}

    async def describe_task_queue(self, call: Call) -> tuple[int, dict[str, Any]]:
        shown = await self._connection.dispatch(ShowTaskQueue(namespace=call.namespace, task_queue=call.params["task_queue"]))
        return 200, shown | {
            "pollers": [self._worker(worker) for worker in shown["pollers"]],
            "current_leases": [_with_times(lease) for lease in shown["current_leases"]],
        }

    # ---- builds ----------------------------------------------------------------------------------------------------

    async def list_build_ids(self, call: Call) -> tuple[int, dict[str, Any]]:
        queue = call.params["task_queue"]
        shown = await self._connection.dispatch(ShowBuilds(namespace=call.namespace, task_queue=queue))
        return 200, {
            "namespace": call.namespace,
            "task_queue": queue,
            "stale_after_seconds": math.ceil(shown["stale_after_seconds"]),
            "build_ids": [_with_times(build) for build in shown["builds"]],
        }

    async def drain_build_id(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._set_rollout(call, "drain")

    async def resume_build_id(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._set_rollout(call, "resume")

    async def promote_build_id(self, call: Call) -> tuple[int, dict[str, Any]]:
        return await self._set_rollout(call, "promote")

    async def _set_rollout(self, call: Call, action: str) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        # Null is a build too, that of workers that name none, so the key itself must be there.
        if "build_id" not in call.body:
            fields.wrong("build_id", "The build_id field must be present; null is for workers without a build.")
        build = fields.text("build_id")
        fields.check()
        queue = call.params["task_queue"]
        reply = await self._connection.dispatch(
            SetBuildRollout(namespace=call.namespace, task_queue=queue, build_id=build, action=action)
        )
        return 200, {"namespace": call.namespace, **_with_times(reply)}


def _no_worker(error: WorkerNotRegistered) -> tuple[int, dict[str, Any]]:
    return 404, {"reason": "worker_not_found", "message": error.message, "worker_id": error.details.get("worker_id")}


def _with_times(value: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with its moments as this wire writes them."""
    return {key: iso_time(item) if key in _TIMES else item for key, item in value.items()}

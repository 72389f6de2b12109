"""System passes and figures, for administrators (contract section 2.6)."""

from typing import Any

from triplane.administration.repairing import SETTLED_S
from triplane.commands.base import Access
from triplane.commands.namespaces import RetentionPass
from triplane.commands.passes import (
    ActivityTimeoutPass,
    FindExpiredActivities,
    FindStuckRuns,
    ReadFigures,
    RepairPass,
    RepairRun,
)
from triplane.connection import Connection
from triplane.queries import ExpiredRuns, Expiry
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time

SCAN_LIMIT = 100
REPAIR_LIMIT = 1_000

_A = Access.ADMIN

_ROUTES: RouteTable = (
    ("GET", "system/retention", Route("retention_status", "control", _A)),
    ("POST", "system/retention/pass", Route("retention_pass", "control", _A)),
    ("GET", "system/repair", Route("repair_status", "control", _A)),
    ("POST", "system/repair/pass", Route("repair_pass", "control", _A)),
    ("GET", "system/activity-timeouts", Route("timeout_status", "control", _A)),
    ("POST", "system/activity-timeouts/pass", Route("timeout_pass", "control", _A)),
    ("GET", "system/metrics", Route("metrics", "control", _A)),
    ("GET", "system/operator-metrics", Route("metrics", "control", _A)),
    ("POST", "workflows/{workflow_id}/repair", Route("repair", "control", Access.WRITE, "repair")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/repair", Route("repair", "control", Access.WRITE, "repair")),
)

_POLICY = {
    "redispatch_after_seconds": SETTLED_S,
    "loop_throttle_seconds": 0,
    "scan_limit": REPAIR_LIMIT,
    "scan_strategy": "round_robin_open_runs",
    "failure_backoff_max_seconds": 0,
}
"""Nothing is repaired in a loop: every step offers its tasks and sets its alarms, and so does a restart."""


class SystemPlane:
    """Handlers of the routes under `/system`, and of repairing one workflow, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection = connection

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "retention_status": self.retention_status,
            "retention_pass": self.retention_pass,
            "repair_status": self.repair_status,
            "repair_pass": self.repair_pass,
            "timeout_status": self.timeout_status,
            "timeout_pass": self.timeout_pass,
            "metrics": self.metrics,
            "repair": self.repair,
        }

    # ---- retention -------------------------------------------------------------------------------------------------

    async def retention_status(self, call: Call) -> tuple[int, dict[str, Any]]:
        expiry: Expiry = self._connection.query(ExpiredRuns(namespace=call.namespace, limit=SCAN_LIMIT))
        return 200, {
            "namespace": call.namespace,
            "retention_days": expiry.retention_days,
            "cutoff": iso_time(expiry.cutoff),
            "expired_run_count": len(expiry.run_ids),
            "expired_run_ids": list(expiry.run_ids),
            "scan_limit": SCAN_LIMIT,
            "scan_pressure": len(expiry.run_ids) >= SCAN_LIMIT,
        }

    async def retention_pass(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        limit = fields.number("limit", least=1, most=SCAN_LIMIT) or SCAN_LIMIT
        run_ids = ids(fields, "run_ids")
        fields.check()
        reply = await self._connection.dispatch(RetentionPass(namespace=call.namespace, run_ids=run_ids, limit=limit))
        return 200, reply

    # ---- repair ----------------------------------------------------------------------------------------------------

    async def repair_status(self, call: Call) -> tuple[int, dict[str, Any]]:
        found = await self._connection.dispatch(FindStuckRuns(namespace=call.namespace, limit=REPAIR_LIMIT))
        return 200, {
            "policy": _POLICY,
            "candidates": {
                "total_candidates": found["tasks"] + found["runs"],
                "existing_task_candidates": found["tasks"],
                "missing_task_candidates": found["runs"],
                "scan_pressure": found["open_runs"] > found["limit"],
                "scopes": found["scopes"],
            },
        }

    async def repair_pass(self, call: Call) -> tuple[int, dict[str, Any]]:
        """207 where some could not be repaired, as the published server answers."""
        fields = Fields(call.body)
        run_ids, workflow_id = ids(fields, "run_ids"), fields.text("instance_id", longest=128)
        fields.check()
        done = await self._connection.dispatch(
            RepairPass(namespace=call.namespace, run_ids=run_ids, workflow_id=workflow_id, limit=REPAIR_LIMIT)
        )
        return 207 if done["failures"] else 200, {
            "selected_existing_task_candidates": done["tasks"],
            "selected_missing_task_candidates": done["runs"],
            "selected_total_candidates": done["tasks"] + done["runs"],
            "repaired_existing_tasks": done["repaired_tasks"],
            "repaired_missing_tasks": done["repaired_runs"],
            "dispatched_tasks": done["repaired_tasks"] + done["repaired_runs"],
            "existing_task_failures": done["failures"],
            "missing_run_failures": [],
        }

    async def repair(self, call: Call) -> tuple[int, dict[str, Any]]:
        workflow_id, run_id = call.params["workflow_id"], call.params.get("run_id")
        reply = await self._connection.dispatch(RepairRun(namespace=call.namespace, workflow_id=workflow_id, run_id=run_id))
        return 200, {
            "workflow_id": workflow_id,
            "run_id": reply["run_id"],
            "outcome": "repair_dispatched" if reply["repaired"] else "repair_not_needed",
            "command_status": "accepted",
            "command_id": None,
        }

    # ---- activities past their time ----------------------------------------------------------------------------------

    async def timeout_status(self, call: Call) -> tuple[int, dict[str, Any]]:
        expired = await self._connection.dispatch(FindExpiredActivities(namespace=call.namespace, limit=SCAN_LIMIT))
        return 200, {
            "expired_count": len(expired),
            "expired_execution_ids": expired,
            "scan_limit": SCAN_LIMIT,
            "scan_pressure": len(expired) >= SCAN_LIMIT,
        }

    async def timeout_pass(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        limit = fields.number("limit", least=1, most=SCAN_LIMIT) or SCAN_LIMIT
        execution_ids = ids(fields, "execution_ids")
        fields.check()
        done = await self._connection.dispatch(
            ActivityTimeoutPass(namespace=call.namespace, execution_ids=execution_ids, limit=limit)
        )
        return 207 if done["failed"] else 200, done

    # ---- figures ---------------------------------------------------------------------------------------------------

    async def metrics(self, call: Call) -> tuple[int, dict[str, Any]]:
        figures = await self._connection.dispatch(ReadFigures(namespace=call.namespace))
        return 200, {
            "namespace": figures["namespace"],
            "generated_at": iso_time(figures["time"]),
            "runs": figures["runs"],
            "task_queues": figures["queues"],
            "workers": figures["workers"],
            "process": figures["process"],
        }


def ids(fields: Fields, name: str) -> tuple[str, ...]:
    """A field that is a list of at most 100 ids."""
    given = fields.body.get(name)
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > SCAN_LIMIT or not all(isinstance(i, str) and 0 < len(i) <= 255 for i in given):
        fields.wrong(name, f"The {name} field must be a list of at most {SCAN_LIMIT} ids.")
        return ()
    return tuple(given)

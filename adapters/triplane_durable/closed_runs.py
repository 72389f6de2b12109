"""What can be done to a run that is over: archive it, or redrive it where it failed (contract section 2.1)."""

from typing import Any

from triplane.commands import ArchiveRun, RedriveRun
from triplane.commands.base import Access
from triplane.connection import Connection
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields
from triplane_durable.reading import run_of
from triplane_durable.views import type_name

_W = Access.WRITE

_ROUTES: RouteTable = (
    ("POST", "workflows/{workflow_id}/archive", Route("archive", "control", _W, "archive")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/archive", Route("archive", "control", _W, "archive")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/redrive", Route("redrive", "control", _W, "redrive")),
)


class ClosedRunPlane:
    """Handlers of these routes, for one connection."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection = connection

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {"archive": self.archive, "redrive": self.redrive}

    async def archive(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        reason, request_id = fields.text("reason", longest=1_000), fields.text("request_id")
        fields.check()
        reply = await self._connection.dispatch(
            ArchiveRun(
                namespace=call.namespace, workflow_id=call.params["workflow_id"], run_id=call.params.get("run_id"),
                request_id=request_id, reason=reason,
            )
        )  # fmt: skip
        return 200, {
            "workflow_id": reply["workflow_id"],
            "run_id": reply["run_id"],
            "outcome": "archived" if reply["archived"] else "archive_not_needed",
            "command_status": "accepted",
            "command_id": f"archive-{reply['run_id']}",
        }

    async def redrive(self, call: Call) -> tuple[int, dict[str, Any]]:
        """Start the workflow again with the same input and the results of the activities it completed; `run_id` is the new run's."""
        fields = Fields(call.body)
        request_id = fields.text("request_id")
        fields.check()
        view = run_of(self._connection, call)
        reply = await self._connection.dispatch(
            RedriveRun(
                namespace=call.namespace, workflow_id=view.run.workflow_id, run_id=view.run.run_id, request_id=request_id
            )
        )
        return 200, {
            "workflow_id": reply["workflow_id"],
            "run_id": reply["run_id"],
            "run_number": reply["run_number"],
            "workflow_type": type_name(view.run),
            "redriven_run_id": view.run.run_id,
            "outcome": "redriven",
            "command_status": "accepted",
            "command_id": f"redrive-{reply['run_id']}",
        }

"""Standalone activities: jobs that clients start without a workflow around them (contract section 2.7)."""

from typing import Any

from triplane.commands import StartRun
from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.engines.durable.standalone import describe
from triplane.entities import HOST_TYPE
from triplane.errors import WorkflowNotFound
from triplane.queries import DescribeRun, ListActivities, RunView
from triplane_durable.calls import Call, Handler, Route, RouteTable
from triplane_durable.config import DurableConfig
from triplane_durable.frames import Fields, iso_time, whole_number
from triplane_durable.payload_fields import payload_field
from triplane_durable.views import BUCKETS

LONGEST_S = 10 * 366 * 86_400

_TIMEOUTS = ("start_to_close_timeout", "schedule_to_start_timeout", "schedule_to_close_timeout", "heartbeat_timeout")
_ROUTES: RouteTable = (
    ("POST", "activities", Route("start_activity", "control", Access.WRITE)),
    ("GET", "activities", Route("list_activities", "control", Access.READ)),
    ("GET", "activities/{activity_id}", Route("describe_activity", "control", Access.READ)),
)


class StandaloneActivities:
    """Handlers of the routes under `/activities`, for one connection. Cancelling goes by the host run's own route."""

    routes = _ROUTES

    def __init__(self, connection: Connection, config: DurableConfig) -> None:
        self._connection, self._config = connection, config

    def handlers(self) -> dict[str, Handler]:
        """Handler by route name."""
        return {
            "start_activity": self.start,
            "list_activities": self.list,
            "describe_activity": self.describe,
        }

    async def start(self, call: Call) -> tuple[int, dict[str, Any]]:
        fields = Fields(call.body)
        activity_type = fields.text("activity_type", required=True)
        task_queue = fields.text("task_queue", required=True)
        activity_id = fields.text("activity_id", longest=128)
        activity_class, business_key = fields.text("activity_class"), fields.text("business_key")
        activity: dict[str, Any] = {"activity_type": activity_type, "activity_class": activity_class}
        for name in _TIMEOUTS:
            activity[name] = fields.number(f"{name}_seconds", least=1, most=LONGEST_S)
        activity["retry_policy"] = fields.mapping("retry_policy") or None
        payload = payload_field(fields, "input", self._config.max_payload_bytes)
        fields.check()
        assert task_queue is not None
        reply = await self._connection.dispatch(
            StartRun(
                namespace=call.namespace,
                workflow_id=activity_id,
                engine="durable",
                workflow_type=HOST_TYPE,
                task_queue=task_queue,
                input=payload,
                options={
                    "activity": {key: value for key, value in activity.items() if value is not None},
                    **({"business_key": business_key} if business_key is not None else {}),
                },
            )
        )
        view = self._view(call, reply["workflow_id"])
        return 201, {
            "activity_id": reply["workflow_id"],
            "workflow_run_id": reply["run_id"],
            "activity_execution_id": describe(view).execution_id,
            "workflow_type": HOST_TYPE,
            "activity_type": activity_type,
            "status": view.run.status,
        }

    async def list(self, call: Call) -> tuple[int, dict[str, Any]]:
        query = call.query
        fields = Fields({"page_size": whole_number(query.get("page_size"))})
        status = query.get("status")
        if status and status not in BUCKETS:
            fields.wrong("status", f"The status field must be one of {', '.join(BUCKETS)}.")
        size = fields.number("page_size", least=1, most=200) or 50
        fields.check()
        page = self._connection.query(
            ListActivities(
                namespace=call.namespace,
                statuses=BUCKETS[status] if status else (),
                limit=size,
                after=query.get("next_page_token") or None,
            )
        )
        shown = [activity_view(view) for view in page.views]
        return 200, {"activities": shown, "activity_count": len(shown), "next_page_token": page.next}

    async def describe(self, call: Call) -> tuple[int, dict[str, Any]]:
        return 200, activity_view(self._view(call, call.params["activity_id"]))

    def _view(self, call: Call, activity_id: str) -> RunView:
        view: RunView = self._connection.query(DescribeRun(namespace=call.namespace, workflow_id=activity_id))
        if view.run.workflow_type != HOST_TYPE:
            raise WorkflowNotFound(activity_id, call.namespace)
        return view


def activity_view(view: RunView) -> dict[str, Any]:
    """A standalone activity: the host run and its activity as one (contract section 2.7)."""
    run, detail, activity = view.run, view.detail, describe(view)
    return {
        "activity_id": run.workflow_id,
        "workflow_run_id": run.run_id,
        "activity_execution_id": activity.execution_id,
        "workflow_type": HOST_TYPE,
        "activity_type": activity.activity_type,
        "activity_class": activity.activity_class,
        "task_queue": run.task_queue,
        "namespace": run.namespace,
        "status": run.status,
        "activity_status": activity.status,
        "closed_reason": run.closed_reason or (None if run.is_open else run.status),
        "business_key": detail.options.get("business_key"),
        "payload_codec": "avro",
        "result": detail.output if run.status == "completed" else None,
        "started_at": iso_time(run.started or run.created),
        "closed_at": iso_time(run.closed),
        "last_progress_at": iso_time(run.updated),
        "last_heartbeat_at": iso_time(activity.heartbeat),
        "schedule_to_start_deadline_at": iso_time(activity.schedule_to_start_deadline),
        "schedule_to_close_deadline_at": iso_time(activity.schedule_to_close_deadline),
        "attempt_count": activity.attempts,
    }

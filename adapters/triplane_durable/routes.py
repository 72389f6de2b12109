"""Which route means what: a table, matched segment by segment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triplane.commands.base import Access
from triplane.values import value


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        plane: `control` or `worker`; decides version header and the spelling of errors.
        operation: name in the `control_plane` object; None where responses carry none.
    """

    handler: str
    plane: str
    access: Access
    operation: str | None = None


@value()
class Call:
    """A request that has passed all checks.

    Attributes:
        params: named parts of the path; namespace: checked; query: the URL's; body: the JSON object.
    """

    params: Mapping[str, str]
    namespace: str
    query: Mapping[str, str]
    body: dict[str, Any]


_R, _W, _E, _K = Access.READ, Access.WRITE, Access.END, Access.WORK

_TABLE: tuple[tuple[str, str, Route], ...] = (
    ("POST", "workflows", Route("start", "control", _W, "start")),
    ("GET", "workflows", Route("list", "control", _R, "list")),
    ("GET", "workflows/{workflow_id}", Route("describe", "control", _R, "describe")),
    ("GET", "workflows/{workflow_id}/runs", Route("list_runs", "control", _R, "list_runs")),
    ("GET", "workflows/{workflow_id}/runs/{run_id}", Route("describe", "control", _R, "describe_run")),
    ("GET", "workflows/{workflow_id}/runs/{run_id}/history", Route("history", "control", _R, "history")),
    ("POST", "workflows/{workflow_id}/signal/{name}", Route("signal", "control", _W, "signal")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/signal/{name}", Route("signal", "control", _W, "signal")),
    ("POST", "workflows/{workflow_id}/query/{name}", Route("query", "control", _R, "query")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/query/{name}", Route("query", "control", _R, "query")),
    ("POST", "workflows/{workflow_id}/update/{name}", Route("update", "control", _W, "update")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/update/{name}", Route("update", "control", _W, "update")),
    ("POST", "workflows/{workflow_id}/cancel", Route("cancel", "control", _E, "cancel")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/cancel", Route("cancel", "control", _E, "cancel")),
    ("POST", "workflows/{workflow_id}/terminate", Route("terminate", "control", _E, "terminate")),
    ("POST", "workflows/{workflow_id}/runs/{run_id}/terminate", Route("terminate", "control", _E, "terminate")),
    ("GET", "workers", Route("list_workers", "control", _R)),
    ("POST", "worker/register", Route("register", "worker", _K)),
    ("POST", "worker/heartbeat", Route("heartbeat", "worker", _K)),
    ("DELETE", "worker/registrations/{worker_id}", Route("deregister", "worker", _K)),
    ("POST", "worker/workflow-tasks/poll", Route("poll_workflow", "worker", _K)),
    ("POST", "worker/activity-tasks/poll", Route("poll_activity", "worker", _K)),
    ("POST", "worker/query-tasks/poll", Route("poll_query", "worker", _K)),
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

ROUTES: tuple[tuple[str, str, Route], ...] = _TABLE
"""Every route: method, path after `/api`, meaning."""

_PARAMETER = "{}"
_BY_SHAPE: dict[tuple[str, int], list[tuple[tuple[str, ...], Route]]] = {}
for _method, _path, _route in _TABLE:
    _parts = tuple(_path.split("/"))
    _BY_SHAPE.setdefault((_method, len(_parts)), []).append((_parts, _route))


def find_route(method: str, segments: tuple[str, ...]) -> tuple[Route | None, dict[str, str]]:
    """The route of a request and the named parts of its path.

    Fixed words win over named parts. Without a route the second value holds `path` if another method has one.
    """
    for parts, route in _BY_SHAPE.get((method, len(segments)), ()):
        params: dict[str, str] = {}
        for part, segment in zip(parts, segments, strict=True):
            if part[0] == "{":
                params[part[1:-1]] = segment
            elif part != segment:
                break
        else:
            return route, params
    for other in ("GET", "POST", "PUT", "DELETE"):
        if other != method and any(
            all(p[0] == "{" or p == s for p, s in zip(parts, segments, strict=True))
            for parts, _ in _BY_SHAPE.get((other, len(segments)), ())
        ):
            return None, {"path": "/".join(segments)}
    return None, {}

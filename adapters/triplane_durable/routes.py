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
_TREES: dict[tuple[str, int], dict[str, Any]] = {}
"""By method and number of segments: a tree of the words in the path, `_PARAMETER` for a named part; leaves are (route, names)."""


def _plant(method: str, path: str, route: Route) -> None:
    parts = path.split("/")
    node: dict[str, Any] = _TREES.setdefault((method, len(parts)), {})
    words = [_PARAMETER if part[0] == "{" else part for part in parts]
    for word in words[:-1]:
        node = node.setdefault(word, {})
    node[words[-1]] = (route, tuple(part[1:-1] for part in parts if part[0] == "{"))


for _entry in _TABLE:
    _plant(*_entry)


def find_route(method: str, segments: tuple[str, ...]) -> tuple[Route | None, dict[str, str]]:
    """The route of a request and the named parts of its path.

    Fixed words win over named parts. Without a route the second value holds `path` if another method has one.
    """
    found = _walk(method, segments)
    if found is not None:
        return found
    for other in ("GET", "POST", "PUT", "DELETE"):
        if other != method and _walk(other, segments) is not None:
            return None, {"path": "/".join(segments)}
    return None, {}


def _walk(method: str, segments: tuple[str, ...]) -> tuple[Route, dict[str, str]] | None:
    node: Any = _TREES.get((method, len(segments)))
    values = []
    for segment in segments:
        if node is None:
            return None
        following = node.get(segment)
        if following is None or segment == _PARAMETER:
            following = node.get(_PARAMETER)
            values.append(segment)
        node = following
    if node is None:
        return None
    route, names = node
    return route, dict(zip(names, values, strict=True))

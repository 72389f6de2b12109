"""Which route means what: a table, matched segment by segment."""

from typing import Any

from triplane_durable.activities import StandaloneActivities
from triplane_durable.bridge import Bridge
from triplane_durable.calls import Route, RouteTable
from triplane_durable.cancelling import Cancelling
from triplane_durable.closed_runs import ClosedRunPlane
from triplane_durable.control import ControlPlane
from triplane_durable.fleet import FleetRoutes
from triplane_durable.messages import MessageStreams
from triplane_durable.namespaces import NamespacePlane
from triplane_durable.nexus import Nexus
from triplane_durable.output_streams import OutputStreams
from triplane_durable.polls import Polls
from triplane_durable.reading import ReadingPlane
from triplane_durable.schedules import Schedules
from triplane_durable.search_attributes import SearchAttributePlane
from triplane_durable.system import SystemPlane
from triplane_durable.worker import WorkerPlane
from triplane_durable.worker_sessions import WorkerSessions

PLANES = (
    ControlPlane,
    WorkerPlane,
    Polls,
    Cancelling,
    FleetRoutes,
    WorkerSessions,
    StandaloneActivities,
    MessageStreams,
    OutputStreams,
    Schedules,
    NamespacePlane,
    SystemPlane,
    ReadingPlane,
    SearchAttributePlane,
    ClosedRunPlane,
    Nexus,
    Bridge,
)
"""Every group of routes; a session makes one of each for its connection."""

ROUTES: RouteTable = tuple(entry for plane in PLANES for entry in plane.routes)
"""Every route."""

_PARAMETER = "{}"
_TREES: dict[tuple[str, int], dict[str, Any]] = {}
"""By method and number of segments: a tree of the words in the path, `_PARAMETER` for a named part; leaves are (route, names)."""


_EXACT: dict[tuple[str, tuple[str, ...]], Route] = {}
"""Routes without named parts, which most requests are for."""


def _plant(method: str, path: str, route: Route) -> None:
    parts = path.split("/")
    node: dict[str, Any] = _TREES.setdefault((method, len(parts)), {})
    words = [_PARAMETER if part[0] == "{" else part for part in parts]
    for word in words[:-1]:
        node = node.setdefault(word, {})
    if _PARAMETER not in words:
        _EXACT[method, tuple(parts)] = route
    node[words[-1]] = (route, tuple(part[1:-1] for part in parts if part[0] == "{"))


for _entry in ROUTES:
    _plant(*_entry)


def find_route(method: str, segments: tuple[str, ...]) -> tuple[Route | None, dict[str, str]]:
    """The route of a request and the named parts of its path.

    Fixed words win over named parts. Without a route the second value holds `path` if another method has one.
    """
    route = _EXACT.get((method, segments))
    if route is not None:
        return route, {}
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

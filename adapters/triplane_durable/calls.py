"""A route, a call that came by one, and the shape of what answers it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from triplane.commands.base import Access
from triplane.values import value


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        plane: `control` or `worker`; decides version header and the spelling of errors.
        operation: name in the `control_plane` object; None where responses carry none.
        namespaced: whether the namespace that the request names must exist (contract section 1).
    """

    handler: str
    plane: str
    access: Access
    operation: str | None = None
    namespaced: bool = True


@value()
class Call:
    """A request that has passed all checks.

    Attributes:
        params: named parts of the path; namespace: checked; query: the URL's; body: the JSON object.
        headers: of the request, looked up by lower-case names; raw: the body as it came, for signatures.
    """

    params: Mapping[str, str]
    namespace: str
    query: Mapping[str, str]
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""


Handler = Callable[[Call], Awaitable[tuple[int, dict[str, Any]]]]
"""Takes a checked call, gives status and body; raises `GatewayError` to refuse."""

RouteTable = tuple[tuple[str, str, Route], ...]
"""Method, path after `/api`, meaning."""


class Plane(Protocol):
    """A group of routes and the handlers behind them, for one connection; made with the connection and the config."""

    routes: RouteTable

    def handlers(self) -> Mapping[str, Handler]:
        """Handler by route name."""
        ...

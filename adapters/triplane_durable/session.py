"""From a request to a command or query, and from its outcome to a response. No sockets, no clock.

The order of checks is the contract's (section 1): who, may they on this plane, which version, which namespace.
"""

import logging
from collections.abc import Container
from typing import Any

from pydantic import ValidationError

from triplane.commands.base import Access
from triplane.connection import Connection
from triplane.errors import GatewayError, InvalidFields, NamespaceNotFound, NotAllowed, TooLarge
from triplane_durable.calls import Call, Handler, Route
from triplane_durable.config import DurableConfig
from triplane_durable.contract import control_plane, server_capabilities
from triplane_durable.frames import VERSION_HEADERS, Request, Response, read_object
from triplane_durable.refusals import refusal
from triplane_durable.routes import PLANES, find_route

log = logging.getLogger(__name__)

MAX_MINOR = 20
_ROLES = {Access.WORK: ["worker"], Access.ADMIN: ["admin"]}


class Session:
    """Answers requests of one connection."""

    def __init__(self, connection: Connection, config: DurableConfig, namespaces: Container[str]) -> None:
        self._connection, self._namespaces = connection, namespaces
        self._capabilities = server_capabilities(config)
        self._handlers: dict[str, Handler] = {
            name: handler for plane in PLANES for name, handler in plane(connection, config).handlers().items()
        }

    @property
    def connection(self) -> Connection:
        """Whose requests these are."""
        return self._connection

    @property
    def closed(self) -> bool:
        """Whether its connection is, so that nothing more is answered here."""
        return self._connection.closed

    async def receive(self, request: Request) -> Response:
        """The response to a request; never raises but for cancellation."""
        route, params = find_route(request.method, request.segments)
        if route is None:
            plane = "worker" if request.segments[:1] == ("worker",) else "control"
            return self._respond(
                plane, None, params, 405 if params else 404,
                {"reason": "route_not_found", "message": f"There is no {request.method} /api/{'/'.join(request.segments)} here."},
            )  # fmt: skip
        try:
            self._check_role(route)
            wrong_version = _wrong_version(request, route.plane)
            if wrong_version is not None:
                return self._respond(route.plane, route, params, 400, wrong_version)
            namespace = self._namespace(request) if route.namespaced else ""
            body = read_object(request.body) if request.method != "GET" else {}
            call = Call(params, namespace, request.query, body, request.headers, request.body)
            status, answer = await self._handlers[route.handler](call)
        except ValidationError as error:
            status, answer = refusal(InvalidFields(_field_errors(error)), route.plane)
        except GatewayError as error:
            status, answer = refusal(error, route.plane)
            if isinstance(error, NotAllowed):
                answer["allowed_roles"] = _ROLES.get(route.access, ["operator", "admin"])
            answer.update({k: v for k, v in params.items() if k in ("workflow_id", "run_id") and k not in answer})
        except RecursionError:
            status, answer = refusal(TooLarge("the body is nested too deep"), route.plane)
        except Exception:
            log.exception("request_failed: %s %s", request.method, route.handler)
            status, answer = 500, {"reason": "internal", "message": "The server failed to answer; it has been logged."}
        return self._respond(route.plane, route, params, status, answer)

    def _check_role(self, route: Route) -> None:
        principal = self._connection.principal
        if route.access not in principal.allowed:
            raise NotAllowed(
                f"{principal.name} may not use this route: it needs {route.access.value} access",
                role=",".join(sorted(principal.roles)),
                allowed_roles=_ROLES.get(route.access, ["operator", "admin"]),
            )

    def _namespace(self, request: Request) -> str:
        named = request.headers.get("x-namespace") or request.query.get("namespace") or "default"
        namespace = named.lower()
        if namespace not in self._namespaces or not self._connection.principal.may_see(namespace):
            raise NamespaceNotFound(namespace)
        return namespace

    def _respond(
        self, plane: str, route: Route | None, params: dict[str, str], status: int, body: dict[str, Any]
    ) -> Response:
        header, version = VERSION_HEADERS[plane]
        headers = {header: version}
        if plane == "worker":
            body.setdefault("protocol_version", version)
            if route is not None and route.handler == "register":
                body.setdefault("server_capabilities", self._capabilities)
            if status >= 400 and "error" not in body:
                body["error"] = body.get("message", "")
        elif route is not None and route.operation is not None:
            body["control_plane"] = control_plane(
                route.operation, body, body.get("workflow_id") or params.get("workflow_id"), params.get("name")
            )
        if status == 429:
            headers["Retry-After"] = str(body.get("retry_after_seconds", 1))
        return Response(status, body, headers)


def _wrong_version(request: Request, plane: str) -> dict[str, Any] | None:
    name, ours = VERSION_HEADERS[plane]
    asked = request.headers.get(name.lower())
    if asked == ours:
        return None
    if plane == "control":
        reason = "missing_control_plane_version" if asked is None else "unsupported_control_plane_version"
        key = "message"
    else:
        major, _, minor = (asked or "").partition(".")
        if major == "1" and minor.isdecimal() and len(minor) < 4 and int(minor) <= MAX_MINOR:
            return None
        reason = "missing_protocol_version" if asked is None else "unsupported_protocol_version"
        key = "error"
    return {
        "reason": reason,
        key: f"{name} must be {ours}." if asked is None else f"{name} {asked} is not supported; use {ours}.",
        "supported_version": ours,
        "requested_version": asked,
        "remediation": f"Send the header {name}: {ours}.",
    }


def _field_errors(error: ValidationError) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        errors.setdefault(".".join(str(part) for part in item["loc"]) or "body", []).append(item["msg"])
    return errors

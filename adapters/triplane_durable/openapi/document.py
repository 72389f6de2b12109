"""Puts the document together from the table of routes and the declarations beside this file."""

import json
import re
from functools import cache
from typing import Any

from triplane.commands.base import Access
from triplane_durable.calls import Route
from triplane_durable.frames import VERSION_HEADERS
from triplane_durable.openapi.components import COMPONENTS
from triplane_durable.openapi.kinds import MOMENT, OBJECT, STRING, Schema, answer, ref
from triplane_durable.openapi.requests import BODIES, QUERIES
from triplane_durable.openapi.responses import ANSWERS
from triplane_durable.routes import ROUTES

OPENAPI = "3.1.0"
_REFUSALS = {
    "400": "A version header is missing or not supported, or the request cannot be read.",
    "401": "The token is missing or not known.",
    "403": "The caller's role may not use this route.",
    "404": "Nothing goes by that id.",
    "409": "It cannot be done in the state that things are in.",
    "412": "The worker is not registered.",
    "413": "The body, or a payload in it, is too large, or nested too deep.",
    "415": "The body is not JSON by its type.",
    "422": "Fields are wrong; `errors` says what is wrong with each.",
    "429": "A limit is reached; try again.",
    "503": "Not now; try again.",
    "504": "Nobody answered in time.",
}
JSON_TYPE, METRICS_TYPE = "application/json", "text/plain"
_ROLES = {Access.WORK: "worker", Access.ADMIN: "admin"}
_OPEN: dict[str, tuple[str, Schema]] = {
    "/health": ("Whether the server serves.", answer(status=STRING, timestamp=MOMENT, checks=OBJECT)),
    "/ready": ("Whether every part is up.", answer(status=STRING)),
    "/cluster/info": ("What the server is and can do.", answer(control_plane=OBJECT, worker_protocol=OBJECT, server_id=STRING)),
    "/metrics": ("Metrics as Prometheus reads them (text); also at `/metrics`.", STRING),
    "/openapi.json": ("This document.", answer(openapi=STRING, info=OBJECT, paths=OBJECT)),
}


@cache
def document() -> dict[str, Any]:
    """The document as an object, made once; not to be changed."""
    paths: dict[str, Any] = {}
    for path, (summary, schema) in _OPEN.items():
        answered = _answered(summary, schema, METRICS_TYPE if path == "/metrics" else JSON_TYPE)
        paths[path] = {"get": {"summary": summary, "operationId": path[1:].replace("/", "_").partition(".")[0],
                               "responses": {"200": answered, "default": _refusal("Refused.")}}}  # fmt: skip
    for method, path, route in ROUTES:
        paths.setdefault(f"/{path}", {})[method.lower()] = _operation(method, path, route)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Triplane: the durable wire",
            "version": VERSION_HEADERS["worker"][1],
            "description": "Control plane and worker plane of Durable Workflow clients, as this gateway serves them.",
        },
        "servers": [{"url": "/api"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _operation(method: str, path: str, route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": f"{method.lower()}_{re.sub('[^a-z0-9]+', '_', path).strip('_')}",
        "tags": ["worker plane" if route.plane == "worker" else "control plane"],
        "summary": route.handler.replace("_", " ").capitalize() + ".",
        "description": f"Needs the role {_ROLES.get(route.access, 'operator or admin')}.",
        "parameters": [*_in_path(path), *_in_headers(route), *_in_url(route.handler)],
        "responses": _responses(route),
    }
    if method != "GET" and route.handler in BODIES:
        required = bool(BODIES[route.handler].get("required"))
        found["requestBody"] = {"required": required, "content": {JSON_TYPE: {"schema": BODIES[route.handler]}}}
    return found


def _in_path(path: str) -> list[dict[str, Any]]:
    schema: Schema = {"type": "string", "minLength": 1}
    return [{"name": word, "in": "path", "required": True, "schema": schema} for word in re.findall(r"{(\w+)}", path)]


def _in_headers(route: Route) -> list[dict[str, Any]]:
    name, version = VERSION_HEADERS[route.plane]
    schema: Schema = {"const": version} if route.plane == "control" else {"type": "string", "pattern": r"^1\.(1?\d|20)$"}
    headers = [{"name": name, "in": "header", "required": True, "schema": schema}]
    if route.namespaced:
        headers.append({"name": "X-Namespace", "in": "header", "required": False, "schema": {"type": "string", "default": "default"}})
    return headers


def _in_url(handler: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in QUERIES.get(handler, {}).items()]


def _responses(route: Route) -> dict[str, Any]:
    header, version = VERSION_HEADERS[route.plane]
    headers = {header: {"required": True, "schema": {"const": version}}}
    found = {status: _refusal(sentence) for status, sentence in _REFUSALS.items()}
    for status, schema in ANSWERS[route.handler].items():
        if route.operation is not None:
            schema = {"allOf": [schema, answer(control_plane=ref("ControlPlane"))]}
        elif route.plane == "worker":
            schema = {"allOf": [schema, answer(protocol_version=STRING)]}
        if status >= 400:
            schema = {"anyOf": [schema, ref("Refusal")]}
        found[str(status)] = {**_answered("Answered." if status < 400 else _REFUSALS[str(status)], schema), "headers": headers}
    return dict(sorted(found.items()))


def _answered(sentence: str, schema: Schema, kind: str = JSON_TYPE) -> dict[str, Any]:
    return {"description": sentence, "content": {kind: {"schema": schema}}}


def _refusal(sentence: str) -> dict[str, Any]:
    return _answered(sentence, ref("Refusal"))



"""Every token on every plane, namespace and route: what each cell answers, and in which order the checks come (contract section 1).

The cells are made from the table of routes, so a route that is not in `ROWS` below fails the test.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from triplane.assembly import assemble
from triplane.auth import Authenticator, Role, TokenEntry
from triplane.cli.serving import installed_plug_ins
from triplane.commands import CreateNamespace
from triplane.config import installed_model, load
from triplane.store.sqlite import open_store
from triplane_durable.config import DurableConfig
from triplane_durable.listener import Listener
from triplane_durable.routes import ROUTES

CONTROL = {"X-Durable-Workflow-Control-Plane-Version": "2"}
WORKER = {"X-Durable-Workflow-Protocol-Version": "1.20"}
EVERYWHERE: frozenset[str] | None = None
OTHER = frozenset({"other"})

TOKENS: Mapping[str, tuple[frozenset[Role], frozenset[str] | None]] = {
    "viewer": (frozenset({Role.VIEWER}), EVERYWHERE),
    "worker": (frozenset({Role.WORKER}), EVERYWHERE),
    "operator": (frozenset({Role.OPERATOR}), EVERYWHERE),
    "admin": (frozenset({Role.ADMIN}), EVERYWHERE),
    "worker-elsewhere": (frozenset({Role.WORKER}), OTHER),
    "all-elsewhere": (frozenset({Role.WORKER, Role.OPERATOR, Role.ADMIN}), OTHER),
}
READS, STEERS, ADMINISTERS, WORKS = (
    frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN}),
    frozenset({Role.OPERATOR, Role.ADMIN}),
    frozenset({Role.ADMIN}),
    frozenset({Role.WORKER}),
)
NAMESPACES = {"default": True, "OTHER": True, "nobody": False}
"""What the header says, and whether there is one of that name."""


class Row(NamedTuple):
    """Who may use a route, and what an empty request for things that do not exist is answered once it has passed all checks."""

    roles: frozenset[Role]
    status: int
    reason: str | None = None
    namespaced: bool = True


ROWS: Mapping[str, Row] = {
    "GET activities": Row(READS, 200),
    "POST activities": Row(STEERS, 422, "validation_failed"),
    "GET activities/{activity_id}": Row(READS, 404, "instance_not_found"),
    "POST bridge-adapters/webhook/{adapter}": Row(STEERS, 422, "malformed_payload"),
    "GET namespaces": Row(READS, 200, namespaced=False),
    "POST namespaces": Row(ADMINISTERS, 422, "validation_failed", namespaced=False),
    "DELETE namespaces/{namespace}": Row(ADMINISTERS, 404, "namespace_not_found", namespaced=False),
    "GET namespaces/{namespace}": Row(READS, 404, "namespace_not_found", namespaced=False),
    "PUT namespaces/{namespace}": Row(ADMINISTERS, 404, "namespace_not_found", namespaced=False),
    "PUT namespaces/{namespace}/external-storage": Row(ADMINISTERS, 404, "namespace_not_found", namespaced=False),
    "GET schedules": Row(READS, 200),
    "POST schedules": Row(STEERS, 422, "validation_failed"),
    "DELETE schedules/{schedule_id}": Row(STEERS, 404, "schedule_not_found"),
    "GET schedules/{schedule_id}": Row(READS, 404, "schedule_not_found"),
    "PUT schedules/{schedule_id}": Row(STEERS, 404, "schedule_not_found"),
    "POST schedules/{schedule_id}/backfill": Row(STEERS, 422, "validation_failed"),
    "GET schedules/{schedule_id}/history": Row(READS, 404, "schedule_not_found"),
    "POST schedules/{schedule_id}/pause": Row(STEERS, 404, "schedule_not_found"),
    "POST schedules/{schedule_id}/resume": Row(STEERS, 404, "schedule_not_found"),
    "POST schedules/{schedule_id}/trigger": Row(STEERS, 404, "schedule_not_found"),
    "GET search-attributes": Row(READS, 200),
    "POST search-attributes": Row(STEERS, 422, "validation_failed"),
    "DELETE search-attributes/{attribute}": Row(STEERS, 404, "attribute_not_found"),
    "POST service-endpoints/{endpoint}/services/{service}/operations/{operation}/execute": Row(STEERS, 404, "operation_not_found"),
    "POST storage/test": Row(ADMINISTERS, 422, "external_storage_not_configured"),
    "GET system/activity-timeouts": Row(ADMINISTERS, 200),
    "POST system/activity-timeouts/pass": Row(ADMINISTERS, 200),
    "GET system/metrics": Row(ADMINISTERS, 200),
    "GET system/operator-metrics": Row(ADMINISTERS, 200),
    "GET system/repair": Row(ADMINISTERS, 200),
    "POST system/repair/pass": Row(ADMINISTERS, 200),
    "GET system/retention": Row(ADMINISTERS, 200),
    "POST system/retention/pass": Row(ADMINISTERS, 200),
    "GET task-queues": Row(READS, 200),
    "GET task-queues/{task_queue}": Row(READS, 200),
    "GET task-queues/{task_queue}/build-ids": Row(READS, 200),
    "POST task-queues/{task_queue}/build-ids/drain": Row(STEERS, 422, "validation_failed"),
    "POST task-queues/{task_queue}/build-ids/promote": Row(STEERS, 422, "validation_failed"),
    "POST task-queues/{task_queue}/build-ids/resume": Row(STEERS, 422, "validation_failed"),
    "GET workers": Row(READS, 200),
    "DELETE workers/{worker_id}": Row(ADMINISTERS, 404, "worker_not_found"),
    "GET workers/{worker_id}": Row(READS, 404, "worker_not_found"),
    "GET workflows": Row(READS, 200),
    "POST workflows": Row(STEERS, 422, "validation_failed"),
    "GET workflows/{workflow_id}": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/archive": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/cancel": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/request-cancellation": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/message-streams/{stream}/messages": Row(STEERS, 422, "validation_failed"),
    "POST workflows/{workflow_id}/query/{name}": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/repair": Row(STEERS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs": Row(READS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs/{run_id}": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/archive": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/cancel": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/request-cancellation": Row(STEERS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs/{run_id}/history": Row(READS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs/{run_id}/history/export": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/query/{name}": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/redrive": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/repair": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/signal/{name}": Row(STEERS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs/{run_id}/streams": Row(READS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs/{run_id}/streams/{stream}": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/streams/{stream}/close": Row(STEERS, 404, "instance_not_found"),
    "GET workflows/{workflow_id}/runs/{run_id}/streams/{stream}/items": Row(READS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/streams/{stream}/items": Row(STEERS, 422, "validation_failed"),
    "POST workflows/{workflow_id}/runs/{run_id}/terminate": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/runs/{run_id}/update/{name}": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/signal/{name}": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/terminate": Row(STEERS, 404, "instance_not_found"),
    "POST workflows/{workflow_id}/update/{name}": Row(STEERS, 404, "instance_not_found"),
    "POST worker/activity-tasks/poll": Row(WORKS, 422, "validation_failed"),
    "POST worker/activity-tasks/{task_id}/complete": Row(WORKS, 422, "validation_failed"),
    "POST worker/activity-tasks/{task_id}/fail": Row(WORKS, 422, "validation_failed"),
    "POST worker/activity-tasks/{task_id}/heartbeat": Row(WORKS, 422, "validation_failed"),
    "POST worker/activity-tasks/{task_id}/status": Row(WORKS, 422, "validation_failed"),
    "POST worker/heartbeat": Row(WORKS, 422, "validation_failed"),
    "POST worker/query-tasks/poll": Row(WORKS, 422, "validation_failed"),
    "POST worker/query-tasks/{task_id}/complete": Row(WORKS, 422, "validation_failed"),
    "POST worker/query-tasks/{task_id}/fail": Row(WORKS, 422, "validation_failed"),
    "POST worker/register": Row(WORKS, 422, "validation_failed"),
    "DELETE worker/registrations/{worker_id}": Row(WORKS, 404, "worker_not_found"),
    "POST worker/sessions": Row(WORKS, 422, "validation_failed"),
    "DELETE worker/sessions/{session_id}": Row(WORKS, 422, "validation_failed"),
    "POST worker/sessions/{session_id}/heartbeat": Row(WORKS, 422, "validation_failed"),
    "POST worker/update-validation-tasks/poll": Row(WORKS, 422, "validation_failed"),
    "POST worker/update-validation-tasks/{task_id}/approve": Row(WORKS, 422, "validation_failed"),
    "POST worker/update-validation-tasks/{task_id}/reject": Row(WORKS, 422, "validation_failed"),
    "POST worker/workflow-tasks/poll": Row(WORKS, 422, "validation_failed"),
    "POST worker/workflow-tasks/{task_id}/complete": Row(WORKS, 422, "validation_failed"),
    "POST worker/workflow-tasks/{task_id}/deliver-cancellation": Row(WORKS, 422, "validation_failed"),
    "POST worker/workflow-tasks/{task_id}/fail": Row(WORKS, 422, "validation_failed"),
    "POST worker/workflow-tasks/{task_id}/heartbeat": Row(WORKS, 422, "validation_failed"),
    "POST worker/workflow-tasks/{task_id}/history": Row(WORKS, 422, "validation_failed"),
}


class Wire:
    """One connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        lines = [f"{method} /api/{path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
        body = b"" if method == "GET" else b"{}"
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        return int(head.split(" ")[1]), orjson.loads(await self._reader.readexactly(length))


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    config = load(installed_model(), None, {"TRIPLANE__GATEWAY__DATA_DIR": str(tmp_path / "data")})
    entries = [TokenEntry(name, _digest(name), roles, spaces) for name, (roles, spaces) in TOKENS.items()]
    entries.append(TokenEntry("expired", _digest("expired"), frozenset({Role.ADMIN, Role.WORKER}), None, expires=1.0))
    store = open_store(tmp_path / "data")
    gateway = assemble(config, store, installed_plug_ins(), Authenticator(entries), lambda error: None).gateway
    await gateway.start()
    await gateway.bus.send(CreateNamespace(namespace="other"))
    listener = Listener(gateway, DurableConfig(port=0))
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    yield Wire(reader, writer)
    writer.close()
    await gateway.drain()
    await listener.stop(5)
    await gateway.stop()
    store.close()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _path(path: str) -> str:
    return "/".join("x" if part[0] == "{" else part for part in path.split("/"))


def _token(name: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"} if name is not None else {}


def expected(row: Row, plane: str, token: str, namespace: str, versioned: bool) -> tuple[int, str | None]:
    """What a cell must answer: who, may they, which version, which namespace, and only then the route itself."""
    roles, spaces = TOKENS[token]
    if not roles & row.roles:
        return 403, "forbidden"
    if not versioned:
        return 400, "missing_control_plane_version" if plane == "control" else "missing_protocol_version"
    if row.namespaced and not (NAMESPACES[namespace] and (spaces is None or namespace.lower() in spaces)):
        return 404, "namespace_not_found"
    return row.status, row.reason


def test_every_route_has_a_row() -> None:
    assert {f"{method} {path}" for method, path, _ in ROUTES} == set(ROWS)


@pytest.mark.parametrize("token", TOKENS)
async def test_every_cell_of_a_token_answers_as_the_contract_says(wire: Wire, token: str) -> None:
    wrong = []
    for method, path, route in ROUTES:
        row = ROWS[f"{method} {path}"]
        for namespace in NAMESPACES:
            for versioned in (True, False):
                version = (CONTROL if route.plane == "control" else WORKER) if versioned else {}
                headers = {**_token(token), **version, "X-Namespace": namespace}
                status, body = await wire.ask(method, _path(path), headers)
                wanted = expected(row, route.plane, token, namespace, versioned)
                if (status, body.get("reason")) != wanted:
                    wrong.append((method, path, namespace, versioned, wanted, (status, body)))
                if status == 403:
                    assert body["role"] and body["allowed_roles"] and body["message"]
                    assert {Role(name) for name in body["allowed_roles"]} <= row.roles
    assert wrong == []


@pytest.mark.parametrize("token", [None, "unknown", "expired"])
async def test_no_route_answers_whoever_is_not_let_in(wire: Wire, token: str | None) -> None:
    for method, path, route in ROUTES:
        for version in (CONTROL if route.plane == "control" else WORKER, {}):
            status, body = await wire.ask(method, _path(path), {**_token(token), **version, "X-Namespace": "nobody"})
            assert (status, body["reason"]) == (401, "unauthorized"), (method, path, body)


async def test_discovery_needs_any_token_and_health_none(wire: Wire) -> None:
    for token in (None, "unknown", "expired", *TOKENS):
        known = token in TOKENS
        # No version header and a namespace that does not exist: neither is looked at (contract section 1).
        headers = {**_token(token), "X-Namespace": "nobody"}
        status, body = await wire.ask("GET", "cluster/info", headers)
        assert (status, body.get("reason")) == ((200, None) if known else (401, "unauthorized"))
        for open_to_all, answer in (("health", "serving"), ("ready", "ready")):
            status, body = await wire.ask("GET", open_to_all, headers)
            assert (status, body["status"]) == (200, answer)


async def test_a_token_of_one_namespace_sees_and_changes_no_other(wire: Wire) -> None:
    headers = {**_token("all-elsewhere"), **CONTROL}
    _, body = await wire.ask("GET", "namespaces", headers)
    assert [space["name"] for space in body["namespaces"]] == ["other"]
    assert (await wire.ask("GET", "namespaces/OTHER", headers))[1]["name"] == "other"
    for method, path in (("GET", "namespaces/default"), ("PUT", "namespaces/default"), ("DELETE", "namespaces/default")):
        status, body = await wire.ask(method, path, headers)
        assert (status, body["reason"], body["namespace"]) == (404, "namespace_not_found", "default")
    everywhere = {**_token("admin"), **CONTROL}
    _, body = await wire.ask("GET", "namespaces", everywhere)
    assert [space["name"] for space in body["namespaces"]] == ["default", "other"]

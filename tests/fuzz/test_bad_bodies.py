"""Unsound bodies on every route of the durable wire, against a real gateway: never a 5xx, the next answers right, memory bounded."""

import asyncio
import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess
from triplane_durable.openapi.requests import BODIES
from triplane_durable.routes import ROUTES

SHORT_POLLS = {"TRIPLANE__ADAPTERS__DURABLE__LONG_POLL_S": "0.01"}
CONFIG = """
[auth]
local_role = "admin"
[engines.durable]
query_timeout_s = 0.05
"""
MIB = 1 << 20
MOST_GROWTH = 300 * MIB
FILLED = {
    "workflow_id": "known", "run_id": "nothing", "name": "go", "task_id": "wt-nothing-1", "namespace": "default", "stream": "s",
    "schedule_id": "known", "activity_id": "known", "attribute": "Known", "worker_id": "known", "task_queue": "q", "session_id": "s",
    "endpoint": "e", "service": "s", "operation": "o", "adapter": "a",
}  # fmt: skip
KEPT = ("delete_namespace", "remove_worker", "deregister", "terminate", "cancel", "delete_schedule", "request_cancellation")
"""Routes that would end what the others are tried on."""
HEADER = bytes.fromhex("c301e2a33dff55802237")
BOMBS = {
    "a list of 2^59 items": "0c fe ff ff ff 0f",
    "a map of 2^59 entries": "0e fe ff ff ff 0f",
    "a text of 2 GiB": "0a fe ff ff ff 0f",
    "bytes of 2 GiB": "08 fe ff ff ff 0f",
    "a list in a list in a list": "0c 02 " * 900,
    "an unknown branch": "7e 00 00 00 00",
    "a negative block": "0c 01 01 00 00",
}
UNSOUND = {
    "nothing": b"", "a list": b"[]", "null": b"null", "a number": b"7", "a text": b'"x"', "half an object": b'{"a": ',
    "no UTF-8": b"\xff\xfe{}", "a key twice": b'{"reason": 1, "reason": 2, "name": "a", "name": []}', "no number": b'{"input": NaN}',
    "beyond all numbers": b'{"timeout_seconds": 1e999, "page_size": -1e999}', "half a surrogate": b'{"reason": "\\ud800"}',
    "deep lists": b'{"input": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "deep objects": b'{"a": ' * 3_000 + b"1" + b"}" * 3_000,
    "a mebibyte of text": json.dumps({"reason": "x" * MIB, "name": "y", "input": "z" * 10}).encode(),
    "a mebibyte of keys": json.dumps({f"key-{number}": number for number in range(60_000)}).encode(),
    "a mebibyte of nothing": b" " * MIB,
}  # fmt: skip
WRONG = (7, -1, 1e300, "", "x" * 3_000, True, [], [[]], {}, {"codec": "avro"}, {"codec": "json", "blob": 3}, None)


class Wire:
    """Requests on one connection to a gateway in a process of its own."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=20)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        given = {
            "Content-Type": "application/json", "X-Durable-Workflow-Control-Plane-Version": "2",
            "X-Durable-Workflow-Protocol-Version": "1.20", **headers,
        }  # fmt: skip
        self._connection.request(method, f"/api/{path}", body, given)
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.send(method, path, None if body is None else json.dumps(body).encode(), **headers)

    @property
    def memory(self) -> int:
        """Bytes that the gateway holds in memory."""
        status = Path(f"/proc/{self._gateway.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1_024

    def is_well(self) -> None:
        """A sound request of each kind is answered as it should be."""
        status, body = self.ask("GET", "workflows/known")
        assert (status, body["workflow_id"], body["status"]) == (200, "known", "pending")
        status, body = self.ask("GET", "health")
        assert (status, body["status"]) == (200, "serving")


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with GatewayProcess(tmp_path_factory.mktemp("bad"), CONFIG, SHORT_POLLS) as gateway:
        wire = Wire(gateway)
        assert wire.ask("POST", "workflows", {"workflow_id": "known", "workflow_type": "t", "task_queue": "nobody"})[0] == 201
        schedule = {"schedule_id": "known", "spec": {"intervals": [{"every": "PT9H"}]}, "action": {"workflow_type": "t"}, "paused": True}
        assert wire.ask("POST", "schedules", schedule)[0] == 201
        yield wire


def path_of(path: str) -> str:
    return path.format(**FILLED)


TRIED = [(method, path, route.handler) for method, path, route in ROUTES if method != "GET" and route.handler not in KEPT]


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_body_is_refused_on_every_route(wire: Wire, what: str) -> None:
    before = wire.memory
    for method, path, _ in TRIED:
        status, answer = wire.send(method, path_of(path), UNSOUND[what])
        assert status < 500 or answer.get("reason", "").startswith("query_"), (method, path, answer)
        assert isinstance(answer, dict) and (status < 400 or answer.get("reason")), (method, path, answer)
    assert wire.memory - before < MOST_GROWTH
    wire.is_well()


@pytest.mark.parametrize("handler", sorted({handler for _, _, handler in TRIED} & BODIES.keys()))
def test_a_field_of_another_type_is_refused_in_words(wire: Wire, handler: str) -> None:
    method, path = next((method, path) for method, path, name in TRIED if name == handler)
    fields = list(BODIES[handler]["properties"])
    for field in fields:
        for wrong in WRONG:
            body = dict.fromkeys(BODIES[handler].get("required", ()), "x") | {field: wrong}
            status, answer = wire.ask(method, path_of(path), body)
            assert status < 500 or answer.get("reason", "").startswith("query_"), (field, wrong, answer)
            assert status < 400 or answer.get("reason"), (field, wrong, answer)
            if status == 422 and "errors" in answer:
                assert all(isinstance(said, list) and said for said in answer["errors"].values()), answer
    wire.is_well()


@pytest.mark.parametrize("what", BOMBS)
def test_a_payload_that_claims_to_be_huge_costs_nothing(wire: Wire, what: str) -> None:
    before = wire.memory
    blob = base64.b64encode(HEADER + bytes.fromhex(BOMBS[what])).decode()
    bomb, workflow_id = {"codec": "avro", "blob": blob}, f"bomb-{list(BOMBS).index(what)}"
    for path, body in (
        ("workflows", {"workflow_id": workflow_id, "workflow_type": "t", "task_queue": "nobody", "input": bomb}),
        ("workflows/known/signal/go", {"input": bomb}),
        ("workflows/known/query/triplane.table", {"input": bomb}),
        ("workflows/known/update/triplane.hold", {"input": bomb}),
        ("workflows/known/message-streams/s/messages", {"message_id": "m", "input": bomb}),
        ("activities", {"activity_type": "a", "task_queue": "nobody", "input": bomb}),
        ("schedules/known/trigger", {}),
    ):
        status, answer = wire.ask("POST", path, body)
        assert status < 500, (path, answer)
    for path in (f"workflows/{workflow_id}", "workflows", "activities"):
        status, answer = wire.ask("GET", path)
        assert status in (200, 404), (path, answer)
    assert wire.memory - before < MOST_GROWTH // 3
    wire.is_well()


def test_an_unknown_namespace_is_refused_on_every_route_that_has_one(wire: Wire) -> None:
    for method, path, route in ROUTES:
        if route.namespaced:
            status, answer = wire.ask(method, path_of(path), None if method == "GET" else {}, **{"X-Namespace": "nowhere"})
            assert (status, answer["reason"], answer["namespace"]) == (404, "namespace_not_found", "nowhere"), (method, path, answer)


def test_a_request_id_with_other_content_is_a_conflict(wire: Wire) -> None:
    assert wire.ask("POST", "workflows", {"workflow_id": "ids", "workflow_type": "t", "task_queue": "nobody"})[0] == 201
    assert wire.ask("POST", "workflows/ids/signal/go", {"input": [1], "request_id": "r"})[0] == 202
    status, again = wire.ask("POST", "workflows/ids/signal/go", {"input": [1], "request_id": "r"})
    assert (status, again["retained"]) == (202, True)
    for path, body in (("signal/go", {"input": [2]}), ("signal/other", {"input": [1]}), ("update/go", {"input": [1]})):
        status, answer = wire.ask("POST", f"workflows/ids/{path}", {**body, "request_id": "r"})
        assert (status, answer["reason"], answer["conflict"]) == (409, "request_id_conflict", True)
        assert answer["retained_command_type"] == "signal" and answer["request_id"] == "r"
    assert wire.ask("POST", "workflows/ids/terminate", {"request_id": "r"})[0] == 409


def test_forged_and_stale_leases_are_told_apart_and_change_nothing(wire: Wire) -> None:
    queue = {"worker_id": "w1", "task_queue": "leases"}
    assert wire.ask("POST", "worker/register", {**queue, "runtime": "python"})[0] == 201
    assert wire.ask("POST", "workflows", {"workflow_id": "leased", "workflow_type": "t", "task_queue": "leases"})[0] == 201
    task = wire.ask("POST", "worker/workflow-tasks/poll", {**queue, "timeout_seconds": 5})[1]["task"]
    path, end = f"worker/workflow-tasks/{task['task_id']}", [{"type": "complete_workflow", "result": None}]
    lease = {"lease_owner": "w1", "workflow_task_attempt": task["workflow_task_attempt"]}
    for change, status, reason in (
        ({"lease_owner": "w2"}, 409, "lease_owner_mismatch"),
        ({"workflow_task_attempt": 7}, 409, "workflow_task_attempt_mismatch"),
    ):
        for verb, body in (("complete", {"commands": end}), ("fail", {"failure": {"message": "x"}}), ("heartbeat", {}), ("history", {})):
            answer = wire.ask("POST", f"{path}/{verb}", {**lease, **change, **body})
            assert (answer[0], answer[1]["reason"]) == (status, reason), (verb, answer)
    assert wire.ask("POST", "worker/workflow-tasks/wt-nothing-9/complete", {**lease, "commands": end})[0] == 404
    assert wire.ask("GET", "workflows/leased")[1]["is_terminal"] is False
    assert wire.ask("POST", f"{path}/complete", {**lease, "commands": end})[0] == 200
    status, answer = wire.ask("POST", f"{path}/complete", {**lease, "commands": end})
    assert status == 409 and answer["reason"] in ("run_closed", "run_already_closed", "task_not_leased")


async def test_a_thousand_long_polls_that_hang_up_leave_nothing_behind(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        wire = Wire(gateway)
        assert wire.ask("POST", "worker/register", {"worker_id": "w", "task_queue": "q", "runtime": "python"})[0] == 201
        before, open_before = wire.memory, len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))
        body = json.dumps({"worker_id": "w", "task_queue": "q", "timeout_seconds": 60}).encode()
        head = (
            "POST /api/worker/workflow-tasks/poll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"X-Durable-Workflow-Protocol-Version: 1.20\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for _ in range(10):
            writers = []
            for _ in range(100):
                _, writer = await asyncio.open_connection("127.0.0.1", gateway.http_port)
                writer.write(head + body)
                await writer.drain()
                writers.append(writer)
            for writer in writers:
                writer.transport.abort()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        async with asyncio.timeout(30):
            while len(list(Path(f"/proc/{gateway.pid}/fd").iterdir())) > open_before + 5:
                await asyncio.sleep(0.05)
        start = {"workflow_id": "x", "workflow_type": "t", "task_queue": "q"}
        assert wire.ask("POST", "workflows", start)[0] == 201
        async with asyncio.timeout(20):
            poll = {"worker_id": "w", "task_queue": "q", "timeout_seconds": 2}
            while (task := wire.ask("POST", "worker/workflow-tasks/poll", poll)[1]["task"]) is None:
                await asyncio.sleep(0)
        assert task["workflow_id"] == "x"
        assert wire.memory - before < 100 * MIB

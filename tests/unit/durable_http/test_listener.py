"""The HTTP socket itself: who is let in from where, what is too much, and who hangs up."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from triplane.adapter import AdapterError
from triplane.auth import Authenticator, Role, TokenEntry
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.store.sqlite import open_store
from triplane_durable import DurableAdapter
from triplane_durable.config import DurableConfig

CONTROL = {"X-Durable-Workflow-Control-Plane-Version": "2"}
WORKER = {"X-Durable-Workflow-Protocol-Version": "1.20"}


class Served:
    """A gateway that listens, and a client of it."""

    def __init__(self, gateway: Gateway, adapter: DurableAdapter, client: aiohttp.ClientSession) -> None:
        self.gateway, self.adapter, self.client = gateway, adapter, client
        (self.url,) = adapter.endpoints()
        self.port = int(self.url.rpartition(":")[2])

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = {**(WORKER if path.startswith("/api/worker/") else CONTROL), **options.pop("headers", {})}
        async with self.client.request(method, self.url + path, headers=headers, **options) as response:
            return response.status, await response.json()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    opened: list[Any] = []

    async def start(authenticator: Authenticator | None = None, **settings: Any) -> Served:
        store = open_store(tmp_path / "data")
        gateway = Gateway(store, {"durable": DurableEngine()}, [Matching()], authenticator=authenticator)
        await gateway.start()
        adapter = DurableAdapter()
        await adapter.start(gateway, DurableConfig(port=0, **settings))
        client = aiohttp.ClientSession()
        opened.append((store, gateway, adapter, client))
        return Served(gateway, adapter, client)

    yield start
    for store, gateway, adapter, client in opened:
        await client.close()
        await gateway.drain()
        await adapter.stop(5)
        await gateway.stop()
        store.close()


def token(text: str, *roles: Role, namespaces: frozenset[str] | None = None) -> TokenEntry:
    return TokenEntry(text, hashlib.sha256(text.encode()).digest(), frozenset(roles), namespaces)


async def test_only_our_own_names_are_answered_to(serve):
    served = await serve(allowed_hosts=("gateway.example",))
    for host, status in (
        ("localhost", 200), (f"127.0.0.1:{served.port}", 200), ("[::1]:8080", 200), ("gateway.example:80", 200),
        ("", 421), ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:80", 421),
    ):  # fmt: skip
        assert (await served.ask("GET", "/api/workflows", headers={"Host": host}))[0] == status, host


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200), ("http://127.0.0.1", 200), ("https://page.example", 200),
        ("https://evil.example", 403), ("null", 403), ("http://localhost.evil.example", 403), ("http://[bad", 403),
    ],
)  # fmt: skip
async def test_pages_from_elsewhere_are_refused(serve, origin, status):
    served = await serve(allowed_origins=("https://page.example",))
    assert (await served.ask("GET", "/api/workflows", headers={"Origin": origin}))[0] == status


async def test_a_body_must_be_json_by_its_type_and_within_its_size(serve):
    served = await serve(max_body_bytes=2_000)
    start = b'{"workflow_type": "t"}'
    assert (await served.ask("POST", "/api/workflows", data=start, headers={"Content-Type": "text/plain"}))[0] == 415
    assert (await served.ask("POST", "/api/workflows", data=start, headers={"Content-Type": "application/json; charset=utf-8"}))[0] == 201
    status, body = await served.ask("POST", "/api/workflows", json={"workflow_type": "t", "input": ["x" * 3_000]})
    assert (status, body["reason"]) == (413, "payload_too_large") and "max_body_bytes" in body["message"]

    async def chunks():
        for _ in range(10):
            yield b" " * 500

    status, _ = await served.ask("POST", "/api/workflows", data=chunks(), headers={"Content-Type": "application/json"})
    assert status == 413
    assert (await served.ask("GET", "/api/workflows"))[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\1\2\r\n\r\n",
        b"GET /api/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/workflows HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /api/workflows HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{",
        b"POST /api/workflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /api/workflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    ],
    ids=["no HTTP", "a long path", "a long header", "a negative length", "not gzip", "not chunks"],
)
async def test_bytes_that_are_no_request_are_refused_in_the_wires_form_and_hurt_nobody(serve, caplog, request_bytes):
    served = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request_bytes)
    head, _, body = (await asyncio.wait_for(reader.read(4_096), 5)).partition(b"\r\n\r\n")
    writer.close()
    assert b" 400 " in head.splitlines()[0] and b"application/json" in head
    assert json.loads(body)["reason"] == "malformed_request"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert (await served.ask("GET", "/api/workflows"))[0] == 200


async def test_tokens_decide_which_plane_and_which_namespace(serve):
    served = await serve(
        Authenticator([
            token("op", Role.OPERATOR), token("work", Role.WORKER), token("see", Role.VIEWER),
            token("far", Role.OPERATOR, namespaces=frozenset({"elsewhere"})),
        ])
    )  # fmt: skip

    async def status(who: str | None, method: str, path: str, **options: Any) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {who}"} if who else {}
        code, body = await served.ask(method, path, headers=headers, **options)
        return code, body.get("reason")

    start = {"json": {"workflow_type": "t"}}
    register = {"json": {"worker_id": "w", "task_queue": "q", "runtime": "python"}}
    assert await status(None, "GET", "/api/workflows") == (401, "unauthorized")
    assert await status("wrong", "GET", "/api/workflows") == (401, "unauthorized")
    assert (await status("op", "POST", "/api/workflows", **start))[0] == 201
    assert await status("op", "POST", "/api/worker/register", **register) == (403, "forbidden")
    assert (await status("work", "POST", "/api/worker/register", **register))[0] == 201
    assert await status("work", "GET", "/api/workflows") == (403, "forbidden")
    assert (await status("see", "GET", "/api/workflows"))[0] == 200
    assert await status("see", "POST", "/api/workflows", **start) == (403, "forbidden")
    assert await status("far", "GET", "/api/workflows") == (404, "namespace_not_found")
    for who in ("op", "work", "see"):
        assert (await status(who, "GET", "/api/cluster/info"))[0] == 200
    assert await status(None, "GET", "/api/cluster/info") == (401, "unauthorized")
    assert (await status(None, "GET", "/api/health"))[0] == 200
    code, body = await served.ask("POST", "/api/worker/register", headers={"Authorization": "Bearer op"}, **register)
    assert code == 403 and body["allowed_roles"] == ["worker"] and "operator" in body["role"]


async def test_readiness_differs_from_health(serve):
    served = await serve()
    served.gateway.part("cylc", False)
    status, body = await served.ask("GET", "/api/health")
    assert (status, body["status"], body["checks"]) == (200, "serving", {"database": "ok"})
    status, body = await served.ask("GET", "/api/ready")
    assert status == 503 and body["parts"]["cylc"] == "down"
    served.gateway.part("cylc", True)
    assert (await served.ask("GET", "/api/ready"))[0] == 200


async def test_a_worker_that_hangs_up_loses_no_task(serve):
    served = await serve()
    await served.ask("POST", "/api/worker/register", json={"worker_id": "w", "task_queue": "q", "runtime": "python"})
    poll = {"worker_id": "w", "task_queue": "q", "timeout_seconds": 30}
    for _ in range(20):
        hanging = asyncio.ensure_future(served.ask("POST", "/api/worker/workflow-tasks/poll", json=poll))
        await asyncio.sleep(0.02)
        hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await served.ask("POST", "/api/workflows", json={"workflow_id": "x", "workflow_type": "t", "task_queue": "q"})
    status, body = await served.ask("POST", "/api/worker/workflow-tasks/poll", json={**poll, "timeout_seconds": 10})
    assert status == 200 and body["task"]["workflow_id"] == "x"


async def test_polls_over_the_limit_are_told_to_come_back(serve):
    served = await serve(max_polls=2)
    await served.ask("POST", "/api/worker/register", json={"worker_id": "w", "task_queue": "q", "runtime": "python"})
    poll = {"worker_id": "w", "task_queue": "q", "timeout_seconds": 30}
    held = [asyncio.ensure_future(served.ask("POST", "/api/worker/activity-tasks/poll", json=poll)) for _ in range(2)]
    async with asyncio.timeout(10):
        while True:
            status, body = await served.ask("POST", "/api/worker/workflow-tasks/poll", json={**poll, "timeout_seconds": 0})
            if status == 429:
                break
            await asyncio.sleep(0.02)
    assert body["reason"] == body["poll_status"] == "long_poll_capacity_exhausted" and body["task"] is None
    assert body["task_kind"] == "workflow_task" and 1 <= body["retry_after_seconds"] <= 60
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_long_polls_are_answered_when_the_gateway_drains(serve):
    served = await serve()
    await served.ask("POST", "/api/worker/register", json={"worker_id": "w", "task_queue": "q", "runtime": "python"})
    poll = {"worker_id": "w", "task_queue": "q", "timeout_seconds": 60}
    held = [asyncio.ensure_future(served.ask("POST", "/api/worker/workflow-tasks/poll", json=poll)) for _ in range(20)]
    await asyncio.sleep(0.2)
    await served.gateway.drain()
    answers = await asyncio.wait_for(asyncio.gather(*held), 5)
    assert all((status, body["task"]) == (200, None) for status, body in answers)
    status, body = await served.ask("POST", "/api/workflows", json={"workflow_type": "t"})
    assert (status, body["reason"]) == (503, "shutting_down")


async def test_a_port_that_is_taken_is_named_with_its_setting(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(AdapterError, match=r"adapters\.durable\.port"):
            served = await serve()
            await DurableAdapter().start(served.gateway, DurableConfig(port=taken.getsockname()[1]))


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 5)


async def test_answers_in_a_row_have_one_form_whichever_way_they_are_written(serve):
    served = await serve()
    version = "X-Durable-Workflow-Control-Plane-Version: 2\r\n"
    asked = [("/api/workflows", ""), ("/api/workflows/nobody", ""), ("/api/workflows", ""), ("/api/workflows", "Connection: close\r\n")]
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write("".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{version}{more}\r\n" for path, more in asked).encode())
    answers = [await read_answer(reader) for _ in asked]
    assert [status for status, _, _ in answers] == [200, 404, 200, 200]
    for _, headers, body in answers:
        assert headers["content-type"].startswith("application/json") and headers["date"].endswith("GMT")
        assert headers["x-durable-workflow-control-plane-version"] == "2"
        assert isinstance(json.loads(body), dict)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_client_that_reads_late_gets_every_answer(serve):
    served = await serve()
    body = json.dumps({"workflow_type": "greet", "task_queue": "q", "memo": {"note": "n" * 20_000}})
    start = (
        "POST /api/workflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Durable-Workflow-Control-Plane-Version: 2\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(start)
    _, _, answer = await read_answer(reader)
    workflow_id = json.loads(answer)["workflow_id"]
    read = f"GET /api/workflows/{workflow_id} HTTP/1.1\r\nHost: localhost\r\nX-Durable-Workflow-Control-Plane-Version: 2\r\n\r\n".encode()
    # 20 kB each: far more than the sockets take while nobody reads, so the gateway has to wait with most of them.
    count = 1_000
    writer.write(read * count)
    for _ in range(count):
        status, _, answer = await read_answer(reader)
        assert status == 200 and len(json.loads(answer)["memo"]["note"]) == 20_000
    writer.close()

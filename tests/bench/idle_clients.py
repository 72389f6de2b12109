"""Memory that a client costs the server while it waits: websockets, long polls, and ZeroMQ clients under CURVE.

Each repetition starts both servers anew, for memory that was used once is used again: after some clients to warm up, the
growth of the resident set over `CLIENTS` more is divided by their number.
"""

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
import zmq
from gateway import Gateway
from harness import Conditions, Fact, Floor, Measurement
from websocket_clients import Client, close, connect
from workflow_clients import DurableWire, Http
from zmq_requests import SMALLEST_REQUEST, Endpoint

CLIENTS, WARM_UP = 1_000, 50
SETTLE_S = 1.0
MOST_REPETITIONS = 2
"""Memory hardly varies from one to the next."""
POLLS_PER_WORKER = 50
PAGE = os.sysconf("SC_PAGE_SIZE")
WEBSOCKET, LONG_POLL, ZMQ_CLIENT = "websocket", "long poll", "ZeroMQ client under CURVE"
GOALS = {WEBSOCKET: 1.6, LONG_POLL: 1.6, ZMQ_CLIENT: 1.2}

Grow = Callable[[int], None]
"""Adds so many clients."""


def resident_kib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1024


def growth(pid: int, grow: Grow) -> float:
    """KiB of process `pid` for each of `CLIENTS` clients."""
    grow(WARM_UP)
    time.sleep(SETTLE_S)
    before = resident_kib(pid)
    grow(CLIENTS)
    time.sleep(SETTLE_S)
    return (resident_kib(pid) - before) / CLIENTS


# ---- websockets and long polls ---------------------------------------------------------------------------------------


def of_websockets(port: int, path: str, pid: int) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        clients: list[Client] = []
        try:
            return growth(pid, lambda count: clients.extend(runner.run(connect(Client, port, path, count))))
        finally:
            close(clients)


class Poll(asyncio.Protocol):
    """One request that is answered late or never."""

    def __init__(self, request: bytes, answers: list[bytes]) -> None:
        self.request, self.answers = request, answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.answers.append(data)


def of_polls(port: int, pid: int, path: str, headers: bytes, body: Callable[[], bytes]) -> float:
    """Raises RuntimeError: a poll was answered."""
    answers: list[bytes] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop, polls = runner.get_loop(), []

        def grow(count: int) -> None:
            for _ in range(count):
                data = body()
                head = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
                request = head % (path.encode(), headers, len(data)) + data
                transport, _ = loop.run_until_complete(loop.create_connection(lambda r=request: Poll(r, answers), "127.0.0.1", port))  # type: ignore[misc]
                polls.append(transport)
            loop.run_until_complete(asyncio.sleep(0.1))

        try:
            found = growth(pid, grow)
        finally:
            for transport in polls:
                transport.abort()
    if answers:
        raise RuntimeError(f"a poll did not wait: {answers[0][:500]!r}")
    return found


def floor_polls(floor: Floor) -> float:
    return of_polls(floor.said["port"], floor.pid, "/poll", b"", lambda: b'{"queue":"queue"}')


def our_polls(gateway: Gateway) -> float:
    """Workers of one queue, each with some polls."""
    workers = [f"idle-{number}" for number in range((CLIENTS + WARM_UP) // POLLS_PER_WORKER)]

    async def register() -> None:
        http = Http(gateway.http_port)
        for worker in workers:
            registration = {
                "worker_id": worker, "task_queue": "bench-idle", "runtime": "python", "sdk_version": "bench",
                "supported_workflow_types": ["bench.idle"], "supported_activity_types": [],
                "max_concurrent_workflow_tasks": 1000, "max_concurrent_activity_tasks": 1000,
            }  # fmt: skip
            await http("POST", "/api/worker/register", registration, DurableWire.WORKER)
        http.close()

    uvloop.run(register())
    numbers = iter(range(CLIENTS + WARM_UP))

    def body() -> bytes:
        poll = {
            "worker_id": workers[next(numbers) % len(workers)], "task_queue": "bench-idle", "poll_request_id": uuid.uuid4().hex,
            "timeout_seconds": 60, "history_page_size": 500,
        }  # fmt: skip
        return json.dumps(poll).encode()

    return of_polls(gateway.http_port, gateway.pid, "/api/worker/workflow-tasks/poll", DurableWire.WORKER, body)


# ---- ZeroMQ ----------------------------------------------------------------------------------------------------------


def of_zmq(endpoint: Endpoint) -> float:
    """Each client has asked once, so its session is there."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 10 * CLIENTS)
    sockets: list[zmq.Socket[bytes]] = []

    def grow(count: int) -> None:
        for _ in range(count):
            socket = endpoint.connect(context, zmq.REQ)
            socket.send(SMALLEST_REQUEST)
            socket.recv()
            sockets.append(socket)

    try:
        return growth(endpoint.pid, grow)
    finally:
        context.destroy(linger=0)


def floor_zmq() -> float:
    with Floor("zmq_echo.py") as floor:
        public, secret = zmq.curve_keypair()
        return of_zmq(Endpoint(floor.said["port"], floor.said["server_key"].encode(), public, secret, floor.pid))


def our_zmq() -> float:
    with Gateway() as gateway:
        try:
            return of_zmq(gateway.start_graph())
        finally:
            gateway.stop_graph()


# ---- the rows --------------------------------------------------------------------------------------------------------


def floor_http(measure: Callable[[Floor], float]) -> float:
    with Floor("websocket.py", database=True) as floor:
        return measure(floor)


def our_http(measure: Callable[[Gateway], float]) -> float:
    with Gateway() as gateway:
        return measure(gateway)


@dataclass
class Idle:
    """One kind of client, on both sides in turns."""

    kind: str
    floor: Callable[[], float]
    ours: Callable[[], float]
    found: list[tuple[float, float]] = field(default_factory=list)

    def run(self, repetitions: int) -> Sequence[Fact]:
        for _ in range(min(repetitions, MOST_REPETITIONS)):
            self.found.append((self.ours(), self.floor()))
        return [self.row()]

    def row(self) -> Fact:
        ratios = [ours / floor for ours, floor in self.found]
        ratio, goal = statistics.median(ratios), GOALS[self.kind]
        ours, floor = (statistics.median(side) for side in zip(*self.found, strict=True))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        return Fact(
            f"Memory of the server per idle {self.kind}", f"{ratio:.2f}", f"≤ {goal:g}", ratio <= goal,
            f"{ours:.1f} KiB; {spread}", f"bare: {floor:.1f} KiB", f"{CLIENTS:,} raw clients",
        )  # fmt: skip


def measurements(given: Conditions) -> Iterator[Measurement]:
    """A server of its own for every figure."""
    yield Idle(
        WEBSOCKET,
        lambda: floor_http(lambda floor: of_websockets(floor.said["port"], "/ws", floor.pid)),
        lambda: our_http(lambda gateway: of_websockets(gateway.http_port + 1, "/", gateway.pid)),
    )
    yield Idle(LONG_POLL, lambda: floor_http(floor_polls), lambda: our_http(our_polls))
    yield Idle(ZMQ_CLIENT, floor_zmq, our_zmq)

"""Load: N keep-alive HTTP connections on one uvloop, each with one start request outstanding.

A bare protocol, because an HTTP client library costs more than the server it would measure.
"""

import asyncio
import itertools
import time
import uuid
from typing import cast

import uvloop
from harness import Sample, cpu_s

HEADERS = (
    b"POST /api/workflows HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    b"X-Namespace: default\r\nX-Durable-Workflow-Control-Plane-Version: 2\r\nContent-Length: %d\r\n\r\n"
)
BODY = (
    b'{"workflow_id":"%s","workflow_type":"bench.start","task_queue":"bench-start","input":{"codec":"avro","blob":"'
    + b"A" * 320
    + b'"},"execution_timeout_seconds":3600,"run_timeout_seconds":600}'
)


class Starter(asyncio.Protocol):
    """One connection: sends a start as soon as the last one is answered, until told to stop."""

    def __init__(self, ids: "itertools.count[int]", prefix: bytes, latencies: list[float], failed: asyncio.Future[None]) -> None:
        self.ids, self.prefix, self.latencies, self.failed = ids, prefix, latencies, failed
        self.received = b""
        self.sent = 0.0
        self.running = True
        self.idle = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's, so only a cast can say it.
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        body = BODY % b"%s-%d" % (self.prefix, next(self.ids))
        self.sent = time.perf_counter()
        self.transport.write(HEADERS % len(body) + body)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.received[:head_end].lower()
        at = head.index(b"content-length:") + 15
        end = head_end + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if len(self.received) < end:
            return
        if not head.startswith(b"http/1.1 201"):
            if not self.failed.done():
                self.failed.set_exception(RuntimeError(f"a start was refused: {self.received[:1000]!r}"))
            return
        self.received = self.received[end:]
        self.latencies.append(time.perf_counter() - self.sent)
        if self.running:
            self.send()
        elif not self.idle.done():
            self.idle.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        if self.running and not self.failed.done():
            self.failed.set_exception(RuntimeError("the server closed a connection"))


def measure(port: int, pid: int, connections: int, seconds: float) -> Sample:
    """Starts per second of `connections` together, after a tenth of the time as warm-up.

    Raises:
        RuntimeError: any answer but 201, or a connection that the server closed.
    """
    return uvloop.run(_measure(port, pid, connections, seconds))


async def _measure(port: int, pid: int, connections: int, seconds: float) -> Sample:
    loop = asyncio.get_running_loop()
    ids, prefix = itertools.count(), uuid.uuid4().hex[:12].encode()
    latencies: list[float] = []
    failed: asyncio.Future[None] = loop.create_future()
    starters = []
    for _ in range(connections):
        _, starter = await loop.create_connection(lambda: Starter(ids, prefix, latencies, failed), "127.0.0.1", port)
        starters.append(starter)
    await _run_for(seconds / 10, failed)
    latencies.clear()
    cpu, start = cpu_s(pid), time.perf_counter()
    await _run_for(seconds, failed)
    sample = Sample.of(list(latencies), time.perf_counter() - start, cpu_s(pid) - cpu)
    for starter in starters:
        starter.running = False
    await asyncio.wait([starter.idle for starter in starters], timeout=10)
    for starter in starters:
        starter.transport.close()
    return sample


async def _run_for(seconds: float, failed: asyncio.Future[None]) -> None:
    done, _ = await asyncio.wait([failed], timeout=seconds)
    if done:
        failed.result()

"""Load: N keep-alive HTTP connections on one uvloop, each with one request outstanding: a start, or a query.

A bare protocol, because an HTTP client library costs more than the server it would measure.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import uvloop
from harness import Sample, cpu_s

_HEAD = (
    b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    b"X-Namespace: default\r\n%s\r\nContent-Length: %d\r\n\r\n"
)


@dataclass(frozen=True)
class Post:
    """A request to repeat: `body` has one place for an id that is new each time; `status` is the only right answer."""

    path: bytes
    version: bytes
    body: bytes
    status: bytes

    def request(self, unique: bytes) -> bytes:
        body = self.body % unique
        return _HEAD % (self.path, self.version, len(body)) + body


START = Post(
    b"/api/workflows",
    b"X-Durable-Workflow-Control-Plane-Version: 2",
    b'{"workflow_id":"%s","workflow_type":"bench.start","task_queue":"bench-start","input":{"codec":"avro","blob":"'
    + b"A" * 320
    + b'"},"execution_timeout_seconds":3600,"run_timeout_seconds":600}',
    b"201",
)
"""A durable start, about 500 bytes of body."""

QUERIED = "bench-queried"
QUERY = Post(
    b"/api/workflows/bench-queried/query/triplane.tasks",
    b"X-Durable-Workflow-Control-Plane-Version: 2",
    b'{"request_id":"%s","pad":"' + b"A" * 440 + b'"}',
    b"200",
)
"""A query of the run `QUERIED` that the engine answers itself, so nothing is stored and no worker is asked."""


class Poster(asyncio.Protocol):
    """One connection: sends a request as soon as the last one is answered, until told to stop."""

    def __init__(self, post: Post, ids: Iterator[bytes], latencies: list[float], failed: asyncio.Future[None]) -> None:
        self.post, self.ids, self.latencies, self.failed = post, ids, latencies, failed
        self.status = b"http/1.1 " + post.status
        self.received = b""
        self.sent = 0.0
        self.running = True
        self.idle = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's, so only a cast can say it.
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        request = self.post.request(next(self.ids))
        self.sent = time.perf_counter()
        self.transport.write(request)

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
        if not head.startswith(self.status):
            if not self.failed.done():
                self.failed.set_exception(RuntimeError(f"a request was refused: {self.received[:1000]!r}"))
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


def measure(post: Post, port: int, pid: int, connections: int, seconds: float) -> Sample:
    """Answers per second of `connections` together, after a tenth of the time as warm-up.

    Raises:
        RuntimeError: any answer but the right one, or a connection that the server closed.
    """
    return uvloop.run(_measure(post, port, pid, connections, seconds))


async def _measure(post: Post, port: int, pid: int, connections: int, seconds: float) -> Sample:
    loop = asyncio.get_running_loop()
    prefix = uuid.uuid4().hex[:12].encode()
    ids = (b"%s-%d" % (prefix, number) for number in itertools.count())
    latencies: list[float] = []
    failed: asyncio.Future[None] = loop.create_future()
    posters = []
    for _ in range(connections):
        _, poster = await loop.create_connection(lambda: Poster(post, ids, latencies, failed), "127.0.0.1", port)
        posters.append(poster)
    await _run_for(seconds / 10, failed)
    latencies.clear()
    cpu, start = cpu_s(pid), time.perf_counter()
    await _run_for(seconds, failed)
    sample = Sample.of(list(latencies), time.perf_counter() - start, cpu_s(pid) - cpu)
    for poster in posters:
        poster.running = False
    await asyncio.wait([poster.idle for poster in posters], timeout=10)
    for poster in posters:
        poster.transport.close()
    return sample


async def _run_for(seconds: float, failed: asyncio.Future[None]) -> None:
    done, _ = await asyncio.wait([failed], timeout=seconds)
    if done:
        failed.result()

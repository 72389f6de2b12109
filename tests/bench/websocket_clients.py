"""Raw websocket clients on one uvloop: they count frames by their length and look at nothing else.

A websocket library costs more than the server that it would measure. Frames go out with a mask of zeros, which leaves their
text as it is.
"""

import asyncio
import base64
import os
import resource
import time
from collections.abc import Sequence
from typing import TypeVar, cast

CONNECT_S = 30.0
SETTLE_S = 0.2
"""A server may greet; what came by then is not counted."""


def frame(text: str) -> bytes:
    """A client's text frame of at most 64 KiB."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + data


def frame_bytes(received: bytes) -> int | None:
    """The whole length of the server's frame at the beginning of `received`; None if too little of it is there."""
    if len(received) < 10:
        return None
    short = received[1]
    if short < 126:
        return 2 + short
    if short == 126:
        return 4 + int.from_bytes(received[2:4], "big")
    return 10 + int.from_bytes(received[2:10], "big")


class Client(asyncio.Protocol):
    """One connection.

    Attributes:
        received: bytes since the last `clear`. head: the first bytes of those. changed: set when some came.
        lost: the server closed it.
    """

    def __init__(self, path: str) -> None:
        self.path, self.up = path, asyncio.get_running_loop().create_future()
        self.received, self.head, self.changed, self.lost = 0, b"", asyncio.Event(), False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16))
        self.transport.write(
            b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (self.path.encode(), key)
        )

    def data_received(self, data: bytes) -> None:
        if not self.up.done():
            if not data.startswith(b"HTTP/1.1 101"):
                self.up.set_exception(RuntimeError(f"no websocket: {data[:500]!r}"))
                return
            self.up.set_result(None)
            data = data.partition(b"\r\n\r\n")[2]
        self.received += len(data)
        if len(self.head) < 4096:
            self.head += data[:4096]
        self.changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.changed.set()
        if not self.up.done():
            self.up.set_exception(RuntimeError("the server closed the connection"))

    def clear(self) -> None:
        self.received, self.head = 0, b""

    def send(self, text: str) -> None:
        self.transport.write(frame(text))

    async def until(self, size: int) -> None:
        """Return when `size` bytes are there.

        Raises:
            RuntimeError: the server closed the connection.
        """
        while self.received < size:
            if self.lost:
                raise RuntimeError(f"the server closed a websocket: {self.head[:300]!r}")
            self.changed.clear()
            await self.changed.wait()

    async def one_answer(self, text: str) -> int:
        """Send a text and take in the one frame that answers it; its length."""
        self.clear()
        self.send(text)
        await self.until(10)
        size = frame_bytes(self.head)
        assert size is not None
        await self.until(size)
        if b'"error"' in self.head[:60]:
            raise RuntimeError(f"the server refused: {self.head!r}")
        return size


C = TypeVar("C", bound=Client)


async def connect(kind: type[C], port: int, path: str, count: int) -> list[C]:
    """So many clients, after their greetings."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(count):
        _, client = await loop.create_connection(lambda: kind(path), "127.0.0.1", port)
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.up for client in clients)), CONNECT_S)
    await asyncio.sleep(SETTLE_S)
    for client in clients:
        client.clear()
    return clients


def close(clients: Sequence[Client]) -> None:
    for client in clients:
        client.transport.abort()


class Asking(Client):
    """Sends `text` again as soon as `size` bytes have answered it; `latencies` has the seconds of each answer.

    All in the callback that takes the bytes in, for a task that is woken would be a large part of an answer's time.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.asks, self.size, self.sent, self.latencies = b"", 0, 0.0, list[float]()

    def begin(self, text: str, size: int) -> None:
        self.asks, self.size = frame(text), size
        self._ask()

    def end(self) -> None:
        """Ask no more; the last answer is still on its way."""
        self.asks = b""

    def _ask(self) -> None:
        self.received, self.sent = 0, time.perf_counter()
        self.transport.write(self.asks)

    def data_received(self, data: bytes) -> None:
        if not self.asks:
            super().data_received(data)
            return
        self.received += len(data)
        if self.received >= self.size:
            self.latencies.append(time.perf_counter() - self.sent)
            self._ask()

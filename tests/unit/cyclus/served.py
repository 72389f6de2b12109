"""The Cyclus wire on a free port, over a real gateway in this process, and a real websocket client to talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets

from triplane.auth import Authenticator
from triplane_cyclus import CyclusAdapter
from triplane_cyclus.config import CyclusConfig
from unit.simulation.harness import House, house

ANSWER_S = 10.0


class Wire:
    """A gateway whose Cyclus wire is up.

    Attributes:
        home: the gateway and a connection into it; address: where the wire listens.
    """

    def __init__(self, home: House, adapter: CyclusAdapter) -> None:
        self.home, self.adapter = home, adapter
        self.address = adapter.endpoints()[0].rstrip("/")

    @asynccontextmanager
    async def client(self, path: str = "/", **options: Any) -> "AsyncIterator[WebsocketClient]":
        async with websockets.connect(self.address + path, **options) as socket:
            yield WebsocketClient(socket)


class WebsocketClient:
    """A client that skips heartbeats unless asked for them."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, event: str, identity: Any = None, **params: Any) -> None:
        await self.socket.send(json.dumps({"event": event, "params": params, **({} if identity is None else {"id": identity})}))

    async def raw(self, heartbeats: bool = False) -> str:
        """The next frame's text."""
        while True:
            text: str = await asyncio.wait_for(self.socket.recv(), ANSWER_S)
            if heartbeats or not text.startswith('{"event": "heartbeat"'):
                return text

    async def next(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(await self.raw())
        return frame

    async def ask(self, event: str, identity: Any = None, **params: Any) -> dict[str, Any]:
        """Send an event; the next frame."""
        await self.send(event, identity, **params)
        return await self.next()

    async def until(self, event: str) -> dict[str, Any]:
        """The next frame of that name; others before it are skipped."""
        while (frame := await self.next())["event"] != event:
            pass
        return frame

    async def silent(self) -> bool:
        """Whether nothing waits to be read: an echo comes back at once."""
        return (await self.ask("echo", s="nothing else?"))["data"] == "nothing else?"

    async def closed(self) -> tuple[int, str]:
        """Code and reason once the server has closed."""
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), ANSWER_S)
        except websockets.ConnectionClosed as closed:
            frame = closed.rcvd
            return (frame.code, frame.reason) if frame is not None else (1006, "")


@asynccontextmanager
async def served(
    folder: Path, definitions: Sequence[str] = (), authenticator: Authenticator | None = None, **config: Any
) -> AsyncIterator[Wire]:
    """The wire up, and down in the end."""
    async with house(folder, definitions, authenticator=authenticator) as home:
        adapter = CyclusAdapter()
        await adapter.start(home.gateway, CyclusConfig(port=0, **config))
        try:
            yield Wire(home, adapter)
        finally:
            await adapter.stop(5.0)

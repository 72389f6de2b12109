"""How a client of the Cyclus wire talks: JSON events over a websocket, with an independent websocket library."""

import asyncio
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from conformance.line_driver import free_port
from triplane.testing import Change, House, Malformed, Outcome, Refused
from triplane_cyclus import CyclusAdapter

PATIENCE_S = 5.0


async def open_socket(port: int, path: str) -> ClientConnection:
    try:
        return await connect(f"ws://127.0.0.1:{port}{path}", max_size=1 << 26, max_queue=4, open_timeout=PATIENCE_S)
    except (InvalidStatus, InvalidMessage) as error:
        raise ConnectionRefusedError(str(error)) from error


class CyclusClient:
    """A websocket for requests, and one that asks for deltas once it follows."""

    def __init__(self, socket: ClientConnection, port: int, workflow_id: str) -> None:
        self.socket, self.port, self.path = socket, port, f"/runs/{workflow_id}"
        self.deltas: ClientConnection | None = None
        self.ids = itertools.count(1)

    @staticmethod
    async def _receive(socket: ClientConnection) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while (message := json.loads(await socket.recv()))["event"] == "heartbeat":
                pass
        answer: dict[str, Any] = message
        return answer

    async def _ask(self, event: str, *, socket: ClientConnection | None = None, **params: Any) -> Any:
        socket, number = socket or self.socket, next(self.ids)
        await socket.send(json.dumps({"event": event, "params": params, "id": number}))
        while (reply := await self._receive(socket)).get("id") != number:
            pass
        if reply["event"] == "error":
            raise Refused(f"{reply['params']['code']}: {reply['data']}")
        return reply["data"]

    async def set_paused(self, paused: bool) -> None:
        await self._ask("pause" if paused else "unpause")

    async def is_paused(self) -> bool:
        newest = []
        for event in ("RunPaused", "RunResumed"):
            rows = await self._ask("table_data", table="triplane.History", conds=[["event", "==", event]], orient="split")
            newest.append(max(rows["index"], default=-1))
        return bool(newest[0] > newest[1])

    async def ask_for_missing_run(self) -> None:
        socket = await open_socket(self.port, "/runs/no-such-run")
        async with socket:
            await self._ask("pause", socket=socket)

    async def follow(self) -> None:
        self.deltas = await open_socket(self.port, f"{self.path}?deltas=1")
        await self._ask("echo", socket=self.deltas, s="subscribed?")

    async def next_change(self) -> Change:
        assert self.deltas is not None
        try:
            while (message := await self._receive(self.deltas))["event"] != "delta":
                if message["event"] == "gap":
                    return Change.LOST
        except ConnectionClosed:
            return Change.LOST
        if message["data"]["closed"]:
            return Change.CLOSED
        return Change.PAUSED if message["data"]["run"]["paused"] else Change.RUNNING

    def stop_reading(self) -> None:
        assert self.deltas is not None
        self.deltas.transport.pause_reading()

    def read_again(self) -> None:
        assert self.deltas is not None
        self.deltas.transport.resume_reading()

    async def send_malformed(self, sample: Malformed) -> Outcome:
        try:
            await self.socket.send(sample.data.decode())
        except UnicodeDecodeError:
            await self.socket.send(sample.data)
        try:
            reply = await self._receive(self.socket)
        except ConnectionClosed:
            return Outcome.CLOSED
        assert reply["event"] == "error" and reply["data"], f"{sample.name} was answered by {reply}"
        return Outcome.ANSWERED

    async def ended(self) -> None:
        for socket in (self.socket, self.deltas):
            if socket is not None:
                async with asyncio.timeout(PATIENCE_S):
                    async for _ in socket:
                        pass

    async def close(self) -> None:
        for socket in (self.socket, self.deltas):
            if socket is not None:
                # A client that vanishes says no goodbye.
                socket.transport.abort()


ANSWERED, CLOSED = frozenset({Outcome.ANSWERED}), frozenset({Outcome.CLOSED})


class CyclusDriver:
    """Knows the Cyclus wire from the client's side."""

    adapter: ClassVar[type[CyclusAdapter]] = CyclusAdapter
    tells_all: ClassVar[bool] = True
    cuts_the_slow: ClassVar[bool] = True
    clients_share_limits: ClassVar[bool] = False
    malformed: ClassVar[tuple[Malformed, ...]] = (
        Malformed("an empty text", b"", ANSWERED),
        Malformed("no JSON", b"{", ANSWERED),
        Malformed("not UTF-8", b"\xff\xfe", ANSWERED),
        Malformed("a list", b"[]", ANSWERED),
        Malformed("a text", b'"pause"', ANSWERED),
        Malformed("no event", b'{"params":{}}', ANSWERED),
        Malformed("a null event", b'{"event":null}', ANSWERED),
        Malformed("an unknown event", b'{"event":"explode","params":{}}', ANSWERED),
        Malformed("an event of the server's", b'{"event":"heartbeat","params":{}}', ANSWERED),
        Malformed("params that are a list", b'{"event":"pause","params":[]}', ANSWERED),
        Malformed("an unknown parameter", b'{"event":"unpause","params":{"bogus":1}}', ANSWERED),
        Malformed("a sleep of a day and a half", b'{"event":"sleep","params":{"n":130000}}', ANSWERED),
        Malformed("a sleep that is no number", b'{"event":"sleep","params":{"n":NaN}}', ANSWERED),
        Malformed("code for a parameter", b'{"event":"hold","params":{"tasks":{"__import__":"os"}}}', ANSWERED),
        Malformed("deep nesting", b'{"event":"echo","params":{"s":' + b"[" * 20_000 + b"]" * 20_000 + b"}}", ANSWERED),
        Malformed("over 1 MiB", b'{"event":"echo","params":{"s":"' + b"x" * (1 << 20) + b'"}}', CLOSED),
    )

    def settings(self, directory: Path) -> Mapping[str, Any]:
        return {"port": free_port(), "send_queue": 100}

    async def connect(self, house: House, workflow_id: str) -> CyclusClient:
        port = house.settings.adapter("cyclus").port
        return CyclusClient(await open_socket(port, f"/runs/{workflow_id}"), port, workflow_id)

"""How the page talks: JSON over a websocket, with an independent websocket library."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from conformance.line_driver import free_port
from triplane.testing import Change, House, Malformed, Outcome, Refused
from triplane_web import WebAdapter

PATIENCE_S = 5.0


class WebClient:
    """A page that is open, and has said hello."""

    def __init__(self, socket: ClientConnection, workflow_id: str) -> None:
        self.socket, self.workflow_id = socket, workflow_id
        self.ids = itertools.count(1)
        self.told: deque[dict[str, Any]] = deque()

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def ask(self, do: str, **fields: Any) -> Any:
        number = next(self.ids)
        await self.socket.send(json.dumps({"id": number, "do": do, **fields}))
        while (reply := await self.receive()).get("id") != number:
            self.told.append(reply)
        if "error" in reply:
            raise Refused(f"{reply['error']['code']}: {reply['error']['message']}")
        return reply["ok"]

    async def follow(self, **view: Any) -> None:
        await self.ask("follow", **(view or {"view": "run", "workflow_id": self.workflow_id}))
        while not (await self.next()).get("ready"):
            pass

    async def next(self) -> dict[str, Any]:
        """The next message that answers nothing."""
        return self.told.popleft() if self.told else await self.receive()

    async def set_paused(self, paused: bool) -> None:
        await self.ask("act", name="pause_run" if paused else "resume_run", fields={"workflow_id": self.workflow_id})

    async def is_paused(self) -> bool:
        number = next(self.ids)
        await self.socket.send(json.dumps({"id": number, "do": "follow", "view": "run", "workflow_id": self.workflow_id}))
        while "snapshot" not in (message := await self.receive()) or message["follow"] != number:
            if "error" in message:
                raise Refused(message["error"]["message"])
        paused: bool = message["snapshot"]["run"]["paused"]
        await self.ask("unfollow", follow=number)
        return paused

    async def ask_for_missing_run(self) -> None:
        await self.ask("act", name="pause_run", fields={"workflow_id": "no-such-run"})

    async def next_change(self) -> Change:
        try:
            while "run" not in (message := await self.next()):
                if message.get("gap") or "end" in message:
                    return Change.LOST
        except ConnectionClosed:
            return Change.LOST
        if message["run"]["closed"] is not None:
            return Change.CLOSED
        return Change.PAUSED if message["run"]["paused"] else Change.RUNNING

    def stop_reading(self) -> None:
        self.socket.transport.pause_reading()

    def read_again(self) -> None:
        self.socket.transport.resume_reading()

    async def send_malformed(self, sample: Malformed) -> Outcome:
        try:
            await self.socket.send(sample.data.decode())
        except UnicodeDecodeError:
            await self.socket.send(sample.data)
        try:
            reply = await self.receive()
        except ConnectionClosed:
            return Outcome.CLOSED
        assert reply["error"]["message"], f"{sample.name} was answered by {reply}"
        return Outcome.ANSWERED

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()

    async def close(self) -> None:
        # A page that vanishes says no goodbye.
        self.socket.transport.abort()


async def open_page(port: int, workflow_id: str, token: str | None = None) -> WebClient:
    """A page that has said hello.

    Raises:
        OSError: nobody listens, or the websocket is refused. Refused: the token is.
    """
    try:
        socket = await connect(f"ws://127.0.0.1:{port}/ui/live", max_size=1 << 26, max_queue=4, open_timeout=PATIENCE_S)
    except (InvalidStatus, InvalidMessage) as error:
        raise ConnectionRefusedError(str(error)) from error
    page = WebClient(socket, workflow_id)
    await page.ask("hello", **({} if token is None else {"token": token}))
    return page


ANSWERED, CLOSED = frozenset({Outcome.ANSWERED}), frozenset({Outcome.CLOSED})


class WebDriver:
    """Knows the page's websocket from the page's side."""

    adapter: ClassVar[type[WebAdapter]] = WebAdapter
    tells_all: ClassVar[bool] = False
    cuts_the_slow: ClassVar[bool] = False
    clients_share_limits: ClassVar[bool] = False
    malformed: ClassVar[tuple[Malformed, ...]] = (
        Malformed("an empty text", b"", ANSWERED),
        Malformed("no JSON", b"{", ANSWERED),
        Malformed("not UTF-8", b"\xff\xfe", ANSWERED),
        Malformed("a list", b"[]", ANSWERED),
        Malformed("no id", b'{"do":"hello"}', ANSWERED),
        Malformed("an id that is a text", b'{"id":"1","do":"unfollow","follow":1}', ANSWERED),
        Malformed("an id that is true", b'{"id":true,"do":"unfollow","follow":1}', ANSWERED),
        Malformed("hello again", b'{"id":7000,"do":"hello"}', ANSWERED),
        Malformed("an unknown verb", b'{"id":7000,"do":"explode"}', ANSWERED),
        Malformed("an unknown action", b'{"id":7000,"do":"act","name":"stop_gateway","fields":{}}', ANSWERED),
        Malformed("a command of the core's own", b'{"id":7000,"do":"act","name":"fire_timer","fields":{}}', ANSWERED),
        Malformed("fields that are a list", b'{"id":7000,"do":"act","name":"pause_run","fields":[]}', ANSWERED),
        Malformed("a path for a workflow", b'{"id":7000,"do":"act","name":"pause_run","fields":{"workflow_id":"../x"}}', ANSWERED),
        Malformed("an unknown field", b'{"id":7000,"do":"follow","view":"runs","bogus":1}', ANSWERED),
        Malformed("a cursor below zero", b'{"id":7000,"do":"follow","view":"runs","after":-1}', ANSWERED),
        Malformed("deep nesting", b'{"id":7000,"do":"act","name":"pause_run","fields":' + b"[" * 20_000 + b"]" * 20_000 + b"}", ANSWERED),
        Malformed("over 256 KiB", b'{"id":7000,"do":"' + b"x" * (1 << 18) + b'"}', CLOSED),
    )

    def settings(self, directory: Path) -> Mapping[str, Any]:
        return {"port": free_port()}

    async def connect(self, house: House, workflow_id: str) -> WebClient:
        return await open_page(house.settings.adapter("web").port, workflow_id)

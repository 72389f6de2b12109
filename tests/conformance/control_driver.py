"""How a client of the control wire talks: length-prefixed msgpack maps, spelled here apart from the adapter's own code."""

import asyncio
import itertools
import os
import struct
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgpack

from triplane.testing import Change, House, Malformed, Outcome, Refused
from triplane_control import ControlAdapter

PATIENCE_S = 5.0


def frame(message: Any) -> bytes:
    body: bytes = msgpack.packb(message)
    return struct.pack(">I", len(body)) + body


class ControlClient:
    """One connection; messages of streams are kept apart from answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, workflow_id: str) -> None:
        self.reader, self.writer, self.workflow_id = reader, writer, workflow_id
        self.ids = itertools.count(1)
        self.told: deque[Mapping[str, Any]] = deque()

    async def _receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the stream."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                (size,) = struct.unpack(">I", await self.reader.readexactly(4))
                message: dict[str, Any] = msgpack.unpackb(await self.reader.readexactly(size))
                return message
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _ask(self, verb: str, name: Any, **fields: Any) -> Any:
        number = next(self.ids)
        message = {verb: name, "id": number} if verb == "follow" else {verb: name, "id": number, "fields": fields}
        self.writer.write(frame(message))
        while (reply := await self._receive()) is not None:
            # An error without an id is about the connection, and so answers whatever was asked.
            if reply["id"] not in (number, None):
                self.told.append(reply)
            elif "error" in reply:
                raise Refused(f"{reply['error']['code']}: {reply['error']['message']}")
            else:
                return reply["ok"]
        raise ConnectionError("the gateway hung up instead of answering")

    async def set_paused(self, paused: bool) -> None:
        await self._ask("command", "pause_run" if paused else "resume_run", workflow_id=self.workflow_id)

    async def is_paused(self) -> bool:
        view = await self._ask("query", "describe_run", workflow_id=self.workflow_id)
        paused: bool = view["run"]["paused"]
        return paused

    async def ask_for_missing_run(self) -> None:
        await self._ask("query", "describe_run", workflow_id="no-such-run")

    async def follow(self) -> None:
        await self._ask("follow", {"workflow_id": self.workflow_id})

    async def next_change(self) -> Change:
        message = self.told.popleft() if self.told else await self._receive()
        if message is None or "delta" not in message:
            return Change.LOST
        run = message["delta"]["run"]
        if run["closed"] is not None:
            return Change.CLOSED
        return Change.PAUSED if run["paused"] else Change.RUNNING

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def read_again(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def send_malformed(self, sample: Malformed) -> Outcome:
        self.writer.write(sample.data)
        reply = await self._receive()
        if reply is None:
            return Outcome.CLOSED
        assert "error" in reply, f"{sample.name} was answered by {reply}"
        if Outcome.CLOSED in sample.outcomes:
            assert await self._receive() is None, f"{sample.name}: more came after the stream had lost its place"
            return Outcome.CLOSED
        return Outcome.ANSWERED

    async def ended(self) -> None:
        while await self._receive() is not None:
            pass

    async def close(self) -> None:
        self.writer.close()


ANSWERED, CLOSED = frozenset({Outcome.ANSWERED}), frozenset({Outcome.CLOSED})


TIMER = {"workflow_id": "conformance", "timer_id": "x"}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class ControlDriver:
    """Knows the control wire from the client's side."""

    adapter: ClassVar[type[ControlAdapter]] = ControlAdapter
    tells_all: ClassVar[bool] = True
    cuts_the_slow: ClassVar[bool] = True
    clients_share_limits: ClassVar[bool] = False
    malformed: ClassVar[tuple[Malformed, ...]] = (
        Malformed("an empty frame", b"\0\0\0\0", ANSWERED),
        Malformed("a frame that is not msgpack", b"\0\0\0\3\xc1\xc1\xc1", ANSWERED),
        Malformed("a list", frame([1, 2]), ANSWERED),
        Malformed("a map without a verb", frame({"id": 1}), ANSWERED),
        Malformed("two verbs", frame({"id": 1, "command": "pause_run", "query": "list_runs"}), ANSWERED),
        Malformed("no id", frame({"query": "list_runs"}), ANSWERED),
        Malformed("a wrong type of id", frame({"id": [1], "query": "list_runs"}), ANSWERED),
        Malformed("an unknown command", frame({"id": 1, "command": "__class__"}), ANSWERED),
        Malformed("a command of the core itself", frame({"id": 1, "command": "fire_timer", "fields": TIMER}), ANSWERED),
        Malformed("an id that climbs", frame({"id": 1, "command": "pause_run", "fields": {"workflow_id": "../../etc"}}), ANSWERED),
        Malformed("an unknown field", frame({"id": 1, "command": "pause_run", "fields": {"workflow_id": "x", "also": 1}}), ANSWERED),
        Malformed("keys that are not text", frame({1: 2, "id": 1}), ANSWERED),
        Malformed("deep nesting", frame({"id": 1, "query": "list_runs", "fields": {"text": nested(200)}}), ANSWERED),
        Malformed("a length of 4 GiB", b"\xff\xff\xff\xff", CLOSED),
        Malformed("random bytes", bytes(range(255, 191, -1)), CLOSED),
    )

    def settings(self, directory: Path) -> Mapping[str, Any]:
        return {}

    async def connect(self, house: House, workflow_id: str) -> ControlClient:
        path = house.settings.gateway.data_dir / "control.sock"
        # A path in a test's directory may be longer than a socket address can be.
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{path.name}", limit=1 << 24)
        finally:
            os.close(folder)
        return ControlClient(reader, writer, workflow_id)

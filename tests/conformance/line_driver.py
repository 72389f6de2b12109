"""How a client of the example adapter's line protocol talks."""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from triplane.adapter import Adapter
from triplane.testing import Change, House, Malformed, Outcome, Refused

PATIENCE_S = 2.0
"""How long a client waits for any one thing."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LineClient:
    """A TCP client; lines that tell of changes are kept apart from answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, workflow_id: str) -> None:
        self.reader, self.writer, self.workflow_id = reader, writer, workflow_id
        self.changes: deque[Change] = deque()

    async def _line(self) -> list[str]:
        """The next line's words; empty at the end of the stream."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await self.reader.readline()).decode().split()
        except ConnectionError:
            return []

    async def _ask(self, verb: str, workflow_id: str | None = None) -> str:
        self.writer.write(f"{verb} {workflow_id or self.workflow_id}\n".encode())
        while words := await self._line():
            if words[0] == "change":
                self.changes.append(self._change(words))
            elif words[0] == "ok":
                return words[1]
            else:
                raise Refused(" ".join(words[1:]))
        raise ConnectionError("the server ended the connection instead of answering")

    @staticmethod
    def _change(words: list[str]) -> Change:
        if not words or words[0] == "error":
            return Change.LOST
        return {"running": Change.RUNNING, "paused": Change.PAUSED}.get(words[2], Change.CLOSED)

    async def set_paused(self, paused: bool) -> None:
        await self._ask("pause" if paused else "resume")

    async def is_paused(self) -> bool:
        return await self._ask("show") == "paused"

    async def ask_for_missing_run(self) -> None:
        await self._ask("show", "no-such-run")

    async def follow(self) -> None:
        await self._ask("follow")

    async def next_change(self) -> Change:
        return self.changes.popleft() if self.changes else self._change(await self._line())

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def read_again(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def send_malformed(self, sample: Malformed) -> Outcome:
        self.writer.write(sample.data)
        words = await self._line()
        if words and words[0] == "error":
            return Outcome.CLOSED if words[1] == "too_large" else Outcome.ANSWERED
        assert not words, f"{sample.name} was answered by {words}"
        return Outcome.CLOSED

    async def ended(self) -> None:
        while await self._line():
            pass

    async def close(self) -> None:
        self.writer.close()


class LineDriver:
    """Knows the line protocol from the client's side."""

    tells_all: ClassVar[bool] = True
    cuts_the_slow: ClassVar[bool] = False
    clients_share_limits: ClassVar[bool] = False
    malformed: ClassVar[tuple[Malformed, ...]] = (
        Malformed("an empty line", b"\n", frozenset({Outcome.ANSWERED})),
        Malformed("one word", b"pause\n", frozenset({Outcome.ANSWERED})),
        Malformed("an unknown verb", b"explode it\n", frozenset({Outcome.ANSWERED})),
        Malformed("an id that climbs", b"pause ../../etc\n", frozenset({Outcome.ANSWERED})),
        Malformed("not UTF-8", b"\xff\xfe \x00\n", frozenset({Outcome.ANSWERED})),
        Malformed("a line without end", b"x" * 100_000, frozenset({Outcome.CLOSED})),
    )

    def __init__(self, adapter: type[Adapter]) -> None:
        self.adapter = adapter

    def settings(self, directory: Path) -> Mapping[str, Any]:
        return {"port": free_port()}

    async def connect(self, house: House, workflow_id: str) -> LineClient:
        port = house.settings.adapter("line").port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return LineClient(reader, writer, workflow_id)

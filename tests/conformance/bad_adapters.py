"""Adapters that break the house rules, each in one way, so that the kit can be seen to notice."""

import asyncio
from typing import Any

from triplane_line import LineAdapter, status

from triplane.auth import LoopbackPeer
from triplane.commands import PauseRun
from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter
from triplane.queries import DescribeRun


class BypassesLimits(LineAdapter):
    """A new connection for every request: no limit of one connection ever bites."""

    async def answer(self, connection: Connection, line: bytes, *rest: Any) -> bytes:
        fresh = self.gateway.open_connection(self.name, "127.0.0.1", LoopbackPeer("127.0.0.1"))
        try:
            return await super().answer(fresh, line, *rest)
        finally:
            if not line.startswith(b"follow"):
                await fresh.close()


class DiesOnGarbage(LineAdapter):
    """Takes the listener and everybody on it down with the first line that it cannot read."""

    async def answer(self, connection: Connection, line: bytes, *rest: Any) -> bytes:
        if len(line.split()) != 2 or not line.isascii():
            await self.stop(1.0)
        return await super().answer(connection, line, *rest)


class AnswersBeforeTheCommit(LineAdapter):
    """Says that it is done when it has only been asked."""

    async def answer(self, connection: Connection, line: bytes, *rest: Any) -> bytes:
        if line.startswith(b"pause"):
            asyncio.get_running_loop().call_later(0.2, connection.submit, PauseRun(workflow_id=line.split()[1].decode()))
            return b"ok paused\n"
        return await super().answer(connection, line, *rest)


class HidesErrors(LineAdapter):
    """Turns every refusal into success."""

    async def answer(self, connection: Connection, line: bytes, *rest: Any) -> bytes:
        answer = await super().answer(connection, line, *rest)
        return b"ok running\n" if answer.startswith(b"error") else answer


class DropsChanges(LineAdapter):
    """Tells its followers of every other change, and nobody that some are missing."""

    async def follow(self, connection: Connection, workflow_id: str, writer: asyncio.StreamWriter) -> None:
        skip = False
        async for change in connection.subscribe(DeltaFilter(workflow_id=workflow_id)):
            if isinstance(change, Delta) and not skip:
                writer.write(f"change {change.cursor} {status(change.run)}\n".encode())
            skip = not skip


class ServesOneAtATime(LineAdapter):
    """Waits with one lock for whoever follows and does not read, so that one slow client stops all."""

    lock = asyncio.Lock()

    async def answer(self, connection: Connection, line: bytes, *rest: Any) -> bytes:
        async with self.lock:
            return await super().answer(connection, line, *rest)

    async def follow(self, connection: Connection, workflow_id: str, writer: asyncio.StreamWriter) -> None:
        async for _ in connection.subscribe(DeltaFilter(workflow_id=workflow_id)):
            async with self.lock:
                run = connection.query(DescribeRun(workflow_id=workflow_id)).run
                writer.write(f"change 0 {status(run)} {'.' * 20_000}\n".encode())
                await writer.drain()


class NeverEnds(LineAdapter):
    """Stops listening, and leaves its clients hanging."""

    async def stop(self, deadline: float) -> None:
        self.server.close()


class LeaksConnections(LineAdapter):
    """Never closes what it opened."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gateway.open_connection(self.name, "127.0.0.1", LoopbackPeer("127.0.0.1"))
        await super().serve(reader, writer)

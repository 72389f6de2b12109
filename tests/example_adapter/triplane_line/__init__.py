"""A line protocol over TCP for Triplane. `show|pause|resume|follow ID` is answered by `ok STATUS` or
`error CODE TEXT`; a follower also gets `change CURSOR STATUS` lines. A line is at most 1 KiB.
"""

import asyncio

from pydantic import BaseModel, Field, ValidationError

from triplane.adapter import AdapterError
from triplane.auth import LoopbackPeer
from triplane.commands import PauseRun, ResumeRun
from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter
from triplane.entities import Run
from triplane.errors import GatewayError
from triplane.gateway import Gateway
from triplane.queries import DescribeRun

COMMANDS = {"pause": PauseRun, "resume": ResumeRun}


class LineConfig(BaseModel, extra="forbid"):
    """`[adapters.line]`."""

    port: int = Field(4300, ge=0, le=65535, description="TCP port on 127.0.0.1.")


def status(run: Run) -> str:
    return "paused" if run.is_open and run.paused else run.status


class LineAdapter:
    """Listens on loopback and gives each client a connection of its own."""

    name = "line"
    config_model = LineConfig

    async def start(self, gateway: Gateway, config: LineConfig) -> None:
        self.gateway, self.clients = gateway, set[asyncio.Task[None]]()
        try:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", config.port, limit=1024)
        except OSError as error:
            raise AdapterError(f"adapters.line.port: cannot listen on {config.port}: {error.strerror}") from error

    def endpoints(self) -> list[str]:
        return [f"tcp://127.0.0.1:{socket.getsockname()[1]}" for socket in self.server.sockets]

    async def reconfigure(self, config: LineConfig) -> None:
        """Nothing here can change while it listens."""

    async def stop(self, deadline: float) -> None:
        self.server.close()
        for client in self.clients:
            client.cancel()
        if self.clients:
            await asyncio.wait(self.clients, timeout=deadline)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.add(task := asyncio.current_task())
        peer, connection = writer.get_extra_info("peername")[0], None
        try:
            connection = self.gateway.open_connection(self.name, peer, LoopbackPeer(peer))
            async with asyncio.TaskGroup() as followers:
                while line := await reader.readuntil(b"\n"):
                    writer.write(await self.answer(connection, line, writer, followers))
                    await writer.drain()
        except* asyncio.LimitOverrunError:
            writer.write(b"error too_large a line is at most 1 KiB\n")
        except* GatewayError as errors:
            writer.writelines(f"error {error.code} {error}\n".encode() for error in errors.exceptions)
        except* (OSError, EOFError, asyncio.CancelledError):
            pass  # it left, or is sent away
        if connection is not None:
            await connection.close()
        writer.close()
        self.clients.discard(task)

    async def answer(self, connection: Connection, line: bytes, writer: asyncio.StreamWriter, tasks: asyncio.TaskGroup) -> bytes:
        try:
            verb, workflow_id = line.decode().split()
            if verb in COMMANDS:
                await connection.dispatch(COMMANDS[verb](workflow_id=workflow_id))
            elif verb not in ("show", "follow"):
                raise ValueError(verb)
            run = connection.query(DescribeRun(workflow_id=workflow_id)).run
            if verb == "follow":
                tasks.create_task(self.follow(connection, workflow_id, writer))
            return f"ok {status(run)}\n".encode()
        except GatewayError as error:
            return f"error {error.code} {error}\n".encode()
        except (ValueError, ValidationError):
            return b"error refused_input a line is a verb, one space, and a workflow id\n"

    async def follow(self, connection: Connection, workflow_id: str, writer: asyncio.StreamWriter) -> None:
        async for change in connection.subscribe(DeltaFilter(workflow_id=workflow_id)):
            if isinstance(change, Delta):
                writer.write(f"change {change.cursor} {status(change.run)}\n".encode())
                await writer.drain()

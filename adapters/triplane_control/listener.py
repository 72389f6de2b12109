"""The control socket: accepts its owner, reads frames, runs what they ask for, and drains on stop."""

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from triplane.adapter import AdapterError
from triplane.auth import SocketOwner
from triplane.commands import ALL_COMMANDS
from triplane.commands.base import Request
from triplane.connection import Connection
from triplane.errors import CannotNow, Conflict, GatewayError, LimitReached, NotFound, ShuttingDown
from triplane.gateway import Gateway
from triplane.queries import ALL_QUERIES
from triplane.subscriptions import Subscription
from triplane_control.config import ControlConfig
from triplane_control.frames import Decoder, FrameError, Message, encode
from triplane_control.rendezvous import short_path, socket_path
from triplane_control.session import (
    Action,
    Ask,
    Dispatch,
    Follow,
    Id,
    Refuse,
    Unfollow,
    end_message,
    error_reply,
    item_message,
    ok_reply,
    receive,
)

log = structlog.get_logger(room="control")

READ_BYTES = 1 << 18
PEER_CREDENTIALS = struct.Struct("3i")
WRITE_BUFFER_BYTES = 4 << 20
"""What may wait to be read by one client before its streams stop being drained (and are cut by the core's own limit)."""


class Listener:
    """Listens on `<data_dir>/control.sock`, mode 0600."""

    def __init__(self, gateway: Gateway, config: ControlConfig, data_dir: Path) -> None:
        self.path = socket_path(data_dir)
        self._gateway, self._config = gateway, config
        self._requests: Mapping[str, type[Request]] = {
            request.name: request
            for request in (
                *ALL_COMMANDS,
                *ALL_QUERIES,
                *(command for engine in gateway.bus.engines.values() for command in engine.commands),
            )
        }
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], Client] = {}

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError: the socket cannot be made.
        """
        try:
            # The data directory's lock is ours, so a socket found here was left behind by a process that is gone.
            self.path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            with short_path(self.path) as reachable:
                listening.bind(reachable)
            os.chmod(self.path, 0o600)
            self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=READ_BYTES)
        except OSError as error:
            reason = error.strerror or str(error)
            raise AdapterError(f"the control socket {self.path} cannot be made: {reason}; see gateway.data_dir") from error

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        pid, uid, _gid = PEER_CREDENTIALS.unpack(
            writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
        )
        try:
            connection = self._gateway.open_connection("control", f"pid {pid}", SocketOwner(uid))
        except GatewayError as error:
            log.warning("control_client_refused", pid=pid, uid=uid, reason=error.message)
            writer.write(encode(error_reply(None, error)))
            await _hang_up(writer)
            return
        client = Client(connection, reader, writer, self._config, self._requests)
        self._clients[task] = client
        try:
            await client.serve()
        except (ConnectionError, asyncio.CancelledError):
            log.debug("control_client_left", pid=pid)
        finally:
            self._clients.pop(task, None)
            await client.close()
            await _hang_up(writer)

    async def stop(self, deadline: float) -> None:
        """Take no new clients, let what is under way be answered, end streams with a reason, and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self.path.unlink(missing_ok=True)
        for client in self._clients.values():
            client.drain()
        if self._clients:
            _done, late = await asyncio.wait(self._clients, timeout=deadline)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        self._server = None


class Client:
    """One connected client."""

    def __init__(
        self,
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        config: ControlConfig,
        requests: Mapping[str, type[Request]],
    ) -> None:
        self._connection, self._reader, self._writer = connection, reader, writer
        self._config, self._requests = config, requests
        self._under_way: set[asyncio.Task[None]] = set()
        self._streams: dict[Id, tuple[Subscription, asyncio.Task[None]]] = {}
        self._draining = asyncio.Event()

    async def serve(self) -> None:
        """Read frames and carry them out, until the client hangs up, loses its place, or the gateway drains."""
        decoder = Decoder()
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            while not self._draining.is_set():
                reading = asyncio.ensure_future(self._reader.read(READ_BYTES))
                await asyncio.wait({reading, draining}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    break
                chunk = reading.result()
                if not chunk:
                    return
                for message in decoder.feed(chunk):
                    action = receive(message, self._requests)
                    await self._begin(action)
                    if isinstance(action, Refuse) and action.fatal:
                        return
            await self._finish()
        finally:
            draining.cancel()

    def drain(self) -> None:
        """Read nothing more; answer what is under way, then end."""
        self._draining.set()

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        for stream, (subscription, task) in tuple(self._streams.items()):
            subscription.close()
            await asyncio.wait({task})
            self._send(end_message(stream, ShuttingDown("the gateway is stopping; follow again when it is back")))

    async def close(self) -> None:
        """Let go of everything this client had under way; accepted commands stay accepted."""
        for task in (*self._under_way, *(task for _, task in self._streams.values())):
            task.cancel()
        await self._connection.close()

    async def _begin(self, action: Action) -> None:
        while len(self._under_way) >= self._config.max_in_flight:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.ensure_future(self._carry_out(action))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        # The next frame is read when this one has been taken, so that one client's commands keep their order.
        await asyncio.sleep(0)
        await self._writer.drain()

    async def _carry_out(self, action: Action) -> None:
        if isinstance(action, Refuse):
            self._send(action.reply)
            return
        try:
            match action:
                case Dispatch(command=command):
                    reply = ok_reply(action.id, await self._connection.dispatch(command))
                case Ask(query=query):
                    reply = ok_reply(action.id, self._connection.query(query))
                case Follow():
                    reply = self._follow(action)
                case Unfollow(target=target):
                    self._unfollow(target)
                    reply = ok_reply(action.id, None)
        except GatewayError as error:
            reply = error_reply(action.id, error)
        except Exception:
            log.exception("control_request_failed", request=repr(action)[:200])
            reply = error_reply(action.id, GatewayError("an internal error; the gateway's log has its trace"))
        self._send(reply)

    def _follow(self, action: Follow) -> Message:
        if action.id in self._streams:
            raise Conflict(f"a stream of id {action.id!r} is open on this connection; give another id")
        if len(self._streams) >= self._config.max_follows:
            raise LimitReached(f"{len(self._streams)} streams are open on this connection already (adapters.control.max_follows)")
        subscription = self._connection.subscribe(action.wanted, action.cursor)
        self._streams[action.id] = (subscription, asyncio.ensure_future(self._stream(action.id, subscription)))
        return ok_reply(action.id, {"cursor": subscription.cursor})

    def _unfollow(self, target: Id) -> None:
        if target not in self._streams:
            raise NotFound(f"no stream of id {target!r} is open on this connection")
        self._streams[target][0].close()

    async def _stream(self, stream: Id, subscription: Subscription) -> None:
        end: GatewayError | None = None
        try:
            async for item in subscription:
                self._send(item_message(stream, item))
                # A client that does not read makes this wait; its subscription then fills up and is cut, alone.
                await self._writer.drain()
        except GatewayError as error:
            end = error
        except ConnectionError:
            return
        finally:
            self._streams.pop(stream, None)
            subscription.close()
        if not self._draining.is_set():
            self._send(end_message(stream, end))

    def _send(self, message: Message) -> None:
        try:
            frame = encode(message)
        except FrameError as error:
            frame = encode(error_reply(message.get("id"), CannotNow(str(error))))
        if not self._writer.is_closing():
            self._writer.write(frame)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 5.0)

"""Sockets and websockets: lets clients in, moves frames, closes what must be closed."""

import asyncio
import os
import re
from contextlib import suppress

import structlog
from aiohttp import WSMsgType, web

from triplane.auth import AdapterSelf, BearerToken, Credential, LoopbackPeer, SocketOwner
from triplane.commands.base import WORKFLOW_ID_PATTERN
from triplane.connection import Connection
from triplane.deltas import DeltaFilter
from triplane.errors import GatewayError, LimitReached, NotAllowed, ShuttingDown, Unauthenticated
from triplane.gateway import Gateway
from triplane.limits import TokenBucket
from triplane.origins import origin_allowed
from triplane_cyclus.channel import Channel
from triplane_cyclus.client import TRY_AGAIN_LATER, Client
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.desk import Desk
from triplane_cyclus.echoes import EchoPrinter
from triplane_cyclus.http_server import HttpServer
from triplane_cyclus.plans import Place
from triplane_cyclus.reading import find_run
from triplane_cyclus.session import POLICY_VIOLATION, Session
from triplane_cyclus.sockets import listening_sockets

log = structlog.get_logger(room="cyclus")

RUNS = "/runs/"
HEALTH = "/healthz"
GOING_AWAY = 1001
TURN_MESSAGES = 32
"""Messages taken from one client before others get a turn."""
TOO_FAST_S = 0.01
"""How long nothing is read from a client that sends too fast."""
CLOSE_S = 1.0
"""How long a client may take to read a close frame before its connection is cut."""

_WORKFLOW_ID = re.compile(WORKFLOW_ID_PATTERN)
_CURSOR = re.compile(r"[0-9]{1,18}")


class Listener:
    """Serves `ws://HOST:PORT/…`.

    Attributes:
        config: may be replaced while serving; what is read from it at a connect then changes for new clients.
    """

    def __init__(self, gateway: Gateway, config: CyclusConfig) -> None:
        self.config = config
        self.endpoints: list[str] = []
        self._gateway = gateway
        self._runner: web.ServerRunner | None = None
        self._own: Connection | None = None
        self._channels: dict[str, Channel] = {}
        self._clients: dict[Client, asyncio.Task[None]] = {}
        self._stopping = False
        self._desk: Desk | None = None
        self._echoes = EchoPrinter() if config.print_echoes else None

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError
        """
        listening = listening_sockets(self.config.host, self.config.port)
        self._own = self._gateway.open_connection("cyclus", "itself", AdapterSelf("cyclus", self.config.namespace))
        self._runner = web.ServerRunner(HttpServer(self._handle, access_log=None), handle_signals=False, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        for one in listening:
            await web.SockSite(self._runner, one).start()
        self.endpoints = [f"ws://{self.config.host}:{listening[0].getsockname()[1]}/"]
        if self.config.initial_actions or self.config.hold_messages:
            self._open_desk()

    async def stop(self, deadline: float) -> None:
        """Answer what waits, close every client with 1001, and stop listening."""
        self._stopping = True
        if self._runner is None:
            return
        for site in tuple(self._runner.sites):
            await site.stop()
        tasks = tuple(self._clients.values())
        patience = self._gateway.clock.monotonic() + CLOSE_S
        while any(client.awaits_commit for client in self._clients) and self._gateway.clock.monotonic() < patience:
            await asyncio.sleep(0.01)
        for client in tuple(self._clients):
            client.close(GOING_AWAY, "the gateway is stopping")
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=max(0.1, deadline - CLOSE_S))
            for task in late:
                task.cancel()
        await self._runner.cleanup()
        if self._desk is not None:
            await self._desk.end()
        if self._own is not None:
            await self._own.close()
        if self._echoes is not None:
            await asyncio.to_thread(self._echoes.close)

    def _open_desk(self) -> None:
        # In the name of whoever owns this process, who wrote the config or the command line.
        connection = self._gateway.open_connection("cyclus", "the command line", SocketOwner(os.geteuid()))
        place = Place(self.config.namespace, self.config.default_workflow_id)
        channel = self._channel(place)
        self._desk = Desk(connection, self._session(place), self.config, channel.clients)
        channel.clients.add(self._desk)
        # Not before this wire is announced: what the actions print comes after the line that says so.
        asyncio.get_running_loop().call_soon(self._desk.carry_out, self.config.initial_actions)

    def _session(self, place: Place) -> Session:
        return Session(self.config, place, self._echoes.show if self._echoes is not None else None)

    # ---- one request -----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, self.config.allowed_origins):
            return _refuse(403, f"pages of {origin!r:.200} may not connect; see adapters.cyclus.allowed_origins")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            if request.path == HEALTH:
                return web.Response(text="ok\n")
            return _refuse(426, "this port speaks websocket: connect to ws:// with a Cyclus client", {"Upgrade": "websocket"})
        workflow_id, named = self.config.default_workflow_id, request.path.startswith(RUNS)
        if named:
            workflow_id = request.path.removeprefix(RUNS)
            if not _WORKFLOW_ID.fullmatch(workflow_id):
                return _refuse(400, f"{workflow_id!r:.200} is not a workflow id; connect to {RUNS}ID")
        place = Place(self.config.namespace, workflow_id, request.query.get("tables") == "all", named)
        try:
            connection = self._gateway.open_connection("cyclus", _peer(request), _credential(request))
        except GatewayError as error:
            return _refuse_error(error)
        try:
            find_run(connection.query, place)
            return await self._serve(request, connection, place)
        except GatewayError as error:
            return _refuse_error(error)
        finally:
            await connection.close()

    async def _serve(self, request: web.BaseRequest, connection: Connection, place: Place) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            heartbeat=self.config.ping_s, max_msg_size=self.config.max_message_bytes, compress=True, timeout=CLOSE_S
        )
        await ws.prepare(request)
        client = Client(connection, self._session(place), self.config, request.query.get("status") == "1")
        task = asyncio.current_task()
        assert task is not None
        self._clients[client] = task
        channel = self._join(client, place)
        writer = asyncio.get_running_loop().create_task(self._write(ws, client))
        client.on_cut = lambda: self._cut(ws, request, client)
        try:
            self._follow(request, connection, client, place)
            if self._stopping:
                client.close(GOING_AWAY, "the gateway is stopping")
            await self._read(ws, client)
        finally:
            await client.end()
            self._leave(client, channel)
            # What the client was told last (why it is closed) may still be on its way.
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(writer, CLOSE_S * 3)
            self._clients.pop(client, None)
        return ws

    def _follow(self, request: web.BaseRequest, connection: Connection, client: Client, place: Place) -> None:
        after = request.query.get("after")
        if after is None and request.query.get("deltas") != "1":
            return
        if after is not None and not _CURSOR.fullmatch(after):
            client.close(POLICY_VIOLATION, "after must be a cursor: a whole number")
            return
        wanted = DeltaFilter(frozenset({place.namespace}), place.workflow_id)
        try:
            client.follow(connection.subscribe(wanted, None if after is None else int(after)))
        except GatewayError as error:
            client.close(TRY_AGAIN_LATER, error.message)

    async def _read(self, ws: web.WebSocketResponse, client: Client) -> None:
        count, clock = 0, self._gateway.clock
        rate = self.config.messages_per_s
        bucket = TokenBucket(rate, max(1.0, rate), clock.monotonic())
        async for message in ws:
            while not bucket.take(clock.monotonic()):
                await asyncio.sleep(TOO_FAST_S)
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or client.closing is not None:
                return
            client.receive(message.data)
            if not client.room.is_set():
                await client.room.wait()
            count += 1
            if count % TURN_MESSAGES == 0:
                await asyncio.sleep(0)

    async def _write(self, ws: web.WebSocketResponse, client: Client) -> None:
        """Send what the client is to get, then close as the client is to be closed."""
        try:
            while (text := await client.outbox.take()) is not None:
                await ws.send_str(text)
                client.sent()
        except (ConnectionError, RuntimeError) as error:
            log.debug("client_gone", peer=client.connection.peer, reason=str(error))
        await _close(ws, client)

    def _cut(self, ws: web.WebSocketResponse, request: web.BaseRequest, client: Client) -> None:
        """Close a client that does not read: with a reason if it can be told one, else without."""
        log.warning("slow_client_closed", peer=client.connection.peer)

        async def cut() -> None:
            await _close(ws, client)
            if request.transport is not None:
                request.transport.abort()

        self._gateway.spawn(cut(), "cut a slow client")

    # ---- channels --------------------------------------------------------------------------------------------------

    def _join(self, client: Client, place: Place) -> Channel:
        channel = self._channel(place)
        if self._desk is not None and self._desk.room_mates is channel.clients:
            self._desk.hand_over(client)
        channel.clients.add(client)
        return channel

    def _channel(self, place: Place) -> Channel:
        channel = self._channels.get(place.workflow_id)
        if channel is None:
            assert self._own is not None
            on_echo = self._echoes.show if self._echoes is not None else None
            channel = Channel(self._own, Place(place.namespace, place.workflow_id), on_echo)
            self._channels[place.workflow_id] = channel
        return channel

    def _leave(self, client: Client, channel: Channel) -> None:
        channel.clients.discard(client)
        if not channel.clients and self._channels.get(channel.place.workflow_id) is channel:
            del self._channels[channel.place.workflow_id]
            channel.close()


async def _close(ws: web.WebSocketResponse, client: Client) -> None:
    code, reason = client.closing or (GOING_AWAY, "")
    with suppress(asyncio.TimeoutError, ConnectionError, RuntimeError):
        await asyncio.wait_for(ws.close(code=code, message=reason.encode()), CLOSE_S)


def _credential(request: web.BaseRequest) -> Credential:
    address = _address(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return BearerToken(token.strip(), address)
    return LoopbackPeer(address)


def _address(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(name[0]) if name else "unknown"


def _peer(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return f"{name[0]}:{name[1]}" if name else "gone"


def _refuse(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers=headers)


def _refuse_error(error: GatewayError) -> web.Response:
    match error:
        case Unauthenticated():
            return _refuse(401, error.message, {"WWW-Authenticate": "Bearer"})
        case NotAllowed():
            return _refuse(403, error.message)
        case LimitReached() | ShuttingDown():
            return _refuse(503, error.message, {"Retry-After": "1"})
    return _refuse(400, error.message)

"""Sockets and websockets: lets clients in, and brings back those whose connection broke."""

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from triplane.adapter import AdapterError
from triplane.auth import AdapterSelf, Credential, SocketOwner, credential_of
from triplane.certificates import Certificate
from triplane.commands.base import WORKFLOW_ID_PATTERN
from triplane.connection import Connection
from triplane.deltas import DeltaFilter
from triplane.errors import GatewayError, LimitReached, NotAllowed, ShuttingDown, Unauthenticated
from triplane.gateway import Gateway
from triplane.origins import origin_allowed
from triplane_cyclus.channels import Channels
from triplane_cyclus.client import GOING_AWAY, TRY_AGAIN_LATER, Client
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.deltas import gap_frame, session_frame
from triplane_cyclus.desk import Desk
from triplane_cyclus.echoes import EchoPrinter
from triplane_cyclus.frames import error_frame
from triplane_cyclus.http_server import HttpServer
from triplane_cyclus.plans import Place
from triplane_cyclus.reading import find_run
from triplane_cyclus.rendered import RenderedTables
from triplane_cyclus.resuming import Replay, Resumables
from triplane_cyclus.session import POLICY_VIOLATION, Session
from triplane_cyclus.sockets import listening_sockets
from triplane_cyclus.visit import CLOSE_S, Visit

log = structlog.get_logger(room="cyclus")

RUNS = "/runs/"
HEALTH = "/healthz"
NEW = ("", "new")
"""What `?resume=` says for a client that wants to be resumable and was not before."""

Preamble = Callable[[], Sequence[str]]

_WORKFLOW_ID = re.compile(WORKFLOW_ID_PATTERN)
_NUMBER = re.compile(r"[0-9]{1,18}")


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
        self._channels: Channels
        self._rendered = RenderedTables(config.table_cache_bytes, config.max_table_bytes)
        self._desk: Desk | None = None
        self._echoes = EchoPrinter() if config.print_echoes else None
        self._visits: dict[Client, Visit] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumables = Resumables(config)
        self._stopping = False

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError
        """
        self._check_token_names()
        chain = self.config.certificate_file
        certificate = Certificate(chain, self.config.key_file, "adapters.cyclus") if chain is not None else None
        listening = listening_sockets(self.config.host, self.config.port)
        own = self._gateway.open_connection("cyclus", "itself", AdapterSelf("cyclus", self.config.namespace))
        self._channels = Channels(own, self._on_echo)
        self._runner = web.ServerRunner(HttpServer(self._handle, access_log=None), handle_signals=False, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        for one in listening:
            await web.SockSite(self._runner, one, ssl_context=certificate.context if certificate is not None else None).start()
        scheme = "ws" if certificate is None else "wss"
        self.endpoints = [f"{scheme}://{self.config.host}:{listening[0].getsockname()[1]}/"]
        if self.config.initial_actions or self.config.hold_messages:
            self._open_desk()

    def _check_token_names(self) -> None:
        if self.config.key_file is not None and self.config.certificate_file is None:
            raise AdapterError("adapters.cyclus.key_file has no certificate; name one in adapters.cyclus.certificate_file")
        if self.config.token_names and self._gateway.settings is not None:
            unknown = set(self.config.token_names) - {token.name for token in self._gateway.settings.auth.tokens}
            if unknown:
                raise AdapterError(f"adapters.cyclus.token_names: no [[auth.tokens]] has the name {min(unknown)!r}")

    async def stop(self, deadline: float) -> None:
        """Answer what waits, close every client with 1001, and stop listening."""
        self._stopping = True
        if self._runner is None:
            return
        for site in tuple(self._runner.sites):
            await site.stop()
        tasks = tuple(self._tasks)
        patience = self._gateway.clock.monotonic() + CLOSE_S
        while any(client.awaits_commit for client in self._visits) and self._gateway.clock.monotonic() < patience:
            await asyncio.sleep(0.01)
        for client in tuple(self._visits):
            client.close(GOING_AWAY, "the gateway is stopping")
        self._resumables.close()
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=max(0.1, deadline - CLOSE_S))
            for task in late:
                task.cancel()
        await self._runner.cleanup()
        if self._desk is not None:
            await self._desk.end()
        await self._channels.close()
        if self._echoes is not None:
            await asyncio.to_thread(self._echoes.close)

    @property
    def _on_echo(self) -> Callable[[Any], None] | None:
        return self._echoes.show if self._echoes is not None else None

    def _open_desk(self) -> None:
        # In the name of whoever owns this process, who wrote the config or the command line.
        connection = self._gateway.open_connection("cyclus", "the command line", SocketOwner(os.geteuid()))
        place = Place(self.config.namespace, self.config.default_workflow_id, rendered=self._rendered)
        channel = self._channels.of(place)
        self._desk = Desk(connection, Session(self.config, place, self._on_echo), self.config, channel.clients)
        self._desk.outlook = channel.outlook
        channel.clients.add(self._desk)
        # Not before this wire is announced: what the actions print comes after the line that says so.
        asyncio.get_running_loop().call_soon(self._desk.carry_out, self.config.initial_actions)

    # ---- one request -----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, self.config.allowed_origins):
            return _refuse(403, f"pages of {origin!r:.200} may not connect; see adapters.cyclus.allowed_origins")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            if request.path == HEALTH:
                return self._health()
            return _refuse(426, "this port speaks websocket: connect to ws:// with a Cyclus client", {"Upgrade": "websocket"})
        workflow_id, named = self.config.default_workflow_id, request.path.startswith(RUNS)
        if named:
            workflow_id = request.path.removeprefix(RUNS)
            if not _WORKFLOW_ID.fullmatch(workflow_id):
                return _refuse(400, f"{workflow_id!r:.200} is not a workflow id; connect to {RUNS}ID")
        place = Place(self.config.namespace, workflow_id, request.query.get("tables") == "all", named, self._rendered)
        try:
            connection = self._gateway.open_connection("cyclus", _peer(request), _credential(request))
        except GatewayError as error:
            return _refuse_error(error)
        client: Client | None = None
        try:
            if self.config.token_names and connection.principal.name not in self.config.token_names:
                raise NotAllowed(f"{connection.principal.name} may not connect to this wire (adapters.cyclus.token_names)")
            find_run(connection.query, place)
            ws = web.WebSocketResponse(
                heartbeat=self.config.ping_s, max_msg_size=self.config.max_message_bytes, compress=True, timeout=CLOSE_S
            )
            await ws.prepare(request)
            client, preamble = self._client_for(request, connection, place)
        except GatewayError as error:
            return _refuse_error(error)
        finally:
            # A client that came back goes on with the connection that it had.
            if client is None or client.connection is not connection:
                await connection.close()
        await self._attend(Visit(self._gateway, request, ws, client), preamble)
        return ws

    def _health(self) -> web.Response:
        well = self._gateway.readiness()["parts"].get("store") == "ok"
        return web.Response(text="ok\n") if well else _refuse(503, "the store has failed")

    async def _attend(self, visit: Visit, preamble: Preamble) -> None:
        client, task = visit.client, asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # At once, so that of two that bring a client back the second finds the first.
        before, self._visits[client] = self._visits.get(client), visit
        try:
            if before is not None:
                await before.give_way()
            if self._stopping:
                client.close(GOING_AWAY, "the gateway is stopping")
            if not visit.superseded:
                await visit.run(preamble(), self.config.messages_per_s)
        finally:
            try:
                if visit.superseded:
                    await visit.say_why()
                else:
                    await self._part(visit)
            finally:
                self._tasks.discard(task)

    async def _part(self, visit: Visit) -> None:
        """A client's websocket is over."""
        client = visit.client
        if visit.may_return and not self._stopping and client.session_name is not None:
            await visit.leave()
            if visit.superseded:
                return
            del self._visits[client]
            client.on_cut = lambda: self._give_up(client)
            client.detach()
            self._resumables.wait_for(client.session_name)
            return
        await self._end(client)
        await visit.finish()
        if self._visits.get(client) is visit:
            del self._visits[client]

    def _give_up(self, client: Client) -> None:
        """A client that did not come back."""
        self._gateway.spawn(self._end(client), "end a client that did not come back")

    async def _end(self, client: Client) -> None:
        if client.session_name is not None:
            self._resumables.forget(client.session_name)
        await client.end()
        self._channels.leave(client)

    # ---- clients ---------------------------------------------------------------------------------------------------

    def _client_for(self, request: web.BaseRequest, connection: Connection, place: Place) -> tuple[Client, Preamble]:
        """The client that comes back, or a new one; and what makes the frames that it is told first."""
        wanted, after = request.query.get("resume"), request.query.get("after")
        if wanted is not None and wanted not in NEW:
            known = self._resumables.find(wanted, connection.principal.name, place)
            seq = int(after) if after is not None and _NUMBER.fullmatch(after) else 0
            if known is not None and known.replay is not None and seq <= known.replay.seq:
                self._resumables.back(wanted)
                return known, partial(_brought_back, known, known.replay, seq)
            after = None
        session = Session(self.config, place, self._on_echo)
        client = Client(connection, session, self.config, request.query.get("status") == "1")
        connection.on_revoked = lambda reason: client.close(POLICY_VIOLATION, reason)
        self._channels.join(client, self._desk)
        preamble: list[str] = []
        if wanted is not None:
            client.session_name = self._resumables.enlist(client)
            if client.session_name is None:
                refused = LimitReached("too many clients can be resumed already (adapters.cyclus.resume_sessions)")
                preamble.append(error_frame(None, refused))
            else:
                client.replay = Replay(self.config.resume_messages, self.config.resume_bytes)
                preamble.append(session_frame(client.session_name, 0, False))
        self._follow(after, request.query.get("deltas") == "1", client)
        return client, lambda: preamble

    def _follow(self, after: str | None, deltas: bool, client: Client) -> None:
        if after is None and not deltas:
            return
        if after is not None and not _NUMBER.fullmatch(after):
            client.close(POLICY_VIOLATION, "after must be a cursor: a whole number")
            return
        wanted = DeltaFilter(frozenset({client.place.namespace}), client.place.workflow_id)
        try:
            client.follow(client.connection.subscribe(wanted, None if after is None else int(after)))
        except GatewayError as error:
            client.close(TRY_AGAIN_LATER, error.message)


def _brought_back(client: Client, replay: Replay, seq: int) -> list[str]:
    """What a client that read up to `seq` is told first, now that it can be sent something again."""
    assert client.session_name is not None
    kept_after = replay.lost_after(seq)
    preamble = [session_frame(client.session_name, kept_after, True)]
    if kept_after > seq:
        preamble.append(gap_frame(seq, kept_after))
    preamble += replay.after(seq)
    client.attach()
    return preamble


def _credential(request: web.BaseRequest) -> Credential:
    return credential_of(request.headers.get("Authorization", ""), _address(request))


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

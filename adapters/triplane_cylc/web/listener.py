"""`/graphql` on a port of its own: POST, and websockets that speak graphql-transport-ws.

The rules of who may come are those of the other HTTP wires (architecture, "Nobody is anonymous"): a bearer token, or
a loopback peer where no tokens are configured; foreign `Origin` and `Host` are refused.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import WSMsgType, web

from triplane.adapter import AdapterError
from triplane.auth import Credential, credential_of, is_loopback
from triplane.connection import Connection
from triplane.errors import GatewayError, LimitReached, NotAllowed, ShuttingDown, Unauthenticated
from triplane.gateway import Gateway
from triplane.origins import is_this_machine, origin_allowed
from triplane_cylc.config import CylcConfig
from triplane_cylc.faces.manager import FaceManager
from triplane_cylc.graphql import GraphQLRefused
from triplane_cylc.session import BadRequest
from triplane_cylc.web.conversation import SUBPROTOCOL, Conversation
from triplane_cylc.web.desk import Desk, read_body

WIRE: Final = "cylc"
PATH: Final = "/graphql"
MAX_BODY_BYTES: Final = 1_048_576
MAX_CALLERS: Final = 1_000
MAX_WEBSOCKETS: Final = 1_000
INIT_S: Final = 10.0
"""How long a websocket may take to say `connection_init`."""
CLOSE_S: Final = 1.0
INIT_TIMEOUT, GOING_AWAY, SUBPROTOCOL_MISSING, FORBIDDEN = 4408, 1001, 4406, 4403

log = structlog.get_logger(__name__)


class WebListener:
    """Serves GraphQL over HTTP."""

    def __init__(self, gateway: Gateway, manager: FaceManager, config: CylcConfig) -> None:
        self._gateway, self._manager, self._config = gateway, manager, config
        self._runner: web.ServerRunner | None = None
        self._callers: OrderedDict[Credential, Connection] = OrderedDict()
        self._open: dict[Conversation, Connection] = {}
        self.port = config.http_port

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError: the address cannot be bound, or it can be reached from elsewhere and there are no tokens.
        """
        host, port = self._config.http_host, self._config.http_port
        if not is_loopback(host) and not self._gateway.authenticator.has_tokens:
            raise AdapterError(f"adapters.cylc.http_host {host!r} can be reached from elsewhere: configure [[auth.tokens]] first")
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), handle_signals=False, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            said = error.strerror or error
            raise AdapterError(f"cannot listen on {host}:{port} for GraphQL ({said}); set adapters.cylc.http_port") from error
        self.port = int(self._runner.addresses[0][1])

    @property
    def address(self) -> str:
        """Where to POST."""
        return f"http://{self._config.http_host}:{self.port}{PATH}"

    async def stop(self) -> None:
        """Close every websocket with 1001, and stop listening."""
        for conversation in tuple(self._open):
            conversation.close(GOING_AWAY, "the gateway is stopping")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for connection in self._callers.values():
            await connection.close()
        self._callers.clear()

    # ---- one request -----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != PATH:
            return _refuse(404, f"Everything here is at {PATH}.")
        host = request.url.host or ""
        if not is_this_machine(host) and host != self._config.http_host and not self._gateway.authenticator.has_tokens:
            return _refuse(403, "This is not a name of this machine.")
        if not origin_allowed(request.headers.get("Origin"), self._config.http_allowed_origins):
            return _refuse(403, "Pages of this origin may not call; see adapters.cylc.http_allowed_origins.")
        try:
            connection = await self._connection(request)
        except GatewayError as error:
            return _refused(error)
        desk = Desk(connection, self._manager)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._converse(request, desk, connection)
        if request.method != "POST":
            return _refuse(405, "POST a query, or open a websocket that speaks graphql-transport-ws.", {"Allow": "POST"})
        if request.content_type != "application/json":
            return _refuse(415, "Send Content-Type: application/json.")
        body = await _body(request)
        if body is None:
            return _refuse(413, f"A request has at most {MAX_BODY_BYTES} bytes.")
        try:
            answer = await desk.answer(read_body(body))
        except (GraphQLRefused, BadRequest) as refusal:
            return _refuse(400, str(refusal))
        except GatewayError as error:
            return _refused(error)
        except Exception:
            log.exception("graphql_request_failed")
            return _refuse(500, "internal error; the gateway's log has the details")
        return web.Response(body=answer, content_type="application/json")

    async def _connection(self, request: web.BaseRequest) -> Connection:
        """The connection of whoever asks, kept for the next request."""
        credential = _credential(request)
        known = self._callers.get(credential)
        if known is not None and not known.closed:
            # Looked at again each time, for a token may have expired meanwhile.
            self._gateway.authenticator.authenticate(credential, self._gateway.clock.now())
            self._callers.move_to_end(credential)
            return known
        connection = self._gateway.open_connection(WIRE, _peer(request), credential)
        connection.on_revoked = lambda reason: self._hang_up(connection, reason)
        self._callers[credential] = connection
        if len(self._callers) > MAX_CALLERS:
            _, oldest = self._callers.popitem(last=False)
            await oldest.close()
        return connection

    def _hang_up(self, connection: Connection, reason: str) -> None:
        """Close the websockets of a caller whose token holds no more: what they follow would go on."""
        for conversation, its_connection in tuple(self._open.items()):
            if its_connection is connection:
                conversation.close(FORBIDDEN, reason)

    # ---- websockets ------------------------------------------------------------------------------------------------

    async def _converse(self, request: web.BaseRequest, desk: Desk, connection: Connection) -> web.StreamResponse:
        if len(self._open) >= MAX_WEBSOCKETS:
            return _refuse(503, f"{MAX_WEBSOCKETS} websockets are open already.", {"Retry-After": "1"})
        ws = web.WebSocketResponse(protocols=(SUBPROTOCOL,), heartbeat=20.0, max_msg_size=MAX_BODY_BYTES, timeout=CLOSE_S)
        await ws.prepare(request)
        conversation = Conversation(desk, lambda work: self._gateway.spawn(work, "graphql over a websocket"))
        if ws.ws_protocol != SUBPROTOCOL:
            conversation.close(SUBPROTOCOL_MISSING, f"ask for the subprotocol {SUBPROTOCOL}")
        self._open[conversation] = connection
        writer = asyncio.create_task(_write(ws, conversation))
        patience = asyncio.get_running_loop().call_later(INIT_S, _expect_init, conversation)
        try:
            async for message in ws:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or conversation.closing is not None:
                    break
                conversation.receive(message.data)
        finally:
            patience.cancel()
            conversation.close(1000, "")
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(writer, CLOSE_S * 3)
            self._open.pop(conversation, None)
        return ws


def _expect_init(conversation: Conversation) -> None:
    if not conversation.begun:
        conversation.close(INIT_TIMEOUT, "Connection initialisation timeout")


async def _write(ws: web.WebSocketResponse, conversation: Conversation) -> None:
    try:
        while (text := await conversation.outbox.get()) is not None:
            await ws.send_str(text.decode())
    except (ConnectionError, RuntimeError) as error:
        log.debug("graphql_client_gone", reason=str(error))
    code, reason = conversation.closing or (1000, "")
    with suppress(asyncio.TimeoutError, ConnectionError, RuntimeError):
        await asyncio.wait_for(ws.close(code=code, message=reason.encode()[:120]), CLOSE_S)


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body; None where it is too long."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _credential(request: web.BaseRequest) -> Credential:
    return credential_of(request.headers.get("Authorization", ""), _address(request))


def _address(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(name[0]) if name else "unknown"


def _peer(request: web.BaseRequest) -> str:
    return f"http {_address(request)}"


def _refuse(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [{"message": text}]}, status=status, headers=headers)


def _refused(error: GatewayError) -> web.Response:
    match error:
        case Unauthenticated():
            return _refuse(401, error.message, {"WWW-Authenticate": "Bearer"})
        case NotAllowed():
            return _refuse(403, error.message)
        case LimitReached() | ShuttingDown():
            return _refuse(503, error.message, {"Retry-After": "1"})
    return _refuse(400, error.message)

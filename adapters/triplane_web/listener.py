"""The page's port: its files, what it reads by GET, and its websocket.

Who may come is as on the other HTTP wires (architecture, "Nobody is anonymous"): a bearer token, or a loopback peer where no
tokens are configured; foreign `Origin` and `Host` are refused. The page's own files hold no data and need no token.
"""

import asyncio
import ssl
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import structlog
from aiohttp import web

from triplane.adapter import AdapterError
from triplane.auth import Credential, credential_of
from triplane.certificates import Certificate
from triplane.commands.base import Command, Query
from triplane.commands.jobs import ReadJobLog
from triplane.connection import Connection
from triplane.errors import Family, GatewayError, InvalidFields, LimitReached, RefusedInput, Unauthenticated
from triplane.gateway import Gateway
from triplane.jsontext import to_json
from triplane.origins import is_this_machine, origin_allowed
from triplane.queries import ListNamespaces, ReadTable
from triplane_web.config import WebConfig
from triplane_web.downloads import CONTENT_TYPES, Download, portions
from triplane_web.files import page_files
from triplane_web.headers import DATA, FILE
from triplane_web.places import platform_maps
from triplane_web.requests import read_of, validated
from triplane_web.shapes import error_map, foreign, value_map
from triplane_web.visit import CLOSE_S, GOING_AWAY, WIRE, Visit

BASE: Final = "/ui/"
LIVE: Final = "live"
READ: Final = "api/read/"
TABLE: Final = "api/table"
PLATFORMS: Final = "api/platforms"
MAX_CALLERS: Final = 1_000

STATUSES: Final = {
    Family.REFUSED_INPUT: 400, Family.NOT_ALLOWED: 403, Family.NOT_FOUND: 404, Family.CONFLICT: 409, Family.CANNOT_NOW: 503,
}  # fmt: skip

log = structlog.get_logger(room="web")


class Listener:
    """Serves `http://HOST:PORT/ui/`.

    Attributes:
        config: may be replaced while serving; what is hot in it counts for new requests.
    """

    def __init__(self, gateway: Gateway, config: WebConfig) -> None:
        self.config = config
        self._gateway = gateway
        self._files = page_files()
        self._runner: web.ServerRunner | None = None
        self._callers: OrderedDict[Credential, Connection] = OrderedDict()
        self._visits: set[Visit] = set()
        self._stopping = False
        self.port = config.port

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError: the address cannot be bound, or the certificate cannot be used.
        """
        host, port = self.config.host, self.config.port
        tls = self._tls()
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            said = error.strerror or error
            raise AdapterError(f"cannot listen on {host} port {port}: {said}; choose another adapters.web.port") from error
        self.port = int(self._runner.addresses[0][1])

    def _tls(self) -> ssl.SSLContext | None:
        chain, key = self.config.certificate_file, self.config.key_file
        if chain is None:
            if key is not None:
                raise AdapterError("adapters.web.key_file has no certificate; name one in adapters.web.certificate_file")
            return None
        return Certificate(chain, key, "adapters.web").context

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"{'http' if self.config.certificate_file is None else 'https'}://{host}:{self.port}{BASE}"

    async def stop(self, deadline: float) -> None:
        """Close every page with 1001 (it comes back by itself), and stop listening."""
        self._stopping = True
        for visit in tuple(self._visits):
            visit.close(GOING_AWAY, "the gateway is stopping")
        if self._runner is not None:
            await asyncio.wait_for(self._runner.cleanup(), max(deadline, CLOSE_S))
            self._runner = None
        for connection in self._callers.values():
            await connection.close()
        self._callers.clear()

    # ---- one request -----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except GatewayError as error:
            return _refused(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("page_request_failed", path=request.path)
            return _refuse(500, "internal error; the gateway's log has the details")

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        host = request.url.host or ""
        if not self._goes_by(host):
            return _refuse(403, f"This gateway does not go by the name {host[:200]!r} (adapters.web.allowed_hosts).")
        if not self._may_call(request):
            return _refuse(403, "Pages of this origin may not call; see adapters.web.allowed_origins.")
        if request.method not in ("GET", "HEAD"):
            return _refuse(405, "The page reads by GET, and acts by its websocket.", {"Allow": "GET, HEAD"})
        if request.path in ("/", BASE.rstrip("/")):
            return web.Response(status=307, headers={**FILE, "Location": BASE})
        if not request.path.startswith(BASE):
            return _refuse(404, f"Everything here is below {BASE}.")
        name = request.path.removeprefix(BASE)
        if name == LIVE:
            return await self._live(request)
        if name.startswith(READ):
            return await self._read(request, name.removeprefix(READ))
        if name == TABLE:
            return await self._table(request)
        if name == PLATFORMS:
            connection = await self._connection(request)
            connection.query(ListNamespaces())
            return _data(platform_maps(self._gateway.settings))
        return self._file(request, name or "index.html")

    def _goes_by(self, host: str) -> bool:
        allowed = self.config.allowed_hosts
        if is_this_machine(host) or host in (self.config.host, *allowed) or "*" in allowed:
            return True
        # A page of elsewhere that has its own name lead here gets nowhere without a token.
        return self._gateway.authenticator.has_tokens

    def _may_call(self, request: web.BaseRequest) -> bool:
        origin = request.headers.get("Origin")
        if origin_allowed(origin, self.config.allowed_origins):
            return True
        # The page's own origin: the host was looked at before.
        return origin is not None and urlsplit(origin).netloc == request.headers.get("Host")

    def _file(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        file = self._files.get(name)
        if file is None:
            return _refuse(404, "There is no such file.")
        headers = {**FILE, "ETag": file.tag}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        charset = None if file.content_type == "application/json" else "utf-8"
        answer = web.Response(body=file.body, content_type=file.content_type, charset=charset, headers=headers)
        answer.enable_compression()
        return answer

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def _connection(self, request: web.BaseRequest) -> Connection:
        """The connection of whoever asks, kept for the next request."""
        address = _address(request)
        credential = credential_of(request.headers.get("Authorization", ""), address)
        known = self._callers.get(credential)
        if known is not None and not known.closed:
            # Looked at again each time, for a token may have expired meanwhile.
            self._gateway.authenticator.authenticate(credential, self._gateway.clock.now())
            self._callers.move_to_end(credential)
            return known
        connection = self._gateway.open_connection(WIRE, f"http {address}", credential)
        self._callers[credential] = connection
        if len(self._callers) > MAX_CALLERS:
            _, oldest = self._callers.popitem(last=False)
            await oldest.close()
        return connection

    async def _read(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        connection = await self._connection(request)
        wanted = self._bounded(read_of(name, request.query.get("fields", "")))
        if isinstance(wanted, Command):
            value = await connection.dispatch(wanted)
        else:
            assert isinstance(wanted, Query)
            value = connection.query(wanted)
        return _data(value_map(value))

    def _bounded(self, wanted: Any) -> Any:
        if isinstance(wanted, ReadTable):
            limit = min(wanted.limit or self.config.max_list, self.config.max_list)
            return wanted.model_copy(update={"limit": limit, "scan": min(wanted.scan or limit, 50_000)})
        if isinstance(wanted, ReadJobLog):
            return wanted.model_copy(update={"limit": min(wanted.limit, self.config.max_log_bytes)})
        if getattr(wanted, "limit", 0) > self.config.max_list:
            raise InvalidFields({"limit": [f"at most {self.config.max_list} (adapters.web.max_list)"]})
        return wanted

    async def _table(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = await self._connection(request)
        try:
            fields = orjson.loads(request.query.get("fields", "{}"))
        except orjson.JSONDecodeError as error:
            raise RefusedInput("fields: not JSON") from error
        wanted: Download = validated(Download, fields)
        pieces = portions(wanted, connection.query)
        first = next(pieces)
        disposition = f'attachment; filename="{wanted.file_name}"'
        answer = web.StreamResponse(headers={**DATA, "Content-Disposition": disposition})
        answer.content_type, answer.charset = CONTENT_TYPES[wanted.format], "utf-8"
        await answer.prepare(request)
        await answer.write(first)
        for piece in pieces:
            await answer.write(piece)
            await asyncio.sleep(0)
        await answer.write_eof()
        return answer

    # ---- the websocket ---------------------------------------------------------------------------------------------

    async def _live(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _refuse(426, "This is the page's websocket.", {"Upgrade": "websocket"})
        if len(self._visits) >= self.config.max_websockets:
            raise LimitReached(f"{self.config.max_websockets} pages are open already (adapters.web.max_websockets)")
        ws = web.WebSocketResponse(
            heartbeat=self.config.ping_s, max_msg_size=self.config.max_message_bytes, compress=True, timeout=CLOSE_S
        )
        await ws.prepare(request)
        visit = Visit(self._gateway, self.config, ws, _address(request))
        self._visits.add(visit)
        try:
            if self._stopping:
                visit.close(GOING_AWAY, "the gateway is stopping")
            await visit.run()
        finally:
            self._visits.discard(visit)
        return ws


def _address(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(name[0]) if name else "unknown"


def _data(value: Any) -> web.Response:
    answer = web.Response(body=to_json(value, foreign), content_type="application/json", headers=DATA)
    answer.enable_compression()
    return answer


def _refuse(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    body = to_json({"error": {"code": "refused", "message": text}})
    return web.Response(status=status, body=body, content_type="application/json", headers={**DATA, **(headers or {})})


def _refused(error: GatewayError) -> web.Response:
    status, headers = STATUSES[error.family], dict(DATA)
    if isinstance(error, Unauthenticated):
        status, headers["WWW-Authenticate"] = 401, "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    body = to_json({"error": error_map(error)}, foreign)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)

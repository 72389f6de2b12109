"""The HTTP socket: bytes to sessions and back, with the checks that belong to HTTP itself."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from triplane.adapter import AdapterError
from triplane.auth import BearerToken, Credential, LoopbackPeer
from triplane.connection import Connection
from triplane.errors import GatewayError
from triplane.gateway import Gateway
from triplane.origins import is_this_machine, origin_allowed
from triplane_durable.answer import Answer, fits
from triplane_durable.config import DurableConfig
from triplane_durable.contract import cluster_info
from triplane_durable.frames import Request, Response, iso_time
from triplane_durable.http_server import HttpServer
from triplane_durable.refusals import refusal
from triplane_durable.session import Session

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1_000
MAX_KNOWN_HOSTS = 100
STOP_S = 5.0
JSON = "application/json"
NO_QUERY: Mapping[str, str] = {}


class Listener:
    """Serves `/api` on one address."""

    def __init__(self, gateway: Gateway, config: DurableConfig) -> None:
        self._gateway, self._config = gateway, config
        self._sessions: OrderedDict[Credential, tuple[Connection, Session]] = OrderedDict()
        self._known_hosts: set[str] = set()
        self._runner: web.ServerRunner | None = None
        self.port = config.port

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError: the address cannot be bound.
        """
        server = HttpServer(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=STOP_S)
        await runner.setup()
        site = web.TCPSite(runner, self._config.host, self._config.port, reuse_address=True, backlog=1_024)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise AdapterError(
                f"cannot listen on {self._config.host}:{self._config.port} for HTTP ({error.strerror or error}); "
                "set adapters.durable.host and adapters.durable.port"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self, deadline: float) -> None:
        """Answer what is in hand, then close."""
        runner, self._runner = self._runner, None
        if runner is not None:
            try:
                async with asyncio.timeout(max(0.1, deadline)):
                    await runner.cleanup()
            except TimeoutError:
                log.warning("durable_stop_cut: some requests were not answered within %.1f s", deadline)
        for connection, _ in self._sessions.values():
            await connection.close()
        self._sessions.clear()

    # ---- one request -----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path != "/api" and not path.startswith("/api/"):
            return _json(404, {"reason": "route_not_found", "message": "Everything here is under /api."})
        wrong = self._wrong_place(request)
        if wrong is not None:
            return wrong
        segments = tuple(path[5:].split("/")) if len(path) > 5 else ()
        if "%" in path:
            segments = tuple(unquote(part) for part in segments)
        if request.method == "GET" and len(segments) == 1 and segments[0] in ("health", "ready"):
            return self._health(segments[0])
        try:
            session = self._session(request)
        except GatewayError as error:
            return _json(*refusal(error, "worker" if segments[:1] == ("worker",) else "control"))
        if request.method == "GET" and segments == ("cluster", "info"):
            return _json(200, cluster_info(self._config, self._gateway.clock.now()))
        body = b""
        if request.body_exists:
            if request.content_type != JSON:
                return _json(415, {"reason": "unsupported_media_type", "message": "Send Content-Type: application/json."})
            length = request.content_length
            if length is not None and length > self._config.max_body_bytes:
                return self._too_large()
            try:
                body = await self._read(request)
            except _BodyTooLarge:
                return self._too_large()
            except web.RequestPayloadError as error:
                said = " ".join(str(error).split())[:300]
                return _json(400, {"reason": "malformed_request", "message": f"The body cannot be read: {said}"})
        query = request.query if request.rel_url.raw_query_string else NO_QUERY
        response = await session.receive(Request(request.method, segments, query, request.headers, body))
        text = response.encode()
        if fits(request, response.status, text):
            return Answer(response.status, text, response.headers)
        return web.Response(status=response.status, body=text, content_type=JSON, headers=dict(response.headers))

    async def _read(self, request: web.BaseRequest) -> bytes:
        if request.content.is_eof() and request.content.total_bytes <= self._config.max_body_bytes:
            # Most bodies are short and came with their head: there is nothing to wait for.
            return request.content.read_nowait()
        chunks, size = [], 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > self._config.max_body_bytes:
                raise _BodyTooLarge
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self) -> web.Response:
        message = f"The body is larger than {self._config.max_body_bytes} bytes (adapters.durable.max_body_bytes)."
        return _json(413, {"reason": "payload_too_large", "message": message})

    def _wrong_place(self, request: web.BaseRequest) -> web.Response | None:
        """Refuse foreign hosts and origins, so that a web page cannot reach the gateway through a visitor's browser."""
        host = request.headers.get("Host", "")
        if host not in self._known_hosts and not self._is_our_name(host):
            message = f"This gateway does not go by the name {host[:200]!r} (adapters.durable.allowed_hosts)."
            return _json(421, {"reason": "host_not_allowed", "message": message})
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, self._config.allowed_origins):
            message = f"Pages from {(origin or '')[:200]!r} may not call this gateway (adapters.durable.allowed_origins)."
            return _json(403, {"reason": "origin_not_allowed", "message": message})
        return None

    def _is_our_name(self, host: str) -> bool:
        allowed = (*self._config.allowed_hosts, self._config.host)
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").lower()
        if "*" not in allowed and name not in allowed and not is_this_machine(name):
            return False
        if len(self._known_hosts) < MAX_KNOWN_HOSTS:
            self._known_hosts.add(host)
        return True

    def _session(self, request: web.BaseRequest) -> Session:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        peer = request.remote or ""
        credential: Credential
        if self._gateway.authenticator.has_tokens and scheme.lower() == "bearer" and token:
            credential = BearerToken(token.strip())
        else:
            credential = LoopbackPeer(peer)
        known = self._sessions.get(credential)
        if known is not None and not known[0].closed:
            if isinstance(credential, BearerToken):
                # Looked at again each time, for it may have expired or been revoked meanwhile.
                self._gateway.authenticator.authenticate(credential, self._gateway.clock.now())
                self._sessions.move_to_end(credential)
            return known[1]
        connection = self._gateway.open_connection("durable", peer, credential)
        session = Session(connection, self._config, self._gateway.namespaces)
        self._sessions[credential] = (connection, session)
        if len(self._sessions) > MAX_CONNECTIONS:
            _, (oldest, _) = self._sessions.popitem(last=False)
            self._gateway.spawn(oldest.close(), "close the connection used least lately")
        return session

    def _health(self, which: str) -> web.Response:
        readiness = self._gateway.readiness()
        if which == "ready":
            return _json(200 if readiness["status"] == "ready" else 503, readiness)
        well = readiness["parts"].get("store") == "ok"
        body: dict[str, Any] = {
            "status": "serving" if well else "degraded",
            "timestamp": iso_time(self._gateway.clock.now()),
            "checks": {"database": "ok" if well else "failed"},
        }
        return _json(200 if well else 503, body)


class _BodyTooLarge(Exception):
    pass


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=Response(status, body).encode(), content_type=JSON)

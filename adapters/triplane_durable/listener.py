"""The HTTP socket: bytes to sessions and back, with the checks that belong to HTTP itself."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, unquote

from triplane.adapter import AdapterError
from triplane.auth import BearerToken, Credential, LoopbackPeer
from triplane.certificates import Certificate
from triplane.connection import Connection
from triplane.errors import GatewayError
from triplane.gateway import Gateway
from triplane.origins import is_this_machine, origin_allowed
from triplane.queries import ReadMetrics
from triplane.seeing.scrape import CONTENT_TYPE
from triplane_durable.config import DurableConfig
from triplane_durable.contract import cluster_info
from triplane_durable.frames import Request, Response, iso_time
from triplane_durable.http import HttpRequest, HttpResponse, HttpServer
from triplane_durable.refusals import refusal
from triplane_durable.session import Session

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1_000
MAX_KNOWN_HOSTS = 100
MAX_USUAL = 100
"""Manners of asking (from where, for whom, as whom) that are let in without a second look; never with tokens."""
MAX_QUERY_FIELDS = 100
JSON = "application/json"
METRICS = "/metrics"
"""Where Prometheus looks unless it is told otherwise; `/api/metrics` is the same."""
NO_QUERY: Mapping[str, str] = {}


class Listener:
    """Serves `/api` on one address."""

    def __init__(self, gateway: Gateway, config: DurableConfig) -> None:
        self._gateway, self._config = gateway, config
        self._sessions: OrderedDict[Credential, tuple[Connection, Session]] = OrderedDict()
        self._known_hosts: set[str] = set()
        self._usual: dict[tuple[str, str | None, str | None, str | None], Session] = {}
        self._server: HttpServer | None = None
        self.port = config.port

    async def start(self) -> None:
        """Listen.

        Raises:
            AdapterError: the address cannot be bound.
        """
        server = HttpServer(self._handle, self._refuse, self._config.max_body_bytes)
        try:
            await server.start(self._config.host, self._config.port, self._tls())
        except OSError as error:
            raise AdapterError(
                f"cannot listen on {self._config.host}:{self._config.port} for HTTP ({error.strerror or error}); "
                "set adapters.durable.host and adapters.durable.port"
            ) from error
        self._server = server
        self.port = server.port

    def _tls(self) -> SSLContext | None:
        chain, key = self._config.certificate_file, self._config.key_file
        if chain is None:
            if key is not None:
                raise AdapterError("adapters.durable.key_file has no certificate; name one in adapters.durable.certificate_file")
            return None
        return Certificate(chain, key, "adapters.durable").context

    def reconfigured(self) -> None:
        """Keys of its section have changed: what was let in without a second look is looked at again."""
        self._known_hosts.clear()
        self._usual.clear()

    async def stop(self, deadline: float) -> None:
        """Answer what is in hand, then close."""
        server, self._server = self._server, None
        if server is not None and not await server.stop(max(0.1, deadline)):
            log.warning("durable_stop_cut: some requests were not answered within %.1f s", deadline)
        for connection, _ in self._sessions.values():
            await connection.close()
        self._sessions.clear()
        self._usual.clear()

    # ---- one request -----------------------------------------------------------------------------------------------

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        path, headers = request.target, request.headers
        if path == METRICS:
            path = "/api/metrics"
        if path != "/api" and not path.startswith("/api/"):
            return _json(404, {"reason": "route_not_found", "message": "Everything here is under /api."})
        # Nearly all requests look like the last: from the same place, for the same name, with the same credential.
        manner = (request.peer, headers.get("host"), headers.get("origin"), headers.get("authorization"))
        session = None if self._gateway.authenticator.has_tokens else self._usual.get(manner)
        if session is None or session.closed:
            wrong = self._wrong_place(headers)
            if wrong is not None:
                return wrong
        segments = tuple(path[5:].split("/")) if len(path) > 5 else ()
        if "%" in path:
            segments = tuple([unquote(part) for part in segments])
        if request.method == "GET" and len(segments) == 1 and segments[0] in ("health", "ready"):
            return self._health(segments[0])
        if session is None or session.closed:
            try:
                session = self._session(request)
            except GatewayError as error:
                return _json(*refusal(error, "worker" if segments[:1] == ("worker",) else "control"))
            if len(self._usual) >= MAX_USUAL:
                self._usual.clear()
            self._usual[manner] = session
        if request.method == "GET" and segments == ("metrics",):
            return self._metrics(session)
        if request.method == "GET" and segments == ("cluster", "info"):
            return _json(200, cluster_info(self._config, self._gateway.clock.now()))
        if request.method == "GET" and segments == ("openapi.json",):
            # Here, because few ask for it, and every start would pay for it.
            from triplane_durable.openapi import document

            return _json(200, document())
        if request.body and not _is_json(headers):
            return _json(415, {"reason": "unsupported_media_type", "message": "Send Content-Type: application/json."})
        query = _query(request.query) if request.query else NO_QUERY
        response = await session.receive(Request(request.method, segments, query, headers, request.body))
        return HttpResponse(response.status, response.encode(), response.headers)

    def _refuse(self, status: int, said: str) -> HttpResponse:
        """The answer to what never became a request, and to what we failed on."""
        if status == 413:
            most = self._config.max_body_bytes
            message = f"The body is larger than {most} bytes (adapters.durable.max_body_bytes)."
            return _json(413, {"reason": "payload_too_large", "message": message})
        if status < 500:
            message = f"This is not a request that can be read: {' '.join(said.split())[:300]}"
            return _json(status, {"reason": "malformed_request", "message": message})
        if status == 503:
            return _json(503, {"reason": "too_many_connections", "message": said})
        return _json(status, {"reason": "internal", "message": "The server failed to answer; it has been logged."})

    def _wrong_place(self, headers: Mapping[str, str]) -> HttpResponse | None:
        """Refuse foreign hosts and origins, so that a web page cannot reach the gateway through a visitor's browser."""
        host = headers.get("host", "")
        if host not in self._known_hosts and not self._is_our_name(host):
            message = f"This gateway does not go by the name {host[:200]!r} (adapters.durable.allowed_hosts)."
            return _json(421, {"reason": "host_not_allowed", "message": message})
        origin = headers.get("origin")
        if origin is not None and not origin_allowed(origin, self._config.allowed_origins):
            message = f"Pages from {origin[:200]!r} may not call this gateway (adapters.durable.allowed_origins)."
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

    def _session(self, request: HttpRequest) -> Session:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        peer = request.peer
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

    def _metrics(self, session: Session) -> HttpResponse:
        try:
            return HttpResponse(200, session.connection.query(ReadMetrics()).encode(), kind=CONTENT_TYPE)
        except GatewayError as error:
            return _json(*refusal(error, "control"))

    def _health(self, which: str) -> HttpResponse:
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


def _json(status: int, body: Any) -> HttpResponse:
    return HttpResponse(status, Response(status, body).encode())


def _is_json(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "")
    return kind == JSON or kind.partition(";")[0].strip().lower() == JSON


def _query(text: str) -> Mapping[str, str]:
    """The first value of each parameter."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, separator="&")[:MAX_QUERY_FIELDS]:
        found.setdefault(name, value)
    return found

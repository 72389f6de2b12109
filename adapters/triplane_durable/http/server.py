"""Listening, counting, sweeping: all connections of one address."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from triplane_durable.http.messages import HttpResponse
from triplane_durable.http.protocol import Handler, HttpConnection

log = logging.getLogger(__name__)

IDLE_S = 75.0
"""How long a connection may be silent between two requests."""
RECEIVE_S = 60.0
"""How long one request may take to arrive, and one answer to be taken."""
SWEEP_S = 5.0
HANDSHAKE_S = 10.0
MAX_CONNECTIONS = 20_000
BACKLOG = 1_024


class HttpServer:
    """Serves one address.

    Args:
        handler: answers a request; what it raises is answered with 500 and logged.
        refuse: the answer to bytes that are no request: status and what is wrong (empty for a body that is too large).
        max_body: bytes.
    """

    def __init__(
        self,
        handler: Handler,
        refuse: Callable[[int, str], HttpResponse],
        max_body: int,
        max_connections: int = MAX_CONNECTIONS,
        idle_s: float = IDLE_S,
        receive_s: float = RECEIVE_S,
        sweep_s: float = SWEEP_S,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.handler, self.refuse, self.max_body = handler, refuse, max_body
        self._max_connections, self._idle_s, self._receive_s, self._sweep_s = max_connections, idle_s, receive_s, sweep_s
        self._connections: set[HttpConnection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] | None = None
        self.stopping = False
        self.port = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be bound.
        """
        self._server = await self.loop.create_server(
            lambda: HttpConnection(self), host, port, reuse_address=True, backlog=BACKLOG, ssl=tls,
            ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeping = self.loop.call_later(self._sweep_s, self._sweep)

    async def stop(self, deadline: float) -> bool:
        """Take no more, answer what is in hand, close. False if some were cut after `deadline` seconds."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._connections):
            if not connection.answering:
                connection.end(gently=True)
        if not self._connections:
            return True
        self._gone = self.loop.create_future()
        try:
            async with asyncio.timeout(deadline):
                await self._gone
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.end(gently=False)
            return False
        return True

    def opened(self, connection: HttpConnection) -> bool:
        """Count a connection in; False where there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self._max_connections and not self.stopping

    def closed(self, connection: HttpConnection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        if not self._connections and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _sweep(self) -> None:
        """Close what is silent, sends too slowly, or does not read."""
        now = self.loop.time()
        for connection in tuple(self._connections):
            age = now - connection.since
            if connection.stuck:
                if age > self._receive_s:
                    log.info("client_does_not_read: %s", connection.peer)
                    connection.end(gently=False)
            elif connection.answering:
                continue
            elif connection.receiving:
                if age > self._receive_s:
                    log.info("request_never_whole: %s", connection.peer)
                    connection.end(gently=True)
            elif age > self._idle_s:
                connection.end(gently=True)
        self._sweeping = self.loop.call_later(self._sweep_s, self._sweep)

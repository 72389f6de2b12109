"""One websocket for as long as it lasts: frames in to the client's queue, frames out of it."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog
from aiohttp import WSMsgType, web

from triplane.gateway import Gateway
from triplane.limits import TokenBucket
from triplane_cyclus.client import GOING_AWAY, Client

log = structlog.get_logger(room="cyclus")

TURN_MESSAGES = 32
"""Messages taken from one client before others get a turn."""
TOO_FAST_S = 0.01
"""How long nothing is read from a client that sends too fast."""
DIRECT_BYTES = 1 << 16
"""As long as no more than this waits in a socket's buffer, frames are written to it at once."""
CLOSE_S = 1.0
"""How long a client may take to read a close frame before its connection is cut."""
RESUMED_ELSEWHERE = (1008, "resumed on another connection")
SAID_GOODBYE = 1000


class Visit:
    """A client's websocket.

    Attributes:
        superseded: the client was resumed on another one.
    """

    def __init__(self, gateway: Gateway, request: web.BaseRequest, ws: web.WebSocketResponse, client: Client) -> None:
        self._gateway, self._ws, self.client = gateway, ws, client
        self._transport = request.transport
        self._writer: asyncio.Task[None] | None = None
        self._over = False
        self.superseded = False

    async def run(self, preamble: Iterable[str], messages_per_s: float) -> None:
        """Read and write until either side ends it.

        Args:
            preamble: frames that are sent first.
        """
        self.client.on_cut = self.cut
        self.client.outbox.on_change = self._write_soon
        self._writer = asyncio.get_running_loop().create_task(self._write(preamble))
        try:
            await self._read(messages_per_s)
        finally:
            # No message may follow a close frame.
            if not self.superseded:
                self.client.direct = None

    def _write_soon(self) -> None:
        if self._writer is None and not self._over:
            # What comes meanwhile comes behind it.
            self.client.direct = None
            self._writer = asyncio.get_running_loop().create_task(self._write(()))

    async def _read(self, messages_per_s: float) -> None:
        count, clock, client = 0, self._gateway.clock, self.client
        bucket = TokenBucket(messages_per_s, max(1.0, messages_per_s), clock.monotonic())
        async for message in self._ws:
            while not bucket.take(clock.monotonic()):
                await asyncio.sleep(TOO_FAST_S)
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or client.closing is not None or self.superseded:
                return
            client.receive(message.data)
            if client.is_full:
                await client.wait_for_room()
            count += 1
            if count % TURN_MESSAGES == 0:
                await asyncio.sleep(0)

    async def _write(self, preamble: Iterable[str]) -> None:
        """Send what waits for the client; where nothing will come after it, close as the client is to be closed."""
        client, ws = self.client, self._ws
        try:
            for text in preamble:
                await ws.send_str(text)
            while (waiting := client.outbox.take()) is not None:
                await ws.send_str(client.outgoing(waiting))
                client.sent()
            if not client.outbox.ended:
                self._writer = None
                if not ws.compress:
                    client.direct = self
                return
        except (ConnectionError, RuntimeError) as error:
            log.debug("client_gone", peer=client.connection.peer, reason=str(error))
        self._over = True
        await self._close(*(client.closing or (GOING_AWAY, "")))

    def has_room(self) -> bool:
        """Whether a frame can be written at once: little waits in the socket's buffer."""
        transport = self._transport
        return transport is not None and transport.get_write_buffer_size() <= DIRECT_BYTES and not transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write frames past the outbox, for which no task needs to wake."""
        assert self._transport is not None
        self._transport.write(data)

    @property
    def may_return(self) -> bool:
        """Whether the client's connection broke, rather than being ended by either side."""
        return self.client.replay is not None and self.client.closing is None and self._ws.close_code != SAID_GOODBYE

    async def leave(self) -> None:
        """Write no more; what was not written yet stays with the client."""
        self._over = True
        self.client.direct = self.client.outbox.on_change = None
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def finish(self) -> None:
        """Let what the client was told last (why it is closed) still leave."""
        if self._writer is not None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._writer, CLOSE_S * 3)

    async def give_way(self) -> None:
        """The client reads on another websocket from now on."""
        self.superseded = True
        await self.leave()
        self._gateway.spawn(self._close_and_abort(*RESUMED_ELSEWHERE), "close a resumed connection")

    async def say_why(self) -> None:
        """Before the handler returns, for then a websocket that is still open is closed without a reason."""
        await self._close(*RESUMED_ELSEWHERE)

    def cut(self) -> None:
        """Close a client that does not read: with a reason if it can be told one, else without."""
        log.warning("slow_client_closed", peer=self.client.connection.peer)
        self.client.direct = None
        self._gateway.spawn(self._close_and_abort(*(self.client.closing or (GOING_AWAY, ""))), "cut a slow client")

    async def _close_and_abort(self, code: int, reason: str) -> None:
        await self._close(code, reason)
        if self._transport is not None:
            self._transport.abort()

    async def _close(self, code: int, reason: str) -> None:
        self._over = True
        with suppress(asyncio.TimeoutError, ConnectionError, RuntimeError):
            await asyncio.wait_for(self._ws.close(code=code, message=reason.encode()), CLOSE_S)

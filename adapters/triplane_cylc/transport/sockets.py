"""The two sockets of one face: requests in and replies out, and published deltas.

The request socket is a ROUTER read from the event loop through its file descriptor, without a task or an
await per request: that is what keeps it near the speed of a blocking loop. The descriptor is
edge-triggered, so after every send and after every bounded batch of work the socket is looked at again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Final, Protocol

import structlog
import zmq

from triplane_cylc.faces.keys import KeyPair
from triplane_cylc.transport.doorkeeper import Doorkeeper
from triplane_cylc.transport.envelope import open_envelope
from triplane_cylc.transport.limits import DEFAULTS, Rates, WireLimits
from triplane_cylc.transport.ports import NoFreePort, PortRange

HANDSHAKE_MS: Final = 5_000
LINGER_MS: Final = 200
# Replies that one peer may leave unread; a REQ client has one at a time, and whoever exceeds this loses its own.
REPLY_HIGH_WATER: Final = 1_000
PUBLISH_HIGH_WATER: Final = 1_000
# Requests served in one turn of the loop before other faces and wires get theirs.
REQUESTS_PER_TURN: Final = 64
# Replies that may wait for a commit at once on one face.
MAX_PENDING_REPLIES: Final = 512
REBIND_ATTEMPTS: Final = 50
REBIND_PAUSE_S: Final = 0.02
_MAX_KNOWN_PEERS: Final = 4_096
SUBSCRIBED: Final = b"\1"
UNSUBSCRIBED: Final = b"\0"
# More topics than these are not counted; clients know eight.
MAX_TOPICS: Final = 1_000

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """What answers requests; both methods give a whole reply and never raise."""

    def receive(self, body: bytes | None, user_id: str) -> bytes | Awaitable[bytes]:
        """The reply to one request body of the peer whose key is `user_id`, now or when its commit is done."""

    def busy(self) -> bytes:
        """The error reply where there can be no other: too many wait already, or answering failed."""


class FaceSockets:
    """The open sockets of one face. Methods must run on the event loop's thread."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        doorkeeper: Doorkeeper,
        domain: str,
        server: KeyPair,
        receiver: Receiver,
        limits: WireLimits = DEFAULTS,
    ) -> None:
        self._context = context
        self._doorkeeper = doorkeeper
        self._domain = domain
        self._server = server
        self._receiver = receiver
        self._limits = limits
        self._requests = Rates(self._limits.requests_per_s)
        self._loop = asyncio.get_running_loop()
        self._router: zmq.Socket[bytes] | None = None
        self._publisher: zmq.Socket[bytes] | None = None
        self._topics: set[bytes] = set()
        self._peers: OrderedDict[bytes, str] = OrderedDict()
        self._pending: set[asyncio.Future[bytes]] = set()
        self._turn_due = False
        self.port = 0
        self.publish_port = 0

    def open(self, ports: PortRange, port: int, publish_port: int) -> None:
        """Bind both sockets, on the given ports where they are free, else on others of the range.

        Raises:
            NoFreePort: the range is used up; nothing stays bound.
        """
        try:
            self._router = self._make(zmq.ROUTER, REPLY_HIGH_WATER)
            self.port = self._bind(self._router, ports, port)
            self._publisher = self._make(zmq.XPUB, PUBLISH_HIGH_WATER)
            self.publish_port = self._bind(self._publisher, ports, publish_port)
        except (NoFreePort, zmq.ZMQError):
            self.close()
            raise
        self._loop.add_reader(self._router.FD, self._serve)
        self._loop.add_reader(self._publisher.FD, self._hear_subscribers)
        # A peer may have connected between bind and add_reader; its edge would be lost.
        self._serve_soon()

    def publish(self, batch: list[tuple[bytes, bytes]]) -> None:
        """Send topic and payload pairs in order. A subscriber that is too slow loses them, alone."""
        if self._publisher is not None:
            for topic, payload in batch:
                self._publisher.send_multipart((topic, payload), zmq.NOBLOCK)

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody has subscribed to anything."""
        self._hear_subscribers()
        return bool(self._topics)

    def _hear_subscribers(self) -> None:
        """Read who listens: the first to want a topic is announced, and the last to leave it."""
        publisher = self._publisher
        while publisher is not None and publisher.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # type: ignore[operator, arg-type]
            said = publisher.recv(zmq.NOBLOCK)
            if said[:1] == SUBSCRIBED and len(self._topics) < MAX_TOPICS:
                self._topics.add(said[1:])
            elif said[:1] == UNSUBSCRIBED:
                self._topics.discard(said[1:])

    async def cut_subscribers(self, ports: PortRange) -> None:
        """Make every subscriber connect and prove its key again, for when a key has been revoked.

        Raises:
            NoFreePort: neither the port nor another one of the range could be had; nothing is published.
        """
        if self._publisher is None:
            return
        self._loop.remove_reader(self._publisher.FD)
        self._publisher.close(linger=0)
        self._publisher = None
        await self._publish_again(ports)

    async def _publish_again(self, ports: PortRange) -> None:
        self._topics.clear()
        fresh = self._make(zmq.XPUB, PUBLISH_HIGH_WATER)
        self.publish_port = await self._bind_again(fresh, ports, self.publish_port)
        self._publisher = fresh
        self._loop.add_reader(fresh.FD, self._hear_subscribers)

    async def reopen(self, server: KeyPair, ports: PortRange) -> None:
        """Serve with another key of the server's, on the same ports where they can be had back within a second.

        Every connection is cut; clients that ask with the new key are served as soon as this returns.

        Raises:
            NoFreePort: the range is used up; both sockets are closed.
        """
        self.close()
        self._server = server
        self._peers.clear()
        router = self._make(zmq.ROUTER, REPLY_HIGH_WATER)
        self.port = await self._bind_again(router, ports, self.port)
        self._router = router
        self._loop.add_reader(router.FD, self._serve)
        self._serve_soon()
        await self._publish_again(ports)

    async def _bind_again(self, socket: "zmq.Socket[bytes]", ports: PortRange, port: int) -> int:
        # The library gives the port back from a thread of its own, a moment after the close.
        for _ in range(REBIND_ATTEMPTS):
            try:
                socket.bind(f"tcp://*:{port}")
            except zmq.ZMQError:
                await asyncio.sleep(REBIND_PAUSE_S)
            else:
                return port
        try:
            return self._bind(socket, ports, port)
        except (NoFreePort, zmq.ZMQError):
            socket.close(linger=0)
            raise

    def close(self) -> None:
        """Close both sockets; replies and deltas already sent get a moment to leave."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()
        if self._router is not None:
            self._loop.remove_reader(self._router.FD)
            self._router.close(linger=LINGER_MS)
            self._router = None
        if self._publisher is not None:
            self._loop.remove_reader(self._publisher.FD)
            self._publisher.close(linger=LINGER_MS)
            self._publisher = None

    async def settle(self, timeout_s: float) -> None:
        """Wait until every request that is in has its reply, at most `timeout_s` seconds."""
        if self._pending:
            await asyncio.wait(tuple(self._pending), timeout=timeout_s)

    def _make(self, kind: int, high_water: int) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, LINGER_MS)
        socket.setsockopt(zmq.MAXMSGSIZE, self._limits.request_bytes)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.SNDHWM, high_water)
        socket.setsockopt(zmq.RCVHWM, REPLY_HIGH_WATER)
        # A client host that vanishes must not hold its connection for ever.
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)
        socket.setsockopt(zmq.ZAP_DOMAIN, self._domain.encode("utf-8"))
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._server.secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._server.public)
        return socket

    def _bind(self, socket: "zmq.Socket[bytes]", ports: PortRange, preferred: int) -> int:
        for port in ports.candidates(preferred, hash((self._domain, socket.type))):
            try:
                socket.bind(f"tcp://*:{port}")
            except zmq.ZMQError as exc:
                if exc.errno not in (zmq.EADDRINUSE, 13):  # 13: a port this user may not bind
                    raise
            else:
                return port
        raise NoFreePort(ports)

    def _serve(self) -> None:
        self._turn_due = False
        socket = self._router
        if socket is None:
            return
        for _ in range(REQUESTS_PER_TURN):
            # Looking at the events costs less than the exception of an empty socket, and re-arms the descriptor too.
            if not socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:  # type: ignore[operator, arg-type]
                return
            identity = socket.recv(zmq.NOBLOCK)
            user_id = self._peers.get(identity)
            if user_id is None:
                second = socket.recv(zmq.NOBLOCK, copy=False)
                user_id = self._user_of(identity, second)
                frames = [identity, second.bytes]
            else:
                frames = [identity, socket.recv(zmq.NOBLOCK)]
            while socket.getsockopt(zmq.RCVMORE):
                frames.append(socket.recv(zmq.NOBLOCK))
            self._answer(frames, user_id)
        self._serve_soon()

    def _serve_soon(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._serve)

    def _answer(self, frames: list[bytes], user_id: str) -> None:
        if not self._doorkeeper.is_allowed(self._domain, user_id):
            # Revoked after it connected: as silent as a connection that was never let in.
            self._doorkeeper.note_denial(self._domain, b"", b"CURVE", "this key was revoked")
            return
        incoming = open_envelope(frames)
        if incoming is None:
            return
        if len(self._pending) >= MAX_PENDING_REPLIES or not self._requests.take(frames[0], time.monotonic()):
            self._send(incoming.envelope, self._receiver.busy())
            return
        try:
            reply = self._receiver.receive(incoming.body, user_id)
        except Exception:
            # A bug, but this client's REQ socket waits for an answer all the same, and so do the others behind it.
            log.exception("cylc_request_failed", face=self._domain)
            reply = self._receiver.busy()
        if isinstance(reply, bytes):
            self._send(incoming.envelope, reply)
        else:
            self._send_later(incoming.envelope, reply)

    def _send_later(self, envelope: list[bytes], reply: Awaitable[bytes]) -> None:
        future = asyncio.ensure_future(reply, loop=self._loop)
        self._pending.add(future)

        def done(finished: "asyncio.Future[bytes]") -> None:
            self._pending.discard(finished)
            if not finished.cancelled():
                error = finished.exception()
                if error is not None:
                    log.error("cylc_request_failed", face=self._domain, exc_info=error)
                self._send(envelope, finished.result() if error is None else self._receiver.busy())
                # Sending consumes the descriptor's edge; a request may have come meanwhile.
                self._serve_soon()

        future.add_done_callback(done)

    def _send(self, envelope: list[bytes], reply: bytes) -> None:
        if self._router is not None:
            try:
                self._router.send_multipart([*envelope, reply], zmq.NOBLOCK)
            except zmq.ZMQError as exc:
                log.warning("cylc_reply_dropped", face=self._domain, reason=str(exc))

    def _user_of(self, identity: bytes, frame: zmq.Frame) -> str:
        user_id = str(frame.get("User-Id") or "")
        # libzmq's own routing ids begin with a zero byte and are not used twice; an id the client chose may
        # pass to another client with another key, so only the former are remembered.
        if identity[:1] == b"\0" and user_id:
            self._peers[identity] = user_id
            if len(self._peers) > _MAX_KNOWN_PEERS:
                self._peers.popitem(last=False)
        return user_id

"""The authenticator of every socket: which key opens which face (ZAP, ZeroMQ RFC 27).

Each face has a domain of its own, so a key is good for the face it was issued for and for no other. libzmq
asks over an inproc socket of its context; an answer must come or the connection hangs, so even a request
that cannot be read gets one. Wrong keys fail silently on the client's side (T15): the log is the only trace.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import structlog
import zmq
from zmq.utils import z85

from triplane.limits import TokenBucket
from triplane_cylc.transport.limits import DEFAULTS, Rates

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_REQUESTS_PER_TURN: Final = 64
_CURVE_REQUEST_FRAMES: Final = 7
DENIALS_LOGGED_PER_S: Final = 0.5
DENIALS_LOGGED_AT_ONCE: Final = 20.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a peer may connect; `user_id` names it on every message it then sends."""

    allowed: bool
    user_id: str
    reason: str


class Doorkeeper:
    """Knows every domain's keys and answers libzmq; lives on the event loop's thread.

    A key is named by its z85 text, which is also the user id that messages carry.
    """

    def __init__(self, handshakes_per_s: float = DEFAULTS.handshakes_per_s) -> None:
        self._handshakes = Rates(handshakes_per_s)
        self._keys: dict[str, frozenset[str]] = {}
        self._socket: zmq.Socket[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.denials = 0
        # A client with an old key tries again ten times a second for as long as it lives.
        self._may_log = TokenBucket(DENIALS_LOGGED_PER_S, DENIALS_LOGGED_AT_ONCE, time.monotonic())
        self._unlogged = 0

    def start(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        """Take the ZAP endpoint of `context`; must come before any socket of it binds.

        Without a handler libzmq admits every key, so no face may open its sockets earlier.
        """
        socket = context.socket(zmq.REP)
        socket.linger = 0
        socket.bind(ZAP_ENDPOINT)
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(socket.FD, self._drain)

    def stop(self) -> None:
        """Give the endpoint back; every domain is closed first."""
        self._keys.clear()
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.FD)
            self._socket.close(linger=0)
            self._socket = None

    def allow(self, domain: str, public_keys: frozenset[bytes]) -> None:
        """Make exactly `public_keys` (z85) valid in `domain`, from this moment on."""
        self._keys[domain] = frozenset(key.decode("ascii") for key in public_keys)

    def close_domain(self, domain: str) -> None:
        """Let nobody into `domain` any more."""
        self._keys.pop(domain, None)

    def is_allowed(self, domain: str, user_id: str) -> bool:
        """Whether the key named `user_id` is valid in `domain` now; asked for peers that are already in."""
        return user_id in self._keys.get(domain, ())

    def judge(self, domain: str, mechanism: bytes, credentials: list[bytes]) -> Verdict:
        """The answer to one request, by its domain, mechanism and credentials frames."""
        if mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
            return Verdict(False, "", "only CURVE with a 32-byte key is served")
        user_id = z85.encode(credentials[0]).decode("ascii")
        if not self.is_allowed(domain, user_id):
            return Verdict(False, "", "this key was not issued for this run")
        return Verdict(True, user_id, "OK")

    def answer(self, frames: list[bytes]) -> list[bytes]:
        """The reply frames to one ZAP request; malformed requests are refused in the protocol's form."""
        if len(frames) < _CURVE_REQUEST_FRAMES - 1 or frames[0] != _VERSION:
            request_id = frames[1] if len(frames) > 1 else b""
            return [_VERSION, request_id, b"400", b"malformed request", b"", b""]
        request_id, domain, address, mechanism = frames[1], frames[2], frames[3], frames[5]
        name = domain.decode("utf-8", "replace")
        if not self._handshakes.take(address, time.monotonic()):
            # 300 is "for now": the client's library tries again by itself.
            self.note_denial(name, address, mechanism, "more handshakes than adapters.cylc.handshakes_per_s from one address")
            return [_VERSION, request_id, b"300", b"too many handshakes", b"", b""]
        verdict = self.judge(name, mechanism, frames[6:])
        if verdict.allowed:
            return [_VERSION, request_id, b"200", b"OK", verdict.user_id.encode("ascii"), b""]
        self.note_denial(name, address, mechanism, verdict.reason)
        return [_VERSION, request_id, b"400", verdict.reason.encode("ascii"), b"", b""]

    def note_denial(self, face: str, address: bytes, mechanism: bytes, reason: str) -> None:
        """Count somebody who was kept out, and log it, of very many only some."""
        self.denials += 1
        if not self._may_log.take(time.monotonic()):
            self._unlogged += 1
            return
        log.warning(
            "cylc_key_denied",
            face=face,
            peer=address.decode("utf-8", "replace"),
            mechanism=mechanism.decode("utf-8", "replace"),
            reason=reason,
            not_logged_before=self._unlogged,
        )
        self._unlogged = 0

    def _drain(self) -> None:
        socket = self._socket
        if socket is None:
            return
        # The descriptor is edge-triggered: whatever is not read now is not announced again.
        for _ in range(_REQUESTS_PER_TURN):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            socket.send_multipart(self.answer(frames), zmq.NOBLOCK)
        if self._loop is not None:
            self._loop.call_soon(self._drain)

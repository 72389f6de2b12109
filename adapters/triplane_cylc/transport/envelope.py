"""The routing envelope around a request, as a REP socket would keep it (ZeroMQ RFC 28).

Clients use REQ sockets; the gateway reads with ROUTER so that replies may come in any order. A request is
the envelope (routing ids up to and with the empty delimiter) and then its body.
"""

from dataclasses import dataclass
from typing import Final

_MAX_ENVELOPE_FRAMES: Final = 8


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message in: where its reply goes, and its body, or None where it has not exactly one frame."""

    envelope: list[bytes]
    body: bytes | None


def open_envelope(frames: list[bytes]) -> Incoming | None:
    """Split a ROUTER message; None where no reply is due, because a REP socket would drop it too."""
    # The common case first: a REQ socket's routing id, the delimiter and one body.
    if len(frames) == 3 and not frames[1]:
        return Incoming(frames[:2], frames[2])
    for index in range(1, min(len(frames), _MAX_ENVELOPE_FRAMES)):
        if not frames[index]:
            body = frames[index + 1 :]
            if not body:
                return None
            return Incoming(frames[: index + 1], body[0] if len(body) == 1 else None)
    return None

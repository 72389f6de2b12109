"""Text as the websocket frame of a server: made once for all clients that are told the same."""

TEXT = 0x81
"""A whole message in one frame, unmasked as a server's frames are (RFC 6455 section 5.2)."""
MOST_KEPT = 1 << 20
"""Bytes of a frame that may be remembered after it was sent."""


class Framer:
    """Remembers the last frame, for the same text goes to one client after the other."""

    def __init__(self) -> None:
        self._text, self._frame = "", b""

    def frame(self, text: str) -> bytes:
        """The frame of a text, without compression."""
        if text is self._text:
            return self._frame
        data = text.encode()
        size = len(data)
        if size < 126:
            frame = bytes((TEXT, size)) + data
        elif size < 1 << 16:
            frame = b"\x81\x7e" + size.to_bytes(2, "big") + data
        else:
            frame = b"\x81\x7f" + size.to_bytes(8, "big") + data
        if size < MOST_KEPT:
            self._text, self._frame = text, frame
        return frame

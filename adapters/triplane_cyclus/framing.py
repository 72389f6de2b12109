"""Texts as websocket frames of a server, made once for all clients that are told the same."""

from collections.abc import Sequence
from functools import cached_property


def frame(text: str) -> bytes:
    """A whole text message in one frame, uncompressed and unmasked, as a server's frames are (RFC 6455 section 5.2)."""
    data = text.encode()
    size = len(data)
    if size < 126:
        return bytes((0x81, size)) + data
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


class Announcement:
    """What is said to many clients at once.

    Attributes:
        messages: texts in order, each with the word under which a newer one takes its place while it waits.
    """

    def __init__(self, messages: Sequence[tuple[str, str | None]]) -> None:
        self.messages = messages

    @cached_property
    def frames(self) -> bytes:
        """All of them, framed."""
        return b"".join([frame(text) for text, _ in self.messages])

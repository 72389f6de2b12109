"""Messages between the gateway and a child process: four bytes of length, then msgpack. The same at both ends."""

import struct
from typing import Any

import msgpack

LENGTH = struct.Struct(">I")


class FrameTooLarge(Exception):
    """A frame is longer than the limit."""


class FrameUnreadable(Exception):
    """A frame is not msgpack, or not a map."""


def encode(message: dict[str, Any]) -> bytes:
    """The bytes of one message."""
    body: bytes = msgpack.packb(message, use_bin_type=True)
    return LENGTH.pack(len(body)) + body


class Decoder:
    """Bytes in any cuts → whole messages.

    Attributes:
        max_bytes: of one frame's body.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The messages that `chunk` completes.

        Raises:
            FrameTooLarge, FrameUnreadable: the stream cannot be read any further.
        """
        self._buffer += chunk
        messages = []
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            if length > self.max_bytes:
                raise FrameTooLarge(f"a message of {length} bytes, over the limit of {self.max_bytes}")
            if len(self._buffer) < LENGTH.size + length:
                break
            body = bytes(self._buffer[LENGTH.size : LENGTH.size + length])
            del self._buffer[: LENGTH.size + length]
            messages.append(_unpack(body))
        return messages


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=False)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise FrameUnreadable(f"not msgpack: {error}") from error
    if not isinstance(message, dict):
        raise FrameUnreadable(f"a {type(message).__name__} instead of a map")
    return message

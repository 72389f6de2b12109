"""Messages between the gateway and a child process: four bytes of length, then msgpack. The same at both ends.

Integers beyond 64 bits are an extension type; text may hold lone surrogates.
"""

import struct
from typing import Any

import msgpack

LENGTH = struct.Struct(">I")
MAX_INTEGER_BITS = 8_192
"""What Python itself reads and writes as decimal digits without being asked to be careful is not much more."""
_BIG_INTEGER = 1


class FrameTooLarge(Exception):
    """A frame is longer than the limit."""


class FrameUnreadable(Exception):
    """A frame is not msgpack, or not a map."""


def encode(message: dict[str, Any]) -> bytes:
    """The bytes of one message.

    Raises:
        ValueError, TypeError: it holds a value that no table can, or is nested too deep.
    """
    body: bytes = msgpack.packb(message, use_bin_type=True, default=_extended, unicode_errors="surrogatepass")
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


def _extended(value: Any) -> Any:
    if not isinstance(value, int):
        raise TypeError(f"a value is of type {type(value).__name__}; there are None, bool, int, float, str, bytes, list, tuple and dict")
    if value.bit_length() > MAX_INTEGER_BITS:
        raise ValueError(f"an integer has {value.bit_length()} bits, over the limit of {MAX_INTEGER_BITS}")
    return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _from_extension(code: int, data: bytes) -> Any:
    if code != _BIG_INTEGER:
        raise ValueError(f"there is no extension {code}")
    return int.from_bytes(data, "big", signed=True)


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(
            body, raw=False, strict_map_key=False, ext_hook=_from_extension, max_ext_len=MAX_INTEGER_BITS // 8 + 1,
            unicode_errors="surrogatepass",
        )  # fmt: skip
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise FrameUnreadable(f"not msgpack: {error}") from error
    if not isinstance(message, dict):
        raise FrameUnreadable(f"a {type(message).__name__} instead of a map")
    return message

"""Control wire frames: a 4-byte big-endian length, then one msgpack map. Bytes to messages and back; no I/O."""

import struct
from collections.abc import Iterable
from typing import Any

import msgpack

MAX_FRAME_BYTES = 2 << 20
"""Any frame, either way, but for the one below and replies (`MAX_REPLY_BYTES`)."""
MAX_START_FRAME_BYTES = (64 << 20) + (1 << 20)
"""A frame that begins with the pair `command: start_run`: it carries a packed source directory of up to 64 MiB."""
MAX_REPLY_BYTES = 64 << 20
"""What a client accepts from its own gateway: views of runs and tables are larger than any command."""
MAX_DEPTH = 100
"""Maps and lists within each other."""
LENGTH = struct.Struct(">I")
_BIG_INTEGER = 1
"""Code of the msgpack extension that carries an integer beyond 64 bits: big-endian two's complement. Only in replies."""
_START = msgpack.packb({"command": "start_run"})[1:]

Message = dict[str, Any]


class FrameError(Exception):
    """What was received is not a frame.

    Attributes:
        fatal: whether the stream has lost its place, so that nothing after it can be read.
    """

    def __init__(self, message: str, fatal: bool) -> None:
        super().__init__(message)
        self.fatal = fatal


def encode(message: Message) -> bytes:
    """One frame.

    Raises:
        FrameError: it holds what msgpack cannot carry, or is over `MAX_REPLY_BYTES`.
    """
    try:
        body: bytes = msgpack.packb(message, use_bin_type=True, default=_extended, unicode_errors="surrogatepass")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FrameError(f"not a value that this wire can carry: {error}", fatal=False) from error
    if len(body) > max(MAX_REPLY_BYTES, MAX_START_FRAME_BYTES):
        raise FrameError(f"a frame of {len(body)} bytes is over the limit of {MAX_REPLY_BYTES}; ask for less at a time", fatal=False)
    return LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a stream into messages; the same whichever way the chunks are cut.

    Args:
        limit: largest body, bytes.
        start_limit: largest body of a frame that begins with `command: start_run`, bytes.
        extended: read what only a gateway says: integers beyond 64 bits, and text with lone surrogates.
    """

    def __init__(self, limit: int = MAX_FRAME_BYTES, start_limit: int = MAX_START_FRAME_BYTES, extended: bool = False) -> None:
        self._limit, self._start_limit, self._extended = limit, start_limit, extended
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Message | FrameError]:
        """Messages completed by `chunk`, oldest first; a frame that is not a map is a `FrameError` in its place.

        After a fatal one nothing more is returned, whatever is fed.
        """
        self._buffer += chunk
        done: list[Message | FrameError] = []
        while (body := self._next(done)) is not None:
            done.append(_message(body, self._extended))
        return done

    def _next(self, done: list[Message | FrameError]) -> bytes | None:
        if len(self._buffer) < LENGTH.size or self._limit < 0:
            return None
        (size,) = LENGTH.unpack_from(self._buffer)
        if size > self._limit:
            head = bytes(self._buffer[LENGTH.size + 1 : LENGTH.size + 1 + len(_START)])
            if size > self._start_limit or not _START.startswith(head):
                self._limit = -1
                self._buffer.clear()
                done.append(FrameError(f"a frame of {size} bytes is over the limit", fatal=True))
                return None
        if len(self._buffer) < LENGTH.size + size:
            return None
        body = bytes(memoryview(self._buffer)[LENGTH.size : LENGTH.size + size])
        del self._buffer[: LENGTH.size + size]
        return body


def _extended(value: Any) -> Any:
    if isinstance(value, int):
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise TypeError(f"{type(value).__name__} has no form on this wire")


def _from_extension(code: int, data: bytes) -> Any:
    return int.from_bytes(data, "big", signed=True) if code == _BIG_INTEGER else msgpack.ExtType(code, data)


_FROM_GATEWAY: dict[str, Any] = {"ext_hook": _from_extension, "max_ext_len": 4_096, "unicode_errors": "surrogatepass"}
_FROM_CLIENT: dict[str, Any] = {"max_ext_len": 0}


def _message(body: bytes, extended: bool) -> Message | FrameError:
    try:
        value = msgpack.unpackb(body, raw=False, strict_map_key=True, **(_FROM_GATEWAY if extended else _FROM_CLIENT))
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        return FrameError(f"not msgpack: {type(error).__name__}: {error}", fatal=False)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return FrameError("a frame must hold one map with text keys", fatal=False)
    if _deeper_than(value, MAX_DEPTH):
        return FrameError(f"maps and lists are nested deeper than {MAX_DEPTH}", fatal=False)
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _members(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _members(outer: Any) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer

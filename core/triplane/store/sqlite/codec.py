"""Stored payloads: one format byte, then msgpack.

Two things JSON has and msgpack has not are carried as extension types: integers beyond 64 bits, and UUIDs (a column type
of tables). Text may hold lone surrogates, as JSON's `\\ud800` does.
"""

import threading
from typing import Any
from uuid import UUID

import msgpack

FORMAT = b"\x01"
_UUID, _BIG_INTEGER = 1, 2
_packers = threading.local()


class UnknownFormat(Exception):
    """A payload begins with a format byte that this release does not know."""


def pack(value: Any) -> bytes:
    """The stored form of plain values; mappings and sequences of any kind become dicts and lists."""
    try:
        packer: msgpack.Packer = _packers.packer
    except AttributeError:
        # One for each thread: making one costs more than packing an event does, and it cannot be shared.
        packer = _packers.packer = msgpack.Packer(default=_extended, unicode_errors="surrogatepass")
    packed: bytes = packer.pack(value)
    return FORMAT + packed


def unpack(stored: bytes) -> Any:
    """The value that `pack` was given, tuples as lists.

    Raises:
        UnknownFormat: written by a newer release, or damaged.
    """
    if stored[:1] != FORMAT:
        raise UnknownFormat(f"stored payload has format {stored[:1].hex() or 'none'}, this release reads {FORMAT.hex()}")
    return msgpack.unpackb(
        memoryview(stored)[1:], ext_hook=_from_extension, strict_map_key=False, unicode_errors="surrogatepass"
    )


def _extended(value: Any) -> Any:
    if isinstance(value, UUID):
        return msgpack.ExtType(_UUID, value.bytes)
    if isinstance(value, int):
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    # Mapping views and frozen containers that engines may pass as plain values.
    if hasattr(value, "items"):
        return dict(value.items())
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not a plain value")


def _from_extension(code: int, data: bytes) -> Any:
    if code == _UUID:
        return UUID(bytes=data)
    if code == _BIG_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    return msgpack.ExtType(code, data)

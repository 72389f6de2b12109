"""The Avro single-object encoding of any JSON value (contract durable section 6), with guards against bombs.

A blob is base64 of `C3 01`, an 8-byte schema fingerprint, and one datum: a zig-zag branch index and its content.
The one implementation in this project; five bytes must not become twenty million nulls.
"""

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from typing import Any

HEADER = bytes.fromhex("c301e2a33dff55802237")
MAX_DEPTH = 100
INT64 = range(-(1 << 63), 1 << 63)


class PayloadError(ValueError):
    """A blob or value that this codec refuses; the message says why."""


def encode(value: Any) -> str:
    """The blob of a JSON value (bytes are allowed as leaves).

    Raises:
        PayloadError: not a JSON value, an integer beyond 64 bits, a float that is not finite, or nested over 100 deep.
    """
    out = bytearray(HEADER)
    _write(value, out, 0)
    return base64.b64encode(out).decode("ascii")


def envelope(value: Any) -> dict[str, str]:
    """`{"codec": "avro", "blob": …}` of a JSON value."""
    return {"codec": "avro", "blob": encode(value)}


def is_envelope(value: Any) -> bool:
    """Whether a value has the shape of a payload envelope: exactly a codec and a blob, both text."""
    return (
        isinstance(value, Mapping)
        and len(value) == 2
        and isinstance(value.get("codec"), str)
        and isinstance(value.get("blob"), str)
    )


def decode_envelope(value: Any) -> Any:
    """The plain JSON value in an envelope; anything that is not an Avro envelope is returned as it is.

    Raises:
        PayloadError
    """
    if is_envelope(value) and value["codec"] == "avro":
        return decode(value["blob"])
    return value


def decode(blob: str) -> Any:
    """The value of a blob; bytes come back as base64 text, for they have no JSON form.

    Raises:
        PayloadError: not base64, another schema, truncated, or claiming more items than 16 times its bytes + 1,024.
    """
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PayloadError("the payload blob is not strict base64") from error
    if not data.startswith(HEADER):
        raise PayloadError("the payload blob does not begin with the durable workflow value schema")
    reader = _Reader(data, len(HEADER))
    value = reader.value(0)
    if reader.at != len(data):
        raise PayloadError("the payload blob has bytes after its value")
    return value


def _write(value: Any, out: bytearray, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise PayloadError(f"the value is nested more than {MAX_DEPTH} deep")
    if value is None:
        out.append(0)
    elif value is True or value is False:
        out += b"\x02\x01" if value else b"\x02\x00"
    elif isinstance(value, int):
        if value not in INT64:
            raise PayloadError("integers must fit in 64 bits")
        out.append(4)
        _write_long(value, out)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise PayloadError("floats must be finite")
        out.append(6)
        out += struct.pack("<d", value)
    elif isinstance(value, bytes):
        out.append(8)
        _write_long(len(value), out)
        out += value
    elif isinstance(value, str):
        out.append(10)
        _write_text(value, out)
    elif isinstance(value, list | tuple):
        out.append(12)
        if value:
            _write_long(len(value), out)
            for item in value:
                _write(item, out, depth + 1)
        out.append(0)
    elif isinstance(value, Mapping):
        out.append(14)
        if value:
            _write_long(len(value), out)
            for key, item in value.items():
                if not isinstance(key, str):
                    raise PayloadError("map keys must be text")
                _write_text(key, out)
                _write(item, out, depth + 1)
        out.append(0)
    else:
        raise PayloadError(f"{type(value).__name__} is not a JSON value")


def _write_text(text: str, out: bytearray) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise PayloadError("text must be valid Unicode") from error
    _write_long(len(data), out)
    out += data


def _write_long(number: int, out: bytearray) -> None:
    zigzag = (number << 1) ^ (number >> 63)
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)


class _Reader:
    """Reads one datum from bytes, counting items against what the bytes can honestly hold."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.items_left = 16 * len(data) + 1_024

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise PayloadError(f"the payload is nested more than {MAX_DEPTH} deep")
        branch = self.long()
        match branch:
            case 0:
                return None
            case 1:
                flag = self.take(1)[0]
                if flag > 1:
                    raise PayloadError("a boolean in the payload is neither 0 nor 1")
                return flag == 1
            case 2:
                return self.long()
            case 3:
                number = struct.unpack("<d", self.take(8))[0]
                if not math.isfinite(number):
                    raise PayloadError("floats must be finite")
                return number
            case 4:
                return base64.b64encode(self.take(self.length())).decode("ascii")
            case 5:
                return self.text()
            case 6:
                items: list[Any] = []
                for _ in self.blocks():
                    items.append(self.value(depth + 1))
                return items
            case 7:
                entries: dict[str, Any] = {}
                for _ in self.blocks():
                    key = self.text()
                    entries[key] = self.value(depth + 1)
                return entries
        raise PayloadError(f"the payload names branch {branch} of a union of eight")

    def blocks(self) -> Any:
        """Yields once for each item of an Avro array or map."""
        while (count := self.long()) != 0:
            if count < 0:
                count = -count
                self.long()
            self.items_left -= count
            if self.items_left < 0:
                raise PayloadError("the payload claims more items than its size can hold")
            for _ in range(count):
                yield None

    def text(self) -> str:
        try:
            return self.take(self.length()).decode()
        except UnicodeDecodeError as error:
            raise PayloadError("text in the payload is not UTF-8") from error

    def length(self) -> int:
        length = self.long()
        if length < 0:
            raise PayloadError("a length in the payload is negative")
        return length

    def long(self) -> int:
        result = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 63:
                raise PayloadError("the payload is cut short")
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                number = (result >> 1) ^ -(result & 1)
                if number not in INT64:
                    raise PayloadError("an integer in the payload is beyond 64 bits")
                return number
            shift += 7

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise PayloadError("the payload is cut short")
        piece = self.data[self.at : end]
        self.at = end
        return piece

"""The one payload codec of the durable wire: Avro single-object encoding of a recursive value, in base64.

A datum is the zig-zag number of a union branch and that branch's content: null, boolean, long, double, bytes, string,
array of values, map of values. Source: contract durable section 6.
"""

import base64
import binascii
import math
import struct
from typing import Any

from triplane.errors import RefusedInput

HEADER = bytes.fromhex("c301e2a33dff55802237")
"""Marker of the single-object encoding, and the CRC-64-AVRO fingerprint of the value schema."""
MAX_DEPTH = 100
MAX_DECODED_BYTES = 16 * 1024 * 1024
MIN_LONG, MAX_LONG = -(2**63), 2**63 - 1

_NULL, _BOOLEAN, _LONG, _DOUBLE, _BYTES, _STRING, _ARRAY, _MAP = range(8)
_PACK_DOUBLE = struct.Struct("<d")


class InvalidPayload(RefusedInput):
    """A payload is not what its codec says, or a value has no such form."""

    code = "invalid_payload"


def encode(value: Any) -> str:
    """A plain value (None, bool, int, float, bytes, str, list, dict with string keys) as base64 text.

    Raises:
        InvalidPayload: another type, an integer beyond 64 bits, a float that is not finite, or nested over `MAX_DEPTH`.
    """
    out = bytearray(HEADER)
    try:
        _write(value, out, 0)
    except UnicodeEncodeError as error:
        raise InvalidPayload("text with half of a surrogate pair has no payload form") from error
    return base64.b64encode(out).decode("ascii")


def envelope(value: Any) -> dict[str, str]:
    """`{"codec": "avro", "blob": …}` around the encoded value."""
    return {"codec": "avro", "blob": encode(value)}


def is_envelope(value: Any) -> bool:
    """Whether a JSON value is a payload envelope, inline or a reference to external storage."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("codec"), str)
        and (isinstance(value.get("blob"), str) or "external_storage" in value or "external_payload" in value)
    )


def open_envelope(payload: Any) -> Any:
    """The value inside an inline envelope; anything that is not one is returned as it is.

    Raises:
        InvalidPayload
    """
    if is_envelope(payload) and isinstance(payload.get("blob"), str) and payload["codec"] == "avro":
        return decode(payload["blob"])
    return payload


def decode(blob: str) -> Any:
    """The value in base64 text made by `encode` or by a client.

    Work and memory are bounded by the length of the text: every item costs at least one of its bytes.

    Raises:
        InvalidPayload: not strict base64, another schema, cut short, something left over, or nested over `MAX_DEPTH`.
    """
    if len(blob) > MAX_DECODED_BYTES // 3 * 4:
        raise InvalidPayload(f"a payload of {len(blob)} characters is over the {MAX_DECODED_BYTES} bytes that are decoded here")
    try:
        data = base64.b64decode(blob.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InvalidPayload("a payload blob is not base64") from error
    if data[: len(HEADER)] != HEADER:
        raise InvalidPayload("a payload does not have the header of the one value schema")
    try:
        value, end = _read(data, len(HEADER), 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise InvalidPayload("a payload is cut short or damaged") from error
    if end != len(data):
        raise InvalidPayload("a payload goes on after its value")
    return value


def _write_long(number: int, out: bytearray) -> None:
    zigzag = (number << 1) ^ (number >> 63)
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)


def _write_bytes(data: bytes, out: bytearray) -> None:
    _write_long(len(data), out)
    out += data


def _write(value: Any, out: bytearray, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidPayload(f"a value is nested over {MAX_DEPTH} deep")
    if value is None:
        out.append(_NULL << 1)
    elif isinstance(value, bool):
        out += bytes((_BOOLEAN << 1, int(value)))
    elif isinstance(value, int):
        if not MIN_LONG <= value <= MAX_LONG:
            raise InvalidPayload(f"the integer {value} does not fit 64 bits")
        out.append(_LONG << 1)
        _write_long(value, out)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidPayload("a float that is not finite has no payload form")
        out.append(_DOUBLE << 1)
        out += _PACK_DOUBLE.pack(value)
    elif isinstance(value, bytes):
        out.append(_BYTES << 1)
        _write_bytes(value, out)
    elif isinstance(value, str):
        out.append(_STRING << 1)
        _write_bytes(value.encode("utf-8", "strict"), out)
    elif isinstance(value, (list, tuple)):
        out.append(_ARRAY << 1)
        if value:
            _write_long(len(value), out)
            for item in value:
                _write(item, out, depth + 1)
        out.append(0)
    elif isinstance(value, dict):
        out.append(_MAP << 1)
        if value:
            _write_long(len(value), out)
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidPayload(f"a map key is {type(key).__name__}, not text")
                _write_bytes(key.encode("utf-8", "strict"), out)
                _write(item, out, depth + 1)
        out.append(0)
    else:
        raise InvalidPayload(f"{type(value).__name__} has no payload form")


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    shift = number = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise InvalidPayload("a number in a payload is longer than 64 bits")
    value = (number >> 1) ^ -(number & 1)
    if not MIN_LONG <= value <= MAX_LONG:
        raise InvalidPayload("a number in a payload is longer than 64 bits")
    return value, at


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _read_long(data, at)
    if not 0 <= length <= len(data) - at:
        raise InvalidPayload("a length in a payload goes beyond its end")
    return data[at : at + length], at + length


def _read_count(data: bytes, at: int) -> tuple[int, int]:
    """Items of the next block; a negative count is followed by the block's size, which we do not need."""
    count, at = _read_long(data, at)
    if count < 0:
        count = -count
        _, at = _read_long(data, at)
    if count > len(data) - at:
        raise InvalidPayload("a count in a payload goes beyond its end")
    return count, at


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise InvalidPayload(f"a payload is nested over {MAX_DEPTH} deep")
    branch, at = _read_long(data, at)
    if branch == _NULL:
        return None, at
    if branch == _BOOLEAN:
        if data[at] > 1:
            raise InvalidPayload("a boolean in a payload is neither 0 nor 1")
        return data[at] == 1, at + 1
    if branch == _LONG:
        return _read_long(data, at)
    if branch == _DOUBLE:
        number: float = _PACK_DOUBLE.unpack_from(data, at)[0]
        if not math.isfinite(number):
            raise InvalidPayload("a float in a payload is not finite")
        return number, at + 8
    if branch == _BYTES:
        return _read_bytes(data, at)
    if branch == _STRING:
        text, at = _read_bytes(data, at)
        return text.decode("utf-8"), at
    if branch == _ARRAY:
        items: list[Any] = []
        while (counted := _read_count(data, at))[0]:
            count, at = counted
            for _ in range(count):
                item, at = _read(data, at, depth + 1)
                items.append(item)
        return items, counted[1]
    if branch == _MAP:
        entries: dict[str, Any] = {}
        while (counted := _read_count(data, at))[0]:
            count, at = counted
            for _ in range(count):
                key, at = _read_bytes(data, at)
                entries[key.decode("utf-8")], at = _read(data, at, depth + 1)
        return entries, counted[1]
    raise InvalidPayload(f"a payload has no branch {branch}")

"""Request and reply bodies: bytes to values and back, no I/O.

Source: contract sections 2.1, 2.2 and 2.4 (cylc-flow 8.5.4). A REP socket must answer every request, so what
cannot be read is a value too (`Malformed`), with the words the client is shown.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from triplane_cylc.faces.contact import CYLC_VERSION

_VERSION_TAIL: Final = b',"cylc_version":' + orjson.dumps(CYLC_VERSION) + b"}"
_MAX_ECHO_CHARS: Final = 100
_MAX_MESSAGE_CHARS: Final = 8_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the endpoint's name, its arguments, and what the client says about itself."""

    endpoint: str
    args: Mapping[str, Any]
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A request that cannot be read, and why, in the words for the client."""

    message: str


_NO_META: Final[Mapping[str, Any]] = {}


def decode(body: bytes | None) -> Request | Malformed:
    """The request in a body; None stands for a message of more or fewer than one frame. Never raises."""
    if body is None:
        return Malformed("A request must be a single frame")
    try:
        value = orjson.loads(body)
    except ValueError:
        value = _decode_slowly(body)
        if isinstance(value, Malformed):
            return value
    if type(value) is not dict:
        return Malformed(f"A request must be a JSON object, not {_json_kind(value)}")
    for name in ("command", "args"):
        if name not in value:
            return Malformed(f"Request missing field '{name}' required for Cylc {CYLC_VERSION}")
    endpoint, args, meta = value["command"], value["args"], value.get("meta")
    if type(endpoint) is not str:
        return Malformed(f"Request field 'command' must be a string, not {_json_kind(endpoint)}")
    if type(args) is not dict:
        return Malformed(f"Request field 'args' must be an object, not {_json_kind(args)}")
    if meta is None:
        meta = _NO_META
    elif type(meta) is not dict:
        return Malformed(f"Request field 'meta' must be an object, not {_json_kind(meta)}")
    return Request(endpoint, args, meta)


def encode_data(data: Any) -> bytes:
    """The reply that carries `data`, any JSON value.

    Raises:
        TypeError: `data` is not JSON.
    """
    try:
        text = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # What the fast encoder has no room for: integers beyond 64 bits, halves of surrogate pairs.
        text = json.dumps(data).encode("ascii")
    return b'{"data":' + text + _VERSION_TAIL


def encode_error(message: str) -> bytes:
    """The reply that carries an error; never fails, whatever the text holds."""
    text = message[:_MAX_MESSAGE_CHARS].encode("utf-8", "replace").decode("utf-8")
    return b'{"error":{"message":' + orjson.dumps(text) + b"}" + _VERSION_TAIL


def echo(text: str) -> str:
    """A client's own words, short enough to be put into a message to it."""
    return text if len(text) <= _MAX_ECHO_CHARS else text[: _MAX_ECHO_CHARS - 3] + "..."


def _decode_slowly(body: bytes) -> Any:
    """What the standard library makes of a body that the fast decoder refused: its value or its error text.

    Its words are the ones clients know, and it reads a few things more (NaN, for one), as the real server does.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as exc:
        return Malformed(f"A request must be UTF-8 text: {exc.reason} at byte {exc.start}")
    try:
        return json.loads(text)
    except RecursionError:
        return Malformed("The request is nested too deeply")
    except ValueError as exc:
        return Malformed(str(exc)[:_MAX_MESSAGE_CHARS])


def _json_kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"

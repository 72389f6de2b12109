"""Text frames ⇄ events; no I/O (contract cyclus section 2).

A frame is one JSON object. From a client: `event`, perhaps `params`, perhaps `id`; other keys are ignored. To a client:
exactly `event`, `params`, `data` in this order, and after them only extras that old clients do not look at.
"""

import json
import math
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

import orjson

from triplane.errors import GatewayError
from triplane.values import value as frozen

SHOWN_NAME = 80


@frozen()
class Message:
    """A client's event. `echoed` holds its `id` if it sent one, to be sent back with the answer."""

    event: str
    params: Mapping[str, Any]
    echoed: Mapping[str, Any]


class BadMessage(Exception):
    """A frame that is no event. `event` is its name where it has one."""

    def __init__(self, message: str, event: str | None = None, echoed: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message, self.event, self.echoed = message, event, echoed or {}


def decode(raw: str | bytes, max_depth: int) -> Message:
    """The event in a frame; text and binary frames are alike.

    Raises:
        BadMessage
    """
    plain = _plain(raw) if max_depth >= 2 else None
    if plain is not None:
        return plain
    try:
        text = raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw), "surrogatepass")
        value = _load(text)
    except RecursionError as error:
        raise BadMessage(f"the message is nested more than {max_depth} deep") from error
    except ValueError as error:
        raise BadMessage(f"the message is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadMessage(f"the message must be an object with `event`, not {_kind(value)}")
    # So few brackets cannot nest deeper, and counting them is quick.
    if text.count("{") + text.count("[") > max_depth and _deeper(value, max_depth):
        raise BadMessage(f"the message is nested more than {max_depth} deep")
    identity = value.get("id")
    echoed = {"id": identity} if isinstance(identity, str | int) and not isinstance(identity, bool) else {}
    event = value.get("event")
    if not isinstance(event, str):
        raise BadMessage(f"`event` must be text, not {_kind(event) if 'event' in value else 'missing'}", None, echoed)
    params = value.get("params", {})
    if not isinstance(params, dict):
        raise BadMessage(f"`params` must be an object, not {_kind(params)}", event[:SHOWN_NAME], echoed)
    return Message(event, params, echoed)


def _plain(raw: str | bytes) -> Message | None:
    """The same of the smallest events, whose params are texts or none, in a third of the time; None of all others.

    The two readers of JSON agree on texts. Numbers of any size and what cannot be read are for the exact one.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if type(value) is not dict or len(value) != 2:
        return None
    event, params = value.get("event"), value.get("params")
    if type(event) is not str or type(params) is not dict:
        return None
    for param in params.values():
        if type(param) is not str:
            return None
    return Message(event, params, _NO_ID)


def encode(event: str, params: Any, data: Any, extras: Mapping[str, Any] | None = None) -> str:
    """A frame to a client; `params` and `data` any JSON values."""
    return encode_with(event, params, _dump(data), extras)


def encode_with(event: str, params: Any, data_json: str, extras: Mapping[str, Any] | None = None) -> str:
    """A frame whose data is JSON text already. An answer that carries the request's `id` says `success` too."""
    if extras and "id" in extras:
        extras = {"id": extras["id"], "success": True, **extras}
    more = "".join(f",{_dump(name)}:{_dump(value)}" for name, value in extras.items()) if extras else ""
    return f'{{"event":{_dump(event)},"params":{_dump(params)},"data":{data_json}{more}}}'


def heartbeat(seconds: float) -> str:
    """The one frame without `params`; `data` is the time until the next."""
    return json.dumps({"event": "heartbeat", "data": int(seconds) if seconds == int(seconds) else seconds})


def error_frame(event: str | None, error: GatewayError | BadMessage, extras: Mapping[str, Any] | None = None) -> str:
    """What went wrong with a client's event. Old clients skip it, for they have no handler of that name."""
    code = error.code if isinstance(error, GatewayError) else "malformed"
    if extras:
        extras = {**extras, "success": False}
    return encode("error", {"event": event, "code": code}, error.message, extras)


_dump = json.JSONEncoder(allow_nan=False).encode
_NO_ID: Mapping[str, Any] = {}


def echo_frame(value: Any, extras: Mapping[str, Any] | None = None) -> str:
    """`echo`: a value said back, twice in the frame and written once."""
    text = encode_basestring_ascii(value) if type(value) is str else _dump(value)
    if not extras:
        return f'{{"event":"echo","params":{{"s": {text}}},"data":{text}}}'
    return encode_with("echo", {"s": value}, text, extras)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is beyond what a number can hold")
    return number


_load = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode
_CONTAINERS = (dict, list)


def _deeper(value: Any, depth: int) -> bool:
    """Whether containers nest deeper than `depth`, level by level so that no input can exhaust the stack."""
    level = [value]
    while level:
        if depth == 0:
            return True
        depth -= 1
        inner: list[Any] = []
        for item in level:
            for child in item.values() if isinstance(item, dict) else item:
                if isinstance(child, _CONTAINERS):
                    inner.append(child)
        level = inner
    return False


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"

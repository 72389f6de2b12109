"""Requests and responses of the durable wire as values; bytes in, bytes out, no I/O."""

import math
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from triplane.errors import InvalidFields, TooLarge
from triplane.jsontext import to_json
from triplane.values import value

MAX_DEPTH = 100
VERSION_HEADERS = {
    "control": ("X-Durable-Workflow-Control-Plane-Version", "2"),
    "worker": ("X-Durable-Workflow-Protocol-Version", "1.20"),
}


@value()
class Request:
    """One HTTP request, as far as a session needs it.

    Attributes:
        segments: path after `/api`, split and percent-decoded once.
        query: first value of each query parameter.
        headers: looked up by lower-case names.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@value()
class Response:
    """Status, JSON body and extra headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The body as JSON."""
        return to_json(self.body)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a request body. No body, and a list (PHP's empty array), count as `{}` (contract section 1).

    Raises:
        InvalidFields: not JSON, or another kind of value; TooLarge: nested over 100 deep.
    """
    if not body.strip():
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidFields({"body": [f"The body is not JSON: {error}."]}) from error
    if isinstance(value, list):
        return {}
    if not isinstance(value, dict):
        raise InvalidFields({"body": ["The body must be a JSON object."]})
    # The parser itself stops at 1,024; what is deeper than a person would write is refused before anything walks it.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise TooLarge(f"the body is nested more than {MAX_DEPTH} deep")
    return value


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            return depth
        if isinstance(item, dict):
            stack.extend((inner, depth + 1) for inner in item.values() if isinstance(inner, dict | list))
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item if isinstance(inner, dict | list))
    return deepest


def iso_time(seconds: float | None) -> str | None:
    """ISO 8601 in UTC with six digits and `Z`, as every timestamp of this wire (contract section 1)."""
    if seconds is None:
        return None
    second = math.floor(seconds)
    microseconds = round((seconds - second) * 1e6)
    if microseconds == 1_000_000:
        second, microseconds = second + 1, 0
    return f"{_iso_second(second)}.{microseconds:06d}Z"


@lru_cache(maxsize=1_024)
def _iso_second(second: int) -> str:
    """Nearly all moments that are shown lie in a few seconds: those of the requests now, and of their timeouts."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def whole_number(text: str | None) -> Any:
    """A URL parameter as an integer where it is one, else as it came, for the field check to refuse.

    Raises:
        InvalidFields: it has more digits than any number has here.
    """
    if text is None or text == "":
        return None
    if len(text) > 32:
        raise InvalidFields({"query": ["A number in the URL has more than 32 digits."]})
    return int(text) if text.isdecimal() and text.isascii() else text


class Fields:
    """Reads fields of a body, gathering what is wrong with each, so that all errors are told at once."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.errors: dict[str, list[str]] = {}

    def wrong(self, name: str, sentence: str) -> None:
        """Note that a field is wrong."""
        self.errors.setdefault(name, []).append(sentence)

    def text(self, name: str, *, required: bool = False, longest: int = 255) -> str | None:
        """A text field, or None where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            if required:
                self.wrong(name, f"The {name} field is required.")
            return None
        if not isinstance(value, str) or (required and not value):
            self.wrong(name, f"The {name} field must be a string.")
            return None
        if len(value) > longest:
            self.wrong(name, f"The {name} field must not be longer than {longest} characters.")
            return None
        return value

    def number(self, name: str, *, least: float, most: float, whole: bool = True, required: bool = False) -> Any:
        """A numeric field within bounds, or None where it is absent or null."""
        value = self.body.get(name)
        if value is None:
            if required:
                self.wrong(name, f"The {name} field is required.")
            return None
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            self.wrong(name, f"The {name} field must be {'an integer' if whole else 'a number'}.")
            return None
        if not least <= value <= most:
            self.wrong(name, f"The {name} field must be between {least:g} and {most:g}.")
            return None
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object field; absent, null and `[]` count as `{}`."""
        value = self.body.get(name)
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            self.wrong(name, f"The {name} field must be an object.")
            return {}
        return value

    def check(self) -> None:
        """Raise `InvalidFields` with everything noted so far, if anything was."""
        if self.errors:
            raise InvalidFields(self.errors)

"""One request and one response, and the response's bytes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

NOTHING: Mapping[str, str] = {}


@dataclass(slots=True)
class HttpRequest:
    """A whole request.

    Attributes:
        target: path as sent, percent-encoded, without query; query: after the `?`, as sent.
        headers: by lower-case name; of a repeated one all values, joined by `, `.
        body: decoded where it was chunked or compressed.
        peer: address of the client.
        keep_alive: whether the client wants the connection kept.
    """

    method: str
    target: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str
    keep_alive: bool


@dataclass(slots=True)
class HttpResponse:
    """Status, a body (JSON text unless `kind` says otherwise) and extra headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    kind: str = "application/json"

    def encode(self, keep_alive: bool, only_head: bool = False) -> bytes:
        """The bytes to send; `only_head` for HEAD, whose answer has the length of what GET would give."""
        head = _head(self.status, keep_alive, int(time.time()), self.kind)
        extra = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        body = b"" if only_head else self.body
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, extra.encode("latin-1"), len(self.body), body)


@lru_cache(maxsize=64)
def _head(status: int, keep_alive: bool, second: int, kind: str = "application/json") -> bytes:
    """What is the same in all answers of a second."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    connection = "" if keep_alive else "Connection: close\r\n"
    return (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\nDate: {formatdate(second, usegmt=True)}\r\n{connection}"
    ).encode("latin-1")

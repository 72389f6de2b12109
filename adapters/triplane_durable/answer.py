"""Good answers, written in one piece."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, web

MOST_BYTES = 65_536
"""Longer bodies are written by aiohttp, which waits for readers that are slow."""

_STATUS_LINES = {200: "HTTP/1.1 200 OK", 201: "HTTP/1.1 201 Created", 202: "HTTP/1.1 202 Accepted"}


def fits(request: web.BaseRequest, status: int, body: bytes) -> bool:
    """Whether an `Answer` will do: a success, short, on a connection that stays open."""
    return (
        status in _STATUS_LINES
        and len(body) <= MOST_BYTES
        and request.version == HttpVersion11
        and request.method != "HEAD"
        and request.keep_alive
    )


class Answer(web.StreamResponse):
    """A JSON response whose head is put together here.

    aiohttp's own way (a dictionary of headers, defaults, a writer for the head and one for the body) costs more than the
    rest of a short answer.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status=status)
        head = [_STATUS_LINES[status], f"Content-Length: {len(body)}", _constant_part(int(time.time()))]
        head.extend(f"{name}: {value}" for name, value in headers.items())
        self._whole = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body

    @property
    def keep_alive(self) -> bool | None:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it all.

        Raises:
            ConnectionResetError: the client is gone.
        """
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client hung up before its answer")
        transport.write(self._whole)
        # A client that sends on without reading waits here, like with any other response.
        await request.writer.drain()

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Nothing is left to be written."""


@lru_cache(maxsize=4)
def _constant_part(second: int) -> str:
    return f"Content-Type: application/json\r\nDate: {formatdate(second, usegmt=True)}"

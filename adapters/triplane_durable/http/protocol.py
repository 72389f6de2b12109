"""One client's connection: bytes to requests, one at a time to the handler, answers back in order."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

import httptools

from triplane_durable.http.bodies import BadBody, Body, BodyTooLarge
from triplane_durable.http.messages import HttpRequest, HttpResponse

log = logging.getLogger(__name__)

MAX_TARGET = 8_192
MAX_HEAD = 16_384
"""Bytes of all headers of one request together."""
MAX_HEADERS = 100
MAX_PIPELINED = 16
"""Requests of one connection that wait for their turn before it is no longer read."""
MAX_KNOWN_NAMES = 500
LINGER_S = 2.0
"""How long the rest of a refused request is read and thrown away, so that its sender gets to read why."""

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]

_NAMES: dict[bytes, str] = {}
_METHODS = {b"GET": "GET", b"POST": "POST", b"PUT": "PUT", b"DELETE": "DELETE", b"HEAD": "HEAD"}


class Owner(Protocol):
    """What a connection needs of the server it belongs to."""

    loop: asyncio.AbstractEventLoop
    handler: Handler
    max_body: int
    stopping: bool

    def refuse(self, status: int, said: str) -> HttpResponse:
        """The answer to bytes that never became a request."""
        ...

    def opened(self, connection: "HttpConnection") -> bool:
        """Take the connection in; False if there are too many."""
        ...

    def closed(self, connection: "HttpConnection") -> None:
        """Forget the connection."""
        ...


class _Refused(Exception):
    """Not a request that can be answered: the status and what is wrong."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


class HttpConnection(asyncio.Protocol):
    """Parses, answers in order, keeps the limits. A request whose client hangs up is cancelled.

    Attributes:
        since: when (loop seconds) the present state began; with `state`, what the server's sweep goes by.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._queue: deque[HttpRequest | HttpResponse] = deque()
        self._writable: asyncio.Future[None] | None = None
        self._last = False
        self._reading = True
        self.peer = ""
        self.receiving = False
        self.since = owner.loop.time()
        self._begin_message()

    def _begin_message(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._body: Body | None = None
        self._head_done = False

    # ---- the transport ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all the methods and another base.
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else ""
        if not self._owner.opened(self):
            self._give_up(503, "this server has as many connections as it may; try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.closed(self)
        self._queue.clear()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool:
        # A client that is gone and one that will only read look the same; the first is common, and its polls must end.
        return False

    def pause_writing(self) -> None:
        self._writable = self._owner.loop.create_future()
        self.since = self._owner.loop.time()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        if not self.receiving:
            self.receiving = True
            self.since = self._owner.loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing else is spoken here: the request is answered as if it had not asked, and the rest not read.
            self._last = True
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, _Refused):
                self._give_up(cause.status, cause.said)
            else:
                log.error("request_not_parsed", exc_info=error)
                self._give_up(400, "the request could not be read")
        except httptools.HttpParserError as error:
            self._give_up(400, str(error))

    # ---- the parser ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin_message()

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > MAX_TARGET:
            raise _Refused(400, f"the request's target is longer than {MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            # Trailers of a chunked body say nothing that matters here.
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD or len(self._headers) >= MAX_HEADERS:
            raise _Refused(400, f"the headers are longer than {MAX_HEAD} bytes or more than {MAX_HEADERS}")
        known = _NAMES.get(name)
        if known is None:
            known = name.decode("latin-1").lower()
            if len(_NAMES) < MAX_KNOWN_NAMES:
                _NAMES[name] = known
        text = value.decode("latin-1")
        headers = self._headers
        if known in headers:
            if known == "host":
                raise _Refused(400, "there is more than one Host header")
            text = f"{headers[known]}, {text}"
        headers[known] = text

    def on_headers_complete(self) -> None:
        self._head_done = True
        headers = self._headers
        length = headers.get("content-length")
        if length is not None and (not length.isdecimal() or int(length) > self._owner.max_body):
            raise _Refused(413, "")
        if "expect" in headers and self._transport is not None:
            if headers["expect"].lower() != "100-continue":
                raise _Refused(417, "the only expectation that is met is 100-continue")
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        if self._body is None:
            self._body = Body(self._owner.max_body)
        try:
            self._body.add(chunk)
        except BodyTooLarge:
            raise _Refused(413, "") from None

    def on_message_complete(self) -> None:
        self.receiving = False
        self.since = self._owner.loop.time()
        parser, body = self._parser, b""
        if self._body is not None:
            try:
                body = self._body.whole(self._headers.get("content-encoding", "").strip().lower())
            except BodyTooLarge:
                raise _Refused(413, "") from None
            except BadBody as error:
                raise _Refused(400, str(error)) from None
        try:
            target, _, query = self._target.decode("ascii").partition("?")
        except UnicodeDecodeError:
            raise _Refused(400, "the request's target is not ASCII") from None
        method = parser.get_method()
        request = HttpRequest(
            _METHODS.get(method) or method.decode("latin-1"), target, query, self._headers, body, self.peer,
            parser.should_keep_alive(),
        )  # fmt: skip
        if self._task is None:
            self._task = self._owner.loop.create_task(self._answer(request))
        else:
            self._wait(request)

    def _wait(self, item: HttpRequest | HttpResponse) -> None:
        self._queue.append(item)
        if len(self._queue) >= MAX_PIPELINED and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _give_up(self, status: int, said: str) -> None:
        """Answer what is no request after those before it, and read no more: nobody knows where the next would begin."""
        self._last = True
        self.receiving = False
        answer = self._owner.refuse(status, said)
        log.info("unreadable_request from %s: %s", self.peer, said or "too large")
        if self._task is None:
            self._send_last(answer)
        else:
            self._queue.append(answer)

    def _send_last(self, answer: HttpResponse) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(answer.encode(keep_alive=False))
            if transport.can_write_eof():
                transport.write_eof()
            self._owner.loop.call_later(LINGER_S, transport.close)

    # ---- answering -------------------------------------------------------------------------------------------------

    async def _answer(self, item: HttpRequest | HttpResponse) -> None:
        while True:
            if isinstance(item, HttpResponse):
                self._task = None
                self._send_last(item)
                return
            try:
                response = await self._owner.handler(item)
            except Exception:
                log.exception("request_failed: %s %s", item.method, item.target[:200])
                response = self._owner.refuse(500, "")
            self._send(response, item.keep_alive, item.method == "HEAD")
            if self._writable is not None:
                # A client that sends on without reading waits here, and so does what it sends.
                await self._writable
            if self._transport is None or self._transport.is_closing():
                return
            if not self._queue:
                self._task = None
                return
            item = self._queue.popleft()
            if not self._reading and len(self._queue) < MAX_PIPELINED // 2:
                self._reading = True
                self._transport.resume_reading()

    def _send(self, response: HttpResponse, keep_alive: bool, only_head: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        stays = keep_alive and not self._owner.stopping and not (self._last and not self._queue)
        transport.write(response.encode(stays, only_head))
        self.since = self._owner.loop.time()
        if not stays:
            transport.close()

    # ---- the server's side -----------------------------------------------------------------------------------------

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""
        return self._task is not None

    @property
    def stuck(self) -> bool:
        """Whether the client does not read what it is sent."""
        return self._writable is not None

    def end(self, gently: bool) -> None:
        """Close; `gently` lets what is on its way to the client arrive."""
        if self._transport is not None:
            if gently:
                self._transport.close()
            else:
                self._transport.abort()

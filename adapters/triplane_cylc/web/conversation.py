"""`graphql-transport-ws`, the server's side of one websocket. No I/O.

The protocol is that of the `graphql-ws` clients: `connection_init` first, then any number of `subscribe` and
`complete`, `ping` at any time. Requests that are no subscription get one `next` and a `complete`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import orjson

from triplane.errors import GatewayError
from triplane_cylc.graphql import GraphQLRefused, Prepared
from triplane_cylc.session import BadRequest
from triplane_cylc.web.desk import Desk, read_request

SUBPROTOCOL: Final = "graphql-transport-ws"
MAX_OPERATIONS: Final = 32
"""Operations open at once on one websocket."""
MAX_WAITING: Final = 1_000
"""Messages that may wait for a client that reads slowly; then it is closed."""
MAX_ID: Final = 200

INVALID, UNAUTHORIZED, EXISTS, TOO_MANY_INITS, TOO_MUCH = 4400, 4401, 4409, 4429, 1013


class Conversation:
    """One client.

    Args:
        spawn: runs a coroutine in the background.

    Attributes:
        outbox: messages for the client; None ends them.
        closing: code and reason, once the websocket is to be closed.
    """

    def __init__(self, desk: Desk, spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]) -> None:
        self._desk, self._spawn = desk, spawn
        self.outbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closing: tuple[int, str] | None = None
        self.begun = False
        self._open: dict[str, Callable[[], object]] = {}

    def receive(self, raw: str | bytes) -> None:
        """Take one message."""
        try:
            message = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return self.close(INVALID, "this is not JSON")
        if not isinstance(message, dict):
            return self.close(INVALID, "a message is an object with a type")
        match message.get("type"):
            case "connection_init":
                if self.begun:
                    return self.close(TOO_MANY_INITS, "Too many initialisation requests")
                self.begun = True
                self._say(type="connection_ack")
            case "ping":
                self._say(type="pong")
            case "pong":
                return
            case "subscribe":
                self._subscribe(message)
            case "complete":
                self._end(message.get("id"))
            case other:
                self.close(INVALID, f"there is no message type {str(other)[:60]!r}")

    def _subscribe(self, message: dict[str, Any]) -> None:
        name = message.get("id")
        if not self.begun:
            return self.close(UNAUTHORIZED, "Unauthorized: connection_init comes first")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
            return self.close(INVALID, "subscribe needs an id, a text")
        if name in self._open:
            return self.close(EXISTS, f"Subscriber for {name} already exists")
        try:
            if len(self._open) >= MAX_OPERATIONS:
                raise GraphQLRefused(f"{MAX_OPERATIONS} operations are open on this websocket already.")
            prepared = read_request(message.get("payload"))
            if prepared.subscribed is None:
                task = self._spawn(self._answer(name, prepared))
                self._open[name] = task.cancel
            else:
                # Named first: its first events come before `follow` returns.
                self._open[name] = lambda: None
                self._open[name] = self._desk.follow(prepared, lambda result: self._next(name, result))
        except (GraphQLRefused, GatewayError) as refusal:
            self._open.pop(name, None)
            self._refuse(name, refusal)

    async def _answer(self, name: str, prepared: Prepared) -> None:
        try:
            self._next(name, await self._desk.answer(prepared))
            self._say(type="complete", id=name)
        except (GraphQLRefused, GatewayError, BadRequest) as refusal:
            self._refuse(name, refusal)
        finally:
            self._open.pop(name, None)

    def _next(self, name: str, result: bytes) -> None:
        # The result is JSON already.
        self._put(b'{"type":"next","id":' + orjson.dumps(name) + b',"payload":' + result + b"}")

    def _refuse(self, name: str, refusal: Exception) -> None:
        self._say(type="error", id=name, payload=[{"message": str(refusal)}])

    def _end(self, name: Any) -> None:
        end = self._open.pop(name, None) if isinstance(name, str) else None
        if end is not None:
            end()

    def _say(self, **message: Any) -> None:
        self._put(orjson.dumps(message))

    def _put(self, text: bytes) -> None:
        if self.closing is not None:
            return
        if self.outbox.qsize() >= MAX_WAITING:
            self.close(TOO_MUCH, f"{MAX_WAITING} messages wait to be read; come again, and read faster")
        else:
            self.outbox.put_nowait(text)

    def close(self, code: int, reason: str) -> None:
        """Have the websocket closed once what waits is sent; only the first reason counts."""
        if self.closing is None:
            self.closing = (code, reason)
            self.outbox.put_nowait(None)
            self.end()

    def end(self) -> None:
        """The websocket is over: end everything that it asked for."""
        for name in tuple(self._open):
            self._end(name)

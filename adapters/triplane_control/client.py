"""The client side of the control wire: blocking, for the command line."""

import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from triplane_control.frames import MAX_REPLY_BYTES, Decoder, FrameError, Message, encode
from triplane_control.rendezvous import short_path, socket_path

CALL_TIMEOUT_S = 60.0


class ControlError(Exception):
    """The gateway refused a request, in its own words.

    Attributes:
        code: as in the core's table of errors.
        retryable: whether the same request may succeed later.
        details: ids, limits, line numbers.
    """

    def __init__(self, code: str, message: str, retryable: bool = False, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.retryable, self.details = code, message, retryable, details or {}


class NoGateway(Exception):
    """No gateway answers on the control socket; the message says what to do."""


class ControlClient:
    """One connection to the gateway that owns a data directory. Use it as a context manager, from one thread.

    Raises:
        NoGateway: none is running there, or it is another user's.
    """

    def __init__(self, data_dir: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        path = socket_path(data_dir)
        self._decoder = Decoder(limit=MAX_REPLY_BYTES, start_limit=MAX_REPLY_BYTES, extended=True)
        self._waiting: list[Message] = []
        self._ids = count(1)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            with short_path(path) as reachable:
                self._socket.connect(reachable)
        except OSError as error:
            self._socket.close()
            if isinstance(error, PermissionError):
                raise NoGateway(f"the gateway at {data_dir} belongs to another user") from error
            raise NoGateway(f"no gateway is running on {data_dir}") from error

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, command: str, **fields: Any) -> Any:
        """Have a command carried out; its reply. Raises ControlError where it is refused."""
        return self._exchange({"command": command, "id": next(self._ids), "fields": fields})

    def ask(self, query: str, **fields: Any) -> Any:
        """Have a query answered. Raises ControlError where it is refused."""
        return self._exchange({"query": query, "id": next(self._ids), "fields": fields})

    def follow(self, **wanted: Any) -> Iterator[Message]:
        """Deltas and gaps as `{"delta": …}` and `{"gap": …}`, until the stream or the caller ends; waits without limit.

        The subscription stands when this returns, so what is read of the state afterwards is never newer than the stream's reach.
        """
        stream = next(self._ids)
        self._exchange({"follow": wanted, "id": stream})
        return self._items(stream)

    def _items(self, stream: int) -> Iterator[Message]:
        self._socket.settimeout(None)
        while True:
            message = self._receive(stream)
            if "end" in message:
                if message["end"] is not None:
                    raise _error(message["end"])
                return
            yield message

    def _exchange(self, message: Message) -> Any:
        try:
            self._socket.sendall(encode(message))
        except OSError as error:
            # The gateway may have said why before it hung up.
            refusal = self._last_words()
            raise refusal or NoGateway(f"the gateway hung up: {error}") from error
        reply = self._receive(message["id"])
        if "error" in reply:
            raise _error(reply["error"])
        return reply.get("ok")

    def _last_words(self) -> ControlError | None:
        try:
            reply = self._receive(None)
        except (NoGateway, TimeoutError):
            return None
        return _error(reply["error"]) if "error" in reply else None

    def _receive(self, request_id: int | None) -> Message:
        while True:
            for position, message in enumerate(self._waiting):
                # A message without an id is about the connection itself, so it answers whoever waits.
                if message.get("id") in (request_id, None):
                    return self._waiting.pop(position)
            try:
                chunk = self._socket.recv(1 << 18)
            except TimeoutError:
                raise
            except OSError as error:
                raise NoGateway(f"the gateway hung up: {error}") from error
            if not chunk:
                raise NoGateway("the gateway hung up before it answered; it may be stopping")
            for item in self._decoder.feed(chunk):
                if isinstance(item, FrameError):
                    raise ControlError("refused_input", f"the gateway's answer could not be read: {item}")
                self._waiting.append(item)


def _error(spelled: Message) -> ControlError:
    return ControlError(spelled["code"], spelled["message"], spelled.get("retryable", False), spelled.get("details"))


__all__ = ["ControlClient", "ControlError", "NoGateway"]

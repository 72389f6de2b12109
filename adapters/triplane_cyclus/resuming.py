"""Connections that can be resumed: numbered messages, those that may be missed kept for a while (contract cyclus section 9)."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from secrets import token_urlsafe
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triplane_cyclus.client import Client
    from triplane_cyclus.config import CyclusConfig
    from triplane_cyclus.plans import Place


class Replay:
    """The last messages sent to one client, each with its number; bounded.

    Attributes:
        seq: number of the newest.
    """

    def __init__(self, max_messages: int, max_characters: int) -> None:
        self._max_messages, self._max_characters = max_messages, max_characters
        self._kept: deque[tuple[int, str]] = deque()
        self._characters = 0
        self.seq = 0

    def number(self, text: str) -> str:
        """The message with its number, which is kept."""
        self.seq += 1
        numbered = f'{text[:-1]},"seq":{self.seq}}}'
        self._kept.append((self.seq, numbered))
        self._characters += len(numbered)
        while len(self._kept) > self._max_messages or (self._characters > self._max_characters and len(self._kept) > 1):
            self._characters -= len(self._kept.popleft()[1])
        return numbered

    def lost_after(self, seq: int) -> int:
        """The last number after `seq` that is not kept any more; `seq` itself where nothing is lost."""
        first = self._kept[0][0] if self._kept else self.seq + 1
        return max(seq, first - 1)

    def after(self, seq: int) -> Iterator[str]:
        """The messages with greater numbers, oldest first."""
        return iter([text for number, text in self._kept if number > seq])


class Resumables:
    """Clients whose connection may break: their requests go on, and what they are told waits for them, for `resume_s`."""

    def __init__(self, config: "CyclusConfig") -> None:
        self._config = config
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def enlist(self, client: "Client") -> str | None:
        """Give a client an id to be resumed by; None where there are too many, and none that is only waited for."""
        if len(self._clients) >= self._config.resume_sessions:
            oldest = next(iter(self._timers), None)
            if oldest is None:
                return None
            self._expire(oldest)
        name = token_urlsafe(16)
        self._clients[name] = client
        return name

    def find(self, name: str, principal: str, place: "Place") -> "Client | None":
        """The client of that id, if it is this principal's and watches this place."""
        client = self._clients.get(name)
        if client is None or client.closing is not None or client.connection.principal.name != principal or client.place != place:
            return None
        return client

    def back(self, name: str) -> None:
        """The client need not be waited for any longer."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def wait_for(self, name: str) -> None:
        """Begin to wait for a client whose connection is gone."""
        self._timers[name] = asyncio.get_running_loop().call_later(self._config.resume_s, self._expire, name)

    def forget(self, name: str) -> None:
        """The client is ended."""
        self._clients.pop(name, None)
        self.back(name)

    def _expire(self, name: str) -> None:
        client = self._clients.get(name)
        self.forget(name)
        if client is not None:
            client.abandon()

    def close(self) -> None:
        """End all that are waited for."""
        for name in tuple(self._timers):
            self._expire(name)

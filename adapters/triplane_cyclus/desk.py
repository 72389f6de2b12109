"""Who asks for the initial actions, and keeps what is said while nobody is connected, for the next client.

Source: contract cyclus section 4: initial actions run before the first client, and with nobody connected messages wait for the next
one. Unlike the original's, the queue is bounded, and heartbeats are not kept.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from itertools import count
from typing import Any

import structlog

from triplane.connection import Connection
from triplane_cyclus.client import HEARTBEAT, Client
from triplane_cyclus.config import CyclusConfig
from triplane_cyclus.plans import Load
from triplane_cyclus.session import Session

log = structlog.get_logger(room="cyclus")


class Desk(Client):
    """A client without a socket.

    Attributes:
        room_mates: all clients of its channel, itself among them.
    """

    def __init__(self, connection: Connection, session: Session, config: CyclusConfig, room_mates: set[Client]) -> None:
        self._kept: OrderedDict[int | str, str] = OrderedDict()
        self._numbers = count()
        self._most = config.hold_messages
        self._answering = False
        self.room_mates = room_mates
        super().__init__(connection, session, config, False)

    def carry_out(self, actions: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Do what a client would have asked for, each after the one before."""
        for name, params in actions:
            self.receive(json.dumps({"event": name, "params": params}))

    def push(self, text: str, replaces: str | None = None) -> None:
        """Keep a message, or pass an answer on to whoever is connected; announcements they get by themselves."""
        if replaces == HEARTBEAT:
            return
        if self._answering and text.startswith(('{"event":"error"', '{"event":"loaded","params":{"status": "error"')):
            log.warning("initial_action_failed", answer=text[:500])
        heir = self._heir
        if heir is not None:
            if self._answering:
                heir.push(text, replaces)
            return
        key = replaces if replaces is not None else next(self._numbers)
        self._kept[key] = text
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    @property
    def _heir(self) -> Client | None:
        return next((client for client in self.room_mates if client is not self and client.closing is None), None)

    def loaded(self, run_id: str, problem: str | None) -> None:
        """The initial load is over. What is answered after it comes after everybody else was told."""
        self._loop.call_soon(super().loaded, run_id, problem)

    def _answer_load(self, plan: Load, problem: str | None) -> str | None:
        # Whoever is connected is told by itself.
        return None if self._heir is not None else super()._answer_load(plan, problem)

    def hand_over(self, client: Client) -> None:
        """Give a client that has just connected what was kept."""
        kept, self._kept = self._kept, OrderedDict()
        for text in kept.values():
            client.push(text)

    def _answer(self, text: str) -> None:
        self._answering = True
        try:
            super()._answer(text)
        finally:
            self._answering = False

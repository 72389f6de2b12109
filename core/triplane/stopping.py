"""Ending the process because somebody who may asked for it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.process import StopGateway
from triplane.effects import Effect
from triplane.errors import NotSupported, UnknownCommand
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

log = logging.getLogger(__name__)


class Stopping:
    """Answers `StopGateway`.

    Args:
        on_asked: begins the ordered stop; None where the process is not ours to end.
    """

    name: ClassVar[str] = "stopping"
    commands: ClassVar[tuple[type[Command], ...]] = (StopGateway,)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, on_asked: Callable[[], None] | None = None) -> None:
        self._on_asked = on_asked
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus

    def handle(self, command: Command, caller: Caller) -> "asyncio.Future[Any]":
        if not isinstance(command, StopGateway):
            raise UnknownCommand(f"nothing here answers {command.name!r}")
        if self._on_asked is None:
            raise NotSupported("this gateway cannot be ended by a command; whoever started it can")
        audit = audit_record(command, caller, self._bus.clock.now(), "", "", "accepted")
        written = self._bus.write(Slice(audit=(audit,)))
        written.add_done_callback(lambda done: self._stop(done, caller, command.reason))
        return written

    def _stop(self, written: "asyncio.Future[None]", caller: Caller, reason: str) -> None:
        if written.cancelled() or written.exception() is not None or self._on_asked is None:
            return
        log.warning("stop_asked_for: by %s on %s %s: %s", caller.principal, caller.wire, caller.peer, reason)
        self._on_asked()

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting."""

    async def stop(self) -> None:
        """Nothing of its own runs on."""

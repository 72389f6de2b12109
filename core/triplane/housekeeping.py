"""What has to be forgotten, forgotten: request ids that nobody can repeat any more."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, ClassVar

from triplane.commands.base import Command
from triplane.effects import Effect
from triplane.errors import UnknownCommand
from triplane.requests import KEEP_S
from triplane.service import BusPort, Caller

log = logging.getLogger(__name__)

EVERY_S = 60.0
AT_ONCE = 1_000
"""Records in one transaction, so that commands never wait long for it."""
WARM_AT_ONCE = 1_000
WARM_PAUSE_S = 0.005
"""Rows read ahead at a time, and the pause in between: an interruption of about a millisecond each."""


class Housekeeping:
    """A service that answers nothing and tidies up in the background."""

    name: ClassVar[str] = "housekeeping"
    commands: ClassVar[tuple[type[Command], ...]] = ()
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        bus.spawn(self._warm(), "read ahead")
        bus.spawn(self._run(), "housekeeping")

    def handle(self, command: Command, caller: Caller) -> Any:
        raise UnknownCommand(f"nothing here answers {command.name!r}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting."""

    async def stop(self) -> None:
        """The bus ends its task."""

    async def _warm(self) -> None:
        while self._bus.store.runs.warm(WARM_AT_ONCE):
            await asyncio.sleep(WARM_PAUSE_S)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.tidy()
            except Exception:
                # A full disk, a busy store: whatever it was, nobody waits for this and the next round may do it.
                log.exception("housekeeping_failed: it is tried again in %.0f s", EVERY_S)

    async def tidy(self) -> int:
        """Forget every answered request id that is older than promised; returns how many there were."""
        before, forgotten = self._bus.clock.now() - KEEP_S, 0
        while True:
            # In another thread: the transaction waits for the commit that is under way, and the loop must not.
            gone = await asyncio.to_thread(self._bus.store.requests.expire, before, AT_ONCE)
            forgotten += gone
            if gone < AT_ONCE:
                return forgotten

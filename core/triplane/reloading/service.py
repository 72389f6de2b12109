"""Answers `ReloadConfig`, and SIGHUP, which is the same in the name of the machine."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

from triplane.administration.removing import on_its_own
from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.process import ReloadConfig
from triplane.effects import Effect
from triplane.errors import NotSupported, UnknownCommand
from triplane.requests import AnsweredRequests, digest_of
from triplane.service import SYSTEM, BusPort, Caller
from triplane.store.interface import Slice

log = logging.getLogger(__name__)


class Reloading:
    """A service around `Reloader.reload`.

    Attributes:
        reload: set by whoever runs the gateway once all wires are up; None where the config cannot be read again.
    """

    name: ClassVar[str] = "reloading"
    commands: ClassVar[tuple[type[Command], ...]] = (ReloadConfig,)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self) -> None:
        self.reload: Callable[[], Awaitable[dict[str, Any]]] | None = None
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus

    def handle(self, command: Command, caller: Caller) -> Any:
        if not isinstance(command, ReloadConfig):
            raise UnknownCommand(f"nothing here answers {command.name!r}")
        if self.reload is None:
            raise NotSupported("this gateway has no config that could be read again")
        return on_its_own(self._bus, self._reload(self.reload, command, caller), "reload the config")

    def asked_by_signal(self) -> None:
        """SIGHUP."""
        if self.reload is None:
            log.warning("reload_not_possible: this gateway has no config that could be read again")
            return
        self._bus.spawn(self._reload(self.reload, ReloadConfig(), SYSTEM), "reload the config")

    async def _reload(self, reload: Callable[[], Awaitable[dict[str, Any]]], command: ReloadConfig, caller: Caller) -> dict[str, Any]:
        reply = await reload()
        now = self._bus.clock.now()
        request = None
        if command.request_id is not None:
            request = AnsweredRequests.record(caller, command, digest_of(command), reply, now)
        outcome = "accepted" if reply["outcome"] == "applied" else "config_refused"
        await self._bus.write(Slice(audit=(audit_record(command, caller, now, "", "", outcome),), request=request))
        return reply

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting for long."""

    async def stop(self) -> None:
        """The bus ends its tasks."""

"""Removing closed runs that are past their namespace's retention."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, ClassVar

from triplane.administration.removing import on_its_own, remove_runs, sweep
from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.namespaces import RetentionPass
from triplane.config.model import RetentionSection
from triplane.effects import Effect
from triplane.entities import Namespace
from triplane.errors import NamespaceNotFound, UnknownCommand
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice

log = logging.getLogger(__name__)

class Retention:
    """Looks for expired runs from time to time, and when it is asked to."""

    name: ClassVar[str] = "retention"
    commands: ClassVar[tuple[type[Command], ...]] = (RetentionPass,)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, settings: RetentionSection | None = None) -> None:
        self.settings = settings if settings is not None else RetentionSection()
        self._bus: BusPort
        self._one = asyncio.Lock()

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        bus.spawn(self._run(), "retention")

    def handle(self, command: Command, caller: Caller) -> Any:
        if isinstance(command, RetentionPass):
            return on_its_own(self._bus, self._pass(command, caller), f"retention of {command.namespace}")
        raise UnknownCommand(f"nothing here answers {command.name!r}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting for long."""

    async def stop(self) -> None:
        """The bus ends its task; what is half removed is swept at the next start."""

    async def _run(self) -> None:
        wait_s = 0.0
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self.settings.every_s
            try:
                async with self._one:
                    await sweep(self._bus)
                if self.settings.enabled:
                    await self.enforce()
            except Exception:
                # A full disk, a busy store: whatever it was, the next round may do it.
                log.exception("retention_failed: it is tried again in %.0f s", self.settings.every_s)

    async def enforce(self) -> int:
        """Remove every expired run of every namespace, in portions; returns how many there were."""
        removed = 0
        for name in list(self._bus.namespaces):
            while True:
                space = self._bus.namespaces.get(name)
                if space is None:
                    break
                run_ids = await self._expired(space, self.settings.runs_at_once)
                if not run_ids:
                    break
                async with self._one:
                    removed += await remove_runs(self._bus, run_ids)
                await asyncio.sleep(self.settings.pause_s)
        if removed:
            log.info("retention_enforced: %d runs removed", removed)
        return removed

    async def _expired(self, space: Namespace, limit: int) -> list[str]:
        before = space.expired_before(self._bus.clock.now())
        return await asyncio.to_thread(self._bus.store.removals.expired, space.name, before, limit)

    async def _pass(self, command: RetentionPass, caller: Caller) -> dict[str, Any]:
        space = self._bus.namespaces.get(command.namespace)
        if space is None:
            raise NamespaceNotFound(command.namespace)
        results: list[dict[str, Any]] = []
        if command.run_ids:
            run_ids = []
            for run_id in dict.fromkeys(command.run_ids[: command.limit]):
                reason = self._spared(space, run_id)
                if reason is None:
                    run_ids.append(run_id)
                else:
                    results.append({"run_id": run_id, "outcome": "skipped", "reason": reason})
        else:
            run_ids = await self._expired(space, command.limit)
        async with self._one:
            await remove_runs(self._bus, run_ids)
        results.extend({"run_id": run_id, "outcome": "pruned"} for run_id in run_ids)
        audit = audit_record(command, caller, self._bus.clock.now(), "", "", "accepted")
        await self._bus.write(Slice(audit=(audit,)))
        pruned = len(run_ids)
        return {"processed": len(results), "pruned": pruned, "skipped": len(results) - pruned, "failed": 0, "results": results}

    def _spared(self, space: Namespace, run_id: str) -> str | None:
        """Why a run is not removed; None where it is."""
        view = self._bus.view(run_id)
        if view is None or view.run.namespace != space.name:
            return "run_not_found"
        if view.run.closed is None:
            return "run_not_closed"
        if view.detail.options.get("archived") is not None:
            return "run_archived"
        return None if view.run.closed < space.expired_before(self._bus.clock.now()) else "run_not_expired"

"""Figures of the running process, for administrators: how much there is of everything that can grow."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from triplane.commands.base import Command
from triplane.commands.passes import ReadFigures
from triplane.effects import Effect
from triplane.errors import UnknownCommand
from triplane.seeing.scrape import Samples, resident_bytes
from triplane.service import BusPort, Caller


class Queues(Protocol):
    """What is asked of matching."""

    def figures(self, namespace: str) -> dict[str, Any]:
        """`{"queues": [...], "workers": {...}, "polls": int}`."""
        ...

    def totals(self) -> dict[str, int]:
        """Over all namespaces: `workflow_ready`, `activity_ready`, `polls`, `registered`, `live`."""
        ...


class Figures:
    """Answers `ReadFigures`."""

    name: ClassVar[str] = "figures"
    commands: ClassVar[tuple[type[Command], ...]] = (ReadFigures,)
    effects: ClassVar[tuple[type[Effect], ...]] = ()

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._began = time.monotonic()
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus

    def handle(self, command: Command, caller: Caller) -> dict[str, Any]:
        if not isinstance(command, ReadFigures):
            raise UnknownCommand(f"nothing here answers {command.name!r}")
        matching = self._queues.figures(command.namespace)
        return {
            "time": self._bus.clock.now(),
            "namespace": command.namespace,
            "runs": self._runs(command.namespace),
            "queues": matching["queues"],
            "workers": matching["workers"],
            "process": {
                **self._bus.figures(),
                "polls_waiting": matching["polls"],
                "uptime_seconds": round(time.monotonic() - self._began, 3),
                "cpu_seconds": round(time.process_time(), 3),
                "resident_bytes": resident_bytes(),
            },
        }

    def measures(self) -> dict[str, Samples]:
        """What matching has for the metrics."""
        totals = self._queues.totals()
        return {
            "triplane_tasks_ready": [((kind,), totals[f"{kind}_ready"]) for kind in ("workflow", "activity")],
            "triplane_polls_waiting": [((), totals["polls"])],
            "triplane_workers": [((state,), totals[state]) for state in ("registered", "live")],
        }

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """It has no effects."""

    async def drain(self) -> None:
        """It keeps nobody waiting."""

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    def _runs(self, namespace: str) -> dict[str, Any]:
        statuses: Counter[str] = Counter()
        engines: Counter[str] = Counter()
        paused = 0
        for run in self._bus.open_entities():
            if run.namespace == namespace:
                statuses[run.status] += 1
                engines[run.engine] += 1
                paused += run.paused
        return {"open": engines.total(), "by_status": dict(statuses), "by_engine": dict(engines), "paused": paused}

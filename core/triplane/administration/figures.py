"""Figures of the running process, for administrators: how much there is of everything that can grow."""

import os
import resource
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from triplane.commands.base import Command
from triplane.commands.passes import ReadFigures
from triplane.effects import Effect
from triplane.errors import UnknownCommand
from triplane.service import BusPort, Caller

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Queues(Protocol):
    """What is asked of matching."""

    def figures(self, namespace: str) -> dict[str, Any]:
        """`{"queues": [...], "workers": {...}, "polls": int}`."""
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
                "resident_bytes": _resident_bytes(),
            },
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


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as content:
            return int(content.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        # Where there is no /proc: the largest it has been so far.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

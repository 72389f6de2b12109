"""Annotations of the native Cyclus's agents: one child that is asked for one agent after another, and every answer kept."""

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triplane.engines.simulation.settings import SimulationSettings
from triplane.errors import CannotNow, LimitReached
from triplane.models import cyclus_native
from triplane.simulations.environment import child_environment
from triplane.simulations.launching import launch_of
from triplane.simulations.process import ChildProcess

log = logging.getLogger(__name__)

MOST_KNOWN = 1_000
MOST_WAITING = 200
FORGET_FAILURE_S = 30.0
"""How long an agent that could not be described is not asked for again."""
IDLE_S = 30.0
"""How long the child is kept after its last answer."""


class AgentDescriber:
    """Knows the agents that somebody asked for. An agent that ends the child by being asked for ends it for itself alone."""

    def __init__(self, settings: SimulationSettings, folders: Path | None = None) -> None:
        self._settings, self._folders = settings, folders
        self._known: OrderedDict[str, asyncio.Future[Any]] = OrderedDict()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._child: ChildProcess | None = None

    def describe(self, spec: str) -> "asyncio.Future[Any]":
        """A future of the annotations of `:library:Agent`; None where there is no such agent or no engine, the log says why.

        Raises:
            LimitReached: too many agents are being asked for.
        """
        known = self._known.get(spec)
        if known is None:
            if self._waiting.full():
                raise LimitReached(f"{MOST_WAITING} agents are being described; ask again in a moment")
            known = self._known[spec] = asyncio.get_running_loop().create_future()
            self._waiting.put_nowait(spec)
            while len(self._known) > MOST_KNOWN + MOST_WAITING:
                self._known.popitem(last=False)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())
        return asyncio.ensure_future(_of(known))

    async def _work(self) -> None:
        try:
            while True:
                spec = await asyncio.wait_for(self._waiting.get(), IDLE_S)
                answer = await self._ask(spec)
                known = self._known.get(spec)
                if known is None or known.done():
                    continue
                annotations = answer.get("annotations")
                if not isinstance(annotations, Mapping):
                    log.info("agent_not_described: %s: %s", spec, answer.get("reason", "it gave no annotations"))
                    annotations = None
                    asyncio.get_running_loop().call_later(FORGET_FAILURE_S, self._known.pop, spec, None)
                known.set_result(annotations)
        except TimeoutError:
            pass
        finally:
            self._end_child()

    async def _ask(self, spec: str) -> Mapping[str, Any]:
        answered: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._answered = answered
        environment = child_environment(os.environ, self._settings.environment)
        try:
            await cyclus_native.find_engine(self._settings.cyclus, environment)
        except cyclus_native.NoEngine as error:
            return {"reason": f"no Cyclus engine is installed here ({error})"}
        try:
            if self._child is None or self._child.ended:
                self._child = ChildProcess(
                    launch_of(cyclus_native.MODEL, self._settings), self._settings, self._tell,
                    lambda reason, lost: self._tell({"reason": reason}), self._folders,
                )  # fmt: skip
                await self._child.start()
            self._child.ask({"do": "describe", "spec": spec}, self._settings.load_timeout_s)
        except OSError as error:
            self._end_child()
            return {"reason": f"no process could be started: {error}"}
        return await answered

    def _tell(self, answer: Mapping[str, Any]) -> None:
        if not self._answered.done():
            self._answered.set_result(answer)

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def close(self) -> None:
        """End what is being asked."""
        if self._task is not None:
            self._task.cancel()
        self._end_child()
        for future in self._known.values():
            if not future.done():
                future.set_exception(CannotNow("the gateway is stopping"))
                future.exception()


async def _of(known: "asyncio.Future[Any]") -> Any:
    # Shielded: one client that hangs up must not take the answer from the others.
    return await asyncio.shield(known)

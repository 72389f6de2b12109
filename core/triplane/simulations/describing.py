"""Agents' annotations, asked once of each model in a short-lived child process."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triplane.engines.simulation.settings import SimulationSettings
from triplane.errors import CannotNow, RefusedInput
from triplane.models.installed import installed_models
from triplane.simulations.agents import AgentDescriber
from triplane.simulations.launching import launch_of
from triplane.simulations.process import ChildProcess

_AGENT = re.compile(r":[A-Za-z0-9_]{1,100}:[A-Za-z0-9_]{1,100}")
FORGET_FAILURE_S = 30.0
"""How long a model that could not be described is not asked again."""


class Describer:
    """Knows what the agents of every model are, as far as somebody asked. One child for each model, once."""

    def __init__(self, settings: SimulationSettings, folders: Path | None = None) -> None:
        self._settings = settings
        self._native = AgentDescriber(settings, folders)
        self._known: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._children: set[ChildProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def describe(self, spec: str) -> "asyncio.Future[Any] | None":
        """A future of the annotations of `path:model:agent`; None where there is no such model.

        Where it is no model in Python it is an agent of the native Cyclus, whose libraries are named without a path here.
        """
        parts = spec.split(":")
        if len(parts) == 3 and parts[1] not in installed_models() and _AGENT.fullmatch(spec):
            return self._native.describe(spec)
        if len(parts) != 3 or parts[1] not in installed_models():
            return None
        model, agent = parts[1], parts[2]
        known = self._known.get(model)
        if known is None:
            known = self._known[model] = asyncio.get_running_loop().create_future()
            task = asyncio.get_running_loop().create_task(self._ask(model, known))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return asyncio.ensure_future(_pick(known, agent))

    async def _ask(self, model: str, known: "asyncio.Future[Mapping[str, Any]]") -> None:
        def answered(answer: dict[str, Any]) -> None:
            child.kill()
            if answer.get("did") == "describe" and isinstance(answer.get("annotations"), dict):
                known.set_result(answer["annotations"])
            else:
                self._fail(model, known, str(answer.get("reason", "it gave no annotations")))

        child = ChildProcess(
            launch_of(model, self._settings), self._settings, answered, lambda reason, lost: self._fail(model, known, reason)
        )
        self._children.add(child)
        try:
            await child.start()
            child.ask({"do": "describe", "model": model}, self._settings.load_timeout_s)
            await asyncio.wait([known])
        except OSError as error:
            self._fail(model, known, f"no process could be started: {error}")
        finally:
            self._children.discard(child)

    def _fail(self, model: str, known: "asyncio.Future[Mapping[str, Any]]", reason: str) -> None:
        if not known.done():
            known.set_exception(RefusedInput(f"model {model!r} cannot be described: {reason}"))
            known.exception()  # whoever asked hears of it through a future of their own
            asyncio.get_running_loop().call_later(FORGET_FAILURE_S, self._known.pop, model, None)

    def close(self) -> None:
        """End what is being asked."""
        self._native.close()
        for child in self._children:
            child.kill()
        for future in self._known.values():
            if not future.done():
                future.set_exception(CannotNow("the gateway is stopping"))
                future.exception()
        for task in self._tasks:
            task.cancel()


async def _pick(known: "asyncio.Future[Mapping[str, Any]]", agent: str) -> Any:
    # Shielded: one client that hangs up must not take the answer from the others.
    return (await asyncio.shield(known)).get(agent)

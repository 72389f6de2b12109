"""The service that calls xtriggers until they say yes, and reads definitions again; graph runs are told what came of it."""

import asyncio
import getpass
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from triplane.commands.base import Command
from triplane.commands.system import DefinitionRead, SystemCommand, XtriggerAnswered
from triplane.effects import CallXtrigger, Effect, ForgetXtrigger, ReadDefinition, RunHandler
from triplane.engines.base import Preparation
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError, NotSupported
from triplane.graphs.calls import Answer, call_user_function, echo, workflow_of, workflow_state, xrandom
from triplane.graphs.handling import run_handler
from triplane.service import BusPort, Caller

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Calls of users' functions that are made side by side."""

MAX_WAITING = 1_000
"""Event handlers and readings under way; more are dropped, and the log says so."""

MIN_INTERVAL_S = 0.1
RETRY_S = 1.0

Key = tuple[str, str]
"""(run id, signature)"""

Reader = Callable[[Mapping[str, Any], Mapping[str, str], Preparation], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Place:
    """What reading a definition needs; the same as at a start."""

    definition_directories: Sequence[str]
    run_id: str
    settings: Mapping[str, Any]


class GraphService:
    """Carries out `CallXtrigger`, `ForgetXtrigger` and `ReadDefinition`.

    Args:
        read: of source, settings and place, as `triplane.engines.graph.origins.read_from`.
        definition_directories, settings: as engines get them at a start.
    """

    name: ClassVar[str] = "graphs"
    commands: ClassVar[tuple[type[Command], ...]] = ()
    effects: ClassVar[tuple[type[Effect], ...]] = (CallXtrigger, ForgetXtrigger, ReadDefinition, RunHandler)

    def __init__(self, read: Reader, definition_directories: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._read, self._directories, self._settings = read, definition_directories, settings
        self._calls: dict[Key, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._is_stopping = False

    async def start(self, bus: BusPort) -> None:
        self._bus = bus

    def handle(self, command: Command, caller: Caller) -> Any:
        raise NotSupported(f"the graphs' service has no {command.name}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if self._is_stopping:
                return
            match effect:
                case CallXtrigger():
                    self._begin(effect)
                case ForgetXtrigger(run_id=run_id, signature=signature):
                    task = self._calls.pop((run_id, signature), None)
                    if task is not None:
                        task.cancel()
                case ReadDefinition():
                    self._spawn(self._read_again(effect))
                case RunHandler():
                    self._spawn(self._handle_event(effect))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._others) >= MAX_WAITING:
            work.close()
            log.warning("graph_work_dropped: %d event handlers wait already", MAX_WAITING)
            return
        task = asyncio.get_running_loop().create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def drain(self) -> None:
        """Make no more calls: the next gateway makes them again."""
        self._is_stopping = True
        for task in (*self._calls.values(), *self._others):
            task.cancel()

    async def stop(self) -> None:
        await asyncio.gather(*self._calls.values(), *self._others, return_exceptions=True)

    # ---- xtriggers -------------------------------------------------------------------------------------------------

    def _begin(self, effect: CallXtrigger) -> None:
        key = (effect.run_id, effect.signature)
        if key in self._calls:
            return
        task = asyncio.get_running_loop().create_task(self._call_until_yes(effect))
        self._calls[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: Key, done: "asyncio.Task[None]") -> None:
        if self._calls.get(key) is done:
            del self._calls[key]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("xtrigger_failed: %s", key[1], exc_info=error)

    async def _call_until_yes(self, effect: CallXtrigger) -> None:
        interval = max(float(effect.call.get("interval_s") or 10.0), MIN_INTERVAL_S)
        complained = False
        while True:
            run = self._run(effect.run_id)
            if run is None:
                return
            answer = await self._call(effect.call, run)
            if answer.get("satisfied"):
                results = {str(key): str(value)[:1_000] for key, value in list(answer.get("results", {}).items())[:100]}
                await self._tell(XtriggerAnswered(**_address(run), signature=effect.signature, results=results))
                return
            if "problem" in answer and not complained:
                complained = True
                log.warning("xtrigger_raised: %s of %s: %s", effect.signature, run.workflow_id, answer["problem"])
            await asyncio.sleep(interval)

    async def _call(self, call: Mapping[str, Any], run: Run) -> Answer:
        directory = str(Path(self._settings["jobs"].run_dir).expanduser() / run.workflow_id)
        names = dict.fromkeys(("workflow", "workflow_name", "suite_name"), run.workflow_id)
        places = {"workflow_run_dir": directory, "suite_run_dir": directory}
        shares = dict.fromkeys(("workflow_share_dir", "suite_share_dir"), f"{directory}/share")
        context = {**names, **places, **shares, "user_name": getpass.getuser(), "debug": "False"}
        arguments = [_filled(one, context) for one in call["arguments"]]
        named = {key: _filled(one, context) for key, one in call["named"].items() if key != "sequential"}
        match call["function"]:
            case "echo":
                return echo(arguments, named)
            case "xrandom":
                return xrandom(arguments, named)
            case "workflow_state":
                return self._workflow_state(arguments, named, run)
        async with self._slots:
            request = {"function": call["function"], "arguments": arguments, "named": named}
            return await call_user_function({**request, "directory": call.get("directory", "")})

    def _workflow_state(self, arguments: list[Any], named: Mapping[str, Any], run: Run) -> Answer:
        try:
            workflow, cycle, task, wanted = workflow_of(arguments, named)
        except ValueError as error:
            return {"problem": str(error)}
        run_id = self._bus.current_run_id(run.namespace, workflow)
        return workflow_state(self._bus.view(run_id) if run_id is not None else None, cycle, task, wanted)

    # ---- event handlers --------------------------------------------------------------------------------------------

    async def _handle_event(self, effect: RunHandler) -> None:
        for delay_s in (*effect.retry_delays_s, None):
            async with self._slots:
                problem = await run_handler(effect.command, effect.directory)
            if problem is None:
                return
            log.warning("event_handler_failed: %s: %s", effect.command[:200], problem)
            if delay_s is not None:
                await asyncio.sleep(delay_s)

    # ---- definitions -----------------------------------------------------------------------------------------------

    async def _read_again(self, effect: ReadDefinition) -> None:
        run = self._run(effect.run_id)
        if run is None:
            return
        try:
            read = await self._read(effect.source, effect.settings, Place(self._directories, run.run_id, self._settings))
        except GatewayError as error:
            await self._tell(DefinitionRead(**_address(run), problem=str(error)[:2_000]))
            return
        await self._tell(DefinitionRead(**_address(run), definition=read["definition"].plain, source=read["source"]))

    # ---- runs ------------------------------------------------------------------------------------------------------

    def _run(self, run_id: str) -> Run | None:
        state = self._bus.live(run_id)
        return state.run if state is not None and state.run.is_open else None

    async def _tell(self, command: SystemCommand) -> None:
        while not self._is_stopping:
            try:
                await self._bus.send(command)
            except CannotNow:
                await asyncio.sleep(RETRY_S)
                continue
            except GatewayError as error:
                log.info("run_not_told: %s: %s", command.name, error)
            return


def _address(run: Run) -> dict[str, str]:
    return {"namespace": run.namespace, "workflow_id": run.workflow_id, "run_id": run.run_id}


def _filled(value: Any, context: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for key, text in context.items():
            value = value.replace(f"%({key})s", text)
    return value

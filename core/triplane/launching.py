"""Beginning runs and continuing closed ones: from a start command to the new run's first step."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from triplane.asking import Ask
from triplane.clock import Clock
from triplane.commands.runs import DuplicatePolicy, PlayRun, StartRun, StopMode, StopRun
from triplane.commands.visibility import RedriveRun
from triplane.engines.base import Engine, Redrivable, RunState, Step
from triplane.entities import Run
from triplane.errors import (
    CannotNow,
    GatewayError,
    NotSupported,
    RunNotClosed,
    RunNotFound,
    UnknownCommand,
    WorkflowNotFound,
)
from triplane.events import Event
from triplane.runtable import HISTORY_PAGE, LiveRun, RunTable, current_run_of
from triplane.service import SYSTEM
from triplane.starts import Starter
from triplane.store.interface import Store

log = logging.getLogger(__name__)


class Finish(Protocol):
    """Puts a step on its way to disk, and its answer behind it."""

    def __call__(
        self, live: LiveRun, step: Step, ask: Ask | None, reply: Any, opened: bool = False, linked: bool = False
    ) -> None: ...


class Launcher:
    """Carries out `StartRun`, `PlayRun` and `RedriveRun`.

    Args:
        finish: the bus's way from a step to disk.
        answer: answers a command that changed nothing but must be remembered.
        spawn: runs a background task.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        engines: Mapping[str, Engine],
        runs: RunTable,
        starter: Starter,
        finish: Finish,
        answer: Callable[[Ask, Any], None],
        spawn: Callable[[Coroutine[Any, Any, Any], str], Any],
    ) -> None:
        self._store, self._clock, self._engines, self._runs, self._starter = store, clock, engines, runs, starter
        self._finish, self._answer, self._spawn = finish, answer, spawn

    def launch(self, ask: Ask) -> None:
        """Begin (or find) what a start command asks for.

        Raises:
            NotSupported, NamespaceNotFound, WorkflowNotFound, WorkflowExists, and what the engine refuses; of a redrive
            also RunNotFound, NotCurrentRun, RunNotClosed.
        """
        command = ask.command
        if isinstance(command, PlayRun):
            self._play(command, ask)
        elif isinstance(command, RedriveRun):
            self._redrive(command, ask)
        elif isinstance(command, StartRun):
            self._start(command, ask)
        else:
            raise UnknownCommand(f"nothing here answers {command.name!r}")

    def continue_as(self, previous: Run, successor: StartRun, now: float, ask: Ask | None) -> None:
        """Open the run that follows `previous` in one commit with its closing."""
        state = self._starter.new_state(successor, previous.run_number + 1, now)
        own = Ask(successor, ask.caller if ask is not None else SYSTEM, wait=False)
        self._open(state, successor, {}, own, linked=True)

    def _play(self, command: PlayRun, ask: Ask) -> None:
        current = self._runs.current_run_id(command.namespace, command.workflow_id)
        if current is None:
            raise WorkflowNotFound(command.workflow_id, command.namespace)
        live = self._runs.open(current)
        if live is not None:
            step = self._step(live.state, self._clock.now(), ask)
            with live.guard(step):
                live.engine.handle(live.state, self._starter.resume_of(command), step)
            self._finish(live, step, ask, _answer(live.state.run, "existing"))
            return
        stored = self._store.runs.load(current)
        assert stored is not None
        previous = self._runs.state_of(stored)
        engine = self._engines[previous.run.engine]
        engine.load(previous)
        state = self._starter.next_state(previous, self._clock.now())
        step = self._step(state, state.run.created, ask)
        engine.play(previous, state, step)
        self._add(engine, state, step, ask)

    def _redrive(self, command: RedriveRun, ask: Ask) -> None:
        run, start = self._failed(command)
        engine = self._engines[run.engine]
        if not isinstance(engine, Redrivable):
            raise NotSupported(f"a {run.engine} run cannot be redriven; start its workflow again")
        self._spawn(self._answering(ask, self._salvage_and_open(engine, command, run, start, ask)), f"redrive {run.workflow_type}")

    async def _salvage_and_open(self, engine: Redrivable, command: RedriveRun, run: Run, start: StartRun, ask: Ask) -> None:
        history = await asyncio.to_thread(self._history_of, run)
        prepared = await asyncio.to_thread(engine.salvage, history)
        # Somebody else may have started or redriven the workflow meanwhile.
        self._failed(command.model_copy(update={"run_id": run.run_id}))
        state = self._starter.new_state(start, run.run_number + 1, self._clock.now())
        self._open(state, start, prepared, ask)

    def _history_of(self, run: Run) -> list[Event]:
        history: list[Event] = []
        while len(history) < run.history_length:
            page = self._store.histories.read(run.run_id, len(history), HISTORY_PAGE)
            if not page:
                raise CannotNow(f"the end of run {run.run_id} is on its way to the disk; try again")
            history.extend(page)
        return history

    def _failed(self, command: RedriveRun) -> tuple[Run, StartRun]:
        """The run to redrive, which must be its workflow's current one, and the start of the next.

        Raises:
            WorkflowNotFound, RunNotFound, NotCurrentRun, RunNotClosed, NotSupported.
        """
        current = current_run_of(self._runs, command)
        view = self._runs.view(current)
        if view is None:
            # Its start is not on disk yet.
            raise RunNotFound(command.workflow_id, current)
        live = self._runs.live.get(current)
        run = live.state.run if live is not None else view.run
        if run.is_open:
            raise RunNotClosed(f"workflow {run.workflow_id!r} is open", workflow_id=run.workflow_id, run_id=run.run_id)
        return run, self._starter.redrive_of(run, view.detail)

    def _start(self, command: StartRun, ask: Ask) -> None:
        engine = self._engines.get(command.engine)
        if engine is None:
            raise NotSupported(f"no engine {command.engine!r}; there are {', '.join(sorted(self._engines))}")
        self._starter.check(command)
        existing, number = self._look_up(command)
        if existing is not None:
            self._answer(ask, existing)
        elif engine.prepares:
            self._spawn(self._answering(ask, self._prepare_and_open(engine, command, ask)), f"prepare {command.workflow_type}")
        else:
            state = self._starter.new_state(command, number, self._clock.now())
            self._open(state, command, {}, ask)

    async def _prepare_and_open(self, engine: Engine, command: StartRun, ask: Ask) -> None:
        run_id, prepared = await self._starter.prepare(engine, command)
        # Somebody else may have started the same workflow while this one was being read.
        existing, number = self._look_up(command)
        if existing is not None:
            self._answer(ask, existing)
            return
        state = self._starter.new_state(command, number, self._clock.now(), run_id)
        self._open(state, command, prepared, ask)

    @staticmethod
    async def _answering(ask: Ask, work: Coroutine[Any, Any, None]) -> None:
        """Do what takes a while; a refusal is the asker's to be told, and so is a failure."""
        future = ask.future
        try:
            await work
        except GatewayError as error:
            if future is not None and not future.done():
                future.set_exception(error)
        except asyncio.CancelledError:
            if future is not None and not future.done():
                future.set_exception(CannotNow("the gateway is stopping; the run was not started"))
            raise
        except Exception as error:
            log.exception("start_crashed: %s", ask.command.name)
            if future is not None and not future.done():
                future.set_exception(error)

    def _look_up(self, command: StartRun) -> tuple[dict[str, Any] | None, int]:
        """The answer at once where the workflow id is taken and that is all right; else None and the new run's number.

        Raises:
            WorkflowExists: the duplicate policy refuses another run.
        """
        if command.workflow_id is None:
            return None, 1
        current = self._runs.current_run_id(command.namespace, command.workflow_id)
        if current is None:
            return None, 1
        live = self._runs.live.get(current)
        view = None if live is not None else self._runs.view(current)
        run = live.state.run if live is not None else view.run if view is not None else None
        return (self._starter.existing(command, run), run.run_number + 1) if run is not None else (None, 1)

    @staticmethod
    def _step(state: RunState, now: float, ask: Ask) -> Step:
        return Step(state, now, ask.caller.wire, ask.caller.principal)

    def _open(self, state: RunState, command: StartRun, prepared: Mapping[str, Any], ask: Ask, linked: bool = False) -> None:
        engine = self._engines[state.run.engine]
        step = self._step(state, state.run.created, ask)
        engine.start(state, command, prepared, step)
        if command.duplicate_policy is DuplicatePolicy.TERMINATE_EXISTING:
            linked = self._replace(state.run, ask)
        self._add(engine, state, step, ask, linked)

    def _replace(self, successor: Run, ask: Ask) -> bool:
        """Terminate the workflow's open run, to be committed together with its successor. Returns whether there was one."""
        current = self._runs.current_run_id(successor.namespace, successor.workflow_id)
        live = self._runs.open(current) if current is not None else None
        if live is None:
            return False
        reason = f"replaced by a new start of the workflow: run {successor.run_id}"
        stop = StopRun(
            namespace=successor.namespace, workflow_id=successor.workflow_id, run_id=current, mode=StopMode.KILL, reason=reason
        )
        step = self._step(live.state, successor.created, ask)
        with live.guard(step):
            live.engine.handle(live.state, stop, step)
            if live.state.run.is_open:
                # An engine that waits for its jobs to be killed has asked for that; the workflow cannot be two runs meanwhile.
                step.end("terminated", reason)
        self._finish(live, step, Ask(stop, ask.caller, wait=False), None)
        return True

    def _add(self, engine: Engine, state: RunState, step: Step, ask: Ask, linked: bool = False) -> None:
        live = LiveRun(engine, state, None)
        self._runs.add(live)
        self._finish(live, step, ask, _answer(state.run, "started"), opened=True, linked=linked)


def _answer(run: Run, outcome: str) -> dict[str, Any]:
    return {
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "run_number": run.run_number,
        "workflow_type": run.workflow_type,
        "outcome": outcome,
    }

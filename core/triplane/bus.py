"""The one path of a command: its run's engine, the group commit, then reply, deltas and effects, in that order."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from triplane.asking import Ask
from triplane.clock import Clock
from triplane.closings import Closings
from triplane.commands.base import Command, RunCommand, Scope
from triplane.commands.system import ContinueStep, FireTimer
from triplane.committer import Committer, Pending
from triplane.deltas import Delta
from triplane.effects import Dispatch, Effect, VisitParent
from triplane.engines.base import Engine, RunState, Step
from triplane.entities import Rows, Run, Timer
from triplane.errors import (
    CannotNow,
    GatewayError,
    RunClosed,
    UnknownCommand,
)
from triplane.launching import Launcher
from triplane.outcome import advance_view, finish_step
from triplane.queries import RunView
from triplane.requests import AnsweredRequests, digest_of
from triplane.runtable import LiveRun, RunTable, current_run_of
from triplane.seeing.tally import Durations
from triplane.service import SYSTEM, Caller, KeepsNamespaces, Screen, Screener, Service, relay
from triplane.starts import Starter
from triplane.store.interface import HistoryDamaged, Slice, Store, StoreBroken
from triplane.subscriptions import DeltaHub
from triplane.timers import TimerHeap

log = logging.getLogger(__name__)

LOADED_FIRST = 200
"""Open runs that are recovered before anybody can connect; where there are more, the others follow in the background."""
LOADED_PER_TURN = 8
"""Those that are recovered between two turns of the loop: an interruption of a millisecond or two."""
RETRY_S = 1.0
"""How long the core waits before it sends a timer or an effect again that could not be taken now."""


@dataclass(slots=True)
class _Context:
    """What belongs to a pending slice of a run."""

    live: LiveRun
    delta: Delta
    effects: Sequence[Effect] = ()
    timers: Mapping[str, Timer | None] = field(default_factory=dict)


class Bus:
    """Applies commands to runs in one order each, and makes them durable in groups. Lives on the event loop's thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        engines: Mapping[str, Engine],
        services: Sequence[Service],
        starter: Starter,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self.store, self.clock, self.engines, self.services = store, clock, engines, services
        self.namespaces, self.definitions = starter.namespaces, starter.definitions
        self.runs = RunTable(store, engines, self._recover)
        self.hub = DeltaHub(store.last_cursor())
        self.timers = TimerHeap(clock, self._fire_timer)
        self.closings = Closings()
        self.on_rows: Callable[[str, Sequence[Rows]], None] | None = None
        self.faults: list[str] = []
        self.on_fault: Callable[[str, BaseException], None] | None = None
        self._cursor = store.last_cursor()
        self._answered = AnsweredRequests(store.requests, clock)
        self._committer = Committer(store.writer, self._on_committed, self._on_failed, on_broken)
        self._launcher = Launcher(store, clock, engines, self.runs, starter, self._finish, self._answer_only, self.spawn)
        self._by_command: dict[type[Command], Service] = {c: s for s in services for c in s.commands}
        self._by_effect: dict[type[Effect], Service] = {e: s for s in services for e in s.effects}
        self._screens: dict[type[Command], Screen] = {c: s.screen for s in services if isinstance(s, Screener) for c in s.screened}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_broken, self._draining = on_broken, False

    # ---- life cycle ------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Start the services and take up every open run again, the later ones of very many after this returns.

        A command for a run that was not reached yet has it loaded and recovered first. Returns how many are open.

        Raises:
            HistoryDamaged, StoreBroken: one of the first cannot be read.
        """
        for service in self.services:
            await service.start(self)
        run_ids = self.store.runs.open_run_ids()
        self.runs.unloaded = dict.fromkeys(run_ids)
        self._load_some(LOADED_FIRST)
        if self.runs.unloaded:
            self.spawn(self._load_rest(), "take up open runs")
        # Whoever connects from now on finds every effect of that recovery begun.
        await self._committer.drain()
        return len(run_ids)

    def _load_some(self, count: int) -> None:
        """Recover so many of the runs that nobody has asked for, oldest first."""
        for run_id in list(islice(self.runs.unloaded, count)):
            self._load(run_id)

    def _load(self, run_id: str) -> None:
        try:
            self.runs.open(run_id)
        except GatewayError as error:
            self.runs.unloaded.pop(run_id, None)
            log.warning("run_not_recovered: %s: %s", run_id, error)

    async def _load_rest(self) -> None:
        try:
            while self.runs.unloaded and not self._draining:
                self._load_some(LOADED_PER_TURN)
                await asyncio.sleep(0)
        except (HistoryDamaged, StoreBroken) as error:
            self._on_broken(error)

    async def drain(self) -> None:
        """Stop what moves by itself and answer all that waits."""
        self._draining = True
        self.timers.stop()
        for service in self.services:
            await service.drain()
        await self._committer.drain()

    async def stop(self) -> None:
        """Get everything accepted onto the disk, and end."""
        await self.drain()
        for service in self.services:
            await service.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.drain()
        self._committer.close()
        self.hub.close()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run a background task; a crash in it is logged and turns readiness red."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, GatewayError):
            log.error("background_task_failed: %s", task.get_name(), exc_info=error)
            self.faults.append(f"{task.get_name()}: {error}")
            del self.faults[:-20]
            if self.on_fault is not None:
                self.on_fault(task.get_name(), error)

    # ---- reading ---------------------------------------------------------------------------------------------------

    def view(self, run_id: str) -> RunView | None:
        return self.runs.view(run_id)

    def live(self, run_id: str) -> RunState | None:
        live = self.runs.open(run_id)
        return live.state if live is not None else None

    def current_run_id(self, namespace: str, workflow_id: str) -> str | None:
        return self.runs.current_run_id(namespace, workflow_id)

    def when_closed(self, run_id: str) -> "asyncio.Future[RunView]":
        live = self.runs.live.get(run_id)
        view = self.runs.view(run_id)
        if view is not None and not view.run.is_open:
            closed: asyncio.Future[RunView] = asyncio.get_running_loop().create_future()
            closed.set_result(view)
            return closed
        if live is None and view is None:
            unknown: asyncio.Future[RunView] = asyncio.get_running_loop().create_future()
            unknown.set_exception(CannotNow(f"run {run_id} is not known"))
            return unknown
        return self.closings.wait(run_id)

    def open_runs(self) -> list[str]:
        return [*(run_id for run_id, live in self.runs.live.items() if live.state.run.is_open), *self.runs.unloaded]

    def open_entities(self) -> Iterable[Run]:
        return (live.state.run for live in self.runs.live.values() if live.state.run.is_open)

    @property
    def commit_times(self) -> Durations:
        """How long commits took."""
        return self._committer.times

    @property
    def is_refused(self) -> bool:
        """Whether the last commit was refused because the disk is full."""
        return self._committer.is_refused

    def on_refused_commit(self, told: Callable[[GatewayError], None]) -> None:
        """Have `told` called when commits begin to be refused."""
        self._committer.on_refused = told

    def figures(self) -> dict[str, int]:
        return {
            "runs_in_memory": len(self.runs.live),
            "runs_not_loaded": len(self.runs.unloaded),
            "timers_set": len(self.timers),
            "commits": self._committer.groups,
            "commands_committed": self._committer.slices,
            "commands_waiting": self._committer.waiting,
            "cursor": self._cursor,
            "faults": len(self.faults),
        }

    def forget(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            self.runs.drop(run_id)

    def forget_namespace(self, namespace: str) -> None:
        for service in self.services:
            if isinstance(service, KeepsNamespaces):
                service.forget_namespace(namespace)

    # ---- commands --------------------------------------------------------------------------------------------------

    def send(self, command: Command, caller: Caller = SYSTEM, wait: bool = True) -> "asyncio.Future[Any]":
        """Apply a command. The future resolves once it is on disk (or, without `wait`, once it is decided)."""
        service = self._by_command.get(type(command))
        if service is not None and command.request_id is None:
            return self._ask(service, command, caller)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._committer.check_room()
            digest = None
            if command.request_id is not None:
                digest = digest_of(command)
                first = self._answered.find(caller, command, digest)
                if first is not None:
                    return first
                self._answered.begin(caller, command, digest, future)
            if service is not None:
                relay(service.handle(command, caller), future)
            elif command.scope is Scope.START:
                self._launcher.launch(Ask(command, caller, future, digest))
            elif isinstance(command, RunCommand):
                screen = self._screens.get(type(command))
                ask = Ask(command, caller, future, digest, wait)
                live = self.resolve(command)
                held = screen(command, live.state.run) if screen is not None else None
                if held is None:
                    self._apply(live, command, ask)
                else:
                    self._apply_after(held, command, ask)
            else:
                raise UnknownCommand(f"nothing here answers {command.name!r}")
        except GatewayError as error:
            if not future.done():
                future.set_exception(error)
        except Exception as error:
            log.exception("command_crashed: %s, request %s", command.name, command.request_id)
            if not future.done():
                future.set_exception(error)
        return future

    def _ask(self, service: Service, command: Command, caller: Caller) -> "asyncio.Future[Any]":
        """Have a service answer."""
        try:
            answer = service.handle(command, caller)
            if isinstance(answer, asyncio.Future):
                return answer
        except Exception as error:
            if not isinstance(error, GatewayError):
                log.exception("command_crashed: %s, request %s", command.name, command.request_id)
            refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(answer)
        return future

    def resolve(self, command: RunCommand) -> LiveRun:
        """The open run a command is for.

        Raises:
            WorkflowNotFound, RunNotFound, RunClosed, NotCurrentRun, CannotNow.
        """
        current = current_run_of(self.runs, command)
        live = self.runs.open(current)
        if live is None:
            closed = self.runs.view(current)
            raise RunClosed(command.workflow_id, current, closed.run.status if closed is not None else "closed")
        return live

    def _apply(self, live: LiveRun, command: RunCommand, ask: Ask) -> None:
        step = Step(live.state, self.clock.now(), ask.caller.wire, ask.caller.principal)
        with live.guard(step):
            reply = live.engine.handle(live.state, command, step)
        self._finish(live, step, ask, reply)

    def _apply_after(self, held: "asyncio.Future[None]", command: RunCommand, ask: Ask) -> None:
        """Apply a command once `held` has ended well; if the asker leaves before, it is not applied at all."""
        future = ask.future
        assert future is not None

        def done(held: "asyncio.Future[None]") -> None:
            if future.done():
                return
            try:
                if held.cancelled():
                    raise CannotNow("the gateway gave up on it; try again")
                held.result()
                self._committer.check_room()
                self._apply(self.resolve(command), command, ask)
            except Exception as error:
                if not isinstance(error, GatewayError):
                    log.exception("command_crashed: %s, request %s", command.name, command.request_id)
                if not future.done():
                    future.set_exception(error)

        held.add_done_callback(done)
        future.add_done_callback(lambda asked: held.cancel() if asked.cancelled() else None)

    def _answer_only(self, ask: Ask, reply: Any) -> None:
        """Answer a command that changed nothing but must be remembered (audit, request id)."""
        now = self.clock.now()
        self._committer.submit(Pending(Slice(audit=ask.audit(now), request=ask.answered(reply, now)), reply, ask.future))

    # ---- from step to disk -----------------------------------------------------------------------------------------

    def _finish(
        self, live: LiveRun, step: Step, ask: Ask | None, reply: Any, opened: bool = False, linked: bool = False
    ) -> None:
        changes, run = step.changes, live.state.run
        future, wait = (ask.future, ask.wait) if ask is not None else (None, False)
        if step.dirty or opened:
            self._cursor += 1
            stored, delta = finish_step(live.engine, step, self._cursor, opened)
            if ask is not None:
                stored.audit = ask.audit(step.now, run.workflow_id, run.run_id)
                stored.request = ask.answered(reply, step.now)
            live.pending += 1
            context = _Context(live, delta, changes.effects, changes.timers)
            self._committer.submit(Pending(stored, reply, future if wait else None, context, linked))
        else:
            self._set_timers(run.run_id, changes.timers)
            self._run_effects(changes.effects)
            if ask is not None and future is not None and wait:
                audit = ask.audit(step.now, run.workflow_id, run.run_id)
                if audit or ask.digest is not None:
                    remembered = Slice(audit=audit, request=ask.answered(reply, step.now))
                    self._committer.submit(Pending(remembered, reply, future))
                else:
                    future.set_result(reply)
        if future is not None and not wait:
            future.set_result(reply)
        if changes.successor is not None:
            self._launcher.continue_as(run, changes.successor, step.now, ask)
        for followup in changes.followups if live.state.run.is_open else ():
            try:
                self._apply(live, followup, Ask(followup, ask.caller if ask is not None else SYSTEM, wait=False))
            except Exception:
                # The command itself is on its way to disk: what comes after it is not the asker's to be told.
                log.exception("followup_failed: %s of %s", followup.name, run.run_id)

    def write(self, change: Slice, wait: bool = True) -> "asyncio.Future[None]":
        """Commit a slice that belongs to no run."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._committer.check_room()
            self._committer.submit(Pending(change, None, future if wait else None))
            if not wait:
                future.set_result(None)
        except GatewayError as error:
            future.set_exception(error)
        return future

    def _on_committed(self, group: Sequence[Pending]) -> None:
        deltas: list[Delta] = []
        effects: list[Effect] = []
        for pending in group:
            context: _Context | None = pending.context
            if context is not None:
                live, delta = context.live, context.delta
                live.pending -= 1
                live.view = advance_view(live.view, delta)
                deltas.append(delta)
                if delta.rows and self.on_rows is not None:
                    self.on_rows(delta.run.run_id, delta.rows)
                effects.extend(context.effects)
                if context.timers:
                    self._set_timers(delta.run.run_id, context.timers)
                if delta.closed:
                    run_id = delta.run.run_id
                    if self.closings:
                        self.closings.tell(run_id, live.view)
                    if live.pending == 0:
                        self.runs.retire(run_id)
        for pending in group:
            if pending.future is not None and not pending.future.done():
                pending.future.set_result(pending.reply)
        self.hub.publish(deltas)
        self._run_effects(effects)

    def _set_timers(self, run_id: str, changed: Mapping[str, Timer | None]) -> None:
        for timer_id, timer in changed.items():
            if timer is not None:
                self.timers.set(run_id, timer_id, timer.fire_at)
            else:
                self.timers.clear(run_id, timer_id)

    def _on_failed(self, group: Sequence[Pending], error: GatewayError) -> None:
        # Nothing of the group is on disk: what these runs look like in memory is a future that did not happen.
        for pending in group:
            if pending.context is not None:
                pending.context.live.pending -= 1
                self.runs.drop(pending.context.live.state.run.run_id)
        for pending in group:
            if pending.future is not None and not pending.future.done():
                pending.future.set_exception(error)
        reloaded = {p.context.live.state.run.run_id for p in group if p.context is not None}
        asyncio.get_running_loop().call_later(RETRY_S, self._reload, reloaded)

    def _reload(self, run_ids: set[str]) -> None:
        for run_id in run_ids:
            self._load(run_id)

    def _recover(self, live: LiveRun) -> None:
        """What a run needs that was just loaded: its alarms set, and the effects of all that is open said again."""
        for timer in live.state.timers.values():
            self.timers.set(live.state.run.run_id, timer.timer_id, timer.fire_at)
        step = Step(live.state, self.clock.now(), SYSTEM.wire, SYSTEM.principal)
        with live.guard(step):
            live.engine.recover(live.state, step)
        if live.state.detail.parent is not None:
            step.effect(VisitParent(live.state.run.run_id))
        self._finish(live, step, None, None)

    # ---- what happens by itself ------------------------------------------------------------------------------------

    def _fire_timer(self, run_id: str, timer_id: str) -> None:
        view_or_live = self.runs.live.get(run_id)
        run = view_or_live.state.run if view_or_live is not None else None
        if run is None:
            view = self.runs.view(run_id)
            run = view.run if view is not None else None
        if run is None or not run.is_open:
            return
        command = FireTimer(namespace=run.namespace, workflow_id=run.workflow_id, run_id=run_id, timer_id=timer_id)
        self._send_again_until_taken(command, lambda: self.timers.set(run_id, timer_id, self.clock.now() + RETRY_S))

    def _run_effects(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Dispatch):
                if isinstance(effect.command, ContinueStep):
                    # Whoever else waits comes first: a run of many portions must not look like one long step.
                    asyncio.get_running_loop().call_soon(self._dispatch_effect, effect)
                else:
                    self._dispatch_effect(effect)
                continue
            service = self._by_effect.get(type(effect))
            if service is None:
                log.error("effect_without_service: %s", type(effect).__name__)
                continue
            try:
                service.carry_out((effect,))
            except Exception:
                log.exception("effect_failed: %s", type(effect).__name__)

    def _dispatch_effect(self, effect: Dispatch) -> None:
        def again() -> None:
            asyncio.get_running_loop().call_later(RETRY_S, self._dispatch_effect, effect)

        self._send_again_until_taken(effect.command, again)

    def _send_again_until_taken(self, command: Command, again: Callable[[], Any]) -> None:
        def done(future: "asyncio.Future[Any]") -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, CannotNow):
                again()
            elif error is not None and not isinstance(error, GatewayError):
                log.error("own_command_failed: %s", command.name, exc_info=error)

        self.send(command, SYSTEM).add_done_callback(done)

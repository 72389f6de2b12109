"""Services: the parts of the core that are not a run's engine (matching, jobs, models, timers), and what they may use."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from triplane.clock import Clock
from triplane.commands.base import Command, RunCommand
from triplane.commands.runs import StartRun
from triplane.effects import Effect
from triplane.engines.base import RunState
from triplane.entities import Namespace, Run
from triplane.queries import RunView
from triplane.store.interface import Slice, Store
from triplane.visibility.definitions import AttributeDefinitions


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a command, as histories and the audit log name them."""

    wire: str
    principal: str
    peer: str = ""


SYSTEM = Caller("core", "system")


class BusPort(Protocol):
    """What a service may use of the bus. All of it on the event loop's thread."""

    clock: Clock
    store: Store
    namespaces: dict[str, Namespace]
    """Those that exist, by name; one dictionary for the whole gateway, and only the service `namespaces` changes it."""
    definitions: AttributeDefinitions
    """The search attributes that namespaces have defined; the service `visibility` changes them."""

    def send(self, command: Command, caller: Caller = SYSTEM, wait: bool = True) -> "asyncio.Future[Any]":
        """Apply a run or start command in its run's order, without authorisation.

        With `wait` the future resolves when the commit is on disk; without, as soon as the step is taken (its record
        goes with the next group). A refusal is the future's exception.
        """
        ...

    def write(self, change: Slice, wait: bool = True) -> "asyncio.Future[None]":
        """Commit a slice that belongs to no run (workers, namespaces)."""
        ...

    def view(self, run_id: str) -> RunView | None:
        """The last committed state of a run, open or closed."""
        ...

    def live(self, run_id: str) -> RunState | None:
        """The newest state of an open run in memory; None where it is closed or unknown."""
        ...

    def current_run_id(self, namespace: str, workflow_id: str) -> str | None:
        """The workflow's newest run, committed or on its way."""
        ...

    def when_closed(self, run_id: str) -> "asyncio.Future[RunView]":
        """The run's view once its closing is on disk (at once where it is already); a restart forgets who waited.

        A run that continues as the next of its chain closes too (`closed_reason` is `triplane.endings.CONTINUED`). Cancel
        the future to wait no more; its exception is `CannotNow` where no such run is known.
        """
        ...

    def open_runs(self) -> list[str]:
        """Ids of all open runs."""
        ...

    def open_entities(self) -> Iterable[Run]:
        """The newest state of all open runs in memory; read it at once, it changes with every step."""
        ...

    def figures(self) -> dict[str, int]:
        """How much of what the bus keeps, by name."""
        ...

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop what is in memory of closed runs that are no longer in the store."""
        ...

    def forget_namespace(self, namespace: str) -> None:
        """Have every service drop what it keeps in memory of a namespace that was deleted."""
        ...

    def spawn(self, coroutine: Any, name: str) -> "asyncio.Task[Any]":
        """Run a background task that the core cancels and awaits at shutdown; a crash in it is logged and turns readiness red."""
        ...


class Service(Protocol):
    """A part of the core with commands, effects, or both of its own."""

    name: ClassVar[str]
    commands: ClassVar[tuple[type[Command], ...]]
    """Commands (scope namespace or cluster, or run commands marked so) that it answers instead of an engine."""
    effects: ClassVar[tuple[type[Effect], ...]]

    async def start(self, bus: BusPort) -> None:
        """Called before open runs are recovered, so that their effects find it."""
        ...

    def handle(self, command: Command, caller: Caller) -> "asyncio.Future[Any] | Any":
        """Answer a command: a value, or a future of one. Raises `GatewayError` to refuse."""
        ...

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Begin effects whose commit is on disk; must not block or raise."""
        ...

    async def drain(self) -> None:
        """The gateway is stopping: answer everything that waits."""
        ...

    async def stop(self) -> None: ...


Screen = Callable[[RunCommand, Run], "asyncio.Future[None] | None"]


@runtime_checkable
class Screener(Protocol):
    """A service that looks at some run commands before the run does.

    It comes after authorisation, limits and request ids: a repeated request is not looked at again.
    """

    screened: ClassVar[tuple[type[RunCommand], ...]]

    def screen(self, command: RunCommand, run: Run) -> "asyncio.Future[None] | None":
        """Let a command for an open run pass: at once (None), or when the future ends well. Raises `GatewayError` to refuse."""
        ...


@runtime_checkable
class KeepsNamespaces(Protocol):
    """A service that keeps something of each namespace in memory."""

    def forget_namespace(self, namespace: str) -> None:
        """The namespace was deleted, and what was on disk of it is gone: drop it from memory."""
        ...


@runtime_checkable
class StartAdviser(Protocol):
    """A service that has a say in how runs are started."""

    def advise(self, command: StartRun) -> Mapping[str, Any]:
        """Options that a new run gets beside those it was started with. Called at every start, so it must be quick."""
        ...


class Handing(asyncio.Future[Any]):
    """A service's answer that must not get lost: who cancels it has not taken it, so if it is there already it goes back.

    Attributes:
        undelivered: called with the result, once.
    """

    undelivered: Callable[[Any], None] | None = None

    def cancel(self, msg: Any = None) -> bool:
        """The asker is gone; perhaps in the very moment its answer came."""
        if super().cancel(msg):
            return True
        self.give_back()
        return False

    def give_back(self) -> None:
        """What came for an asker that is gone goes back to the service."""
        undelivered, self.undelivered = self.undelivered, None
        if undelivered is not None and not self.cancelled() and self.exception() is None:
            undelivered(self.result())


def relay(outcome: Any, future: "asyncio.Future[Any]") -> None:
    """Pass a service's answer (a value, or a future of one) on to `future`, and a cancellation of that back."""
    if not isinstance(outcome, asyncio.Future):
        future.set_result(outcome)
        return

    undelivered = outcome.undelivered if isinstance(outcome, Handing) else None

    def done(first: "asyncio.Future[Any]") -> None:
        if future.done():
            if undelivered is not None and not first.cancelled() and first.exception() is None:
                undelivered(first.result())
            return
        if first.cancelled():
            future.cancel()
        elif (error := first.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(first.result())

    def cancelled(outer: "asyncio.Future[Any]") -> None:
        # A client that hangs up takes its wait along, so that no task is handed to nobody.
        if outer.cancelled() and not outcome.done():
            outcome.cancel()

    outcome.add_done_callback(done)
    future.add_done_callback(cancelled)

"""Families of runs: a run that starts others is told how each ends, and what is left of them ends as its policy says.

What is waited for is kept in memory only. It is the parent that knows its open children on disk: after a restart it has
each of them started again, and whoever is found to exist is watched instead, or its end told at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from triplane.commands.base import Command
from triplane.commands.cancelling import RequestCancellation
from triplane.commands.runs import StopMode, StopRun
from triplane.commands.system import ChildClosed
from triplane.effects import ChildRef, Effect, EndChild, StartChild, VisitParent
from triplane.endings import CONTINUED, ending_of
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError, RunClosed, UnknownCommand
from triplane.queries import RunView
from triplane.service import BusPort, Caller

log = logging.getLogger(__name__)

RETRY_S = 1.0
STARTS_PER_TURN = 50
"""Children begun in one turn of the loop, so that whoever starts thousands does not hold up everybody else."""

ASK = "request_cancellation"
_MODES = {"request_cancel": StopMode.GRACEFUL, ASK: StopMode.GRACEFUL, "terminate": StopMode.KILL}
_STATUSES = {"request_cancel": "cancelled", ASK: "cancelled", "terminate": "terminated"}
Key = tuple[str, int]
"""Parent run and step."""


class Children:
    """Carries out what parents want of their children. Answers no commands."""

    name: ClassVar[str] = "children"
    commands: ClassVar[tuple[type[Command], ...]] = ()
    effects: ClassVar[tuple[type[Effect], ...]] = (StartChild, EndChild, VisitParent)

    def __init__(self) -> None:
        self._bus: BusPort
        self._starting: dict[Key, EndChild | None] = {}
        self._queue: deque[StartChild] = deque()
        self._watched: dict[Key, str] = {}
        self._draining = False

    async def start(self, bus: BusPort) -> None:
        self._bus, self._draining = bus, False

    def handle(self, command: Command, caller: Caller) -> Any:
        raise UnknownCommand(f"children do not answer {command.name!r}")

    async def drain(self) -> None:
        """What closes from now on is told after the next start."""
        self._draining = True

    async def stop(self) -> None:
        """Nothing of its own runs on."""

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartChild(child=ref):
                    if (key := (ref.run_id, ref.sequence)) not in self._starting and not self._draining:
                        self._starting[key] = None
                        self._queue.append(effect)
                        if len(self._queue) == 1:
                            asyncio.get_running_loop().call_soon(self._begin_some)
                case EndChild():
                    self._end(effect)
                case VisitParent(run_id=run_id):
                    self._visit(run_id)

    # ---- beginning -------------------------------------------------------------------------------------------------

    def _begin_some(self) -> None:
        for _ in range(min(STARTS_PER_TURN, len(self._queue))):
            self._begin(self._queue.popleft())
        if self._queue:
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _begin(self, effect: StartChild) -> None:
        ref = effect.child
        if self._draining:
            return
        try:
            found = self._find(ref)
        except CannotNow:
            self._later(lambda: self._begin(effect))
            return
        if found is None or (_is_of(found[1], ref) and not _is_there(found[1], ref)):
            self._bus.send(effect.start).add_done_callback(lambda done: self._started(effect, done))
        elif _is_of(found[1], ref):
            self._there(ref, found[0].run_id)
        else:
            self._refused(ref, f"the workflow id {ref.child_workflow_id!r} is taken by another run", "ChildStartRefused")

    def _started(self, effect: StartChild, done: "asyncio.Future[Any]") -> None:
        ref = effect.child
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or isinstance(error, CannotNow):
            self._later(lambda: self._begin(effect))
        elif isinstance(error, GatewayError):
            self._refused(ref, error.message, error.code)
        elif error is not None:
            self._refused(ref, f"the child could not be started: {type(error).__name__}", "internal")
        else:
            run_id = str(done.result()["run_id"])
            self._there(ref, run_id)
            if not ref.shared:
                # Reading a definition takes its time: the parent may have closed meanwhile.
                self._visit(run_id)

    def _there(self, ref: ChildRef, run_id: str) -> None:
        """The child exists; if it was to be ended before it did, now is the time."""
        ending = self._starting.pop((ref.run_id, ref.sequence), None)
        self._watch(ref, run_id)
        if ending is not None:
            self._end(ending)

    def _refused(self, ref: ChildRef, message: str, kind: str) -> None:
        self._starting.pop((ref.run_id, ref.sequence), None)
        self._tell(ref, {"status": "failed", "message": message, "exception_type": kind, "non_retryable": True})

    # ---- what became of it -----------------------------------------------------------------------------------------

    def _watch(self, ref: ChildRef, run_id: str) -> None:
        key = (ref.run_id, ref.sequence)
        if self._watched.get(key) == run_id:
            return
        self._watched[key] = run_id
        self._bus.when_closed(run_id).add_done_callback(lambda done: self._closed(ref, run_id, done))

    def _closed(self, ref: ChildRef, run_id: str, done: "asyncio.Future[RunView]") -> None:
        key = (ref.run_id, ref.sequence)
        if self._watched.get(key) == run_id:
            del self._watched[key]
        if self._draining or done.cancelled():
            return
        if done.exception() is not None:
            log.error("child_lost: %s", run_id, exc_info=done.exception())
            return
        view = done.result()
        current = self._bus.current_run_id(ref.child_namespace, ref.child_workflow_id)
        if view.run.closed_reason == CONTINUED and current not in (None, run_id):
            assert current is not None
            self._watch(ref, current)
        else:
            self._tell(ref, ending_of(view, self._bus.store))

    def _tell(self, ref: ChildRef, ending: Mapping[str, Any]) -> None:
        """Tell the parent, or whatever run its chain has come to; a chain that has ended does not want to know."""
        command = ChildClosed(
            namespace=ref.namespace, workflow_id=ref.workflow_id, parent_run_id=ref.run_id, sequence=ref.sequence,
            attempt=ref.attempt, child_workflow_id=ref.child_workflow_id, ending=dict(ending),
        )  # fmt: skip
        self._send_until_taken(command, lambda: self._tell(ref, ending))

    def _send_until_taken(self, command: Command, again: Callable[[], None]) -> None:
        def done(future: "asyncio.Future[Any]") -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, CannotNow):
                self._later(again)
            elif error is not None and not isinstance(error, GatewayError):
                log.error("own_command_failed: %s", command.name, exc_info=error)

        if not self._draining:
            self._bus.send(command).add_done_callback(done)

    def _later(self, again: Callable[[], None]) -> None:
        if not self._draining:
            asyncio.get_running_loop().call_later(RETRY_S, again)

    # ---- ending ----------------------------------------------------------------------------------------------------

    def _end(self, effect: EndChild) -> None:
        ref = effect.child
        key = (ref.run_id, ref.sequence)
        if self._draining:
            return
        if key in self._starting:
            self._starting[key] = effect
            return
        try:
            found = self._find(ref)
        except CannotNow:
            self._later(lambda: self._end(effect))
            return
        if found is None or not _is_of(found[1], ref):
            self._tell(ref, {"status": _STATUSES[effect.how], "message": effect.reason})
            return
        run, _ = found
        if run.is_open:
            self._stop(run, effect.how, effect.reason)
        self._watch(ref, run.run_id)

    def _ask(self, run: Run, reason: str) -> None:
        """Let a run cancel itself; where it cannot be told it is cancelled as it stands."""

        def done(future: "asyncio.Future[Any]") -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, CannotNow):
                self._later(lambda: self._ask(run, reason))
            elif error is not None and not isinstance(error, RunClosed):
                self._stop(run, "request_cancel", reason)

        request = RequestCancellation(
            namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, reason=reason[:1_000]
        )
        self._bus.send(request).add_done_callback(done)

    def _stop(self, run: Run, how: str, reason: str) -> None:
        if how == ASK:
            self._ask(run, reason)
            return
        command = StopRun(
            namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, mode=_MODES[how], reason=reason[:1_000]
        )
        self._send_until_taken(command, lambda: self._stop(run, how, reason))

    def _visit(self, run_id: str) -> None:
        """End a run whose parent has closed, if that is the policy it was started with."""
        if self._draining:
            return
        try:
            state = self._bus.live(run_id)
            parent = state.detail.parent if state is not None else None
            if state is None or parent is None or parent.get("policy") not in _MODES or not self._has_ended(parent):
                return
        except CannotNow:
            self._later(lambda: self._visit(run_id))
            return
        self._stop(state.run, parent["policy"], f"the parent workflow {parent['workflow_id']} closed")

    def _has_ended(self, parent: Mapping[str, Any]) -> bool:
        """Whether the parent run is closed, and so is the chain that it continued as."""
        run_id = str(parent["run_id"])
        if self._bus.live(run_id) is not None:
            return False
        view = self._bus.view(run_id)
        if view is None:
            # Past its retention: it may have continued as a run that is there.
            newest = self._bus.current_run_id(str(parent["namespace"]), str(parent["workflow_id"]))
            return newest is None or self._bus.live(newest) is None
        if view.run.closed_reason != CONTINUED:
            return True
        for run, _ in self._bus.store.runs.chain(view.run.namespace, view.run.workflow_id).runs:
            if run.run_number > view.run.run_number and run.closed_reason != CONTINUED:
                return not run.is_open
        return False

    def _find(self, ref: ChildRef) -> tuple[Run, Mapping[str, Any]] | None:
        """The child's newest run, on disk or on its way, and its link to a parent."""
        run_id = self._bus.current_run_id(ref.child_namespace, ref.child_workflow_id)
        if run_id is None:
            return None
        state = self._bus.live(run_id)
        if state is not None:
            return state.run, state.detail.parent or {}
        view = self._bus.view(run_id)
        return (view.run, view.detail.parent or {}) if view is not None else None


def _is_there(link: Mapping[str, Any], ref: ChildRef) -> bool:
    """Whether the run that was found is the attempt that is wanted, or a later one."""
    return ref.shared or int(link.get("attempt", 1)) >= ref.attempt


def _is_of(link: Mapping[str, Any], ref: ChildRef) -> bool:
    return ref.shared or (link.get("run_id") == ref.run_id and link.get("sequence") == ref.sequence)

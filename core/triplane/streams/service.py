"""The service in front of output streams: brings changes to the run that has them, and lets readers wait.

While a run is open its own state decides what a stream takes, in the run's order. The streams of a closed run are decided
on here, with the same rules; nothing else changes them any more.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from triplane.audit import audit_record
from triplane.commands.base import Command
from triplane.commands.streams import AppendStream, ChangeStream, CloseStream, ReadStream
from triplane.effects import Effect, StreamChanged
from triplane.engines.durable.outputs import read_items
from triplane.engines.durable.settings import DurableSettings
from triplane.entities import Run, Stream
from triplane.errors import (
    CannotNow,
    GatewayError,
    LimitReached,
    NotSupported,
    RunNotFound,
    StreamNotFound,
    UnknownCommand,
    WorkflowNotFound,
)
from triplane.service import BusPort, Caller
from triplane.store.interface import Slice
from triplane.streams.log import Append, Change, Consume, End, Expire, Outcome, StreamLog, decide, take

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 30.0
EXPIRED_AT_ONCE = 100
MAX_WAITING = 5_000
CLOSED_RUNS = 200
"""Closed runs whose streams are kept in memory; those used last."""

StreamKey = tuple[str, str]
"""(run id, stream name)"""


class Streams:
    """Appends to, ends and reads output streams.

    Attributes:
        settings: `[engines.durable]`.
    """

    name: ClassVar[str] = "streams"
    commands: ClassVar[tuple[type[Command], ...]] = (AppendStream, CloseStream, ReadStream)
    effects: ClassVar[tuple[type[Effect], ...]] = (StreamChanged,)

    def __init__(self, settings: DurableSettings | None = None) -> None:
        self.settings = settings if settings is not None else DurableSettings()
        self._closed: OrderedDict[str, dict[str, StreamLog]] = OrderedDict()
        self._waiting: dict[StreamKey, set[asyncio.Future[None]]] = {}
        self._waits = 0
        self._draining = False
        self._bus: BusPort

    async def start(self, bus: BusPort) -> None:
        self._bus = bus
        bus.spawn(self._expire_for_ever(), "stream retention")

    async def drain(self) -> None:
        """Answer everybody who waits with what there is."""
        self._draining = True
        for key in [*self._waiting]:
            self._wake(key)

    async def stop(self) -> None:
        """The bus ends its task."""

    def handle(self, command: Command, caller: Caller) -> Any:
        match command:
            case AppendStream():
                items = read_items(command.items, self.settings.max_payload_bytes)
                return self._change(command, Append(items, command.max_pending_items, "client", caller.principal), caller)
            case CloseStream():
                return self._change(command, End(command.error_reason, command.retention_s), caller)
            case ReadStream():
                return self._read(command)
        raise UnknownCommand(f"streams do not answer {command.name!r}")

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, StreamChanged):
                self._wake((effect.run_id, effect.stream))

    # ---- changing --------------------------------------------------------------------------------------------------

    def _run(self, command: AppendStream | CloseStream | ReadStream) -> Run:
        view = self._bus.view(command.run_id)
        if view is None or (view.run.namespace, view.run.workflow_id) != (command.namespace, command.workflow_id):
            if self._bus.current_run_id(command.namespace, command.workflow_id) is None:
                raise WorkflowNotFound(command.workflow_id, command.namespace)
            raise RunNotFound(command.workflow_id, command.run_id)
        if view.run.engine != "durable":
            raise NotSupported(f"a {view.run.engine} run has no output streams")
        return view.run

    def _change(self, command: AppendStream | CloseStream, change: Change, caller: Caller) -> "asyncio.Future[Any]":
        run = self._run(command)
        if self._bus.live(run.run_id) is not None:
            return self._bus.send(_bring(run, command.stream_name, change, command), caller)
        outcome = self._decide_closed(run, command.stream_name, change)
        audit = (audit_record(command, caller, self._bus.clock.now(), run.workflow_id, run.run_id, "accepted"),)
        return self._write_closed(run, outcome, Slice(streams=(outcome,), audit=audit))

    def _decide_closed(self, run: Run, name: str, change: Change) -> Outcome:
        if run.is_open:
            raise CannotNow(f"workflow {run.workflow_id!r} is closing; try again")
        logs = self._logs_of_closed(run.run_id)
        if name not in logs and len(logs) >= self.settings.max_streams:
            raise LimitReached(f"the run has {len(logs)} streams already (engines.durable.max_streams)")
        return decide(logs.get(name), run.run_id, name, change, self._bus.clock.now(), self.settings.max_stream_items)

    def _write_closed(self, run: Run, outcome: Outcome, change: Slice) -> "asyncio.Future[Any]":
        logs = self._logs_of_closed(run.run_id)
        take(logs, outcome)
        written = self._bus.write(change)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(ended: "asyncio.Future[None]") -> None:
            error = None if ended.cancelled() else ended.exception()
            if ended.cancelled() or error is not None:
                # What is in memory did not happen.
                self._closed.pop(run.run_id, None)
            else:
                self._wake((run.run_id, outcome.stream.name))
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            elif ended.cancelled():
                answer.cancel()
            else:
                answer.set_result(outcome.reply)

        written.add_done_callback(done)
        return answer

    def _logs_of_closed(self, run_id: str) -> dict[str, StreamLog]:
        logs = self._closed.get(run_id)
        if logs is None:
            store = self._bus.store.streams
            logs = {stream.name: StreamLog(stream, store.keys(run_id, stream.name)) for stream in store.of_run(run_id)}
            self._closed[run_id] = logs
            while len(self._closed) > CLOSED_RUNS:
                self._closed.popitem(last=False)
        self._closed.move_to_end(run_id)
        return logs

    # ---- reading ---------------------------------------------------------------------------------------------------

    def _read(self, command: ReadStream) -> Any:
        run = self._run(command)
        page = self._page(run, command)
        if page["items"] or page["terminal"] or command.wait_s <= 0 or self._draining or self._waits >= MAX_WAITING:
            return page
        return self._bus.spawn(self._read_later(run, command), f"read {command.stream_name}")

    async def _read_later(self, run: Run, command: ReadStream) -> dict[str, Any]:
        key, until = (run.run_id, command.stream_name), asyncio.get_running_loop().time() + command.wait_s
        while True:
            changed = self._wait(key)
            page = self._page(run, command)
            left_s = until - asyncio.get_running_loop().time()
            try:
                if page["items"] or page["terminal"] or left_s <= 0 or self._draining:
                    return page
                async with asyncio.timeout(left_s):
                    await changed
            except TimeoutError:
                return self._page(run, command)
            finally:
                self._leave(key, changed)

    def _page(self, run: Run, command: ReadStream) -> dict[str, Any]:
        """What is on disk from an offset on; notes that the reader is done with what is before.

        Raises:
            StreamNotFound: the run is closed, and never had it.
        """
        store = self._bus.store.streams
        stream = store.find(run.run_id, command.stream_name)
        if stream is None:
            if self._bus.live(run.run_id) is None:
                raise StreamNotFound(f"run {run.run_id} of {run.workflow_id!r} has no stream {command.stream_name!r}")
            return {
                "stream": Stream(run.run_id, command.stream_name, "open", run.created), "items": [],
                "next_offset": command.offset, "terminal": False,
            }  # fmt: skip
        stream = self._consume(run, stream, command.offset)
        first = max(command.offset, stream.first)
        items = store.read(run.run_id, stream.name, first, command.limit)
        following = first + len(items)
        return {
            "stream": stream, "items": items, "next_offset": following,
            "terminal": stream.status != "open" and following >= stream.total,
        }  # fmt: skip

    def _consume(self, run: Run, stream: Stream, offset: int) -> Stream:
        """Note that a reader is done with the items before `offset`; the stream as it is then."""
        through = min(offset, stream.total)
        if through <= stream.consumed or self._draining:
            return stream
        if self._bus.live(run.run_id) is not None:
            # Not waited for: after a crash the reader's next question says it again.
            self._bus.send(_bring(run, stream.name, Consume(through)), wait=False).add_done_callback(_seen)
        elif not run.is_open:
            outcome = self._decide_closed(run, stream.name, Consume(through))
            self._write_closed(run, outcome, Slice(streams=(outcome,))).add_done_callback(_seen)
        return replace(stream, consumed=through)

    # ---- waiting ---------------------------------------------------------------------------------------------------

    def _wait(self, key: StreamKey) -> "asyncio.Future[None]":
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(changed)
        self._waits += 1
        return changed

    def _leave(self, key: StreamKey, changed: "asyncio.Future[None]") -> None:
        self._waits -= 1
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.discard(changed)
            if not waiting:
                del self._waiting[key]

    def _wake(self, key: StreamKey) -> None:
        for changed in self._waiting.get(key, ()):
            if not changed.done():
                changed.set_result(None)

    # ---- retention -------------------------------------------------------------------------------------------------

    async def _expire_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            try:
                await self.expire()
            except GatewayError as error:
                log.warning("stream_retention_failed: it is tried again in %.0f s: %s", EXPIRE_EVERY_S, error)

    async def expire(self) -> int:
        """Let the items of every stream go that were kept long enough; returns how many streams there were."""
        emptied = 0
        while True:
            due = self._bus.store.streams.expired(self._bus.clock.now(), EXPIRED_AT_ONCE)
            for namespace, workflow_id, run_id, name in due:
                view = self._bus.view(run_id)
                if self._bus.live(run_id) is not None:
                    command = ChangeStream(
                        namespace=namespace, workflow_id=workflow_id, run_id=run_id, stream_name=name, change=Expire()
                    )
                    await self._bus.send(command)
                elif view is not None:
                    outcome = self._decide_closed(view.run, name, Expire())
                    await self._write_closed(view.run, outcome, Slice(streams=(outcome,)))
            emptied += len(due)
            if len(due) < EXPIRED_AT_ONCE:
                return emptied


def _bring(run: Run, name: str, change: Change, command: Command | None = None) -> ChangeStream:
    return ChangeStream(
        namespace=run.namespace, workflow_id=run.workflow_id, run_id=run.run_id, stream_name=name, change=change, command=command
    )


def _seen(future: "asyncio.Future[Any]") -> None:
    """Nobody waits for it, and a refusal is no news: the reader will say it again."""
    if not future.cancelled():
        future.exception()



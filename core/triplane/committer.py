"""Group commit: whatever waits when the store is free goes into one transaction, and is acknowledged after it."""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from triplane.errors import CommitFailed, GatewayError, LimitReached, StorageFull
from triplane.seeing.metrics import COMMIT_BUCKETS_S
from triplane.seeing.tally import Durations
from triplane.store.interface import Slice, StoreBroken, Writer

log = logging.getLogger(__name__)

MOST_TURNS = 24
"""Turns of the loop that a group may go on growing."""

QUIET_TURNS = 3
"""Turns that bring nothing before it stops: a request that has arrived takes about so many to become a command."""

LARGE = 100
"""Tasks that one slice changes or removes, above which its writing takes so long that the loop must not wait for it."""

PROBE_EVERY = 32
"""Groups the writer thread takes before one is committed inline to measure the disk anew."""


@dataclass(slots=True)
class Pending:
    """A slice on its way to disk, and whom to tell.

    Attributes:
        reply: what `future` resolves to; None for slices nobody waits for.
        context: the owner's, handed back with the outcome.
        linked: is written with the slice before it or not at all.
    """

    slice: Slice
    reply: Any = None
    future: "asyncio.Future[Any] | None" = None
    context: Any = None
    linked: bool = False


class Committer:
    """Serialises groups to one `Writer`. Everything but the commit itself happens on the event loop's thread.

    One waiting slice is committed inline, sparing the hop to another thread; so are larger groups while inline commits
    have lately waited for the disk less than `inline_below_s`, because then the hop, and the two threads' contest for
    the interpreter, cost more than the sync does. Otherwise, and where a slice is large, the writer thread takes the group,
    and the loop goes on meanwhile; now and then a group is committed inline all the same, to see whether the disk has become quicker.
    """

    def __init__(
        self,
        writer: Writer,
        committed: Callable[[Sequence[Pending]], None],
        failed: Callable[[Sequence[Pending], GatewayError], None],
        broken: Callable[[BaseException], None],
        max_group: int = 512,
        max_waiting: int = 100_000,
        inline_below_s: float = 0.001,
        unwaited_s: float = 0.02,
    ) -> None:
        self._writer, self._committed, self._failed, self._broken = writer, committed, failed, broken
        self._max_group, self._max_waiting, self._inline_below_s = max_group, max_waiting, inline_below_s
        self._unwaited_s = unwaited_s
        self._later: asyncio.TimerHandle | None = None
        self._waiting: deque[Pending] = deque()
        self._scheduled = False
        self._gathered = 0
        self._turns = 0
        self._quiet_turns = 0
        self._in_thread = False
        self._is_broken = False
        self.is_refused = False
        self.on_refused: Callable[[GatewayError], None] | None = None
        self.times = Durations(COMMIT_BUCKETS_S)
        self._waited_s = 0.0
        self._in_thread_since = 0
        self._thread: threading.Thread | None = None
        self._handed: queue.SimpleQueue[list[Pending] | None] = queue.SimpleQueue()
        self._idle: list[asyncio.Future[None]] = []
        self.groups = 0
        self.slices = 0

    def check_room(self) -> None:
        """Refuse a command before it is decided: once a run has taken its step, the step's slice must go to disk.

        Raises:
            LimitReached: `max_waiting` slices wait already.
            CommitFailed: the store is broken.
        """
        if self._is_broken:
            raise CommitFailed("the store can no longer be trusted; the gateway is going down")
        if len(self._waiting) >= self._max_waiting:
            raise LimitReached(f"{self._max_waiting} commands wait for the disk already; try again")

    @property
    def waiting(self) -> int:
        """Slices that wait for a group."""
        return len(self._waiting)

    def submit(self, pending: Pending) -> None:
        """Queue a slice for the next group.

        Raises:
            CommitFailed: the store is broken.
        """
        if self._is_broken:
            raise CommitFailed("the store can no longer be trusted; the gateway is going down")
        self._waiting.append(pending)
        if pending.future is not None:
            self._schedule()
        elif self._later is None and not self._scheduled:
            # Nobody waits for this one: it goes with the next group, or by itself if none comes soon.
            self._later = asyncio.get_running_loop().call_later(self._unwaited_s, self._schedule)

    def _schedule(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if not self._scheduled and not self._in_thread:
            self._scheduled = True
            # Not at once: commands that arrive in this same turn of the loop share the group.
            asyncio.get_running_loop().call_soon(self._gather)

    def _gather(self) -> None:
        """Go on while turns of the loop bring more, for a commit costs about the same whatever its size."""
        waiting = len(self._waiting)
        self._quiet_turns = self._quiet_turns + 1 if waiting == self._gathered else 0
        if 1 < waiting < self._max_group and self._quiet_turns < QUIET_TURNS and self._turns < MOST_TURNS:
            self._gathered = waiting
            self._turns += 1
            asyncio.get_running_loop().call_soon(self._gather)
        else:
            self._gathered = self._turns = self._quiet_turns = 0
            self._flush()

    def _flush(self) -> None:
        self._scheduled = False
        if self._in_thread or not self._waiting:
            return
        waiting = self._waiting
        group = [waiting.popleft() for _ in range(min(len(waiting), self._max_group))]
        while waiting and waiting[0].linked:
            group.append(waiting.popleft())
        is_quick = len(group) == 1 or self._waited_s < self._inline_below_s or self._in_thread_since >= PROBE_EVERY
        if is_quick and not any(_is_large(pending.slice) for pending in group):
            self._in_thread_since = 0
            self._finish(group, self._commit_inline(group))
        else:
            self._in_thread = True
            self._in_thread_since += 1
            if self._thread is None:
                loop = asyncio.get_running_loop()
                self._thread = threading.Thread(target=self._write, args=(loop,), name="store-writer", daemon=True)
                self._thread.start()
            self._handed.put(group)

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        """The writer thread: one group at a time. An executor's futures cost as much as a small group's commit."""
        while (group := self._handed.get()) is not None:
            loop.call_soon_threadsafe(self._back_from_thread, group, self._commit(group))

    def _back_from_thread(self, group: list[Pending], error: BaseException | None) -> None:
        self._in_thread = False
        self._finish(group, error)

    def _commit_inline(self, group: list[Pending]) -> BaseException | None:
        began, worked = time.perf_counter(), time.thread_time()
        error = self._commit(group)
        waited_s = time.perf_counter() - began - (time.thread_time() - worked)
        # A moving average, so that one slow sync does not decide for the next hundred.
        self._waited_s += (waited_s - self._waited_s) * 0.2
        return error

    def _commit(self, group: list[Pending]) -> BaseException | None:
        began = time.perf_counter()
        try:
            self._writer.commit([pending.slice for pending in group])
        except BaseException as error:
            return error
        self.times.add(time.perf_counter() - began)
        return None

    def _finish(self, group: list[Pending], error: BaseException | None) -> None:
        if error is None:
            self.groups += 1
            self.slices += len(group)
            if self.is_refused:
                self.is_refused = False
                log.warning("commits_go_on: what failed before did not take effect")
            self._committed(group)
        else:
            # What waits was decided on top of what has just failed, so it fails with it.
            group = group + list(self._waiting)
            self._waiting.clear()
            if isinstance(error, StoreBroken) or not isinstance(error, GatewayError):
                self._is_broken = True
                log.critical("store_broken: %s", error, exc_info=error)
                self._failed(group, CommitFailed("the store failed; nothing of this took effect"))
                self._broken(error)
            else:
                if not self.is_refused:
                    # Once until it works again: on a full disk everything that is asked for fails.
                    self.is_refused = isinstance(error, StorageFull)
                    log.error("commits_refused: %s", error)
                    if self.is_refused and self.on_refused is not None:
                        self.on_refused(error)
                self._failed(group, error)
        if self._waiting:
            self._schedule()
        else:
            idle, self._idle = self._idle, []
            for future in idle:
                if not future.done():
                    future.set_result(None)

    async def drain(self) -> None:
        """Wait until nothing waits."""
        while self._waiting or self._in_thread or self._scheduled:
            self._schedule()
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    def close(self) -> None:
        """End the writer thread; call after `drain`."""
        if self._thread is not None:
            self._handed.put(None)
            self._thread.join()


def _is_large(change: Slice) -> bool:
    return len(change.tasks) > LARGE or len(change.pruned) > LARGE

"""When a face shows what its run does: at once, in portions, in a moment, or only when somebody looks.

Showing a task costs about as much as the core spends on it, so a face that nobody looks at does not follow its run; it
catches up when it is asked something. What is much is shown in portions, and everybody else has their turn in between.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from triplane.deltas import Delta
from triplane_cylc.datastore import FaceStore
from triplane_cylc.datastore.store import Message
from triplane_cylc.faces.putoff import LEAST_S, Backlog, may_wait, next_wait

PORTION: Final = 100
"""Tasks that are shown in one turn of the loop: some milliseconds' work."""


class Showing:
    """Brings one face's store up to date. Lives on the event loop's thread.

    Args:
        publish: sends what a portion has changed to the face's subscribers.
        is_followed: whether anybody is to be told of changes without asking.
        lost: called when something could not be shown, so that the store must be built anew.

    Attributes:
        store: None until it is built; what comes before waits for it.
    """

    def __init__(
        self, publish: Callable[[list[Message]], None], is_followed: Callable[[], bool], lost: Callable[[], None]
    ) -> None:
        self._publish, self._is_followed, self._lost = publish, is_followed, lost
        self.store: FaceStore | None = None
        self._backlog = Backlog()
        self._portions: deque[Delta] = deque()
        self._is_urgent = False
        self._wait_s = LEAST_S
        self._later: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def is_behind(self) -> bool:
        """Whether more is to be shown than one turn of the loop has room for."""
        return self._task is not None or len(self._backlog) > PORTION

    def take(self, delta: Delta) -> None:
        """Take in one commit; `show` follows, perhaps after others."""
        self._backlog.add(delta)
        self._is_urgent = self._is_urgent or not may_wait(delta)

    def show(self) -> None:
        """Show what was taken in if anybody follows: what was asked for now, a run's own progress in a while."""
        if self.store is None or not self._backlog or not self._is_followed():
            return
        if self._is_urgent:
            self.catch_up()
        elif self._later is None and self._task is None:
            self._later = asyncio.get_running_loop().call_later(self._wait_s, self._wait_is_over)

    def _wait_is_over(self) -> None:
        self._later = None
        self.catch_up()

    def catch_up(self) -> None:
        """Show all that waits, now where it is little, else beginning now."""
        if self.store is None:
            return
        if self.is_behind:
            self._begin()
        elif self._backlog:
            began = time.thread_time()
            self._begin_pass()
            while self._portions:
                self._show_portion()
            self._wait_s = next_wait(time.thread_time() - began)

    async def caught_up(self) -> None:
        """Return once all is shown that was taken in before the call."""
        if not self.is_behind or self.store is None:
            self.catch_up()
            return
        shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(shown)
        self._begin()
        await shown

    async def finish(self) -> None:
        """Show the rest to those who follow; nobody else will ask for it."""
        if self.store is not None and self._is_followed():
            await self.caught_up()

    def forget(self) -> None:
        """Let go of what waits: the store has been built from a later state."""
        self._backlog, self._is_urgent = Backlog(), False
        self._portions.clear()

    def close(self) -> None:
        """Show nothing more; whoever waits is not kept waiting."""
        self.store = None
        self.forget()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._answer(self._waiting)

    # ---- portions --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._in_portions(), name="cylc face catches up")

    async def _in_portions(self) -> None:
        """Pass through all that waits. Another pass follows only for who waits for it, so that a busy run is shown seldom."""
        try:
            is_asked = True
            while is_asked and self.store is not None:
                waiting, self._waiting = self._waiting, []
                self._begin_pass()
                worked_s = 0.0
                try:
                    while self._portions:
                        began = time.thread_time()
                        self._show_portion()
                        worked_s += time.thread_time() - began
                        await asyncio.sleep(0)
                finally:
                    self._answer(waiting)
                self._wait_s = next_wait(worked_s)
                is_asked = bool(self._waiting) or (self._is_urgent and self._is_followed())
        finally:
            self._task = None
        self.show()

    def _begin_pass(self) -> None:
        self._is_urgent = False
        if self._backlog:
            self._portions.extend(self._backlog.portions(PORTION))

    def _show_portion(self) -> None:
        portion = self._portions.popleft()
        if self.store is None:
            return
        try:
            self.store.absorb(portion)
            self._publish(self.store.flush())
        except Exception:
            self._lost()

    @staticmethod
    def _answer(waiting: list["asyncio.Future[None]"]) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(None)
        waiting.clear()

"""Durable alarms: one heap for all runs, read with the injected clock."""

import asyncio
import heapq
from collections.abc import Callable

from triplane.clock import Clock

TimerKey = tuple[str, str]
"""(run id, timer id)"""

MAX_WAIT_S = 1.0
"""The heap is looked at this often at least, so that a jump of the wall clock is noticed."""

MAX_FIRED_PER_TURN = 200


class TimerHeap:
    """Calls `fire(run_id, timer_id)` on the loop's thread when a timer is due; each setting fires at most once."""

    def __init__(self, clock: Clock, fire: Callable[[str, str], None]) -> None:
        self._clock, self._fire = clock, fire
        self._heap: list[tuple[float, str, str]] = []
        self._set: dict[TimerKey, float] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._stopped = False

    def __len__(self) -> int:
        return len(self._set)

    def set(self, run_id: str, timer_id: str, fire_at: float) -> None:
        """Set or move an alarm."""
        self._set[(run_id, timer_id)] = fire_at
        heapq.heappush(self._heap, (fire_at, run_id, timer_id))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._set):
            # Cleared and moved alarms stay in the heap until they are due; too many of them, and it is built anew.
            self._heap = [(at, run, timer) for (run, timer), at in self._set.items()]
            heapq.heapify(self._heap)
        if self._handle is None or fire_at < self._wakes_at:
            self._arm()

    def clear(self, run_id: str, timer_id: str) -> None:
        """Forget an alarm, if set."""
        self._set.pop((run_id, timer_id), None)

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._heap or self._stopped:
            return
        self._wakes_at = self._heap[0][0]
        delay = min(max(self._wakes_at - self._clock.now(), 0.0), MAX_WAIT_S)
        self._handle = asyncio.get_running_loop().call_later(delay, self.tick)

    def tick(self) -> None:
        """Fire what is due now; the rest of a large crowd in the next turn of the loop."""
        self._handle = None
        now = self._clock.now()
        fired = 0
        while self._heap and self._heap[0][0] <= now and fired < MAX_FIRED_PER_TURN:
            at, run_id, timer_id = heapq.heappop(self._heap)
            if self._set.get((run_id, timer_id)) == at:
                del self._set[(run_id, timer_id)]
                fired += 1
                self._fire(run_id, timer_id)
        self._arm()

    def stop(self) -> None:
        """Fire nothing more."""
        self._stopped = True
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

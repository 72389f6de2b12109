"""When Python looks for garbage in cycles: young objects once each, everything only while there is nothing else to do.

What a gateway allocates most (runs, events, views) lives long and has no cycles; reference counting frees it. With
Python's defaults a third of the CPU of a start goes into walking those again and again, and a look at everything stops
the loop for a second where there are many runs.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

YOUNG = 50_000
"""New objects that make Python look at them: an interruption of a few milliseconds."""
IDLE_EVERY_S = 600.0
AT_LEAST_EVERY_S = 6 * 3600.0
LOOK_EVERY_S = 30.0


class Collector:
    """Sets the policy for this process, and looks at everything now and then.

    Args:
        work_done: a number that grows with whatever the process is for; while it stands still the process is idle.
    """

    def __init__(self, work_done: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._work_done, self._monotonic = work_done, monotonic
        self._seen = -1
        self._last, self._looked = monotonic(), False

    def start(self) -> None:
        """From now on what survives one look is not looked at again before the next look at everything."""
        # No look before: modules are not garbage, and a gateway that is being waited for has no time for it.
        gc.freeze()
        gc.set_threshold(YOUNG, 1_000_000, 1_000_000)
        gc.callbacks.append(_keep_survivors)

    def stop(self) -> None:
        """Back to Python's own way."""
        if _keep_survivors in gc.callbacks:
            gc.callbacks.remove(_keep_survivors)
        gc.unfreeze()
        gc.set_threshold(700, 10, 10)

    async def run(self) -> None:
        """Look at everything when it is time, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> bool:
        """Look at everything if nothing happened since the last call and it is a while ago, or it is long ago. Returns whether it did.

        The first quiet moment is always taken, for what starting left behind.
        """
        done, now = self._work_done(), self._monotonic()
        idle, self._seen = done == self._seen, done
        wait_s = (IDLE_EVERY_S if self._looked else 0.0) if idle else AT_LEAST_EVERY_S
        if now - self._last < wait_s:
            return False
        self._looked = True
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._last = self._monotonic()
        return True


def _keep_survivors(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()

"""When each job is polled next."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from triplane.jobs.intervals import waits

MAX_TICK_S = 1.0
MIN_TICK_S = 0.05

JobAddress = tuple[str, str, str, int]
"""(run id, cycle, name, submit number)"""

Intervals = tuple[tuple[int, float], ...]
"""As `parse_intervals` gives them."""

WATCHED_STATES = ("submitted", "running")


@dataclass
class _Watch:
    """One job. The sequence of waits begins anew whenever its task's state changes."""

    platform: str
    state: str = ""
    waits: Iterator[float] | None = None
    due: float | None = None


class PollSchedule:
    """Jobs that have not ended, and when each is asked. Looked at once a tick.

    Attributes:
        tick_s: how long until the next look: a second, less where a platform's intervals are shorter.
        over: jobs, with their platforms, that are not watched any more; whoever reads it empties it.
    """

    def __init__(self) -> None:
        self._watches: dict[JobAddress, _Watch] = {}
        self.tick_s = MAX_TICK_S
        self.over: list[tuple[JobAddress, str]] = []

    def watch(self, address: JobAddress, platform: str) -> None:
        """Keep an eye on a job; one that is watched already stays as it is."""
        self._watches.setdefault(address, _Watch(platform))

    def due(
        self,
        now: float,
        state_of: Callable[[JobAddress], str | None],
        intervals_of: Callable[[JobAddress, str, str], Intervals],
    ) -> list[tuple[JobAddress, str]]:
        """Jobs whose time has come, with their platforms. Each next wait begins now, when this one's poll is fired.

        Args:
            now: monotonic seconds.
            state_of: state of the task whose current job this is, None where it is another's turn.
            intervals_of: the polling intervals of a job, its platform and a state.
        """
        found = []
        for address, watch in list(self._watches.items()):
            state = state_of(address)
            if state not in WATCHED_STATES:
                del self._watches[address]
                self.over.append((address, watch.platform))
                continue
            if state != watch.state:
                self._begin(watch, state, intervals_of(address, watch.platform, state), now)
            if watch.due is not None and now >= watch.due:
                found.append((address, watch.platform))
                self._next(watch, now)
        return found

    def _begin(self, watch: _Watch, state: str, items: Intervals, now: float) -> None:
        watch.state, watch.waits = state, waits(items)
        for _, seconds in items:
            self.tick_s = max(MIN_TICK_S, min(self.tick_s, seconds / 4))
        self._next(watch, now)

    @staticmethod
    def _next(watch: _Watch, now: float) -> None:
        wait = next(watch.waits, None) if watch.waits is not None else None
        watch.due = now + wait if wait is not None else None

"""Runs without a face: those that are too young for one, those that wait in line, and those that try again later."""

import heapq
from collections import OrderedDict

from triplane.entities import Run
from triplane_cylc.faces.policy import Priority, due, is_delayed, priority


class WaitingLine:
    """Who is next. Times are what the caller gives: wall-clock seconds for ages, any steady clock for retries."""

    def __init__(self) -> None:
        self._line: list[Priority] = []
        self._waiting: dict[str, Run] = {}
        self._again: dict[str, tuple[float, Run]] = {}
        self._young: OrderedDict[str, Run] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, run: Run, expose_after_s: float, now: float) -> bool:
        """Take in a run that has just begun; returns whether it is old enough to stand in line at once."""
        if is_delayed(run) and due(run, expose_after_s) > now:
            # In order of creation, so only the head of these is ever looked at.
            self._young[run.run_id] = run
            return False
        self.stand(run)
        return True

    def stand(self, run: Run) -> None:
        """Put a run into the line by its priority."""
        if run.run_id not in self._waiting:
            self._waiting[run.run_id] = run
            heapq.heappush(self._line, priority(run))

    def try_again(self, run: Run, when: float) -> None:
        """A run that could not get a face stands in line again at `when` of the steady clock."""
        self._again[run.run_id] = (when, run)

    def grow(self, expose_after_s: float, now: float, steady: float) -> None:
        """Have those stand in line whose time has come."""
        while self._young:
            run_id, run = next(iter(self._young.items()))
            if due(run, expose_after_s) > now:
                break
            del self._young[run_id]
            self.stand(run)
        for run_id, (when, run) in tuple(self._again.items()):
            if when <= steady:
                del self._again[run_id]
                self.stand(run)

    def first(self) -> Run | None:
        """Who is next; it stays in line until it is taken out."""
        while self._line:
            run = self._waiting.get(self._line[0][-1])
            if run is not None:
                return run
            heapq.heappop(self._line)
        return None

    def leave(self, run_id: str) -> None:
        """The run needs no face any more, or has one."""
        self._young.pop(run_id, None)
        self._again.pop(run_id, None)
        self._waiting.pop(run_id, None)

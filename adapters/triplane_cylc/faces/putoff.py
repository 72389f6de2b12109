"""What a face does not show yet: kept as the state that it comes to, so that a thousand commits may be shown as one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from triplane.deltas import Delta
from triplane.entities import Job, Task, TaskKey
from triplane.service import SYSTEM

LEAST_S: Final = 0.05
MOST_S: Final = 1.0
"""Between these lies how much later than it happened progress is shown; Cylc's own scheduler shows changes about once a second."""

SHARE: Final = 0.05
"""Of its time that the gateway spends on showing the progress of one run, about."""


def next_wait(took_s: float) -> float:
    """For how long to put off, when showing took so many seconds of work the last time."""
    return min(max(took_s / SHARE, LEAST_S), MOST_S)


def may_wait(delta: Delta) -> bool:
    """Whether a delta is nothing but a run's own progress. What somebody asked for never waits."""
    if delta.detail is not None or delta.opened or delta.closed or not delta.events:
        return False
    if delta.run.engine == "simulation":
        return all(event.name == "StepCompleted" for event in delta.events)
    return delta.run.engine == "graph" and all(event.principal == SYSTEM.principal for event in delta.events)


class Backlog:
    """Deltas of one run, oldest first, as one: each task and job as it is in the end, and what was pruned."""

    def __init__(self) -> None:
        self._tasks: dict[TaskKey, Task] = {}
        self._jobs: dict[TaskKey, dict[int, Job]] = {}
        self._pruned: dict[TaskKey, None] = {}
        self._last: Delta | None = None

    def __len__(self) -> int:
        """How many tasks there are to show, about."""
        return max(len(self._tasks), len(self._jobs)) + len(self._pruned)

    def __bool__(self) -> bool:
        return self._last is not None

    def add(self, delta: Delta) -> None:
        """Take in a newer delta."""
        for key in delta.pruned:
            self._pruned[key] = None
            self._tasks.pop(key, None)
            self._jobs.pop(key, None)
        for task in delta.tasks:
            self._tasks[task.key] = task
        for job in delta.jobs:
            self._jobs.setdefault((job.cycle, job.name), {})[job.submit_num] = job
        if delta.detail is None and self._last is not None and self._last.detail is not None:
            delta = replace(delta, detail=self._last.detail)
        self._last = delta

    def portions(self, most: int) -> Iterator[Delta]:
        """Deltas of at most `most` tasks each that lead to the same state; at least one, and the backlog is empty behind them.

        A task that was pruned and came back is pruned first; every other goes last, as in the deltas of the core. Events
        and rows are left out.
        """
        assert self._last is not None, "nothing waits to be shown"
        detail, last = self._last.detail, replace(self._last, detail=None, tasks=(), jobs=(), pruned=(), events=(), rows=())
        tasks, jobs = self._tasks, self._jobs
        back = tuple(key for key in self._pruned if key in tasks)
        gone = [key for key in self._pruned if key not in tasks]
        self._tasks, self._jobs, self._pruned, self._last = {}, {}, {}, None
        if back:
            yield replace(last, pruned=back)
        keys = [*tasks, *(key for key in jobs if key not in tasks)]
        for start in range(0, max(len(keys), 1), most):
            of_these = keys[start : start + most]
            yield replace(
                last,
                detail=detail,
                tasks=tuple(tasks[key] for key in of_these if key in tasks),
                jobs=tuple(job for key in of_these for job in jobs.get(key, {}).values()),
                pruned=tuple(gone[:most]) if start + most >= len(keys) else (),
            )
            detail = None
        for start in range(most, len(gone), most):
            yield replace(last, pruned=tuple(gone[start : start + most]))

"""Steps of simulations in portions: a run that takes a thousand steps in a second is shown some dozens of times."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from triplane.deltas import Delta
from triplane.entities import Job, JobKey, Task, TaskKey

LEAST_S: Final = 0.05
MOST_S: Final = 1.0
"""Between these lies how much later than it happened a step is shown; Cylc's own scheduler shows changes about once a second."""

SHARE: Final = 0.05
"""Of its time that the gateway spends on showing the steps of one run, about."""

MOST: Final = 5_000
"""Deltas that are put off; more are shown at once."""


def next_wait(took_s: float) -> float:
    """For how long to put off, when showing took so many seconds of work the last time."""
    return min(max(took_s / SHARE, LEAST_S), MOST_S)


def may_wait(delta: Delta) -> bool:
    """Whether a delta is nothing but the progress of a simulation. What somebody asked for never waits."""
    return (
        delta.run.engine == "simulation"
        and delta.detail is None
        and not (delta.opened or delta.closed)
        and bool(delta.events)
        and all(event.name == "StepCompleted" for event in delta.events)
    )


def merged(deltas: Sequence[Delta]) -> Delta:
    """One delta with the state that all of them lead to, oldest first; no task that was pruned in them comes back.

    What came and went within them is left out, and so are events and rows.
    """
    tasks: dict[TaskKey, Task] = {}
    jobs: dict[JobKey, Job] = {}
    pruned: dict[TaskKey, None] = {}
    for delta in deltas:
        for key in delta.pruned:
            pruned[key] = None
            tasks.pop(key, None)
        tasks.update((task.key, task) for task in delta.tasks)
        jobs.update((job.key, job) for job in delta.jobs)
    return replace(
        deltas[-1],
        tasks=tuple(tasks.values()),
        jobs=tuple(job for key, job in jobs.items() if key[:2] not in pruned),
        pruned=tuple(pruned),
        events=(),
        rows=(),
    )

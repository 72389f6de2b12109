"""The few steps that are seen as tasks, in the run's own data: writing them with it is cheaper than rows of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from triplane.engines.simulation.state import STEP_NAME
from triplane.entities import Job, JobKey, Task, TaskKey

DETAIL = {"kind": "step"}


def dump_steps(tasks: Mapping[TaskKey, Task], jobs: Mapping[JobKey, Job]) -> list[tuple[Any, ...]]:
    """All that tasks and jobs of a simulation do not have in common, in creation order."""
    seen: list[tuple[Any, ...]] = []
    for (cycle, name), task in tasks.items():
        known = (cycle, task.seq, task.state, task.updated, task.is_held)
        job = jobs.get((cycle, name, 1))
        seen.append(known if job is None else (*known, job.seq, job.state, job.job_id, job.submitted, job.finished))
    return seen


def load_steps(seen: Sequence[Sequence[Any]]) -> tuple[list[Task], list[Job]]:
    """Tasks and jobs again."""
    tasks, jobs = [], []
    for cycle, seq, state, updated, is_held, *rest in seen:
        tasks.append(
            Task(
                cycle=cycle, name=STEP_NAME, seq=seq, state=state, updated=updated, is_held=is_held,
                submit_num=1 if rest else 0, detail=DETAIL,
            )
        )  # fmt: skip
        if rest:
            job_seq, job_state, job_id, submitted, finished = rest
            jobs.append(
                Job(
                    cycle=cycle, name=STEP_NAME, submit_num=1, seq=job_seq, state=job_state, platform="simulation",
                    job_id=job_id, submitted=submitted, started=submitted, finished=finished,
                )
            )  # fmt: skip
    return tasks, jobs

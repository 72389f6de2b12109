"""Runs for the data store's tests: entities as an engine would make them."""

from typing import Any

from triplane.deltas import Delta
from triplane.entities import Job, Run, RunDetail, Task, evolve
from triplane_cylc.datastore import FaceIdentity, FaceStore

IDENTITY = FaceIdentity("user", "demo", "host.example", 43001, 43002, "/home/user/cylc-run/demo")

RUN = Run(
    namespace="default",
    workflow_id="demo",
    run_id="r1",
    run_number=1,
    engine="graph",
    workflow_type="demo",
    task_queue="",
    status="running",
    created=1.0,
    updated=1.0,
)

DETAIL = RunDetail(
    definition={
        "title": "Demo workflow",
        "description": "three cycling tasks",
        "families": {"root": {}, "FAM": {"parents": ["root"], "title": "family FAM"}},
        "tasks": {"a": {"families": ["FAM", "root"], "title": "first"}, "b": {"families": ["FAM"]}, "c": {"families": []}},
        "edges": [["a", "b"], ["b", "c"]],
    }
)


class Ticks:
    """A clock that stands still, so that times differ only because the store makes them."""

    def __init__(self, now: float = 1_795_174_647.5) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def task(cycle: str, name: str, state: str = "waiting", **fields: Any) -> Task:
    return Task(cycle=cycle, name=name, seq=1, state=state, updated=1.0, **fields)


def job(cycle: str, name: str, submit_num: int = 1, state: str = "submitted", **fields: Any) -> Job:
    return Job(cycle=cycle, name=name, submit_num=submit_num, seq=1, state=state, **fields)


def delta(run: Run = RUN, **fields: Any) -> Delta:
    return Delta(cursor=1, time=2.0, run=run, **fields)


def store_of(*tasks: Task, jobs: tuple[Job, ...] = (), run: Run = RUN, detail: RunDetail = DETAIL) -> FaceStore:
    return FaceStore(IDENTITY, run, detail, tasks, jobs, Ticks())


__all__ = ["DETAIL", "IDENTITY", "RUN", "Ticks", "delta", "evolve", "job", "store_of", "task"]

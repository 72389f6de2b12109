"""Runs for the data store's tests: entities as an engine would make them."""

from collections.abc import Mapping
from typing import Any

from triplane.deltas import Delta
from triplane.entities import EMPTY, Job, Run, RunDetail, Task, TaskKey, evolve
from triplane.taskgraph import Neighbours
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


class Drawn:
    """A graph as it is drawn: edges from one task to another, each `cycle/name`.

    Args:
        over: states in which a task is over.
        planned: whether tasks that are not there yet are told of; families: of these, by name.
    """

    def __init__(
        self,
        *edges: tuple[str, str],
        over: tuple[str, ...] = ("succeeded",),
        planned: bool = True,
        families: Mapping[str, list[str]] = EMPTY,
    ) -> None:
        self.edges = [tuple((*end.split("/"),) for end in edge) for edge in edges]
        self.names = {end for edge in self.edges for end in edge}
        self.over, self.may_plan, self.families = over, planned, families

    def neighbours(self, key: TaskKey) -> Neighbours:
        return Neighbours(
            tuple(source for source, target in self.edges if target == key),
            tuple(target for source, target in self.edges if source == key),
        )

    def planned(self, key: TaskKey) -> Task | None:
        detail = {"families": self.families.get(key[1], [])}
        return task(*key, flow_nums="[]", detail=detail) if self.may_plan and key in self.names else None

    def is_over(self, one: Task) -> bool:
        return one.state in self.over


def store_of(
    *tasks: Task, jobs: tuple[Job, ...] = (), run: Run = RUN, detail: RunDetail = DETAIL, graph: Drawn | None = None
) -> FaceStore:
    return FaceStore(IDENTITY, run, detail, tasks, jobs, Ticks(), graph)


__all__ = ["DETAIL", "Drawn", "IDENTITY", "RUN", "Ticks", "delta", "evolve", "job", "store_of", "task"]

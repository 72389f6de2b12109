"""Steps of a fast simulation are shown in portions, which lead to the same picture as each of them alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triplane.deltas import Delta
from triplane.entities import Job, Run, RunDetail, Task
from triplane.events import Event
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.faces.putoff import Backlog, may_wait, next_wait

RUN = Run("default", "ore", "r1", 1, "simulation", "material_flow", "", "running", created=1.0, updated=1.0)
IDENTITY = FaceIdentity("me", "ore", "localhost", 1, 2, "/x")
KEPT = 10


def stepped(number: int, names: tuple[str, ...] = ("StepCompleted",), **more: object) -> Delta:
    """What a simulation's engine makes of a step: it has ended, the next has begun, and an old one is gone."""
    time = 1.0 + number
    tasks = (Task(str(number), "step", number, "succeeded", time), Task(str(number + 1), "step", number + 1, "running", time))
    jobs = tuple(
        Job(task.cycle, task.name, 1, task.seq, state, platform="simulation", submitted=1.0, started=1.0)
        for task, state in zip(tasks, ("succeeded", "running"), strict=True)
    )
    events = tuple(Event(number + place, 1.0, name, "core", "system", {}) for place, name in enumerate(names))
    pruned = ((str(number - KEPT), "step"),) if number > KEPT else ()
    return Delta(number, time, RUN, tasks=tasks, jobs=jobs, pruned=pruned, events=events, **more)


def store() -> FaceStore:
    return FaceStore(IDENTITY, RUN, RunDetail(), (), (), lambda: 100.0)


def backlogged(deltas: list[Delta]) -> Backlog:
    backlog = Backlog()
    for delta in deltas:
        backlog.add(delta)
    return backlog


def picture(shown: FaceStore) -> tuple[object, ...]:
    rows = (shown.tasks, shown.task_proxies, shown.family_proxies, shown.jobs)
    return tuple({key: element.state if hasattr(element, "state") else None for key, element in sorted(part.items())} for part in rows)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_portions_of_any_size_lead_to_the_same_picture(sizes, portion_size):
    whole, portioned = store(), store()
    number = 1
    for size in sizes:
        deltas = [stepped(each) for each in range(number, number + size)]
        for delta in deltas:
            whole.apply(delta)
        for portion in backlogged(deltas).portions(portion_size):
            portioned.apply(portion)
        number += size
        assert picture(portioned) == picture(whole)


@pytest.mark.parametrize(
    ("delta", "waits"),
    [
        (stepped(3), True),
        (stepped(3, ("RunPaused",)), False),
        (stepped(3, ("StepCompleted", "WorkflowCompleted"), closed=True), False),
        (stepped(3, ("StepCompleted",), detail=RunDetail()), False),
        (stepped(3, ()), False),
    ],
)
def test_only_progress_waits(delta, waits):
    assert may_wait(delta) is waits


def test_what_is_costly_to_show_is_shown_less_often():
    assert [next_wait(took) for took in (0.0, 0.001, 0.01, 5.0)] == pytest.approx([0.05, 0.05, 0.2, 1.0])

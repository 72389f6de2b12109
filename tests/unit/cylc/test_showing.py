"""A face follows its run for those who look, in portions where it is much, and not at all where nobody does."""

import asyncio
from unittest.mock import Mock

import pytest

from triplane.deltas import Delta
from triplane.entities import Job, Run, RunDetail, Task
from triplane.events import Event
from triplane.testing import eventually
from triplane_cylc.datastore import FaceIdentity, FaceStore
from triplane_cylc.faces.putoff import Backlog, may_wait
from triplane_cylc.faces.showing import PORTION, Showing

RUN = Run("default", "w", "r1", 1, "graph", "w", "", "running", created=1.0, updated=1.0)
IDENTITY = FaceIdentity("me", "w", "localhost", 1, 2, "/x")
OWN = (Event(1, 1.0, "JobPrepared", "core", "system", {}),)
ASKED = (Event(1, 1.0, "TasksHeld", "durable", "operator", {}),)


def tasks(count: int, state: str = "waiting") -> tuple[Task, ...]:
    return tuple(Task("1", f"t{number}", number + 1, state, 1.0) for number in range(count))


def delta(cursor: int = 1, events: tuple[Event, ...] = OWN, **changes: object) -> Delta:
    return Delta(cursor, 1.0, RUN, events=events, **changes)


class Watched:
    """A face's showing, and what its subscribers got."""

    def __init__(self, followed: bool) -> None:
        self.followed, self.batches, self.lost = followed, [], Mock()
        self.showing = Showing(lambda batch: self.batches.append(batch) if batch else None, lambda: self.followed, self.lost)
        self.showing.store = FaceStore(IDENTITY, RUN, RunDetail(), (), (), lambda: 100.0)

    def take(self, delta: Delta) -> None:
        self.showing.take(delta)
        self.showing.show()

    @property
    def states(self) -> list[str]:
        return [proxy.state for proxy in self.showing.store.task_proxies.values()]


async def test_nothing_is_shown_while_nobody_looks_and_all_of_it_to_who_asks():
    face = Watched(followed=False)
    for state in ("waiting", "preparing", "running"):
        face.take(delta(events=ASKED, tasks=tasks(3, state)))
    assert face.states == []
    await face.showing.caught_up()
    assert face.states == ["running"] * 3


async def test_what_somebody_asked_for_is_shown_at_once_and_what_came_before_with_it():
    face = Watched(followed=True)
    face.take(delta(1, tasks=tasks(2)))
    assert face.states == []
    face.take(delta(2, ASKED, tasks=tasks(1, "running")))
    assert face.states == ["running", "waiting"]
    assert len(face.batches) == 1


async def test_a_runs_own_progress_is_shown_to_followers_in_a_while():
    face = Watched(followed=True)
    face.take(delta(1, tasks=tasks(2)))
    face.take(delta(2, tasks=tasks(2, "running")))
    await eventually("it is shown", lambda: face.states == ["running"] * 2)
    assert len(face.batches) == 1


async def test_others_have_their_turns_while_much_is_shown():
    face = Watched(followed=True)
    face.take(delta(1, ASKED, tasks=tasks(10 * PORTION)))
    turns = []
    waiting = asyncio.ensure_future(face.showing.caught_up())
    while not waiting.done():
        await asyncio.sleep(0)
        turns.append(len(face.states))
    assert len(face.states) == 10 * PORTION
    assert max(after - before for before, after in zip([0, *turns], turns, strict=False)) <= PORTION


async def test_what_comes_while_much_is_shown_is_shown_after_it():
    face = Watched(followed=True)
    face.take(delta(1, ASKED, tasks=tasks(3 * PORTION)))
    await asyncio.sleep(0)
    face.take(delta(2, ASKED, tasks=tasks(1, "running"), pruned=(("1", "t5"),)))
    await face.showing.caught_up()
    assert face.states[0] == "running"
    assert len(face.states) == 3 * PORTION - 1


async def test_a_change_that_cannot_be_shown_is_told_and_the_later_state_takes_its_place():
    face = Watched(followed=True)
    face.showing.store.absorb = Mock(side_effect=RuntimeError("a bug"))
    face.lost.side_effect = face.showing.forget
    face.take(delta(1, ASKED, tasks=tasks(3 * PORTION)))
    await face.showing.caught_up()
    assert face.lost.call_count == 1


async def test_who_waits_is_not_kept_waiting_by_a_face_that_closes():
    face = Watched(followed=False)
    face.take(delta(1, tasks=tasks(5 * PORTION)))
    waiting = [asyncio.ensure_future(face.showing.caught_up()) for _ in range(3)]
    await asyncio.sleep(0)
    face.showing.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_the_end_is_shown_to_followers_and_to_nobody_else():
    for followed in (False, True):
        face = Watched(followed)
        face.take(delta(1, tasks=tasks(2 * PORTION)))
        await face.showing.finish()
        assert len(face.states) == (2 * PORTION if followed else 0)


@pytest.mark.parametrize("portion", [1, 2, 100])
def test_a_task_that_was_pruned_and_came_back_comes_back_without_its_old_jobs(portion):
    backlog = Backlog()
    old = Job("1", "t0", 1, 1, "failed")
    backlog.add(delta(1, tasks=tasks(2, "failed"), jobs=(old,)))
    backlog.add(delta(2, pruned=(("1", "t0"), ("1", "gone"))))
    backlog.add(delta(3, tasks=tasks(1)))
    portions = list(backlog.portions(portion))
    assert portions[0].pruned == (("1", "t0"),)
    assert portions[0].tasks == ()
    assert portions[-1].pruned == (("1", "gone"),)
    assert {task.key: task.state for one in portions for task in one.tasks} == {("1", "t0"): "waiting", ("1", "t1"): "failed"}
    assert [job for one in portions for job in one.jobs] == []
    assert not backlog


def test_a_changed_definition_is_not_forgotten_behind_later_progress():
    backlog, detail = Backlog(), RunDetail(definition={"title": "new"})
    backlog.add(delta(1, detail=detail))
    backlog.add(delta(2, tasks=tasks(3)))
    assert [one.detail for one in backlog.portions(1)] == [detail, None, None]


@pytest.mark.parametrize(("events", "waits"), [(OWN, True), (ASKED, False), ((*OWN, *ASKED), False), ((), False)])
def test_of_a_graph_only_what_it_does_by_itself_waits(events, waits):
    assert may_wait(delta(events=events)) is waits

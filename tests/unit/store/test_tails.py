"""Small steps wait in the tail of their run, and nobody who reads can tell."""

from pathlib import Path

import apsw
import pytest

from crash.contents import rows_of
from triplane.entities import Job, Rows, Run, RunDetail, Task, evolve
from triplane.errors import CommitFailed
from triplane.store.interface import Slice
from triplane.store.sqlite import open_store
from triplane.store.sqlite.connection import DATABASE_NAME
from triplane.store.sqlite.tails import MAX_STEPS

COLUMNS = (("n", "int"),)
RUN = Run("default", "ore", "r1", 1, "simulation", "counts", "", "running", 1.0, 1.0)


class Stepping:
    """A run that steps, and its store."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.cursor, self.sizes = directory, 1, {"A": 0, "B": 0}
        self.store = open_store(directory)
        self.store.writer.commit([Slice(cursor=1, run=RUN, opened=True, detail=RunDetail())])

    def step(self, a: int = 1, b: int = 2, **changes: object) -> Slice:
        """A slice that adds rows to two tables, each of which says its own number."""
        rows = []
        for table, count in (("A", a), ("B", b)):
            first = self.sizes[table]
            rows.append(Rows(table, COLUMNS, first, tuple((first + n,) for n in range(count))))
            self.sizes[table] += count
        self.cursor += 1
        return Slice(cursor=self.cursor, run=evolve(RUN, cursor=self.cursor), rows=rows, **changes)  # type: ignore[arg-type]

    def commit(self, **changes: object) -> None:
        self.store.writer.commit([self.step(**changes)])  # type: ignore[arg-type]

    def waiting(self) -> int:
        return self.number("SELECT count(*) FROM run_tails")

    def number(self, sql: str) -> int:
        connection = apsw.Connection(str(self.directory / DATABASE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
        found: int = connection.execute(sql).get
        connection.close()
        return found

    def check(self) -> None:
        """Every row is there once, wherever one begins to read."""
        for table, size in self.sizes.items():
            for first in (0, 1, size // 2, size - 1, size):
                assert rows_of(self.store, "r1", table, first, 2_000) == [(n, (n,)) for n in range(first, min(size, first + 2_000))]
        stored = self.store.runs.load("r1")
        assert stored is not None and stored.tables == [(table, COLUMNS, size) for table, size in self.sizes.items()]
        assert self.store.last_cursor() == self.cursor and self.store.check() == []

    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.directory)


@pytest.fixture
def run(tmp_path: Path):
    stepping = Stepping(tmp_path)
    yield stepping
    stepping.store.close()


def test_a_step_is_read_while_it_waits_and_after_the_tail_was_moved(run: Stepping):
    for number in range(MAX_STEPS - 1):
        run.commit(checkpoint=b"%d" % number)
    assert run.waiting() == MAX_STEPS - 1
    run.check()
    run.reopen()
    run.check()
    run.commit()
    assert run.waiting() == 0
    run.check()
    assert run.store.runs.checkpoint("r1") == b"%d" % (MAX_STEPS - 2)


def test_pages_that_a_tail_completes_are_put_together(run: Stepping):
    run.commit(a=990)
    for _ in range(MAX_STEPS):
        run.commit(b=9)
    run.check()
    assert [chunk.row_count for chunk in run.store.tables.chunks("r1", "A", 0, 1_000, 1 << 30)] == [1_000]
    assert [chunk.row_count for chunk in run.store.tables.chunks("r1", "B", 0, 1_000, 1 << 30)] == [1_000]


def test_a_large_step_and_small_ones_after_it_keep_their_order_in_one_group(run: Stepping):
    run.commit(checkpoint=b"first")
    run.store.writer.commit([run.step(), run.step(a=700, checkpoint=b"large" * 1_000), run.step(), run.step(checkpoint=b"last")])
    run.check()
    assert run.store.runs.checkpoint("r1") == b"last"
    run.commit(a=40, checkpoint=b"larger" * 1_000)
    assert run.waiting() == 0 and run.store.runs.checkpoint("r1") == b"larger" * 1_000
    run.check()


def test_a_closed_run_has_no_tail(run: Stepping):
    run.commit()
    run.reopen()
    last = run.step(closed=True)
    last.run = evolve(RUN, cursor=run.cursor, status="completed", closed=2.0)
    run.store.writer.commit([last])
    assert run.waiting() == 0 and run.number("SELECT cursor FROM position") == run.cursor
    run.check()


def test_a_group_that_fails_leaves_the_tail_as_it_was(run: Stepping):
    for _ in range(MAX_STEPS - 1):
        run.commit()
    sizes, cursor = dict(run.sizes), run.cursor
    contradicting = Slice(cursor=cursor + 9, run=evolve(RUN, run_id="r2"))
    with pytest.raises(CommitFailed):
        run.store.writer.commit([run.step(), contradicting])
    run.sizes, run.cursor = sizes, cursor
    run.check()
    run.commit()
    assert run.waiting() == 0
    run.check()


def test_the_position_is_told_from_the_runs_that_step_also_after_they_are_removed(run: Stepping):
    for _ in range(5):
        run.commit()
    assert run.number("SELECT cursor FROM position") < run.cursor == run.store.last_cursor()
    run.reopen()
    run.check()
    run.store.removals.hide(["r1"])
    assert run.store.last_cursor() == run.cursor and run.store.check() == []


def test_more_runs_than_are_kept_ahead_have_the_position_written(run: Stepping):
    many = [evolve(RUN, run_id=f"m{n}", workflow_id=f"many-{n}") for n in range(40)]
    for number, one in enumerate(many, 2):
        run.store.writer.commit([Slice(cursor=number, run=one, opened=True, detail=RunDetail())])
    for number, one in enumerate(many * 2, 50):
        run.store.writer.commit([Slice(cursor=number, run=evolve(one, cursor=number))])
        assert run.store.last_cursor() == number
    run.store.writer.commit([Slice(cursor=200 + n, run=evolve(one, cursor=200 + n)) for n, one in enumerate(many)])
    assert run.store.last_cursor() == 239 and run.store.check() == []


def test_tasks_that_are_all_there_are_replace_those_stored_before(run: Stepping):
    old = [Task(str(n), "step", n, "running", 1.0) for n in (1, 2)]
    run.store.writer.commit([Slice(cursor=2, run=RUN, tasks=old, jobs=[Job("1", "step", 1, 1, "running")])])
    run.store.writer.commit([Slice(cursor=3, run=RUN, tasks=[evolve(old[1], state="succeeded")], replaces_tasks=True)])
    stored = run.store.runs.load("r1")
    assert stored is not None and (stored.tasks, stored.jobs) == ([evolve(old[1], state="succeeded")], [])

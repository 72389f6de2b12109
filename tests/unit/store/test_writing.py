"""What a group of slices leaves behind."""

import threading
from pathlib import Path

import pytest

from crash.contents import rows_of
from triplane.entities import Job, Rows, Run, RunDetail, Task, Timer, Worker, evolve
from triplane.errors import CommitFailed
from triplane.events import Event
from triplane.store.filters import AuditFilter
from triplane.store.interface import AuditRecord, RequestRecord, Slice
from triplane.store.sqlite import SqliteStore, open_store


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def new_run(workflow_id: str = "flow", run_id: str = "r1", number: int = 1, **fields: object) -> Run:
    return Run("default", workflow_id, run_id, number, "durable", "Order", "main", "running", 1.0, 1.0, **fields)  # type: ignore[arg-type]


def opened(run: Run, cursor: int = 1) -> Slice:
    return Slice(cursor=cursor, run=run, opened=True, detail=RunDetail())


def listed(store: SqliteStore, **filters: object) -> list[str]:
    asked = {"engine": None, "workflow_type": None, "statuses": (), "open": None, "text": "", "limit": 50, "after": None, **filters}
    return [run.workflow_id for run, _ in store.runs.page("default", **asked).runs]  # type: ignore[arg-type]


def test_the_last_slice_of_a_group_wins(store: SqliteStore):
    run = new_run()
    store.writer.commit([opened(run), Slice(cursor=2, run=evolve(run, status="waiting")), Slice(cursor=3, run=evolve(run, paused=True))])
    stored = store.runs.load("r1")
    assert stored is not None
    assert (stored.run.status, stored.run.paused, stored.run.cursor) == ("running", True, 3)
    assert store.last_cursor() == 3


def test_a_task_pruned_and_made_anew_in_one_group_is_there_without_its_old_jobs(store: SqliteStore):
    run = new_run()
    old, new = Task("1", "a", 1, "failed", 1.0), Task("1", "a", 2, "waiting", 2.0)
    store.writer.commit([Slice(cursor=1, run=run, opened=True, tasks=[old], jobs=[Job("1", "a", 1, 1, "failed")])])
    store.writer.commit([Slice(cursor=2, run=run, pruned=[old.key]), Slice(cursor=3, run=run, tasks=[new])])
    stored = store.runs.load("r1")
    assert stored is not None and (stored.tasks, stored.jobs) == ([new], [])


def test_a_task_made_and_pruned_in_one_group_is_gone(store: SqliteStore):
    run, task = new_run(), Task("1", "a", 1, "waiting", 1.0)
    store.writer.commit([opened(run), Slice(cursor=2, run=run, tasks=[task]), Slice(cursor=3, run=run, pruned=[task.key])])
    assert store.runs.find_task("r1", "1", "a") is None
    assert store.check() == []


def test_tasks_and_jobs_come_back_in_creation_order_and_timers_by_time(store: SqliteStore):
    tasks = [Task("1", name, seq, "waiting", 1.0) for seq, name in enumerate("zebra", 1)]
    jobs = [Job("1", name, 1, 9 - seq, "running") for seq, name in enumerate("zebr", 1)]
    timers = {"late": Timer("late", 9.0), "soon": Timer("soon", 2.0)}
    store.writer.commit([Slice(cursor=1, run=new_run(), opened=True, tasks=tasks, jobs=jobs, timers=timers)])
    stored = store.runs.load("r1")
    assert stored is not None
    assert stored.tasks == tasks
    assert stored.jobs == jobs[::-1]
    assert [timer.timer_id for timer in stored.timers] == ["soon", "late"]


def test_closing_a_run_takes_its_timers(store: SqliteStore):
    run = new_run()
    store.writer.commit([Slice(cursor=1, run=run, opened=True, timers={"a": Timer("a", 5.0)})])
    closing = Slice(cursor=2, run=evolve(run, status="completed", closed=2.0), closed=True, timers={"b": Timer("b", 6.0)})
    store.writer.commit([closing])
    stored = store.runs.load("r1")
    assert stored is not None and stored.timers == []
    assert store.runs.open_run_ids() == []
    assert store.check() == []


def test_only_the_newest_run_of_a_workflow_is_listed_and_the_chain_holds_all(store: SqliteStore):
    first = new_run()
    store.writer.commit([opened(first)])
    closing = Slice(cursor=2, run=evolve(first, status="completed", closed=2.0), closed=True)
    store.writer.commit([closing, opened(new_run(run_id="r2", number=2), 3)])
    assert listed(store) == ["flow"]
    assert store.runs.current_run_id("default", "flow") == "r2"
    assert [run.run_id for run, _ in store.runs.chain("default", "flow").runs] == ["r1", "r2"]
    assert store.check() == []


def test_pages_follow_each_other_newest_first_and_filters_hold(store: SqliteStore):
    runs = [new_run(f"flow-{n}", f"r{n}") for n in range(10)]
    store.writer.commit([opened(run) for run in runs])
    store.writer.commit([Slice(cursor=2, run=evolve(run, status="failed", closed=3.0), closed=True) for run in runs[:3]])
    seen, after = [], None
    while True:
        page = store.runs.page("default", engine="durable", workflow_type="Order", statuses=(), open=None, text="", limit=4, after=after)
        seen += [run.workflow_id for run, _ in page.runs]
        after = page.next
        if after is None:
            break
    assert seen == [f"flow-{n}" for n in reversed(range(10))]
    assert listed(store, open=False) == ["flow-2", "flow-1", "flow-0"]
    assert len(listed(store, open=True)) == 7
    assert listed(store, statuses=("failed", "completed")) == listed(store, open=False)
    assert listed(store, text="FLOW-7") == ["flow-7"]
    assert listed(store, text="%") == listed(store, engine="graph") == listed(store, workflow_type="Other") == []
    assert listed(store, after="x'; DROP TABLE runs") == []
    assert store.runs.page("other", engine=None, workflow_type=None, statuses=(), open=None, text="", limit=5, after=None).runs == ()


def test_a_group_with_a_slice_that_contradicts_the_store_leaves_nothing(store: SqliteStore):
    run = new_run()
    store.writer.commit([opened(run)])
    event = Event(2, 1.0, "Skipped", "core", "system", {})
    bad = [
        Slice(cursor=3, run=evolve(run, history_length=2), events=[event]),
        Slice(cursor=3, run=evolve(run, history_length=1)),
        Slice(cursor=3, run=new_run(run_id="unknown")),
        opened(new_run(run_id="r9"), 3),
        Slice(cursor=3, events=[event]),
    ]
    for change in bad:
        with pytest.raises(CommitFailed):
            store.writer.commit([opened(new_run("other", "r2"), 2), change])
        assert store.runs.current_run_id("default", "other") is None
    assert store.last_cursor() == 1
    store.writer.commit([Slice(cursor=2, run=evolve(run, history_length=1), events=[Event(1, 1.0, "Fine", "core", "system", {})])])
    assert store.histories.verify("r1") == 1


def test_table_rows_are_read_from_the_middle_across_chunks(store: SqliteStore):
    columns = (("n", "int"), ("text", "str"), ("same", "str"))
    store.writer.commit([Slice(cursor=1, run=new_run(), opened=True, rows=[Rows("Values", columns, 0, ())])])
    first = 0
    for size in (1, 450, 3, 540, 5, 2_001, 1_000):
        rows = tuple((first + i, f"row {first + i}", "s") for i in range(size))
        store.writer.commit([Slice(cursor=2, run=new_run(), rows=[Rows("Values", columns, first, rows)])])
        first += size
    assert store.tables.names("r1") == ["Values"]
    assert store.tables.columns("r1", "Values") == columns
    assert rows_of(store, "r1", "Values", 199, 253) == [(n, (n, f"row {n}", "s")) for n in range(199, 452)]
    assert rows_of(store, "r1", "Values", 990, 2_100) == [(n, (n, f"row {n}", "s")) for n in range(990, 3_090)]
    assert rows_of(store, "r1", "Values", 4_000, 10) == rows_of(store, "r1", "Nothing", 0, 10) == []
    stored = store.runs.load("r1")
    assert stored is not None and stored.tables == [("Values", columns, 4_000)]
    assert [chunk.row_count for chunk in store.tables.chunks("r1", "Values", 0, 5_000, 1 << 30)] == [1_000] * 4


def test_request_ids_are_found_by_all_three_parts_and_forgotten_oldest_first(store: SqliteStore):
    records = [RequestRecord("ann", "default", f"id-{n}", bytes([n]) * 16, "start_run", b"\x01reply", float(n)) for n in range(5)]
    store.writer.commit([Slice(request=record) for record in records])
    assert store.requests.find("ann", "default", "id-3") == records[3]
    assert store.requests.find("bob", "default", "id-3") is store.requests.find("ann", "x", "id-3") is None
    assert store.requests.find("an", "ndefault", "id-3") is None
    assert store.requests.expire(before=4.0, limit=2) == 2
    assert store.requests.expire(before=4.0, limit=10) == 2
    assert [store.requests.find("ann", "default", f"id-{n}") is not None for n in range(5)] == [False] * 4 + [True]


def test_workers_are_replaced_and_removed(store: SqliteStore):
    worker = Worker("default", "w1", "main", 1.0, 1.0, {"slots": 3})
    later = Worker("default", "w1", "main", 1.0, 9.0, {"slots": 5})
    store.writer.commit([Slice(workers=[worker]), Slice(workers=[later, Worker("default", "w2", "q", 2.0, 2.0, {})])])
    store.writer.commit([Slice(removed_workers=[("default", "w2")])])
    assert store.workers.all() == [later]


def test_the_audit_log_is_read_newest_first_and_by_workflow(store: SqliteStore):
    def record(n: int, workflow_id: str) -> AuditRecord:
        return AuditRecord(float(n), "durable", "peer", "ann", "default", "start_run", workflow_id, "", f"id-{n}", "accepted", {"n": n})

    store.writer.commit([Slice(audit=[record(n, f"flow-{n % 2}")]) for n in range(6)])
    assert [line["summary"]["n"] for line in store.audit.read(AuditFilter(), 3)] == [5, 4, 3]
    assert [line["time"] for line in store.audit.read(AuditFilter("default", "flow-0"), 10)] == [4.0, 2.0, 0.0]
    assert store.audit.read(AuditFilter("other"), 10) == []


def test_readers_on_other_threads_see_the_last_commit_while_the_writer_works(store: SqliteStore):
    run = new_run()
    store.writer.commit([opened(run)])
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            stored = store.runs.load("r1")
            assert stored is not None
            assert len(store.histories.read("r1", 0, 10_000)) >= stored.run.history_length
            seen.append(stored.run.history_length)

    reader = threading.Thread(target=read)
    reader.start()
    for seq in range(1, 301):
        run = evolve(run, history_length=seq)
        store.writer.commit([Slice(cursor=seq + 1, run=run, events=[Event(seq, 1.0, "Stepped", "core", "system", {})])])
    stop.set()
    reader.join(30)
    assert not reader.is_alive()
    assert seen == sorted(seen) and seen

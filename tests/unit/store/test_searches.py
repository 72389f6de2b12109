"""How searches are carried out: which index, how much work, and what they leave in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from triplane.engines.base import RunState
from triplane.entities import Run, RunDetail, SearchAttribute, evolve
from triplane.starts import Starter
from triplane.store.interface import RunFilter, Slice
from triplane.store.sqlite import SqliteStore, open_store
from triplane.store.sqlite.searches import statement
from triplane.visibility.language import read_search

BAD = ("failed", "cancelled", "terminated")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def slice_of(number: int, workflow_id: str | None = None, run_number: int = 1, status: str = "completed", **detail: object) -> Slice:
    closed = None if status == "running" else number + 1.0
    run = Run(
        "default", workflow_id or f"w{number}", f"r{number}", run_number, "durable", f"T{number % 50}", "q", status,
        float(number), 1.0, closed=closed,
    )  # fmt: skip
    return Slice(cursor=number + 1, run=run, opened=True, detail=RunDetail(**detail), indexed=bool(detail))  # type: ignore[arg-type]


def fill(store: SqliteStore, count: int) -> None:
    for start in range(0, count, 5_000):
        slices = [
            slice_of(
                number, status="failed" if number % 40 == 7 else "completed",
                **({"search_attributes": {"Tier": f"t{number % 8}", "Customer": f"c{number}"}} if number % 4 == 0 else {}),
            )
            for number in range(start, min(start + 5_000, count))
        ]  # fmt: skip
        store.writer.commit(slices)


def wanted(query: str = "", **fields: object) -> RunFilter:
    return RunFilter("default", read_search(query, {}), **fields)  # type: ignore[arg-type]


def found(store: SqliteStore, query: str) -> list[str]:
    return [run.workflow_id for run, _ in store.runs.find(wanted(query), 50).runs]


@pytest.mark.parametrize(
    ("query", "fields", "index"),
    [
        ("", {}, "runs_listed"),
        ("anything", {}, "runs_listed"),
        ("", {"workflow_type": "T1"}, "runs_listed"),
        ("NOT Tier = 't1'", {}, "runs_listed"),
        ("", {"statuses": BAD}, "runs_ended_badly"),
        ("Status IN ('failed') AND StartTime > '2026-01-01'", {}, "runs_ended_badly"),
        ("ExecutionStatus = 'Running'", {}, "runs_open"),
        ("", {"statuses": ("pending", "running", "waiting")}, "runs_open"),
        ("Tier = 't1' AND Status = 'failed'", {}, "run_attributes"),
        ("BusinessKey = 'k'", {}, "run_attributes"),
        ("WorkflowId = 'w1' AND Tier = 't1'", {}, "runs_of_workflow"),
        ("RunId = 'r1'", {}, "run_id=?"),
    ],
)
def test_candidates_come_from_the_index_that_has_the_fewest(store: SqliteStore, query: str, fields: dict, index: str):
    sql = statement(wanted(query, **fields))
    reader = store.runs._readers.get()
    plan = [row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {sql.keys}", sql.keys_with)]
    assert index in plan[0] and plan[0].startswith("SEARCH"), plan
    # One workflow's runs are few; all others come sorted, and the search stops when the page is full.
    assert len(plan) == 1 or index in ("runs_of_workflow", "run_id=?"), plan


def work(store: SqliteStore, query: RunFilter) -> int:
    """Instructions, in tens, that SQLite carries out for a page of 50."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    reader = store.runs._readers.get()
    reader.set_progress_handler(count, 10)
    store.runs.find(query, 50)
    reader.set_progress_handler(None)
    return steps


FIRST_PAGES = {
    "all": wanted(),
    "attribute": wanted("Tier = 't0'"),
    "failed": wanted(statuses=BAD),
    "customer": wanted("Customer = 'c400'"),
    "none of that type": wanted(workflow_type="nothing"),
    "text": wanted("no such text anywhere"),
}


def assert_work_stays(store: SqliteStore, count: int) -> None:
    fill(store, 4_000)
    small = {name: work(store, query) for name, query in FIRST_PAGES.items()}
    for start in range(4_000, count, 100_000):
        more = range(start, min(start + 100_000, count))
        for begin in range(more.start, more.stop, 5_000):
            store.writer.commit([
                slice_of(n, status="failed" if n % 40 == 7 else "completed", search_attributes={"Tier": f"t{n % 8}"})
                for n in range(begin, min(begin + 5_000, more.stop))
            ])  # fmt: skip
    large = {name: work(store, query) for name, query in FIRST_PAGES.items()}
    assert all(large[name] <= small[name] * 1.5 + 50 for name in FIRST_PAGES), (small, large)


def test_the_first_page_takes_as_much_work_among_many_runs_as_among_few(store: SqliteStore):
    assert_work_stays(store, 30_000)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_first_page_takes_as_much_work_among_half_a_million_runs(store: SqliteStore):
    assert_work_stays(store, 500_000)


def test_pages_are_stable_while_runs_start(store: SqliteStore):
    fill(store, 10)
    first = store.runs.find(wanted(), 4)
    store.writer.commit([slice_of(10)])
    second = store.runs.find(wanted(after=first.next), 4)
    assert [run.workflow_id for run, _ in (*first.runs, *second.runs)] == [f"w{n}" for n in range(9, 1, -1)]


def test_a_run_without_attributes_leaves_no_rows_and_its_values_are_replaced_as_a_whole(store: SqliteStore):
    plain, rich = slice_of(0), slice_of(1, search_attributes={"Tier": "gold", "Tags": ["a", "b", "a"], "Due": "2026-01-31T06:00:00Z"})
    store.writer.commit([plain, rich])
    rows = "SELECT run, name, form, value FROM run_attributes ORDER BY run, name, form, value"
    assert list(store.runs._readers.get().execute(rows)) == [
        (2, "Due", "moment", 1_769_839_200_000_000), (2, "Due", "text", "2026-01-31T06:00:00Z"),
        (2, "Tags", "text", "a"), (2, "Tags", "text", "b"), (2, "Tier", "text", "gold"),
    ]  # fmt: skip
    assert rich.run is not None
    changed = Slice(cursor=3, run=rich.run, detail=RunDetail(search_attributes={"Tier": "tin"}), indexed=True)
    store.writer.commit([changed, Slice(cursor=4, run=evolve(rich.run, paused=True), detail=changed.detail)])
    assert list(store.runs._readers.get().execute(rows)) == [(2, "Tier", "text", "tin")]


def test_a_child_is_found_by_its_parent_and_a_removed_run_by_nothing(store: SqliteStore):
    store.writer.commit([slice_of(0, "child", parent={"namespace": "default", "workflow_id": "mother", "run_id": "m"}), slice_of(1)])
    assert found(store, "ParentWorkflowId = 'mother'") == ["child"] == found(store, "ParentWorkflowId IS NOT NULL")
    store.removals.hide(["r0"])
    assert (found(store, "ParentWorkflowId = 'mother'"), store.check()) == ([], [])
    while store.removals.sweep(10):
        pass
    assert store.runs._readers.get().execute("SELECT count(*) FROM run_attributes").get == 0


def test_only_a_workflow_s_newest_run_is_found(store: SqliteStore):
    store.writer.commit([slice_of(0, "flow", search_attributes={"Tier": "gold"})])
    assert found(store, "Tier = 'gold'") == ["flow"]
    store.writer.commit([slice_of(1, "flow", 2, search_attributes={"Tier": "tin"})])
    assert (found(store, "Tier = 'gold'"), found(store, "Tier = 'tin'"), found(store, "")) == ([], ["flow"], ["flow"])
    assert store.runs._readers.get().execute("SELECT count(*) FROM run_attributes").get == 1


def test_values_that_no_column_can_hold_do_no_harm(store: SqliteStore):
    odd = {"Huge": 2**70, "Wide": 10**400, "Nan": float("nan"), "Half": "\ud800", "Deep": {"a": [1]}, "None": None, "Kept": 1}
    store.writer.commit([slice_of(0, search_attributes=odd)])
    assert found(store, "Kept = 1") == ["w0"] == found(store, "Huge > 1e20")
    assert found(store, "Nan IS NULL AND Half IS NULL AND Deep IS NULL AND Wide IS NULL") == ["w0"]


def test_definitions_outlive_a_restart(tmp_path: Path):
    first = open_store(tmp_path / "data")
    made = (SearchAttribute("default", "Tier", "keyword", 1.0), SearchAttribute("default", "Old", "int", 2.0))
    first.writer.commit([Slice(attributes=made)])
    first.writer.commit([Slice(removed_attributes=(("default", "Old"),))])
    first.close()
    second = open_store(tmp_path / "data")
    assert second.attributes.all() == [SearchAttribute("default", "Tier", "keyword", 1.0)]
    second.close()


def test_the_run_after_an_archived_one_is_not_archived():
    run = slice_of(0).run
    assert run is not None
    old = RunState(run, RunDetail(options={"archived": 5.0, "archive_reason": "old", "business_key": "k"}))
    assert Starter({}).next_state(old, 9.0).detail.options == {"business_key": "k"}

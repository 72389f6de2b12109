"""What is timed of stores and restarts is what the results say it is."""

from pathlib import Path

import pytest

from bench.http_posts import QUERY, START, Post
from bench.restart import Found, bare_load, rows, verdict
from bench.store_commits import BareStore
from bench.stored_runs import EVENTS, TOGETHER, Commands, fill, in_groups
from triplane.store.filters import AuditFilter
from triplane.store.sqlite import open_store

WHOLE = ["WorkflowStarted", "ActivityScheduled", "ActivityCompleted", "WorkflowCompleted"]


def test_filled_runs_are_closed_whole_and_those_kept_are_spread_over_all(tmp_path: Path) -> None:
    kept = fill(tmp_path / "data", 100, kept=10)
    assert [run.workflow_id for run in kept] == [f"old-{number}" for number in range(0, 100, 10)]
    store = open_store(tmp_path / "data", readonly=True)
    try:
        assert store.runs.open_run_ids() == []
        assert [store.histories.verify(run.run_id) for run in kept] == [EVENTS] * 10
    finally:
        store.close()


def test_every_command_that_is_counted_is_stored(tmp_path: Path) -> None:
    runs = fill(tmp_path / "data", 20, kept=20)
    store = open_store(tmp_path / "data")
    try:
        sample = Commands(store, runs, 300).measure(0.01)
        lengths = [store.histories.verify(run.run_id) for run in runs]
        audited = len(store.audit.read(AuditFilter(scan=100_000), 10_000))
    finally:
        store.close()
    stored = sum(lengths) - EVENTS * len(runs)
    assert stored == audited > 0 and stored % TOGETHER == 0
    assert sample.rate > 0


def test_the_bare_store_stores_an_event_for_every_command_it_counts(tmp_path: Path) -> None:
    bare = BareStore(tmp_path / "bare.db")
    bare.measure(0.01)
    (events,) = bare.database.execute("select count(*) from event").fetchone()
    bare.database.close()
    assert events == bare.seq > 0 and events % TOGETHER == 0


def test_a_sample_of_groups_counts_their_commands() -> None:
    sample = in_groups([0.1, 0.3], 0.5, 0.128)
    assert (sample.rate, sample.p50_ms, sample.cpu_us) == (4 * TOGETHER, 300.0, pytest.approx(1_000.0))


def test_the_bare_load_reads_a_store_of_today_and_only_its_open_runs(tmp_path: Path) -> None:
    fill(tmp_path / "data", 10)
    took, found = bare_load(tmp_path / "data")
    assert took > 0 and found == 0


VERDICTS = [
    (1, WHOLE, True, True, (0, 0)),
    (1, WHOLE[:2], False, False, (0, 0)),
    (1, WHOLE[:2], True, False, (1, 0)),
    (1, [], True, True, (3, 0)),
    (1, [*WHOLE[:3], "ActivityCompleted"], True, False, (0, 1)),
    (2, WHOLE, True, True, (0, 1)),
]


@pytest.mark.parametrize(("runs", "events", "activity", "completed", "expected"), VERDICTS)
def test_what_was_acknowledged_and_is_not_there_is_lost_and_what_is_there_again_is_double(
    runs: int, events: list[str], activity: bool, completed: bool, expected: tuple[int, int]
) -> None:
    assert verdict(runs, events, activity, completed) == expected


def test_a_restart_is_held_against_three_bare_loads_and_the_start_of_a_process() -> None:
    found = Found(accepted_s=[0.9, 1.2, 0.8], bare_s=[0.2, 0.1, 0.15], acknowledged=50, lost=["w"])
    time, lost, twice = rows(found, 10)
    assert (time.found, time.goal, time.reached) == ("0.90 s", "≤ 0.95 s", True)
    assert (lost.found, lost.reached, twice.found, twice.reached) == ("1", False, "0", True)
    assert rows(Found([1.0], [0.1]), 10)[0].reached is False


@pytest.mark.parametrize("post", [START, QUERY])
def test_a_request_says_how_long_its_body_is_and_holds_its_own_id(post: Post) -> None:
    head, _, body = post.request(b"one-of-many").partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head and b"one-of-many" in body
    assert 450 <= len(body) <= 550

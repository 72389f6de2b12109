"""Removing runs and namespaces, with the power gone at every write: a run is there whole or gone, and the rest goes later."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crash.contents import contents
from crash.slices import START, Script
from crash.vfs import LOST, SHUFFLED, WHOLE, FaultyVFS, Trace, write_image
from triplane.entities import Namespace, Run, RunDetail, Worker
from triplane.events import Event
from triplane.store.interface import Slice
from triplane.store.sqlite import SqliteStore, open_store

COMMITS = 40
"""Of the script: enough for a few closed runs with everything that a run can have."""


def fill(store: SqliteStore) -> list[str]:
    """Runs of the script, and a namespace `going` with two runs and a worker; returns the ids of closed runs in `default`."""
    for change in Script().slices(COMMITS):
        store.writer.commit([change])
    for number in range(2):
        run = Run("going", f"w-{number}", f"{number:031x}f", 1, "durable", "T", "q", "running", START, START, history_length=1)
        event = Event(1, START, "RunStarted", "durable", "local", {})
        opened = Slice(cursor=1_000 + number, run=run, opened=True, detail=RunDetail(input=number), events=[event])
        store.writer.commit([opened])
    worker = Worker("going", "w", "q", START, START, {})
    store.writer.commit([Slice(workers=[worker], namespaces=[Namespace("going", is_going=True)])])
    return store.removals.expired("default", START + 10_000, 100)


def finish(store: SqliteStore, run_ids: list[str]) -> None:
    """Remove all there is to remove, as after a restart."""
    while run_ids:
        store.removals.hide(run_ids[:3])
        run_ids = run_ids[3:]
    while store.removals.sweep(7):
        pass
    while hidden := store.removals.run_ids("going", 1):
        store.removals.hide(hidden)
        while store.removals.sweep(7):
            pass
    last: int | None = 0
    while last is not None:
        last = store.removals.forget_requests("going", last)
    while store.removals.forget_namespace("going", 1):
        pass


def rows(store: SqliteStore) -> dict[str, int]:
    """How many rows each table has."""
    connection = store.removals._readers.get()
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").get for name in tables}


def only(found: dict[str, Any], run_ids: set[str]) -> dict[str, Any]:
    """The contents without some runs and without what belongs to `going`."""
    return {
        **found,
        "runs": {run_id: run for run_id, run in found["runs"].items() if run_id not in run_ids and run["stored"].run.namespace != "going"},
        "open": [run_id for run_id in found["open"] if not run_id.endswith("f")],
        "workers": [worker for worker in found["workers"] if worker.namespace != "going"],
        "namespaces": [space for space in found["namespaces"] if space.name != "going"],
    }


@pytest.mark.parametrize("variant", [WHOLE, LOST, SHUFFLED])
def test_a_crash_at_any_write_of_a_removal_leaves_no_half_of_anything(tmp_path: Path, variant: str) -> None:
    before = open_store(tmp_path / "before")
    run_ids = fill(before)
    full = contents(before)
    before.close()
    assert len(run_ids) >= 2
    trace = Trace()
    for file in (tmp_path / "before").iterdir():
        if file.name.startswith("triplane.sqlite"):
            trace.record_file(file.name, file.read_bytes())
    known = len(trace.operations)
    recording = FaultyVFS(trace)
    live = open_store(tmp_path / "before", vfs=recording.name)
    finish(live, list(run_ids))
    kept, left = contents(live), rows(live)
    live.close()
    assert kept == only(full, set(run_ids)), "what was to stay did not, or what was to go is still there"
    assert left["gone_runs"] == 0 and left["runs"] == left["run_details"] == len(kept["runs"])

    unsynced, checked = FaultyVFS(syncs=False), 0
    for length in range(known, len(trace.operations) + 1, 4):
        image = tmp_path / "image"
        write_image(trace.image(length, variant, seed=length), image)
        store = open_store(image, vfs=unsynced.name)
        try:
            # `contents` loads every run that is there and verifies its history: a half removed one would not pass.
            found = contents(store)
            gone = {run_id for run_id in run_ids if run_id not in found["runs"]}
            assert only(found, set(run_ids)) == kept
            assert all(found["runs"][run_id] == full["runs"][run_id] for run_id in set(run_ids) - gone)
            finish(store, list(run_ids))
            assert (contents(store), rows(store)) == (kept, left)
            assert store.check() == []
        finally:
            store.close()
            shutil.rmtree(image)
        checked += 1
    assert checked > 20

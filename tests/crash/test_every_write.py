"""The store comes back to a commit that holds everything acknowledged, wherever the power went."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crash.contents import contents
from crash.slices import Script
from crash.vfs import LOST, VARIANTS, FaultyVFS, Trace, write_image
from triplane.store.sqlite import open_store, tables, writer

COMMITS = 30


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few commits copy the log into the file several times."""
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 60)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few rows complete pages of a table, whose chunks are then put together."""
    monkeypatch.setattr(tables, "TABLE_PAGE_ROWS", 4)


def record(directory: Path) -> tuple[Trace, list[dict[str, Any]]]:
    """Run the script; the mark of number n stands where commit n was acknowledged, `states[n]` is what it left."""
    trace = Trace()
    vfs = FaultyVFS(trace)
    store = open_store(directory, vfs=vfs.name)
    trace.mark(0)
    states = [contents(store)]
    for number, change in enumerate(Script().slices(COMMITS), 1):
        store.writer.commit([change])
        trace.mark(number)
        states.append(contents(store))
    together = [chunk.row_count for run_id in states[-1]["runs"] for chunk in store.tables.chunks(run_id, "Values", 0, 99, 1 << 20)]
    assert tables.TABLE_PAGE_ROWS in together, "no page was completed, so that was not tested"
    store.close()
    return trace, states


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_crash_at_any_write_or_sync_loses_nothing_acknowledged(tmp_path: Path, variant: str):
    trace, states = record(tmp_path / "live")
    unsynced = FaultyVFS(syncs=False)
    acknowledged, checked = -1, 0
    for length, operation in enumerate(trace.operations, 1):
        if operation.kind == "mark":
            acknowledged = operation.at
            continue
        if variant == LOST and operation.kind == "write":
            continue  # lost again: the disk is as it was behind the operation before
        image = tmp_path / "image"
        write_image(trace.image(length, variant, seed=length), image)
        store = open_store(image, vfs=unsynced.name)
        try:
            found = contents(store)
            if acknowledged >= 0:
                assert found in states[acknowledged : acknowledged + 2], f"behind operation {length}, {operation.kind} {operation.path}"
            assert store.check() == []
        finally:
            store.close()
            shutil.rmtree(image)
        checked += 1
    assert acknowledged == COMMITS
    assert checked > (COMMITS if variant == LOST else 5 * COMMITS)
    kinds = {operation.kind for operation in trace.operations if operation.path == "triplane.sqlite"}
    assert {"write", "sync"} <= kinds, "the log was never copied into the file, so that was not tested"


def test_a_store_that_synced_nothing_would_be_caught(tmp_path: Path):
    trace, states = record(tmp_path / "live")
    trace.operations = [operation for operation in trace.operations if operation.kind != "sync"]
    write_image(trace.image(len(trace.operations), "lost"), tmp_path / "image")
    store = open_store(tmp_path / "image")
    assert contents(store)["runs"] == {} != states[-1]["runs"]
    store.close()

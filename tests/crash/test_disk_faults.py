"""A full disk is an answer and passes; a failed sync ends all trust."""

from pathlib import Path

import apsw
import pytest

from crash.contents import contents
from crash.slices import Script
from crash.vfs import DiskFull, FailingSync, FaultyVFS, FullAfter
from triplane.errors import CommitFailed, StorageFull
from triplane.store.interface import StoreBroken
from triplane.store.sqlite import open_store, writer


def test_a_full_disk_refuses_commits_reads_go_on_and_room_brings_it_back(tmp_path: Path):
    disk = DiskFull()
    store = open_store(tmp_path, vfs=(vfs := FaultyVFS(before=disk)).name)
    slices = list(Script().slices(30))
    store.writer.commit(slices[:10])
    before = contents(store)
    disk.full = True
    for _ in range(3):
        with pytest.raises(StorageFull):
            store.writer.commit(slices[10:20])
        assert contents(store) == before
    disk.full = False
    store.writer.commit(slices[10:20])
    store.writer.commit(slices[20:])
    after = contents(store)
    assert len(after["audit"]) == 30
    assert store.check() == []
    store.close()
    store = open_store(tmp_path, vfs=vfs.name)
    assert contents(store) == after
    store.close()


@pytest.mark.parametrize("pages", [1_000_000, 1])
def test_a_disk_that_fills_at_any_write_of_a_commit_leaves_the_commit_before(tmp_path: Path, pages: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", pages)
    space = FullAfter(1_000_000)
    store = open_store(tmp_path, vfs=(vfs := FaultyVFS(before=space)).name)
    slices = list(Script().slices(12))
    store.writer.commit(slices[:10])
    before = contents(store)
    refused = 0
    for writes in range(1_000):
        space.writes = writes
        try:
            store.writer.commit(slices[10:])
            break
        except StorageFull:
            refused += 1
            assert contents(store) == before
    space.writes = 1_000_000
    assert refused > 5
    after = contents(store)
    assert len(after["audit"]) == 12
    store.close()
    store = open_store(tmp_path, vfs=vfs.name)
    assert contents(store) == after
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("suffix", ["-wal", ".sqlite"])
def test_a_failed_sync_breaks_the_store_for_good_and_is_never_tried_again(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)
    sync = FailingSync(suffix)
    store = open_store(tmp_path, vfs=(vfs := FaultyVFS(before=sync)).name)
    slices = list(Script().slices(12))
    store.writer.commit(slices[:10])
    sync.failing = True
    with pytest.raises(StoreBroken):
        store.writer.commit(slices[10:11])
    sync.failing = False
    with pytest.raises(StoreBroken):
        store.writer.commit(slices[11:])
    sync.failing = True
    store.close()
    assert sync.tries == 1
    sync.failing = False
    store = open_store(tmp_path, vfs=vfs.name)
    assert len(contents(store)["audit"]) in (10, 11)
    assert store.check() == []
    store.close()


def test_a_write_error_breaks_the_store(tmp_path: Path):
    failing = False

    def before(operation: object) -> None:
        if failing:
            raise apsw.IOError("the disk is gone")

    vfs = FaultyVFS(before=before)
    store = open_store(tmp_path, vfs=vfs.name)
    failing = True
    for _ in range(2):
        with pytest.raises(StoreBroken, match="disk is gone"):
            store.writer.commit(list(Script().slices(1)))
    failing = False
    store.close()


def test_a_value_that_cannot_be_stored_fails_its_group_and_nothing_else(tmp_path: Path):
    store = open_store(tmp_path)
    slices = list(Script().slices(6))
    store.writer.commit(slices[:4])
    before = contents(store)
    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    bad = list(Script().slices(5))[4]
    bad.checkpoint = None
    bad.timers = {"deep": type(next(iter(t for t in bad.timers.values() if t)))("deep", 1.0, {"x": nested})}
    with pytest.raises(CommitFailed):
        store.writer.commit([bad])
    assert contents(store) == before
    store.writer.commit(slices[4:])
    assert len(contents(store)["audit"]) == 6
    store.close()


def test_a_full_disk_refuses_removals_and_a_failed_sync_of_one_breaks_the_store(tmp_path: Path):
    disk, sync = DiskFull(), FailingSync("-wal")

    def before(operation: object) -> None:
        disk(operation)  # type: ignore[arg-type]
        sync(operation)  # type: ignore[arg-type]

    store = open_store(tmp_path, vfs=(vfs := FaultyVFS(before=before)).name)
    for change in Script().slices(40):
        store.writer.commit([change])
    run_ids, full = store.removals.expired("default", 1e11, 10), contents(store)
    disk.full = True
    for removal in (lambda: store.removals.hide(run_ids), lambda: store.requests.expire(1e11, 10)):
        with pytest.raises(StorageFull):
            removal()
        assert contents(store) == full
    disk.full = False
    assert store.removals.hide(run_ids[:1]) == 1
    sync.failing = True
    with pytest.raises(StoreBroken):
        store.removals.hide(run_ids[1:])
    sync.failing = False
    for write in (lambda: store.writer.commit(list(Script().slices(1))), lambda: store.removals.sweep(10)):
        with pytest.raises(StoreBroken):
            write()
    store.close()
    store = open_store(tmp_path, vfs=vfs.name)
    assert store.check() == [] and run_ids[0] not in contents(store)["runs"]
    store.close()

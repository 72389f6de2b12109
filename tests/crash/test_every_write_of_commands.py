"""A crash at every write and sync of fifty commands through the real core."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crash.commands import CrashHouse, script, work, work_off
from crash.contents import contents
from crash.vfs import LOST, VARIANTS, FaultyVFS, Trace, write_image
from triplane.commands import StopRun
from triplane.store.sqlite import SqliteStore, open_store, writer

SEND_AGAIN_AT_EVERY = 25
"""Behind how many operations a gateway is started on the image and sent everything again."""


class Recording:
    """One run of the script: what the disk was told, what each commit left, and what was acknowledged before which operation."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.states: list[dict[str, Any]] = []
        self.acknowledged: list[tuple[int, str]] = []

    def committed(self, store: SqliteStore) -> None:
        self.trace.mark(len(self.states))
        self.states.append(contents(store))

    def acknowledge(self, request_id: str) -> None:
        self.acknowledged.append((len(self.trace.operations), request_id))

    def promised(self, length: int) -> set[str]:
        """Request ids that had their answer before operation `length`."""
        return {request_id for at, request_id in self.acknowledged if at <= length}


async def record(directory: Path) -> Recording:
    recording = Recording()
    house = await CrashHouse(directory, FaultyVFS(recording.trace), recording.committed).open()
    recording.committed(house.store)
    connection, commands = house.connect(), script()

    async def send(command: Any) -> None:
        await connection.dispatch(command)
        recording.acknowledge(command.request_id)

    for command in commands[:20]:
        await send(command)
    await work(connection)
    # The rest in bursts, so that groups of several commands are cut through too.
    for start in range(20, len(commands), 5):
        await asyncio.gather(*(send(command) for command in commands[start : start + 5]))
    await house.close()
    assert len(recording.acknowledged) == len(commands) >= 50
    return recording


def request_ids(found: dict[str, Any]) -> list[str]:
    """The accepted commands in the audit log, oldest first."""
    return [line["request_id"] for line in reversed(found["audit"]) if line["request_id"]]


def effects(found: dict[str, Any]) -> Counter[str]:
    """How often each signal is in the histories, or waits to be."""
    counted: Counter[str] = Counter()
    for run in found["runs"].values():
        told = [(event.name, event.data) for event in run["history"]]
        told += [tuple(timer.data["waiting"][:2]) for timer in run["stored"].timers if "waiting" in timer.data]
        for name, data in told:
            if name in ("SignalReceived", "Added"):
                said = data["arguments" if name == "SignalReceived" else "with"]
                counted[f"{run['stored'].run.workflow_id} {said}"] += 1
    return counted


@pytest.mark.parametrize("variant", VARIANTS)
async def test_recovery_gives_a_prefix_with_everything_acknowledged(
    tmp_path: Path, variant: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 60)
    recording = await record(tmp_path / "live")
    unsynced = FaultyVFS(syncs=False)
    everything = request_ids(recording.states[-1])
    commits, checked, again = -1, 0, 0
    for length, operation in enumerate(recording.trace.operations, 1):
        if operation.kind == "mark":
            commits = operation.at
            continue
        if variant == LOST and operation.kind == "write":
            continue  # lost again: the disk is as it was behind the operation before
        image = tmp_path / "image"
        write_image(recording.trace.image(length, variant, seed=length), image)
        store = open_store(image, vfs=unsynced.name)
        found = contents(store)
        findings = store.check()
        store.close()
        assert findings == []
        if commits >= 0:
            assert found in recording.states[commits : commits + 2], f"behind {length}: {operation.kind} {operation.path}"
        applied = request_ids(found)
        assert applied == everything[: len(applied)]
        assert recording.promised(length) <= set(applied)
        if checked % (2 if variant == LOST else SEND_AGAIN_AT_EVERY) == 0:
            await send_everything_again(image, recording, unsynced)
            again += 1
        shutil.rmtree(image)
        checked += 1
    assert checked > (50 if variant == LOST else 300) and again > 10


async def send_everything_again(directory: Path, recording: Recording, vfs: FaultyVFS) -> None:
    """A client that lost its answers repeats itself; the runs end up as if nothing had happened."""
    house = await CrashHouse(directory, vfs).open()
    connection = house.connect()
    for command in script():
        if isinstance(command, StopRun):
            await work_off(connection)
        await connection.dispatch(command)
    await work_off(connection)
    found = contents(house.store)
    await house.close()
    assert sorted(request_ids(found)) == sorted(request_ids(recording.states[-1]))
    assert effects(found) == effects(recording.states[-1])
    assert max(effects(found).values()) == 1


async def test_a_gateway_that_answers_before_the_sync_would_be_caught(tmp_path: Path):
    recording = await record(tmp_path / "live")
    operations = recording.trace.operations
    half = next(n for n, operation in enumerate(operations) if operation.kind == "mark" and operation.at == 30)
    recording.trace.operations = operations[:half] + [operation for operation in operations[half:] if operation.kind != "sync"]
    write_image(recording.trace.image(len(recording.trace.operations), LOST), tmp_path / "image")
    store = open_store(tmp_path / "image")
    applied = set(request_ids(contents(store)))
    store.close()
    assert applied and not recording.promised(len(operations)) <= applied

"""Group commit: what shares a group, and which thread commits it."""

import asyncio
import threading
import time
from collections.abc import Sequence

from triplane.committer import MOST_TURNS, PROBE_EVERY, Committer, Pending
from triplane.store.interface import Slice


class Disk:
    """A writer that takes `commit_s` for each group and notes its size and thread."""

    def __init__(self, commit_s: float = 0.0) -> None:
        self.commit_s = commit_s
        self.groups: list[tuple[int, bool]] = []

    def commit(self, group: Sequence[Slice]) -> None:
        time.sleep(self.commit_s)
        self.groups.append((len(group), threading.current_thread() is threading.main_thread()))


def committer_of(disk: Disk) -> Committer:
    def committed(group: Sequence[Pending]) -> None:
        for pending in group:
            if pending.future is not None:
                pending.future.set_result(None)

    return Committer(disk, committed, lambda group, error: None, lambda error: None)


def submit(committer: Committer) -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    committer.submit(Pending(Slice(), future=future))
    return future


async def test_what_arrives_turn_by_turn_shares_a_commit():
    disk = Disk()
    committer = committer_of(disk)
    futures = []
    for _ in range(3):
        futures += [submit(committer), submit(committer)]
        await asyncio.sleep(0)
    await asyncio.gather(*futures)
    committer.close()
    assert disk.groups == [(6, True)]


async def test_a_stream_of_arrivals_does_not_put_the_commit_off():
    disk = Disk()
    committer = committer_of(disk)
    first = submit(committer)
    turns = 0
    while not first.done():
        submit(committer)
        submit(committer)
        turns += 1
        assert turns <= MOST_TURNS + 2
        await asyncio.sleep(0)
    await committer.drain()
    committer.close()


async def test_a_lone_command_is_committed_in_the_next_turn():
    disk = Disk()
    committer = committer_of(disk)
    future = submit(committer)
    await asyncio.sleep(0)
    assert disk.groups == [(1, True)] and future.done()
    committer.close()


async def test_groups_for_a_slow_disk_go_to_the_writer_thread_which_is_questioned_now_and_then():
    disk = Disk(commit_s=0.015)
    committer = committer_of(disk)
    for _ in range(PROBE_EVERY + 3):
        await asyncio.gather(submit(committer), submit(committer))
    committer.close()
    inline = [number for number, (_, in_main) in enumerate(disk.groups) if in_main]
    assert inline[0] == 0 and len(inline) >= 2
    assert inline[-1] - inline[-2] == PROBE_EVERY + 1

"""What the operator is told when commits fail for a while."""

import asyncio

from triplane.committer import Committer, Pending
from triplane.errors import StorageFull
from triplane.store.interface import Slice


class Disk:
    """A writer whose disk is full while `full` is set."""

    full = False

    def commit(self, slices):
        if self.full:
            raise StorageFull("the disk is full")


async def test_a_full_disk_is_logged_once_and_so_is_its_end(caplog):
    loop, disk, outcomes = asyncio.get_running_loop(), Disk(), []

    def settle(group, outcome):
        outcomes.append(outcome)
        for pending in group:
            pending.future.set_result(None)

    committer = Committer(disk, lambda group: settle(group, "kept"), settle, lambda error: None)

    async def commit() -> None:
        pending = Pending(Slice(), future=loop.create_future())
        committer.submit(pending)
        await asyncio.wait_for(pending.future, 5)

    with caplog.at_level("INFO", "triplane"):
        for disk.full in (False, True, True, True, False, False):
            await commit()
    committer.close()
    assert [outcome == "kept" for outcome in outcomes] == [True, False, False, False, True, True]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["commits_refused", "commits_go_on"]

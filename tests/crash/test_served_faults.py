"""A served gateway on a disk that fails: it says so, and acknowledges nothing it could not keep."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from crash.load.serving import ServedGateway
from triplane.store.sqlite import open_store

TESTS = Path(__file__).parent.parent


class FaultyGateway(ServedGateway):
    """A gateway, the request file of its disk, and a client."""

    def __init__(self, directory: Path) -> None:
        self.request = directory / "wanted"
        super().__init__(directory, sys.executable, "-m", "crash.load.faulty_serve", str(self.request), PYTHONPATH=str(TESTS))
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10))

    async def signal(self, name: str) -> tuple[int, Any]:
        return await self.post(self.session, f"/api/workflows/order/signal/{name}", {"input": [], "request_id": name})

    async def describe(self) -> int:
        headers = {"X-Durable-Workflow-Control-Plane-Version": "2"}
        async with self.session.get(f"{self.http}/api/workflows/order", headers=headers) as answer:
            await answer.read()
            return answer.status


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[FaultyGateway]:
    served = FaultyGateway(tmp_path)
    served.start()
    await served.ready()
    body = {"workflow_id": "order", "workflow_type": "Order", "task_queue": "main"}
    status, answer = await served.post(served.session, "/api/workflows", body)
    assert status == 201, answer
    yield served
    await served.session.close()
    served.end()


def signals(gateway: FaultyGateway) -> list[str]:
    """Names of the signals that the run has, told to it or waiting for its first step."""
    store = open_store(gateway.data, readonly=True)
    try:
        run_id = store.runs.current_run_id("default", "order")
        assert run_id is not None and store.check() == []
        told = [(event.name, event.data) for event in store.histories.read(run_id, 0, 1_000)]
        stored = store.runs.load(run_id)
        assert stored is not None
        told += [tuple(timer.data["waiting"][:2]) for timer in stored.timers if "waiting" in timer.data]
        return [data["signal_name"] for name, data in told if name == "SignalReceived"]
    finally:
        store.close()


async def test_a_failed_sync_is_not_acknowledged_and_ends_the_process_with_an_error(gateway: FaultyGateway):
    status, _ = await gateway.signal("before")
    assert status == 202
    gateway.request.write_text("sync")
    try:
        status, answer = await gateway.signal("during")
        assert status >= 500, answer
    except aiohttp.ClientError:
        pass  # it may be gone before it has answered
    assert gateway.process is not None
    code = await asyncio.to_thread(gateway.process.wait, 15)
    assert code not in (0, None), gateway.tail()
    assert "store failed" in gateway.tail()
    gateway.request.unlink()
    gateway.start()
    await gateway.ready()
    status, _ = await gateway.signal("during")
    assert status == 202
    assert await gateway.stop() == 0
    assert set(signals(gateway)) <= {"before", "during"} and "before" in signals(gateway)


async def test_a_full_disk_is_told_reads_go_on_and_room_is_enough_to_go_on(gateway: FaultyGateway):
    status, _ = await gateway.signal("before")
    assert status == 202
    gateway.request.write_text("full")
    for _ in range(3):
        status, answer = await gateway.signal("during")
        assert status >= 500 and "disk" in str(answer), answer
        assert await gateway.describe() == 200
    gateway.request.unlink()
    for name in ("during", "after"):
        status, answer = await gateway.signal(name)
        assert status == 202, answer
    assert await gateway.stop() == 0, gateway.tail()
    assert sorted(signals(gateway)) == ["after", "before", "during"]

"""A real gateway over a real store with the durable engine and matching, in one process, and a clock moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.commands import (
    CompleteActivity,
    CompleteWorkflowTask,
    PollTask,
    RegisterWorker,
    StartRun,
)
from triplane.engines.durable import DurableEngine, DurableSettings
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.payloads import envelope
from triplane.store.sqlite import open_store


class House:
    """A gateway that can be stopped, or lost as in a crash, and opened again on the same data."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory, self.clock = directory, ManualClock()
        self.settings = DurableSettings(**{"handover_s": 0.05, **settings})

    async def open(self) -> "House":
        self.store = open_store(self.directory)
        self.matching = Matching(self.settings)
        self.gateway = Gateway(
            self.store, {"durable": DurableEngine(self.settings)}, [self.matching],
            clock=self.clock, authenticator=Authenticator(), on_broken=lambda error: None,
        )  # fmt: skip
        await self.gateway.start()
        self.connection = self.gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
        return self

    async def close(self) -> None:
        await self.gateway.stop()
        self.store.close()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    def advance(self, seconds: float) -> None:
        """Move the clock and fire what is due."""
        self.clock.advance(seconds)
        self.gateway.bus.timers.tick()

    async def do(self, command: Any) -> Any:
        return await self.connection.dispatch(command)

    async def register(self, worker_id: str = "w1", queue: str = "q", **info: Any) -> Any:
        return await self.do(RegisterWorker(worker_id=worker_id, task_queue=queue, info=info))

    async def start(self, workflow_id: str = "w", queue: str = "q", **options: Any) -> Any:
        return await self.do(
            StartRun(workflow_id=workflow_id, engine="durable", workflow_type="flow", task_queue=queue, input=["bob"], options=options)
        )

    def polling(self, kind: str = "workflow", worker_id: str = "w1", timeout_s: float = 5.0, **fields: Any) -> "asyncio.Future[Any]":
        return self.connection.submit(
            PollTask(kind=kind, worker_id=worker_id, task_queue=fields.pop("queue", "q"), timeout_s=timeout_s, **fields)
        )

    async def poll(self, kind: str = "workflow", worker_id: str = "w1", timeout_s: float = 0.0, **fields: Any) -> Any:
        return await self.polling(kind, worker_id, timeout_s, **fields)

    async def complete(self, task: dict[str, Any], *commands: dict[str, Any]) -> Any:
        return await self.do(
            CompleteWorkflowTask(
                task_id=task["task_id"], lease_owner=task["lease_owner"], attempt=task["workflow_task_attempt"], commands=commands
            )
        )

    async def finish(self, task: dict[str, Any], result: Any = "done") -> Any:
        return await self.do(
            CompleteActivity(
                task_id=task["task_id"], activity_attempt_id=task["activity_attempt_id"], lease_owner=task["lease_owner"],
                result=envelope(result),
            )
        )  # fmt: skip

    def run(self, workflow_id: str = "w") -> Any:
        run_id = self.gateway.bus.current_run_id("default", workflow_id)
        return self.gateway.bus.view(run_id).run


async def until(holds: Callable[[], Any], within_s: float = 5.0) -> None:
    """Wait for a condition of this process."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = await House(tmp_path / "data").open()
    yield house
    await house.close()

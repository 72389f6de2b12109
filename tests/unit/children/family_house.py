"""A gateway with durable runs and one worker, which does what the test says; and what is on its disk."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triplane.auth import Authenticator, LoopbackPeer
from triplane.children import Children
from triplane.clock import ManualClock
from triplane.commands import StartRun
from triplane.commands.workers import CompleteWorkflowTask, FailWorkflowTask, PollTask, RegisterWorker
from triplane.connection import Connection
from triplane.engines.base import Preparation
from triplane.engines.durable import DurableEngine, DurableSettings
from triplane.events import Event
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.operations import OperationMap, Operations, OperationTarget
from triplane.queries import DescribeRun, RunView
from triplane.store.sqlite import open_store
from triplane.testing.house import eventually
from unit.core.counting import CountingEngine, PreparingEngine

WORKER, QUEUE = "worker-1", "main"
TARGETS = OperationMap({("bank", "accounts", "open"): OperationTarget("OpenAccount", QUEUE)})


class SlowEngine(PreparingEngine):
    """Reads the definition `slow` slowly."""

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        if start.workflow_type == "slow":
            await asyncio.sleep(0.2)
        return await super().prepare(start, preparation)


class FamilyHouse:
    """One gateway; `connection` is a client's and the worker's."""

    connection: Connection

    def __init__(self, directory: Path, settings: DurableSettings | None = None) -> None:
        self.directory, self.clock, self.settings = directory, ManualClock(), settings or DurableSettings()

    async def open(self) -> "FamilyHouse":
        self.store = open_store(self.directory)
        durable = DurableEngine(self.settings)
        durable.operations = TARGETS
        # Under the names by which a durable workflow can ask for them as children.
        engines = {"durable": durable, "simulation": CountingEngine(), "graph": SlowEngine()}
        self.children = Children()
        services = [Matching(self.settings), self.children, Operations(TARGETS)]
        self.gateway = Gateway(self.store, engines, services, clock=self.clock, authenticator=Authenticator())
        await self.gateway.start()
        self.connection = self.gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
        await self.connection.dispatch(RegisterWorker(worker_id=WORKER, task_queue=QUEUE, info={}))
        return self

    async def close(self) -> None:
        await self.gateway.stop()
        self.store.close()

    async def restart(self) -> None:
        """Stop with everything accepted on disk, and begin again."""
        await self.close()
        await self.open()

    def lose_effects(self, *kinds: type) -> None:
        """From now on nothing is done of what these effects ask for, as if the gateway were cut off before it could."""
        carry_out = self.children.carry_out
        self.children.carry_out = lambda effects: carry_out(e for e in effects if not isinstance(e, kinds))

    # ---- a client --------------------------------------------------------------------------------------------------

    async def start(self, workflow_id: str, workflow_type: str = "Parent", **fields: Any) -> dict[str, Any]:
        fields.setdefault("engine", "durable")
        command = StartRun(workflow_id=workflow_id, workflow_type=workflow_type, task_queue=QUEUE, **fields)
        reply: dict[str, Any] = await self.connection.dispatch(command)
        return reply

    def view(self, workflow_id: str) -> RunView:
        view: RunView = self.connection.query(DescribeRun(workflow_id=workflow_id))
        return view

    def events(self, workflow_id: str) -> list[Event]:
        run = self.view(workflow_id).run
        return self.store.histories.read(run.run_id, 0, 1_000)

    async def until(self, workflow_id: str, status: str) -> RunView:
        """The run's view once it has that status."""
        await eventually(f"{workflow_id} is {status}", lambda: self.view(workflow_id).run.status == status)
        return self.view(workflow_id)

    # ---- the worker ------------------------------------------------------------------------------------------------

    async def task(self, timeout_s: float = 5.0) -> dict[str, Any] | None:
        """The next workflow task, or None if none comes."""
        poll = PollTask(kind="workflow", worker_id=WORKER, task_queue=QUEUE, timeout_s=timeout_s)
        task: dict[str, Any] | None = await self.connection.dispatch(poll)
        return task

    async def complete(self, task: dict[str, Any], *commands: dict[str, Any]) -> None:
        """Complete a workflow task with commands, or say that there is nothing to do."""
        lease = {"task_id": task["task_id"], "lease_owner": WORKER, "attempt": task["workflow_task_attempt"]}
        if commands:
            await self.connection.dispatch(CompleteWorkflowTask(**lease, commands=commands))
        else:
            await self.connection.dispatch(FailWorkflowTask(**lease, failure={"type": "WorkflowTaskWaitingForHistory"}))

    async def do(self, workflow_type: str, *commands: dict[str, Any]) -> dict[str, Any]:
        """Take the next workflow task, which must be of that type, and complete it."""
        task = await self.task()
        assert task is not None and task["workflow_type"] == workflow_type, task
        await self.complete(task, *commands)
        return task

    async def idle(self) -> None:
        """Assert that no workflow task is to be had."""
        await asyncio.sleep(0.05)
        task = await self.task(timeout_s=0.0)
        assert task is None, task

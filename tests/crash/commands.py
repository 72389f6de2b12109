"""Fifty commands through a real gateway: durable runs with a worker of their own, and runs of a toy engine that has
rows, timers and steps that continue. Every command has a request id, so sending all of them again must change nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crash.vfs import FaultyVFS
from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.commands import PauseRun, ResumeRun, SignalRun, StartRun, StopMode, StopRun, UpdateRun
from triplane.commands.base import Command
from triplane.commands.workers import CompleteActivity, CompleteWorkflowTask, PollTask, RegisterWorker
from triplane.connection import Connection
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.store.interface import Slice
from triplane.store.sqlite import SqliteStore, open_store
from unit.core.counting import CountingEngine

WORKER, QUEUE = "worker-1", "main"


class CrashHouse:
    """A gateway over a store whose disk is under test.

    Attributes:
        committed: called after each group is on disk, before anything of it is acknowledged.
    """

    def __init__(self, directory: Path, vfs: FaultyVFS | None = None, committed: Callable[[SqliteStore], None] | None = None) -> None:
        self.directory, self.vfs, self.committed, self.clock = directory, vfs, committed, ManualClock()
        self.broken: list[BaseException] = []
        self.store: SqliteStore
        self.gateway: Gateway

    async def open(self) -> "CrashHouse":
        self.store = open_store(self.directory, vfs=self.vfs.name if self.vfs is not None else None)
        if self.committed is not None:
            self.store.writer = _Telling(self.store, self.committed)  # type: ignore[assignment]
        engines = {"durable": DurableEngine(), "counting": CountingEngine()}
        self.gateway = Gateway(
            self.store, engines, [Matching()], clock=self.clock, authenticator=Authenticator(), on_broken=self.broken.append
        )
        await self.gateway.start()
        return self

    def connect(self) -> Connection:
        return self.gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))

    async def close(self) -> None:
        await self.gateway.stop()
        self.store.close()


class _Telling:
    """A writer that says when a group is on disk."""

    def __init__(self, store: SqliteStore, committed: Callable[[SqliteStore], None]) -> None:
        self._store, self._writer, self._committed = store, store.writer, committed

    def commit(self, group: Sequence[Slice]) -> None:
        self._writer.commit(group)
        self._committed(self._store)


def script() -> list[Command]:
    """The commands that clients send; what the worker adds comes from `work`."""
    commands: list[Command] = []

    def add(make: Callable[..., Command], **fields: Any) -> None:
        commands.append(make(request_id=f"request-{len(commands)}", **fields))

    for n in range(3):
        add(StartRun, workflow_id=f"order-{n}", engine="durable", workflow_type="Order", task_queue=QUEUE, input=[n])
        add(StartRun, workflow_id=f"count-{n}", engine="counting", workflow_type="demo")
    for n in range(24):
        add(SignalRun, workflow_id=f"order-{n % 3}", signal_name="item", arguments={"item": n, "text": "é" * (n * 40)})
        if n % 2:
            add(SignalRun, workflow_id=f"count-{n % 3}", signal_name="add", arguments=n)
    add(SignalRun, workflow_id="count-0", signal_name="rows", arguments=450)
    add(SignalRun, workflow_id="count-0", signal_name="task", arguments="build")
    add(SignalRun, workflow_id="count-1", signal_name="timer", arguments={"id": "t", "in": 3_600})
    add(SignalRun, workflow_id="count-1", signal_name="again", arguments=3)
    add(PauseRun, workflow_id="order-1")
    add(UpdateRun, workflow_id="order-0", update_name="approve", arguments=["yes"])
    add(ResumeRun, workflow_id="order-1")
    add(StopRun, workflow_id="order-1", mode=StopMode.KILL, reason="enough")
    add(StopRun, workflow_id="count-2")
    return commands


async def work(connection: Connection) -> None:
    """Be the worker once: register, give the first order an activity and a timer, and complete the activity."""
    await connection.dispatch(RegisterWorker(worker_id=WORKER, task_queue=QUEUE, info={"supported_workflow_types": ["Order"]}))
    task = await connection.dispatch(PollTask(kind="workflow", worker_id=WORKER, task_queue=QUEUE, timeout_s=5))
    steps = (
        {"type": "schedule_activity", "activity_type": "charge", "arguments": {"codec": "json", "blob": "[1]"}, "queue": QUEUE},
        {"type": "start_timer", "delay_seconds": 600},
    )
    await connection.dispatch(
        CompleteWorkflowTask(task_id=task["task_id"], lease_owner=WORKER, attempt=task["workflow_task_attempt"], commands=steps)
    )
    task = await connection.dispatch(PollTask(kind="activity", worker_id=WORKER, task_queue=QUEUE, timeout_s=5))
    await connection.dispatch(
        CompleteActivity(
            task_id=task["task_id"],
            activity_attempt_id=task["activity_attempt_id"],
            lease_owner=WORKER,
            result={"codec": "json", "blob": '"paid"'},
        )
    )


async def work_off(connection: Connection) -> None:
    """Be the worker until no workflow task is left; what waits behind a task that was out before a crash comes free so."""
    await connection.dispatch(RegisterWorker(worker_id=WORKER, task_queue=QUEUE, info={"supported_workflow_types": ["Order"]}))
    while task := await connection.dispatch(PollTask(kind="workflow", worker_id=WORKER, task_queue=QUEUE, timeout_s=0)):
        answer: dict[str, Any] = {"type": "start_timer", "delay_seconds": 600}
        if "workflow_update_id" in task:
            done = {"codec": "json", "blob": "true"}
            answer = {"type": "complete_update", "update_id": task["workflow_update_id"], "result": done}
        await connection.dispatch(
            CompleteWorkflowTask(
                task_id=task["task_id"], lease_owner=WORKER, attempt=task["workflow_task_attempt"], commands=(answer,)
            )
        )

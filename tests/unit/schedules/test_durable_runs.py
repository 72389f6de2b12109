"""Schedules of durable workflows: a workflow that continues as new is still the same one, and its end frees the buffer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from triplane.auth import Authenticator, LoopbackPeer
from triplane.clock import ManualClock
from triplane.commands import CreateSchedule, TriggerSchedule
from triplane.commands.workers import CompleteWorkflowTask, PollTask, RegisterWorker
from triplane.connection import Connection
from triplane.engines.durable import DurableEngine
from triplane.gateway import Gateway
from triplane.matching import Matching
from triplane.payloads import envelope
from triplane.queries import DescribeSchedule, ListChain
from triplane.schedules.service import Scheduling
from triplane.store.sqlite import open_store
from triplane.testing.house import eventually

LEASE = {"worker_id": "w", "task_queue": "q"}
ACTION = {"engine": "durable", "workflow_type": "Report", "task_queue": "q", "input": envelope(["a"])}


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    store = open_store(tmp_path / "data")
    services = [Matching(), Scheduling()]
    gateway = Gateway(store, {"durable": DurableEngine()}, services, clock=ManualClock(), authenticator=Authenticator())
    await gateway.start()
    connection = gateway.open_connection("test", "peer", LoopbackPeer("127.0.0.1"))
    await connection.dispatch(RegisterWorker(**LEASE, info={"supported_workflow_types": ["Report"]}))
    yield connection
    await gateway.stop()
    store.close()


async def do(connection: Connection, command: dict[str, Any]) -> dict[str, Any]:
    """Answer the next workflow task with one command."""
    task: dict[str, Any] = await connection.dispatch(PollTask(kind="workflow", **LEASE, timeout_s=5))
    attempt = task["workflow_task_attempt"]
    await connection.dispatch(CompleteWorkflowTask(task_id=task["task_id"], lease_owner="w", attempt=attempt, commands=(command,)))
    return task


async def test_a_workflow_that_continues_as_new_still_runs_for_its_schedule(connection: Connection) -> None:
    await connection.dispatch(
        CreateSchedule(schedule_id="s", spec={"intervals": [{"every": "P1D"}]}, action=ACTION, overlap="buffer_one", memo={"by": "clock"})
    )
    trigger = TriggerSchedule(schedule_id="s")
    first = await connection.dispatch(trigger)
    task = await do(connection, {"type": "continue_as_new", "arguments": envelope(["b"])})
    assert task["workflow_id"] == first["workflow_id"]
    runs = connection.query(ListChain(workflow_id=first["workflow_id"])).runs
    assert [run.is_open for run, _ in runs] == [False, True]
    assert (await connection.dispatch(trigger))["outcome"] == "buffered"
    assert (await connection.dispatch(trigger))["outcome"] == "buffer_full"

    again = await do(connection, {"type": "continue_as_new", "arguments": envelope(["c"])})
    assert again["run_id"] != task["run_id"]
    assert len(connection.query(DescribeSchedule(schedule_id="s")).buffer) == 1

    await do(connection, {"type": "complete_workflow", "result": envelope(1)})
    await eventually("the buffered start has happened", lambda: connection.query(DescribeSchedule(schedule_id="s")).fires == 2)
    next_one = await do(connection, {"type": "complete_workflow", "result": envelope(2)})
    schedule = connection.query(DescribeSchedule(schedule_id="s"))
    assert (next_one["workflow_id"], schedule.buffer) == (schedule.latest_workflow_id, ())
    assert (await connection.dispatch(TriggerSchedule(schedule_id="s", overlap="skip")))["outcome"] == "triggered"

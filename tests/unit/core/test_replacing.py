"""`terminate_existing`: the open run and the one that takes its place are one commit, or nothing."""

from typing import Any

import pytest

from triplane.auth import AdapterSelf
from triplane.commands import DuplicatePolicy, SignalRun, StartRun, StopRun
from triplane.commands.base import RunCommand
from triplane.engines.base import RunState, Step
from triplane.errors import NotAllowed, RefusedInput, StorageFull, WorkflowNotFound
from triplane.queries import DescribeRun, ListChain, ReadAudit, ReadHistory
from unit.core.counting import CountingEngine


def start(engine: str = "counting", **fields: Any) -> StartRun:
    fields.setdefault("workflow_type", "demo")
    return StartRun(workflow_id="w", engine=engine, **fields)


def replace(**fields: Any) -> StartRun:
    return start(duplicate_policy=DuplicatePolicy.TERMINATE_EXISTING, **fields)


class Lingering(CountingEngine):
    """Takes its time to stop, as an engine does whose jobs have to be killed first."""

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        if isinstance(command, StopRun):
            step.set_run(stopping="kill")
            return {"status": state.run.status}
        return super().handle(state, command, step)


async def test_an_open_run_is_terminated_in_the_commit_of_the_new_one(house, monkeypatch):
    connection = house.connect()
    first = await connection.dispatch(start())
    groups, commit = [], house.store.writer.commit

    def remember(group):
        groups.append(list(group))
        commit(group)

    monkeypatch.setattr(house.store.writer, "commit", remember)
    second = await connection.dispatch(replace(request_id="r"))
    (group,) = [each for each in groups if any(change.opened for change in each)]
    assert [(s.run.run_id, s.opened, s.closed) for s in group if s.run is not None] == [
        (first["run_id"], False, True), (second["run_id"], True, False),
    ]  # fmt: skip
    assert (second["outcome"], second["run_number"]) == ("started", 2)
    again = await connection.dispatch(replace(request_id="r"))
    assert again["run_id"] == second["run_id"] and len(connection.query(ListChain(workflow_id="w")).runs) == 2
    assert (await connection.dispatch(SignalRun(workflow_id="w", signal_name="add")))["count"] == 1
    assert [line["command"] for line in connection.query(ReadAudit(workflow_id="w"))][:3] == ["signal_run", "start_run", "stop_run"]


async def test_a_closed_or_unknown_workflow_is_simply_started(house):
    connection = house.connect()
    assert (await connection.dispatch(replace()))["run_number"] == 1
    await connection.dispatch(StopRun(workflow_id="w"))
    assert (await connection.dispatch(replace()))["run_number"] == 2


async def test_an_engine_that_stops_slowly_does_not_keep_the_workflow_two_runs(house, monkeypatch):
    monkeypatch.setitem(house.gateway.bus.engines, "counting", Lingering())
    connection = house.connect()
    first = await connection.dispatch(start())
    second = await connection.dispatch(replace(engine="preparing"))
    old = connection.query(DescribeRun(workflow_id="w", run_id=first["run_id"])).run
    assert old.status == "terminated" and second["run_id"] in old.closed_reason
    last = connection.query(ReadHistory(workflow_id="w", run_id=first["run_id"])).events[-1]
    assert last.name == "WorkflowTerminated" and second["run_id"] in last.data["reason"]


async def test_a_start_that_is_refused_leaves_the_open_run_alone(house):
    connection = house.connect()
    await connection.dispatch(start())
    with pytest.raises(RefusedInput):
        await connection.dispatch(replace(engine="preparing", workflow_type="broken"))
    assert (await connection.dispatch(SignalRun(workflow_id="w", signal_name="add")))["count"] == 1


async def test_a_commit_that_fails_leaves_the_open_run_as_it_was(house, monkeypatch):
    connection = house.connect()
    await connection.dispatch(start())

    def full(group):
        raise StorageFull("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(house.store.writer, "commit", full)
        with pytest.raises(StorageFull):
            await connection.dispatch(replace())
    assert (await connection.dispatch(SignalRun(workflow_id="w", signal_name="add")))["count"] == 1
    assert len(connection.query(ListChain(workflow_id="w")).runs) == 1


async def test_who_may_only_look_may_not_replace_a_run(house):
    with pytest.raises(NotAllowed):
        await house.connect(AdapterSelf("line")).dispatch(replace())
    with pytest.raises(WorkflowNotFound):
        house.connect().query(DescribeRun(workflow_id="w"))

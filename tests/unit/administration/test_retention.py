"""Closed runs go when their time is over, whoever asks, and nothing else goes with them."""

import asyncio
import time

from triplane.commands import ArchiveRun, RetentionPass, SignalRun, StartRun, StopRun, UpdateNamespace
from triplane.entities import Run, RunDetail
from triplane.events import Event
from triplane.queries import DescribeRun, ExpiredRuns, ListChain, ListRuns
from triplane.store.filters import AuditFilter
from triplane.store.interface import Slice
from unit.administration.conftest import DAY, House


async def test_only_closed_runs_past_the_retention_go(house: House) -> None:
    old = await house.run("default", "old", closed=True)
    still_open = await house.run("default", "open")
    house.clock.advance(29 * DAY)
    young = await house.run("default", "young", closed=True)
    house.clock.advance(2 * DAY)
    assert house.connect().query(ExpiredRuns()).run_ids == (old,)
    assert await house.retention.enforce() == 1
    assert house.store.runs.load(old) is None
    assert house.store.runs.load(still_open) is not None and house.store.runs.load(young) is not None
    listed = house.connect().query(ListRuns()).runs
    assert sorted(run.workflow_id for run, _ in listed) == ["open", "young"]


async def test_the_namespace_says_how_long(house: House) -> None:
    await house.run("default", "old", closed=True)
    house.clock.advance(3 * DAY)
    assert await house.retention.enforce() == 0
    await house.connect().dispatch(UpdateNamespace(namespace="default", retention_days=2))
    assert await house.retention.enforce() == 1


async def test_a_pass_tells_what_became_of_each_run(house: House) -> None:
    old = await house.run("default", "old", closed=True)
    still_open = await house.run("default", "open")
    house.clock.advance(31 * DAY)
    young = await house.run("default", "young", closed=True)
    wanted = (old, still_open, young, "nobody")
    reply = await house.connect().dispatch(RetentionPass(run_ids=wanted))
    assert {result["run_id"]: result.get("reason", result["outcome"]) for result in reply["results"]} == {
        old: "pruned", still_open: "run_not_closed", young: "run_not_expired", "nobody": "run_not_found",
    }  # fmt: skip
    assert (reply["processed"], reply["pruned"], reply["skipped"], reply["failed"]) == (4, 1, 3, 0)
    audited = house.store.audit.read(AuditFilter("default"), 1)[0]
    assert audited["command"] == "retention_pass"


async def test_an_archived_run_stays(house: House) -> None:
    kept = await house.run("default", "kept", closed=True)
    await house.run("default", "old", closed=True)
    await house.connect().dispatch(ArchiveRun(workflow_id="kept"))
    house.clock.advance(31 * DAY)
    assert await house.retention.enforce() == 1
    assert house.store.runs.load(kept) is not None
    reply = await house.connect().dispatch(RetentionPass(run_ids=(kept,)))
    assert reply["results"] == [{"run_id": kept, "outcome": "skipped", "reason": "run_archived"}]


async def test_a_pass_stops_at_its_limit(house: House) -> None:
    for number in range(5):
        await house.run("default", f"old-{number}", closed=True)
    house.clock.advance(31 * DAY)
    assert (await house.connect().dispatch(RetentionPass(limit=3)))["pruned"] == 3
    assert (await house.connect().dispatch(RetentionPass(limit=3)))["pruned"] == 2
    assert (await house.connect().dispatch(RetentionPass()))["results"] == []


async def test_the_rest_of_a_chain_stands_for_its_workflow(house: House) -> None:
    here = house.connect()
    first = await house.run("default", "w", closed=True)
    await here.dispatch(StartRun(workflow_id="w", engine="counting", workflow_type="demo", duplicate_policy="allow"))
    await here.dispatch(StopRun(workflow_id="w"))
    newest = here.query(DescribeRun(workflow_id="w")).run.run_id
    assert newest != first
    house.store.removals.hide([newest])
    house.gateway.bus.forget([newest])
    assert here.query(DescribeRun(workflow_id="w")).run.run_id == first
    assert [run.run_id for run, _ in here.query(ListRuns()).runs] == [first]
    assert [run.run_id for run, _ in here.query(ListChain(workflow_id="w")).runs] == [first]


async def test_what_a_hidden_run_left_is_swept_after_a_restart_and_its_key_is_not_used_meanwhile(house: House) -> None:
    gone = await house.run("default", "gone", signals=20, closed=True)
    house.store.removals.hide([gone])
    assert house.store.removals.sweep(5) == 5
    house = await house.again()
    await house.run("default", "next", signals=2)
    async with house.retention._one:
        left = house.store.removals._readers.get().execute("SELECT count(*) FROM gone_runs").get  # type: ignore[attr-defined]
    assert left == 0
    assert house.store.histories.verify(house.connect().query(DescribeRun(workflow_id="next")).run.run_id) > 0


async def test_commands_go_on_while_a_thousand_runs_are_removed(house: House) -> None:
    await house.run("default", "busy")
    for number in range(1_000):
        name, run_id = f"old-{number}", f"{number:032x}"
        run = Run("default", name, run_id, 1, "counting", "demo", "", "completed", 1.0, 1.0, closed=2.0, history_length=5)
        events = [Event(seq, 1.0, "Counted", "test", "local", {"n": seq}) for seq in range(1, 6)]
        house.store.writer.commit([Slice(run=run, opened=True, closed=True, detail=RunDetail(), events=events)])
    here, slowest = house.connect(), 0.0
    removing = asyncio.ensure_future(house.retention.enforce())
    while not removing.done():
        began = time.monotonic()
        await here.dispatch(SignalRun(workflow_id="busy", signal_name="add", arguments=1))
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.005)
    assert await removing == 1_000
    assert slowest < 1.0, "a command waited for the whole removal, not for one portion of it"

"""The one path of a command: order, durability, deduplication, deltas, effects, restarts."""

import asyncio

import pytest

from triplane.auth import AdapterSelf, CurveKey, LoopbackPeer, SocketOwner
from triplane.commands import FireTimer, HoldTasks, PauseRun, PlayRun, SignalRun, StartRun, StopRun
from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.errors import (
    CommitFailed,
    LimitReached,
    NamespaceNotFound,
    NotAllowed,
    NotCurrentRun,
    NotSupported,
    RefusedInput,
    RequestIdReused,
    RunClosed,
    RunNotFound,
    ShuttingDown,
    SlowConsumer,
    StorageFull,
    Unauthenticated,
    WorkflowExists,
    WorkflowNotFound,
)
from triplane.housekeeping import Housekeeping
from triplane.limits import Limits
from triplane.queries import DescribeRun, ListRuns, ReadAudit, ReadHistory, ReadTable
from triplane.requests import KEEP_S
from triplane.store.interface import Slice, StoreBroken


def start(workflow_id="w", **fields):
    return StartRun(workflow_id=workflow_id, engine="counting", workflow_type="demo", **fields)


def signal(name="add", arguments=None, workflow_id="w", **fields):
    return SignalRun(workflow_id=workflow_id, signal_name=name, arguments=arguments, **fields)


async def test_a_reply_comes_when_the_change_can_be_read(house):
    connection = house.connect()
    reply = await connection.dispatch(start())
    assert reply["outcome"] == "started" and reply["run_number"] == 1
    assert (await connection.dispatch(signal()))["count"] == 1
    view = connection.query(DescribeRun(workflow_id="w"))
    assert view.run.data == {"count": 1} and view.run.history_length == 2
    events = connection.query(ReadHistory(workflow_id="w")).events
    assert [(e.seq, e.name, e.wire, e.principal) for e in events] == [
        (1, "RunStarted", "test", "local"), (2, "Added", "test", "local"),
    ]  # fmt: skip


async def test_commands_sent_in_one_burst_apply_in_order_and_share_commits(house):
    connection = house.connect()
    await connection.dispatch(start())
    replies = await asyncio.gather(*(connection.submit(signal(arguments=n)) for n in range(200)))
    assert [reply["count"] for reply in replies] == list(range(1, 201))
    events = connection.query(ReadHistory(workflow_id="w", limit=1_000)).events
    assert [event.data["with"] for event in events[1:]] == list(range(200))
    assert house.gateway.bus._committer.groups < 20


async def test_queries_see_only_what_is_on_disk(house):
    connection = house.connect()
    pending = connection.submit(start())
    with pytest.raises(WorkflowNotFound):
        connection.query(DescribeRun(workflow_id="w"))
    await pending
    later = connection.submit(signal())
    assert connection.query(DescribeRun(workflow_id="w")).run.history_length == 1
    await later
    assert connection.query(DescribeRun(workflow_id="w")).run.history_length == 2


async def test_the_same_request_id_takes_effect_once_also_after_a_restart(new_house):
    house = await new_house().open()
    connection = house.connect()
    await connection.dispatch(start(request_id="s"))
    first, second = await asyncio.gather(*(connection.submit(signal(request_id="r")) for _ in range(2)))
    assert first == {"count": 1} and second == {"count": 1, "retained": True}
    with pytest.raises(RequestIdReused):
        await connection.dispatch(signal(arguments="other", request_id="r"))
    await house.close()
    await house.open()
    connection = house.connect()
    assert await connection.dispatch(signal(request_id="r")) == {"count": 1, "retained": True}
    assert (await connection.dispatch(start(request_id="s")))["retained"] is True
    assert connection.query(DescribeRun(workflow_id="w")).run.history_length == 2
    await house.close()


async def test_a_refusal_changes_nothing_and_may_be_tried_again_with_the_same_id(house):
    connection = house.connect()
    await connection.dispatch(start())
    for _ in range(2):
        with pytest.raises(RefusedInput):
            await connection.dispatch(signal("refuse", request_id="x"))
    assert connection.query(DescribeRun(workflow_id="w")).run.history_length == 1


async def test_an_engine_that_fails_half_way_loses_only_its_own_step(house):
    connection = house.connect()
    await connection.dispatch(start())
    await connection.dispatch(signal())
    with pytest.raises(ZeroDivisionError):
        await connection.dispatch(signal("crash"))
    with pytest.raises(RuntimeError):
        await connection.dispatch(signal("refuse_late"))
    assert (await connection.dispatch(signal()))["count"] == 2
    assert [e.name for e in connection.query(ReadHistory(workflow_id="w")).events] == ["RunStarted", "Added", "Added"]


@pytest.mark.parametrize(
    ("policy", "open_outcome", "closed_outcome"),
    [("fail", WorkflowExists, WorkflowExists), ("use-existing", "existing", WorkflowExists), ("allow", WorkflowExists, "started")],
)
async def test_duplicate_starts_follow_their_policy(house, policy, open_outcome, closed_outcome):
    connection = house.connect()
    await connection.dispatch(start())

    async def again():
        try:
            return (await connection.dispatch(start(duplicate_policy=policy)))["outcome"]
        except WorkflowExists:
            return WorkflowExists

    assert await again() == open_outcome
    await connection.dispatch(StopRun(workflow_id="w"))
    assert await again() == closed_outcome
    number = connection.query(DescribeRun(workflow_id="w")).run.run_number
    assert number == (2 if closed_outcome == "started" else 1)


async def test_two_starts_of_one_id_in_one_burst_make_one_run(house):
    connection = house.connect()
    outcomes = await asyncio.gather(*(connection.submit(start()) for _ in range(2)), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if isinstance(outcome, Exception)) == [WorkflowExists]
    assert len(connection.query(ListRuns()).runs) == 1


async def test_a_definition_is_read_before_its_run_exists(house):
    connection = house.connect()
    reply = await connection.dispatch(StartRun(workflow_id="p", engine="preparing", workflow_type="good"))
    assert connection.query(DescribeRun(workflow_id="p")).run.data["prepared_for"] == reply["run_id"]
    with pytest.raises(RefusedInput, match="line 3"):
        await connection.dispatch(StartRun(workflow_id="q", engine="preparing", workflow_type="broken"))
    with pytest.raises(WorkflowNotFound):
        connection.query(DescribeRun(workflow_id="q"))


async def test_commands_to_closed_missing_or_other_runs_are_told_apart(house):
    connection = house.connect()
    first = await connection.dispatch(start())
    with pytest.raises(WorkflowNotFound):
        await connection.dispatch(signal(workflow_id="nobody"))
    with pytest.raises(RunNotFound):
        await connection.dispatch(signal(run_id="no-such-run"))
    with pytest.raises(NotSupported):
        await connection.dispatch(StartRun(engine="nosuch", workflow_type="x"))
    with pytest.raises(NamespaceNotFound):
        await house.connect(SocketOwner(0)).dispatch(StartRun(namespace="nowhere", engine="counting", workflow_type="x"))
    await connection.dispatch(StopRun(workflow_id="w"))
    with pytest.raises(RunClosed):
        await connection.dispatch(signal())
    second = await connection.dispatch(PlayRun(workflow_id="w"))
    assert second["run_number"] == 2 and second["run_id"] != first["run_id"]
    with pytest.raises(NotCurrentRun):
        await connection.dispatch(signal(run_id=first["run_id"]))
    assert (await connection.dispatch(signal()))["count"] == 1


async def test_deltas_come_in_cursor_order_and_resume_after_a_cursor(house):
    connection = house.connect()
    everything = connection.subscribe(DeltaFilter())
    await connection.dispatch(start())
    await connection.dispatch(signal("task", "a"))
    await connection.dispatch(signal("rows", 3))
    deltas = everything.drain()
    assert [delta.cursor for delta in deltas] == [1, 2, 3]
    assert deltas[0].opened and deltas[0].detail is not None
    assert deltas[1].tasks[0].name == "a" and deltas[1].jobs[0].submit_num == 1
    assert deltas[2].rows[0].rows == ((0,), (1,), (2,))
    resumed = connection.subscribe(DeltaFilter(workflow_id="w"), cursor=1)
    assert [delta.cursor for delta in resumed.drain()] == [2, 3]
    assert connection.subscribe(DeltaFilter(workflow_id="other"), cursor=0).drain() == []
    await connection.dispatch(StopRun(workflow_id="w"))
    assert everything.drain()[-1].closed


async def test_what_cannot_be_resumed_is_announced_as_a_gap(new_house):
    house = await new_house().open()
    await house.connect().dispatch(start())
    await house.close()
    await house.open()
    connection = house.connect()
    await connection.dispatch(signal())
    items = connection.subscribe(DeltaFilter(), cursor=0).drain()
    assert isinstance(items[0], Gap) and (items[0].after, items[0].until) == (0, 1)
    assert isinstance(items[1], Delta) and items[1].cursor == 2
    ahead = connection.subscribe(DeltaFilter(), cursor=1_000).drain()
    assert ahead == [Gap(1_000, 2)]
    await house.close()


async def test_a_slow_consumer_is_cut_alone_with_a_reason(house):
    connection = house.connect()
    slow, quick = connection.subscribe(DeltaFilter(), limit=5), connection.subscribe(DeltaFilter())
    await connection.dispatch(start())
    for _ in range(10):
        await connection.dispatch(signal())
    assert len(quick.drain()) == 11
    with pytest.raises(SlowConsumer) as cut:
        slow.drain()
    assert cut.value.details["cursor"] == 0 and slow.closed
    assert (await connection.dispatch(signal()))["count"] == 11


async def test_a_reader_that_waits_is_woken_and_ends_with_its_connection(house):
    connection = house.connect()
    seen = []

    async def follow():
        async for delta in connection.subscribe(DeltaFilter()):
            seen.append(delta.cursor)

    task = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    await connection.dispatch(start())
    await connection.close()
    await asyncio.wait_for(task, 5)
    assert seen == [1]
    with pytest.raises(ShuttingDown):
        await connection.dispatch(signal())


async def test_effects_start_after_the_commit_and_reach_other_runs_once(house):
    connection = house.connect()
    await connection.dispatch(start())
    await connection.dispatch(start("other"))
    await connection.dispatch(signal("tell", "other"))
    async with asyncio.timeout(5):
        while connection.query(DescribeRun(workflow_id="other")).run.history_length < 2:
            await asyncio.sleep(0.01)
    assert [effect.topic for effect in house.listening.heard] == ["told"]
    event = connection.query(ReadHistory(workflow_id="other")).events[1]
    assert (event.wire, event.principal) == ("core", "system")


async def test_followups_are_steps_of_their_own(house):
    connection = house.connect()
    await connection.dispatch(start())
    followed = connection.subscribe(DeltaFilter())
    await connection.dispatch(signal("again", 3))
    assert [event.data["left"] for delta in followed.drain() for event in delta.events] == [3, 2, 1, 0]


async def test_timers_fire_when_due_and_survive_a_restart(new_house):
    house = await new_house().open()
    connection = house.connect()
    await connection.dispatch(start())
    await connection.dispatch(signal("timer", {"id": "soon", "in": 10}))
    await connection.dispatch(signal("timer", {"id": "late", "in": 100}))
    house.clock.advance(11)
    house.gateway.bus.timers.tick()
    await house.gateway.bus._committer.drain()
    await house.close()
    await house.open()
    assert [effect.topic for effect in house.listening.heard] == ["recovered"]
    house.clock.advance(100)
    house.gateway.bus.timers.tick()
    await house.gateway.bus._committer.drain()
    names = [e.data["timer_id"] for e in house.connect().query(ReadHistory(workflow_id="w")).events if e.name == "TimerFired"]
    assert names == ["soon", "late"]
    await house.close()


async def test_open_runs_go_on_after_a_restart(new_house):
    house = await new_house().open()
    connection = house.connect()
    for n in range(5):
        await connection.dispatch(start(f"w{n}"))
        await connection.dispatch(signal(workflow_id=f"w{n}"))
    await connection.dispatch(signal("task", "a", workflow_id="w0"))
    await connection.dispatch(StopRun(workflow_id="w4"))
    await house.close()
    await house.open()
    assert house.recovered == 4
    connection = house.connect()
    assert (await connection.dispatch(signal(workflow_id="w0")))["count"] == 2
    assert list(connection.query(DescribeRun(workflow_id="w0")).tasks) == [("1", "a")]
    assert connection.query(DescribeRun(workflow_id="w4")).run.status == "cancelled"
    await house.close()


async def test_a_full_disk_refuses_and_recovers_without_a_restart(house, monkeypatch):
    connection = house.connect()
    await connection.dispatch(start())
    await connection.dispatch(signal())

    def full(group):
        raise StorageFull("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(house.store.writer, "commit", full)
        outcomes = await asyncio.gather(
            *(connection.submit(c) for c in (signal(), signal(), start("new"))), return_exceptions=True
        )
        assert all(isinstance(outcome, StorageFull) for outcome in outcomes)
        assert connection.query(DescribeRun(workflow_id="w")).run.history_length == 2
    assert (await connection.dispatch(signal()))["count"] == 2
    assert (await connection.dispatch(start("new")))["outcome"] == "started"


async def test_a_broken_store_acknowledges_nothing_more(house, monkeypatch):
    connection = house.connect()
    await connection.dispatch(start())

    def broken(group):
        raise StoreBroken("fsync failed")

    monkeypatch.setattr(house.store.writer, "commit", broken)
    for _ in range(2):
        with pytest.raises(CommitFailed):
            await connection.dispatch(signal())
    assert len(house.broken) == 1


async def test_every_accepted_command_and_every_denied_one_is_in_the_audit_log(house):
    connection = house.connect()
    await connection.dispatch(start())
    await connection.dispatch(HoldTasks(workflow_id="w", task_globs=("1/a",)))
    with pytest.raises(NotAllowed):
        await connection.dispatch(FireTimer(workflow_id="w", timer_id="t"))
    await connection.dispatch(signal())
    lines = connection.query(ReadAudit())
    assert [(line["command"], line["outcome"]) for line in reversed(lines)] == [
        ("start_run", "accepted"), ("hold_tasks", "accepted"), ("fire_timer", "not_allowed"), ("signal_run", "accepted"),
    ]  # fmt: skip
    assert lines[0]["principal"] == "local" and lines[0]["wire"] == "test"


async def test_a_key_opens_only_its_own_run(house):
    connection = house.connect()
    own, other = await connection.dispatch(start("own")), await connection.dispatch(start("other"))
    key = house.connect(CurveKey(own["run_id"], "localhost"))
    await key.dispatch(PauseRun(workflow_id="own"))
    assert key.query(DescribeRun(workflow_id="own")).run.paused
    with pytest.raises(NotAllowed):
        await key.dispatch(PauseRun(workflow_id="other"))
    with pytest.raises(NotAllowed):
        await key.dispatch(PauseRun(workflow_id="other", run_id=own["run_id"]))
    with pytest.raises(NotAllowed):
        await key.dispatch(start("third"))
    for query in (DescribeRun(workflow_id="other"), ListRuns(), ReadAudit(), ReadTable(workflow_id="other", table="Tasks")):
        with pytest.raises(NotAllowed):
            key.query(query)
    with pytest.raises(NotAllowed):
        key.subscribe(DeltaFilter())
    with pytest.raises(NotAllowed):
        key.subscribe(DeltaFilter(run_id=other["run_id"]))
    job = house.connect(CurveKey(own["run_id"], "cluster"))
    with pytest.raises(NotAllowed):
        await job.dispatch(PauseRun(workflow_id="own"))


async def test_credentials_that_prove_nothing_open_nothing(house):
    with pytest.raises(Unauthenticated):
        house.connect(LoopbackPeer("192.0.2.1"))
    follower = house.connect(AdapterSelf("cylc"))
    with pytest.raises(NotAllowed):
        await follower.dispatch(start())
    assert follower.query(ListRuns()).runs == ()


async def test_limits_hold_for_each_connection(new_house):
    few = Limits(connections=3, in_flight_per_connection=2, commands_per_s=1, burst=5, subscriptions_per_connection=1)
    house = await new_house().open(few)
    first, second = house.connect(), house.connect()
    outcomes = await asyncio.gather(*(first.submit(start(f"w{n}")) for n in range(3)), return_exceptions=True)
    assert [isinstance(outcome, LimitReached) for outcome in outcomes] == [False, False, True]
    with pytest.raises(LimitReached, match="limits.commands_per_s"):
        for _ in range(5):
            first.query(ListRuns())
    assert len(second.query(ListRuns()).runs) == 2
    second.subscribe(DeltaFilter())
    with pytest.raises(LimitReached):
        second.subscribe(DeltaFilter())
    third = house.connect()
    with pytest.raises(LimitReached, match="limits.connections"):
        house.connect()
    await third.close()
    house.connect()
    await house.close()


async def test_a_request_id_is_forgotten_after_a_day(house):
    housekeeping = Housekeeping()
    housekeeping._bus = house.gateway.bus
    connection = house.connect()
    await connection.dispatch(start())
    await connection.dispatch(signal(request_id="old"))
    house.clock.advance(KEEP_S - 1)
    await connection.dispatch(signal(request_id="new"))
    assert await housekeeping.tidy() == 0
    assert (await connection.dispatch(signal(request_id="old"))) == {"count": 1, "retained": True}
    house.clock.advance(2)
    assert (await connection.dispatch(signal(arguments="other", request_id="old"))) == {"count": 3}
    house.clock.advance(KEEP_S + 1)
    assert await housekeeping.tidy() == 2


async def test_only_the_owners_wire_may_bring_files_along(house):
    with pytest.raises(NotAllowed, match="command line"):
        await house.connect().dispatch(start(source={"archive": b"tar"}))
    owner = house.gateway.open_connection("control", "uid 0", LoopbackPeer("127.0.0.1"))
    assert (await owner.dispatch(start(source={"archive": b"tar"})))["outcome"] == "started"


async def test_a_followup_that_fails_is_not_the_askers_failure(house):
    connection = house.connect()
    await connection.dispatch(start())
    assert await connection.dispatch(signal("trip")) == {}
    assert [e.name for e in connection.query(ReadHistory(workflow_id="w")).events] == ["RunStarted", "Tripped"]
    assert (await connection.dispatch(signal()))["count"] == 1


async def test_a_full_queue_refuses_before_anything_is_decided(house, monkeypatch):
    connection = house.connect()
    await connection.dispatch(start())
    monkeypatch.setattr(house.gateway.bus._committer, "_max_waiting", 3)
    outcomes = await asyncio.gather(*(connection.submit(signal()) for _ in range(6)), return_exceptions=True)
    assert [isinstance(outcome, LimitReached) for outcome in outcomes] == [False] * 3 + [True] * 3
    assert (await connection.dispatch(signal()))["count"] == 4


async def test_playing_an_open_run_is_recorded_when_it_happens(house):
    connection = house.connect()
    await connection.dispatch(start())
    began = house.clock.now()
    house.clock.advance(50)
    assert (await connection.dispatch(PlayRun(workflow_id="w")))["outcome"] == "existing"
    last = connection.query(ReadHistory(workflow_id="w")).events[-1]
    assert (last.name, last.time) == ("RunResumed", began + 50)


async def test_a_full_queue_refuses_what_belongs_to_no_run_too(house, monkeypatch):
    bus = house.gateway.bus
    monkeypatch.setattr(bus._committer, "_max_waiting", 2)
    writes = [bus.write(Slice()) for _ in range(4)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(outcome, LimitReached) for outcome in outcomes] == [False, False, True, True]

"""Workers, polls, leases, queries and awaited updates, through a real gateway and a real store."""

import asyncio

import pytest

from triplane.commands import (
    AwaitUpdate,
    CompleteQuery,
    DeregisterWorker,
    FailQuery,
    HeartbeatActivity,
    HeartbeatWorker,
    QueryRun,
    SignalRun,
    StopMode,
    StopRun,
    UpdateRun,
)
from triplane.errors import Conflict, LeaseLost, LimitReached, NotFound, NoWorker, TaskNotFound, TimedOut, WorkerNotRegistered
from triplane.payloads import envelope
from unit.durable_engine.harness import activity, complete, condition
from unit.matching.conftest import House, until


async def test_a_workflow_with_one_activity_goes_through_polls_to_its_end(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), activity())
    await house.finish(await house.poll("activity", timeout_s=5), 42)
    task = await house.poll(timeout_s=5)
    assert [event.name for event in task["history_events"]][-1] == "ActivityCompleted"
    assert (await house.complete(task, complete("end")))["run_status"] == "completed"
    assert house.run().status == "completed"
    assert await house.poll() is None


async def test_a_waiting_poll_gets_the_task_the_moment_it_is_there(house):
    await house.register()
    poll = house.polling()
    await asyncio.sleep(0)
    await house.start()
    assert (await asyncio.wait_for(poll, 2))["workflow_id"] == "w"


async def test_one_task_wakes_one_of_many_polls(house):
    await house.register()
    polls = [house.polling() for _ in range(50)]
    await house.start()
    await until(lambda: any(poll.done() for poll in polls))
    await house.poll("activity")
    assert sum(poll.done() for poll in polls) == 1 and polls[0].done()


async def test_a_poll_without_a_task_is_answered_with_nothing_after_its_time(house):
    await house.register()
    assert await asyncio.wait_for(house.polling(timeout_s=0.02), 2) is None


async def test_polls_of_strangers_and_of_the_wrong_queue_or_build_are_refused(house):
    with pytest.raises(WorkerNotRegistered):
        await house.poll()
    await house.register(build_id="b1")
    for fields, reason in (({"queue": "other"}, "task_queue_mismatch"), ({"build_id": "b2"}, "build_id_mismatch")):
        with pytest.raises(Conflict) as caught:
            await house.poll(**fields)
        assert caught.value.details["reason"] == reason
    assert await house.poll(build_id="b1") is None


async def test_a_worker_gets_only_the_types_it_registered(house):
    await house.register("picky", supported_workflow_types=["other"])
    await house.register("any")
    await house.start()
    assert await house.poll(worker_id="picky") is None
    assert await house.poll(worker_id="any") is not None


async def test_the_same_poll_asked_again_gets_the_same_lease(house):
    await house.register()
    await house.start()
    first = await house.poll(poll_id="p1")
    assert await house.poll(poll_id="p1") == first
    assert await house.poll(poll_id="p2") is None
    await house.complete(first, complete())
    assert await house.poll(poll_id="p1") is None


async def test_a_poll_asked_again_while_it_waits_takes_the_place_of_the_first(house):
    await house.register()
    first = house.polling(poll_id="p1")
    again = house.polling(poll_id="p1")
    assert await asyncio.wait_for(first, 2) is None
    await house.start()
    assert (await asyncio.wait_for(again, 2))["workflow_task_attempt"] == 1


async def test_a_task_for_a_poll_that_hung_up_goes_to_the_next_poll(house):
    await house.register()
    gone, waits = house.polling(), house.polling()
    await asyncio.sleep(0)
    gone.cancel()
    await house.start()
    assert (await asyncio.wait_for(waits, 2))["workflow_task_attempt"] == 1


async def test_an_activity_whose_poll_hangs_up_during_the_commit_goes_to_the_retry(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), activity())
    lost = house.polling("activity", poll_id="p1")
    lost.cancel()
    again = await house.poll("activity", poll_id="p1", timeout_s=2)
    assert again["attempt_number"] == 1
    await house.finish(again)


@pytest.mark.parametrize("poll_id", [None, "p1"])
async def test_an_activity_whose_poll_hangs_up_for_good_goes_back_to_its_queue(house, poll_id):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), activity())
    house.polling("activity", poll_id=poll_id).cancel()
    task = await asyncio.wait_for(house.polling("activity", poll_id="another"), 2)
    assert task["attempt_number"] == 2
    await house.finish(task)


async def test_a_thousand_polls_that_hang_up_leave_nothing_behind(house):
    await house.register()
    polls = [house.polling(poll_id=f"p{n}") for n in range(1_000)]
    await asyncio.sleep(0)
    for poll in polls:
        poll.cancel()
    await until(lambda: len(house.matching.desk) == 0)
    await house.start()
    assert await house.poll() is not None


async def test_polls_are_bounded(tmp_path):
    house = await House(tmp_path, max_waiting_polls=2).open()
    await house.register()
    polls = [house.polling(timeout_s=0.05) for _ in range(2)]
    with pytest.raises(LimitReached) as caught:
        await house.polling()
    assert caught.value.details["reason"] == "long_poll_capacity_exhausted"
    assert await asyncio.gather(*polls) == [None, None]
    await house.close()


async def test_registrations_survive_a_restart_and_so_do_ready_tasks(house):
    await house.register(supported_workflow_types=["flow"])
    await house.start()
    await house.reopen()
    assert (await house.poll())["workflow_id"] == "w"


async def test_a_workflow_task_leased_before_a_restart_may_be_completed_after_it(house):
    await house.register()
    await house.start()
    task = await house.poll()
    await house.reopen()
    assert (await house.complete(task, complete()))["run_status"] == "completed"
    assert await house.poll() is None


async def test_an_activity_leased_before_a_restart_may_be_completed_after_it(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), activity())
    task = await house.poll("activity", timeout_s=2)
    await house.reopen()
    assert await house.poll("activity") is None
    await house.finish(task)
    assert house.run().is_open


async def test_a_leaving_worker_gives_its_tasks_back(house):
    await house.register("w1")
    await house.register("w2")
    await house.start("a")
    await house.start("b")
    await house.complete(await house.poll(), activity())
    held = [await house.poll(), await house.poll("activity")]
    assert None not in held
    reply = await house.do(DeregisterWorker(worker_id="w1"))
    assert reply == {"worker_id": "w1", "recovered_workflow_task_count": 1}
    assert (await house.poll(worker_id="w2"))["workflow_task_attempt"] == 2
    assert (await house.poll("activity", worker_id="w2"))["attempt_number"] == 2
    with pytest.raises(WorkerNotRegistered):
        await house.do(DeregisterWorker(worker_id="w1"))
    await house.reopen()
    with pytest.raises(WorkerNotRegistered):
        await house.poll(worker_id="w1")


async def test_a_leaving_worker_gives_back_what_it_held_since_before_a_restart(house):
    await house.register("w1")
    await house.start()
    await house.complete(await house.poll(), activity())
    await house.poll("activity", timeout_s=2)
    await house.reopen()
    await house.do(DeregisterWorker(worker_id="w1"))
    await house.register("w2")
    assert (await house.poll("activity", worker_id="w2", timeout_s=2))["attempt_number"] == 2


async def test_an_expired_lease_comes_back_with_the_next_attempt(house):
    await house.register()
    await house.start()
    first = await house.poll()
    house.advance(60)
    second = await house.poll(timeout_s=2)
    assert (second["task_id"], second["workflow_task_attempt"]) == (first["task_id"], 2)
    with pytest.raises(LeaseLost) as caught:
        await house.complete(first, complete())
    assert caught.value.reason == "workflow_task_attempt_mismatch"


async def test_reports_on_closed_runs_say_so_and_heartbeats_are_answered(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), activity())
    task = await house.poll("activity", timeout_s=2)
    await house.do(StopRun(workflow_id="w", mode=StopMode.KILL))
    with pytest.raises(LeaseLost) as caught:
        await house.finish(task)
    assert caught.value.reason == "run_terminated"
    beat = HeartbeatActivity(
        task_id=task["task_id"], activity_attempt_id=task["activity_attempt_id"], lease_owner=task["lease_owner"]
    )
    answer = await house.do(beat)
    assert answer["cancel_requested"] is True and answer["can_continue"] is False and answer["reason"] == "run_terminated"


@pytest.mark.parametrize("task_id", ["wt-nonsense-1", "at-x-1-1", "; drop table runs", "wt-" + "9" * 64 + "-1"])
async def test_tasks_that_never_were_are_not_found(house, task_id):
    await house.register()
    forged = {"task_id": task_id, "lease_owner": "w1", "workflow_task_attempt": 1}
    with pytest.raises(TaskNotFound):
        await house.complete(forged, complete())


async def test_heartbeats_of_workers_are_taken_and_of_strangers_refused(house):
    await house.register()
    assert (await house.do(HeartbeatWorker(worker_id="w1", info={"task_slots": {"workflow_available": 3}})))["acknowledged"]
    with pytest.raises(WorkerNotRegistered):
        await house.do(HeartbeatWorker(worker_id="stranger"))


async def test_a_query_is_answered_by_a_worker_and_sees_the_committed_history(house):
    await house.register()
    await house.start()
    asked = house.connection.submit(QueryRun(workflow_id="w", query_name="state", arguments=[1], timeout_s=5))
    task = await house.poll("query", timeout_s=2)
    assert task["query_name"] == "state" and task["query_arguments"] == envelope([1])
    assert [event.name for event in task["history_events"]] == ["StartAccepted", "WorkflowStarted"]
    assert task["lease_owner"] == "w1" and task["query_task_attempt"] == 1 and task["lease_expires_at"] > house.clock.now()
    await house.do(CompleteQuery(task_id=task["query_task_id"], lease_owner="w1", attempt=1, result_envelope=envelope({"n": 1})))
    assert (await asked)["result"] == {"n": 1}
    with pytest.raises(LeaseLost):
        await house.do(CompleteQuery(task_id=task["query_task_id"], lease_owner="w1", attempt=1, result=2))


async def test_closed_runs_can_be_queried(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), complete())
    await house.reopen()
    asked = house.connection.submit(QueryRun(workflow_id="w", query_name="state"))
    task = await house.poll("query", timeout_s=2)
    assert [event.name for event in task["history_events"]] == ["StartAccepted", "WorkflowStarted", "WorkflowCompleted"]
    await house.do(CompleteQuery(task_id=task["query_task_id"], lease_owner="w1", attempt=1, result=7))
    assert (await asked)["result"] == 7


async def test_a_query_does_not_show_what_waits_behind_a_workflow_task(house):
    await house.register()
    await house.start()
    await house.poll()
    await house.do(SignalRun(workflow_id="w", signal_name="poke"))
    asked = house.connection.submit(QueryRun(workflow_id="w", query_name="state"))
    task = await house.poll("query", timeout_s=2)
    assert [event.name for event in task["history_events"]] == ["StartAccepted", "WorkflowStarted"]
    asked.cancel()


@pytest.mark.parametrize(("reason", "error"), [("rejected_unknown_query", NotFound), ("query_rejected", Conflict)])
async def test_a_query_its_worker_refuses_fails_with_the_workers_reason(house, reason, error):
    await house.register()
    await house.start()
    asked = house.connection.submit(QueryRun(workflow_id="w", query_name="state"))
    task = await house.poll("query", timeout_s=2)
    await house.do(
        FailQuery(task_id=task["query_task_id"], lease_owner="w1", attempt=1, failure={"reason": reason, "message": "no"})
    )
    with pytest.raises(error) as caught:
        await asked
    assert caught.value.details["reason"] == reason


async def test_queries_without_a_worker_or_an_answer_fail_in_time(house):
    await house.start()
    with pytest.raises(NoWorker) as caught:
        await house.do(QueryRun(workflow_id="w", query_name="state"))
    assert caught.value.details["reason"] == "query_worker_unavailable"
    await house.register()
    with pytest.raises(TimedOut) as late:
        await house.do(QueryRun(workflow_id="w", query_name="state", timeout_s=0.02))
    assert late.value.details["reason"] == "query_task_not_claimed"
    assert await house.poll("query") is None, "nobody waits for that answer any more"
    house.advance(121)
    with pytest.raises(NoWorker):
        await house.do(QueryRun(workflow_id="w", query_name="state"))


async def test_a_query_given_to_a_poll_that_hung_up_is_asked_again(house):
    await house.register()
    await house.start()
    lost = house.polling("query")
    await asyncio.sleep(0)
    asked = house.connection.submit(QueryRun(workflow_id="w", query_name="state", timeout_s=5))
    lost.cancel()
    task = await house.poll("query", timeout_s=2)
    await house.do(
        CompleteQuery(task_id=task["query_task_id"], lease_owner="w1", attempt=task["query_task_attempt"], result="again")
    )
    assert (await asked)["result"] == "again"


async def test_an_awaited_update_is_told_when_it_is_completed(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), condition())
    update_id = (await house.do(UpdateRun(workflow_id="w", update_name="change")))["update_id"]
    early = await house.do(AwaitUpdate(workflow_id="w", update_id=update_id, timeout_s=0.01))
    assert early == {"update_id": update_id, "status": "accepted"}
    waiting = house.connection.submit(AwaitUpdate(workflow_id="w", update_id=update_id, timeout_s=5))
    task = await house.poll(timeout_s=2)
    await house.complete(task, {"type": "complete_update", "update_id": update_id, "result": envelope(9)})
    expected = {"update_id": update_id, "status": "completed", "result": envelope(9)}
    assert await asyncio.wait_for(waiting, 2) == expected
    assert await house.do(AwaitUpdate(workflow_id="w", update_id=update_id)) == expected
    await house.reopen()
    assert await house.do(AwaitUpdate(workflow_id="w", update_id=update_id)) == expected


async def test_an_update_fails_when_its_run_closes_first(house):
    await house.register()
    await house.start()
    update_id = (await house.do(UpdateRun(workflow_id="w", update_name="change")))["update_id"]
    waiting = house.connection.submit(AwaitUpdate(workflow_id="w", update_id=update_id, timeout_s=5))
    await asyncio.sleep(0)
    await house.do(StopRun(workflow_id="w"))
    outcome = await asyncio.wait_for(waiting, 2)
    assert outcome["status"] == "failed" and "closed" in outcome["failure"]["message"]


async def test_a_drain_answers_everything_that_waits(house):
    await house.register()
    await house.start()
    await house.complete(await house.poll(), condition())
    update_id = (await house.do(UpdateRun(workflow_id="w", update_name="change")))["update_id"]
    polls = [house.polling("activity"), house.polling("query", poll_id="p")]
    waiting = house.connection.submit(AwaitUpdate(workflow_id="w", update_id=update_id, timeout_s=60))
    await asyncio.sleep(0)
    await house.matching.drain()
    assert await asyncio.wait_for(asyncio.gather(*polls), 2) == [None, None]
    assert (await asyncio.wait_for(waiting, 2))["status"] == "accepted"
    assert await house.poll("activity", timeout_s=60) is None
    with pytest.raises(Exception, match="stopping|commands"):
        await house.do(QueryRun(workflow_id="w", query_name="state"))


async def test_a_workflow_that_continues_as_new_is_one_chain_through_a_restart(house):
    await house.register()
    await house.start(execution_timeout_s=3_600, run_timeout_s=600)
    task = await house.poll()
    first = house.run().run_id
    await house.do(SignalRun(workflow_id="w", signal_name="late", arguments=[1]))
    house.advance(10)
    again = {"type": "continue_as_new", "queue": "q", "arguments": envelope([2])}
    assert (await house.complete(task, {"type": "upsert_memo", "entries": envelope({"k": 1})}, again))["run_status"] == "completed"
    run = house.run()
    assert run.run_number == 2 and run.run_id != first and run.status == "pending"
    old = house.gateway.bus.view(first)
    assert (old.run.status, old.run.closed_reason) == ("completed", "continued")
    await house.reopen()
    task = await house.poll()
    assert [event.name for event in task["history_events"]] == ["StartAccepted", "WorkflowStarted"]
    assert task["arguments"] == envelope([2])
    assert task["history_events"][1].data["continued_from_run_id"] == first
    view = house.gateway.bus.view(run.run_id)
    assert view.detail.memo == {"k": 1} and "carried_signals" not in view.detail.options
    assert view.detail.options["execution_deadline"] == old.run.created + 3_600
    with pytest.raises(LeaseLost):
        await house.complete({**task, "task_id": task["task_id"].replace(run.run_id, first)}, complete())
    await house.complete(task, condition())
    task = await house.poll()
    assert [event.name for event in task["history_events"]][2:] == ["ConditionWaitOpened", "SignalReceived"]
    await house.complete(task, complete())

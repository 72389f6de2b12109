"""Timers, conditions, signals, updates and parallel groups: what a workflow waits for, and what wakes it."""

import pytest

from triplane.errors import LimitReached, TooLarge
from triplane.payloads import envelope
from unit.durable_engine.harness import DurableRun, activity, complete, condition, in_group, timer


def test_a_timer_fires_when_it_is_due_and_wakes_the_workflow():
    run = DurableRun()
    run.do(timer(5))
    assert run.task("timer-1").state == "running"
    run.advance(4.9)
    assert run.events[-1] == "TimerScheduled"
    run.advance(0.1)
    assert run.events[-1] == "TimerFired" and run.event("TimerFired")["delay_seconds"] == 5
    assert run.task("timer-1").state == "succeeded" and run.offered("workflow")


def test_a_timer_of_no_time_has_fired_when_the_task_is_over():
    run = DurableRun()
    run.do(timer(0))
    assert run.events[-2:] == ["TimerScheduled", "TimerFired"] and run.offered("workflow")


def test_a_timer_set_before_a_restart_fires_after_it():
    run = DurableRun()
    run.do(timer(5))
    run.restart()
    run.advance(5)
    assert run.events.count("TimerFired") == 1


def test_a_condition_said_again_is_the_same_wait():
    run = DurableRun()
    run.do(condition(timeout_seconds=100))
    for _ in range(3):
        run.signal()
        run.do(condition(timeout_seconds=100))
    assert run.events.count("ConditionWaitOpened") == 1 and run.events.count("TimerScheduled") == 1
    run.advance(100)
    assert run.events.count("TimerFired") == 1


def test_moving_on_satisfies_the_condition_and_cancels_its_timeout():
    run = DurableRun()
    run.do(condition(timeout_seconds=100))
    run.signal()
    run.do(activity())
    assert run.events[-4:] == ["SignalReceived", "ConditionWaitSatisfied", "TimerCancelled", "ActivityScheduled"]
    assert run.event("ActivityScheduled")["sequence"] == 2, "the timeout shares the condition's step"
    assert run.event("TimerCancelled")["condition_wait_id"] == run.event("ConditionWaitOpened")["condition_wait_id"]
    run.advance(200)
    assert "TimerFired" not in run.events


def test_a_timed_out_condition_is_never_called_satisfied():
    run = DurableRun()
    run.do(condition(timeout_seconds=5))
    run.advance(5)
    assert run.event("TimerFired")["timer_kind"] == "condition_timeout"
    run.do(complete())
    assert "ConditionWaitSatisfied" not in run.events and "TimerCancelled" not in run.events


def test_a_timeout_the_worker_has_not_seen_gives_way_to_its_moving_on():
    run = DurableRun()
    run.do(condition(timeout_seconds=5))
    run.signal()
    task = run.lease()
    run.advance(5)
    run.complete(task, activity())
    assert run.events[-4:] == ["SignalReceived", "ConditionWaitSatisfied", "TimerCancelled", "ActivityScheduled"]


def test_a_timeout_the_worker_has_not_seen_is_told_after_it_waits_on():
    run = DurableRun()
    run.do(condition(timeout_seconds=5))
    run.signal()
    task = run.lease()
    run.advance(5)
    run.complete(task, condition(timeout_seconds=5))
    assert run.events.count("ConditionWaitOpened") == 1 and run.events[-1] == "TimerFired"
    run.do(condition("another"))
    assert run.events.count("ConditionWaitOpened") == 2 and "ConditionWaitSatisfied" not in run.events


def test_after_a_timeout_the_same_condition_opens_a_new_wait():
    run = DurableRun()
    run.do(condition(timeout_seconds=5))
    run.advance(5)
    run.do(condition(timeout_seconds=5))
    assert [e.data["sequence"] for e in run.state.history if e.name == "ConditionWaitOpened"] == [1, 2]
    run.advance(5)
    assert run.events.count("TimerFired") == 2


def test_a_condition_survives_a_restart_with_its_timeout():
    run = DurableRun()
    run.do(condition(timeout_seconds=5))
    run.restart()
    run.signal()
    run.do(condition(timeout_seconds=5))
    run.advance(5)
    assert run.events.count("ConditionWaitOpened") == 1 and run.events.count("TimerFired") == 1


def test_an_update_gets_a_task_of_its_own_and_the_workflow_one_after_it():
    run = DurableRun()
    run.do(condition())
    update_id = run.update("change", 5)
    task = run.lease()
    assert task["workflow_update_id"] == update_id
    assert task["history_events"][-1].name == "UpdateAccepted"
    run.complete(task, {"type": "complete_update", "update_id": update_id, "result": envelope(10)})
    assert run.events[-2:] == ["UpdateApplied", "UpdateCompleted"]
    assert run.event("UpdateApplied")["arguments"] == envelope([5])
    assert run.told[-1].topic == "update_completed" and run.told[-1].value["update_id"] == update_id
    after = run.lease()
    assert "workflow_update_id" not in after and after["history_events"][-1].name == "UpdateCompleted"


def test_a_failed_update_is_told_and_its_handler_not_replayed():
    run = DurableRun()
    run.do(condition())
    update_id = run.update()
    run.do({"type": "fail_update", "update_id": update_id, "message": "no", "exception_type": "Refused"})
    assert "UpdateApplied" not in run.events
    assert run.event("UpdateCompleted")["failure"] == {"message": "no", "exception_type": "Refused"}


def test_signals_and_updates_are_done_in_the_order_of_their_acceptance_one_update_at_a_time():
    run = DurableRun()
    run.do(condition())
    run.signal("before")
    first, second = run.update("a"), run.update("b")
    run.signal("after")
    seen = []
    for _ in range(10):
        task = run.lease()
        if task is None:
            break
        update_id = task.get("workflow_update_id", "")
        seen.append(update_id)
        if update_id:
            run.complete(task, {"type": "complete_update", "update_id": update_id, "result": envelope(None)})
        else:
            run.complete(task, condition())
    assert seen == ["", first, "", second, ""]


def test_an_update_its_worker_cannot_do_yet_waits_for_the_next_thing_to_happen():
    run = DurableRun()
    run.do(condition())
    update_id = run.update()
    run.do()
    assert run.offered("workflow") == []
    run.signal()
    run.do(condition())
    assert run.lease()["workflow_update_id"] == update_id


def test_updates_that_wait_when_the_run_closes_fail():
    run = DurableRun()
    run.do(condition())
    run.signal()
    task = run.lease()
    update_id = run.update()
    run.complete(task, complete())
    told = [tell for tell in run.told if tell.topic == "update_completed"]
    assert [tell.value["update_id"] for tell in told] == [update_id]
    assert "closed" in told[0].value["data"]["failure"]["message"]


def test_updates_are_bounded():
    run = DurableRun(settings={"max_pending_updates": 2})
    run.do(condition())
    run.update()
    run.update()
    with pytest.raises(LimitReached, match="max_pending_updates"):
        run.update()


def test_signals_stop_where_the_history_is_full_and_too_large_ones_are_refused():
    run = DurableRun(settings={"max_history_events": 100, "max_payload_bytes": 1_024})
    with pytest.raises(TooLarge, match="max_payload_bytes"):
        run.signal("big", "x" * 2_000)
    task = run.lease()
    for _ in range(98):
        run.signal()
    with pytest.raises(LimitReached, match="continue as a new run"):
        run.signal()
    run.complete(task, complete())


def test_a_group_wakes_the_workflow_only_when_all_its_members_are_over():
    run = DurableRun()
    run.do(*in_group([activity("a"), activity("b"), activity("c")], 1))
    tasks = [run.lease("activity") for _ in range(3)]
    run.finish(tasks[2])
    run.break_(tasks[0])
    assert run.offered("workflow") == []
    run.finish(tasks[1])
    assert run.offered("workflow")
    assert run.event("ActivityCompleted")["parallel_group_id"] == "parallel-activities:1:3"
    assert run.event("ActivityCompleted")["parallel_group_path"][0]["parallel_group_index"] == 1


def test_a_group_sent_again_while_it_is_under_way_is_not_done_again():
    run = DurableRun()
    group = in_group([activity("a"), activity("b")], 1)
    run.do(*group)
    run.finish(run.lease("activity"))
    run.signal()
    run.do(*group)
    assert run.events.count("ActivityScheduled") == 2
    run.restart()
    run.finish(run.lease("activity"))
    assert run.offered("workflow")
    run.do(activity("next"))
    assert run.event("ActivityScheduled")["sequence"] == 3


def test_nested_groups_wait_for_the_outermost():
    run = DurableRun()
    inner = in_group([activity("a"), activity("b")], 1)
    outer = {"parallel_group_id": "parallel-activities:1:3", "parallel_group_base_sequence": 1, "parallel_group_size": 3}
    for index, command in enumerate(inner):
        command["parallel_group_path"].insert(0, outer | {"parallel_group_index": index})
    last = {**activity("c"), **outer, "parallel_group_index": 2, "parallel_group_path": [outer | {"parallel_group_index": 2}]}
    run.do(*inner, last)
    run.finish(run.lease("activity"))
    run.finish(run.lease("activity"))
    assert run.offered("workflow") == []
    run.finish(run.lease("activity"))
    assert run.offered("workflow")


def test_open_activities_and_timers_are_bounded():
    run = DurableRun(settings={"max_pending_activities": 3})
    run.do(timer(9), activity())
    run.signal()
    task = run.lease()
    with pytest.raises(LimitReached, match="max_pending_activities"):
        run.complete(task, timer(1), timer(1))
    run.complete(task, timer(1))

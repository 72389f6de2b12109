"""Leasing, fencing, failing and expiring of workflow tasks; what waits behind one; what a restart leaves."""

import pytest

from triplane.engines.durable.ids import workflow_task_id
from triplane.errors import InvalidFields, LeaseLost, TaskNotFound
from triplane.payloads import envelope
from unit.durable_engine.harness import RUN, DurableRun, activity, complete, condition, timer


def test_a_started_run_offers_its_first_task_and_is_pending():
    run = DurableRun()
    assert run.events == ["StartAccepted", "WorkflowStarted"]
    assert run.offered("workflow") == [workflow_task_id(RUN, 1)]
    assert run.state.run.status == "pending"
    assert run.event("WorkflowStarted")["input"] == envelope(["bob"])


def test_a_lease_carries_what_a_worker_needs():
    run = DurableRun()
    task = run.lease()
    assert task["workflow_task_attempt"] == 1 and task["lease_owner"] == "w1"
    assert task["arguments"] == envelope(["bob"])
    assert [event.name for event in task["history_events"]] == ["StartAccepted", "WorkflowStarted"]
    assert task["lease_expires_at"] == run.clock.now() + 60
    assert run.state.run.status == "running"
    assert run.lease(task_id=task["task_id"]) is None


def test_plain_input_is_encoded_for_the_worker():
    run = DurableRun(input=["bob"])
    assert run.lease()["arguments"] == {"codec": "avro", "blob": "wwHioz3/VYAiNwwCCgZib2IA"}
    assert run.state.detail.input == envelope(["bob"])


def test_a_workflow_with_one_activity_runs_to_its_end():
    run = DurableRun()
    assert run.do(activity()) == {"run_id": RUN, "run_status": "waiting"}
    assert run.lease() is None
    task = run.lease("activity")
    assert task["arguments"] == envelope([1])
    run.finish(task, 42)
    assert run.do(complete("end"))["run_status"] == "completed"
    assert run.events == [
        "StartAccepted", "WorkflowStarted", "ActivityScheduled", "ActivityStarted", "ActivityCompleted", "WorkflowCompleted",
    ]  # fmt: skip
    assert run.state.detail.output == envelope("end")
    assert run.event("ActivityCompleted")["result"] == envelope(42)
    assert run.offers == {} and run.state.timers == {}


def test_workflow_steps_are_numbered_densely_over_tasks():
    run = DurableRun()
    run.do(
        {"type": "record_side_effect", "result": envelope(1)["blob"]},
        {"type": "record_version_marker", "change_id": "c", "version": 1, "min_supported": 1, "max_supported": 2},
        timer(5),
    )
    run.advance(5)
    run.do({"type": "upsert_search_attributes", "attributes": {"Tier": "gold"}}, activity())
    numbered = [event.data["sequence"] for event in run.state.history if "sequence" in event.data and event.name != "TimerFired"]
    assert numbered == [1, 2, 3, 4, 5]
    assert run.state.detail.search_attributes == {"Tier": "gold"}


def test_a_repeated_completion_is_refused_and_changes_nothing():
    run = DurableRun()
    task = run.lease()
    run.complete(task, activity())
    before = list(run.events)
    with pytest.raises(LeaseLost) as caught:
        run.complete(task, activity())
    assert caught.value.reason == "task_not_leased"
    assert run.events == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lease_owner": "thief"}, "lease_owner_mismatch"),
        ({"workflow_task_attempt": 2}, "workflow_task_attempt_mismatch"),
    ],
)
def test_a_forged_report_is_refused_with_the_reason_the_worker_knows(change, reason):
    run = DurableRun()
    task = run.lease() | change
    with pytest.raises(LeaseLost) as caught:
        run.complete(task, complete())
    assert caught.value.reason == reason


@pytest.mark.parametrize("task_id", [workflow_task_id(RUN, 2), "wt-x", "at-0190-run-1-1", "../etc"])
def test_a_task_that_never_was_is_not_found(task_id):
    run = DurableRun()
    task = run.lease() | {"task_id": task_id}
    with pytest.raises(TaskNotFound):
        run.complete(task, complete())


def test_an_expired_lease_offers_the_same_task_again_with_the_next_attempt():
    run = DurableRun()
    first = run.lease()
    run.advance(60)
    second = run.lease(worker="w2")
    assert second["task_id"] == first["task_id"] and second["workflow_task_attempt"] == 2
    with pytest.raises(LeaseLost):
        run.complete(first, complete())
    run.complete(second, complete())
    assert run.state.run.status == "completed"


def test_a_report_in_the_moment_of_expiry_is_refused_even_before_the_alarm():
    run = DurableRun()
    task = run.lease()
    run.clock.advance(60)
    with pytest.raises(LeaseLost) as caught:
        run.complete(task, complete())
    assert caught.value.reason == "lease_expired"


def test_leases_taken_one_after_another_need_only_one_alarm():
    run = DurableRun()
    run.do(activity())
    for _ in range(5):
        run.advance(10)
        run.signal()
        run.do()
    assert run.state.timers["workflow-task"].fire_at == run.clock.now() - 50 + 60
    run.signal()
    task = run.lease()
    run.advance(59)
    assert run.lease() is None, "the early alarm must not take the lease away"
    run.advance(1)
    assert run.lease()["workflow_task_attempt"] == task["workflow_task_attempt"] + 1


def test_nothing_new_to_say_closes_the_task_without_another():
    run = DurableRun()
    run.do(activity())
    run.signal()
    assert run.do() == {"run_id": RUN, "run_status": "waiting"}
    assert run.offered("workflow") == []


def test_a_failing_task_comes_back_after_growing_waits_and_the_run_stays_open():
    run = DurableRun()
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        run.fail(run.lease(), "NonDeterministicReplayError")
        assert run.offered("workflow") == []
        run.advance(wait_s - 0.5)
        assert run.offered("workflow") == []
        run.advance(0.5)
        assert run.offered("workflow") == [workflow_task_id(RUN, 1)]
    assert run.state.run.is_open and "failed 8 times" in run.state.run.status_message
    run.do(complete())
    assert run.state.run.status == "completed"


def test_what_happens_while_a_task_is_leased_is_recorded_behind_it():
    run = DurableRun()
    run.do(activity(), timer(5))
    run.signal("first")
    task = run.lease()
    run.finish(run.lease("activity"))
    run.signal("second")
    run.advance(5)
    assert run.events[-1] == "ActivityStarted", "the signal, the result and the timer wait"
    run.complete(task, activity("second"))
    assert run.events[-4:] == ["ActivityScheduled", "ActivityCompleted", "SignalReceived", "TimerFired"]
    assert run.offered("workflow") == [workflow_task_id(RUN, 3)]


@pytest.mark.parametrize("ending", ["fail", "expire", "release", "nothing"])
def test_what_waited_is_recorded_however_the_task_ends(ending):
    run = DurableRun()
    run.do(condition())
    run.signal("first")
    task = run.lease()
    run.signal("kept")
    if ending == "fail":
        run.fail(task, "Boom")
    elif ending == "nothing":
        run.fail(task)
    elif ending == "expire":
        run.advance(60)
    else:
        run.release(task["task_id"])
    assert run.events.count("SignalReceived") == 2
    run.advance(60)
    assert run.offered("workflow")


def test_what_waits_survives_a_restart_in_order_and_in_rows_of_its_own():
    run = DurableRun()
    task = run.lease()
    size = len(str(run.state.run.data))
    for number in range(12):
        run.signal(f"s{number}", "x" * 1_000)
    assert len(str(run.state.run.data)) == size, "the run's own row must not grow with what waits"
    run.restart()
    run.complete(task, activity())
    names = [event.data["signal_name"] for event in run.state.history if event.name == "SignalReceived"]
    assert names == [f"s{number}" for number in range(12)]
    assert not [name for name in run.state.timers if name.startswith("waiting-")]


def test_what_comes_before_the_first_step_is_told_after_it():
    run = DurableRun()
    run.signal("early")
    run.update("early")
    assert run.events == ["StartAccepted", "WorkflowStarted"] and run.lease()["total_history_events"] == 2
    run.restart()
    run.complete(run.lease(), condition())
    assert run.events == ["StartAccepted", "WorkflowStarted", "ConditionWaitOpened", "SignalReceived", "UpdateAccepted"]


def test_what_comes_after_a_timeout_is_told_after_the_next_step():
    run = DurableRun()
    run.do(condition("first", timeout_seconds=5))
    run.advance(5)
    run.signal("late")
    assert run.events[-1] == "TimerFired"
    run.do(condition("second"))
    assert run.events[-2:] == ["ConditionWaitOpened", "SignalReceived"] and run.offered("workflow")


def test_pages_of_a_leased_history_show_it_as_it_was():
    run = DurableRun()
    run.do(condition())
    for _ in range(2):
        run.signal()
    task = run.lease(page=2)
    assert [e.seq for e in task["history_events"]] == [1, 2] and task["next_after"] == 2
    assert task["total_history_events"] == 5
    run.signal("later")
    from triplane.commands import ReadTaskHistory

    page = run._report(ReadTaskHistory(task_id=task["task_id"], lease_owner="w1", attempt=1, after=2, page_size=5))
    assert [e.seq for e in page["history_events"]] == [3, 4, 5] and page["next_after"] is None


def test_a_release_by_the_worker_that_holds_it_offers_the_task_again():
    run = DurableRun()
    task = run.lease()
    assert run.release(task["task_id"], "w2") == {"released": False}
    assert run.release(task["task_id"]) == {"released": True}
    assert run.lease(worker="w2")["workflow_task_attempt"] == 2


def test_the_lease_of_before_a_restart_may_still_be_reported_on():
    run = DurableRun()
    run.do(activity())
    run.finish(run.lease("activity"))
    task = run.lease()
    run.restart()
    run.complete(task, complete())
    assert run.state.run.status == "completed" and run.offers == {}


def test_a_lease_the_disk_never_heard_of_may_be_reported_on_after_a_restart():
    run = DurableRun()
    data = run.state.run.data
    task = run.lease()
    from triplane.entities import evolve

    run.state.run = evolve(run.state.run, data=data)
    run.restart()
    run.signal("afterwards")
    assert run.events == ["StartAccepted", "WorkflowStarted"], "what comes now must wait behind the task that may be in hand"
    run.complete(task, activity())
    assert run.events == ["StartAccepted", "WorkflowStarted", "ActivityScheduled", "SignalReceived"]


def test_a_lease_taken_anew_after_a_restart_shuts_the_old_one_out():
    run = DurableRun()
    run.do(condition())
    run.signal()
    old = run.lease()
    run.restart()
    run.signal("between")
    new = run.lease(worker="w2")
    assert [e.name for e in new["history_events"][2:]] == ["ConditionWaitOpened", "SignalReceived", "SignalReceived"]
    assert new["workflow_task_attempt"] > old["workflow_task_attempt"]
    with pytest.raises(LeaseLost):
        run.complete(old, complete())
    run.complete(new, complete())


def test_a_waiting_run_is_not_changed_by_a_restart():
    run = DurableRun()
    run.do(condition())
    before = run.state.run.data
    run.restart()
    assert run.state.run.data == before and run.offers == {}
    run.signal()
    assert run.offered("workflow")


@pytest.mark.parametrize(
    ("command", "field"),
    [
        ({"type": "launch_rocket"}, "commands.0.type"),
        ({"type": ["x"]}, "commands.0.type"),
        ({}, "commands.0.type"),
        ({"type": "start_timer"}, "commands.0.delay_seconds"),
        ({"type": "start_timer", "delay_seconds": -1}, "commands.0.delay_seconds"),
        ({"type": "start_timer", "delay_seconds": True}, "commands.0.delay_seconds"),
        ({"type": "start_timer", "delay_seconds": 1e300}, "commands.0.delay_seconds"),
        ({"type": "schedule_activity", "activity_type": ""}, "commands.0.activity_type"),
        ({"type": "schedule_activity", "activity_type": "a", "retry_policy": []}, "commands.0.retry_policy"),
        ({"type": "schedule_activity", "activity_type": "a", "retry_policy": {"max_attempts": 0}}, "commands.0.max_attempts"),
        ({"type": "schedule_activity", "activity_type": "a", "heartbeat_timeout": "5"}, "commands.0.heartbeat_timeout"),
        ({"type": "schedule_activity", "activity_type": "a", "arguments": {"x": 2**70}}, "commands.0.arguments"),
        ({"type": "upsert_memo", "entries": {"codec": "avro", "blob": "nonsense"}}, "commands.0.entries"),
        ({"type": "upsert_memo", "entries": {"codec": "avro", "blob": "wwHioz3/VYAiNwRU"}}, "commands.0.entries"),
        ({"type": "upsert_search_attributes", "attributes": 7}, "commands.0.attributes"),
        ({"type": "record_version_marker", "change_id": "c"}, "commands.0.version"),
        ({"type": "complete_update", "update_id": "u", "result": None}, "commands.0.type"),
        ({"type": "schedule_activity", "activity_type": "a", "parallel_group_id": "g"}, "commands.0.parallel_group_size"),
        ({"type": "schedule_activity", "activity_type": "a", "parallel_group_path": "g"}, "commands.0.parallel_group_path"),
    ],
)
def test_a_malformed_command_is_refused_by_its_field_and_the_task_stays_leased(command, field):
    run = DurableRun()
    task = run.lease()
    with pytest.raises(InvalidFields) as caught:
        run.complete(task, command)
    assert field in caught.value.details["errors"]
    assert run.events == ["StartAccepted", "WorkflowStarted"]
    run.complete(task, complete())


def test_nothing_may_follow_the_command_that_ends_the_workflow():
    run = DurableRun()
    with pytest.raises(InvalidFields):
        run.complete(run.lease(), complete(), timer(1))


def test_a_payload_over_the_limit_is_refused():
    run = DurableRun(settings={"max_payload_bytes": 1_024})
    with pytest.raises(InvalidFields, match="max_payload_bytes"):
        run.complete(run.lease(), complete("x" * 3_000))


def test_a_failed_workflow_says_why():
    run = DurableRun()
    run.do({"type": "fail_workflow", "message": "no stock", "exception_type": "OutOfStock"})
    assert run.state.run.status == "failed"
    assert run.event("WorkflowFailed")["message"] == "no stock"
    assert run.event("WorkflowFailed")["exception_class"] == "OutOfStock"


def test_the_memo_is_merged_as_a_whole_and_echoed():
    run = DurableRun(memo={"b": 1, "gone": 2})
    entries = envelope({"a": [1], "gone": None})
    run.do({"type": "upsert_memo", "entries": entries}, timer(1))
    assert run.event("MemoUpserted") == {"sequence": 1, "entries": entries, "merged": envelope({"a": [1], "b": 1})}
    assert run.state.detail.memo == {"a": [1], "b": 1}


def test_a_local_activity_is_over_at_once_and_offered_to_nobody():
    run = DurableRun()
    run.do(
        {"type": "record_local_activity", "activity_type": "add", "outcome": "completed", "result": envelope(3),
         "attempts": [{"attempt_id": "x", "attempt_number": 1, "outcome": "completed"}]},
        timer(1),
    )  # fmt: skip
    assert run.events[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivityCompleted"]
    assert all(event.data["local_activity"] for event in run.state.history[2:5])
    assert run.offered("activity") == []


def test_no_event_of_a_run_has_a_key_without_a_value():
    run = DurableRun()
    run.do(activity(), timer(0), condition(timeout_seconds=5))
    run.finish(run.lease("activity"))
    run.update()
    run.advance(10)
    for event in run.state.history:
        assert None not in event.data.values(), event

"""Activities: leases, retries, all four timeouts, heartbeats, and how they look as tasks and jobs."""

import pytest

from triplane.engines.durable.ids import activity_task_id
from triplane.errors import LeaseLost, TaskNotFound
from unit.durable_engine.harness import RUN, DurableRun, activity, complete


def scheduled(**fields):
    run = DurableRun()
    run.do(activity(**fields))
    return run


def test_an_activity_is_a_task_that_every_wire_can_show():
    run = scheduled(activity_type="charge:card/eu")
    task = run.task("charge-card-eu-1")
    assert (task.state, task.is_queued, task.submit_num) == ("waiting", True, 0)
    leased = run.lease("activity")
    task, job = run.task("charge-card-eu-1"), run.state.jobs[("1", "charge-card-eu-1", 1)]
    assert (task.state, task.is_queued, task.submit_num) == ("running", False, 1)
    assert (job.state, job.platform, job.job_id) == ("running", "queue:q", leased["activity_attempt_id"])
    run.finish(leased)
    assert run.task("charge-card-eu-1").state == "succeeded"
    assert run.state.jobs[("1", "charge-card-eu-1", 1)].state == "succeeded"


def test_of_two_reports_on_one_attempt_the_first_wins():
    run = scheduled()
    task = run.lease("activity")
    run.finish(task, 1)
    for late in (lambda: run.finish(task, 2), lambda: run.break_(task)):
        with pytest.raises(LeaseLost) as caught:
            late()
        assert caught.value.reason == "stale_attempt"
    assert run.events.count("ActivityCompleted") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lease_owner": "thief"}, "lease_owner_mismatch"),
        ({"activity_attempt_id": "aa-forged"}, "task_mismatch"),
    ],
)
def test_a_forged_report_is_refused(change, reason):
    run = scheduled()
    task = run.lease("activity") | change
    with pytest.raises(LeaseLost) as caught:
        run.finish(task)
    assert caught.value.reason == reason


def test_reports_on_attempts_that_nobody_has_are_refused():
    run = scheduled()
    task = run.lease("activity")
    ahead = {"task_id": activity_task_id(RUN, 1, 2), "activity_attempt_id": f"aa-{RUN}-1-2", "lease_owner": "w1"}
    with pytest.raises(LeaseLost) as caught:
        run.finish(ahead)
    assert caught.value.reason == "task_not_leased"
    with pytest.raises(TaskNotFound):
        run.finish(task | {"task_id": activity_task_id(RUN, 9, 1)})


def test_without_a_policy_a_failure_is_final():
    run = scheduled()
    assert run.break_(run.lease("activity"), "no funds", type="Declined") == {"recorded": True, "run_id": RUN, "next_task_id": None}
    failed = run.event("ActivityFailed")
    assert failed["message"] == "no funds" and failed["exception_type"] == "Declined"
    assert failed["exception"] == {"message": "no funds", "type": "Declined"}
    assert run.task("charge-1").state == "failed"
    assert run.offered("workflow")


def test_a_policy_retries_with_its_waits_and_the_workflow_sees_only_the_end():
    run = scheduled(retry_policy={"max_attempts": 3, "backoff_seconds": [2, 5]})
    first = run.lease("activity")
    assert run.break_(first)["next_task_id"] == activity_task_id(RUN, 1, 2)
    assert run.offered("activity") == [] and run.offered("workflow") == []
    run.advance(2)
    second = run.lease("activity")
    assert second["attempt_number"] == 2 and second["activity_execution_id"] == first["activity_execution_id"]
    run.break_(second)
    run.advance(4.9)
    assert run.offered("activity") == []
    run.advance(0.1)
    run.break_(run.lease("activity"), "at last")
    assert run.event("ActivityFailed")["attempt_number"] == 3
    assert run.events.count("ActivityRetryScheduled") == 2
    assert [job.state for job in run.state.jobs.values()] == ["failed"] * 3


@pytest.mark.parametrize("failure", [{"non_retryable": True}, {"type": "Fatal"}])
def test_what_must_not_be_retried_is_not(failure):
    run = scheduled(retry_policy={"max_attempts": None, "non_retryable_error_types": ["Fatal"]})
    assert run.break_(run.lease("activity"), **failure)["next_task_id"] is None
    assert run.task("charge-1").state == "failed"


def test_attempts_without_a_limit_go_on():
    run = scheduled(retry_policy={"max_attempts": None, "backoff_seconds": []})
    for number in range(1, 30):
        task = run.lease("activity")
        assert task["attempt_number"] == number
        run.break_(task)


def test_an_activity_nobody_starts_times_out_and_is_never_retried():
    run = scheduled(schedule_to_start_timeout=10, retry_policy={"max_attempts": 5})
    run.advance(10)
    assert run.event("ActivityTimedOut")["timeout_kind"] == "schedule_to_start"
    assert run.event("ActivityTimedOut")["failure_category"] == "timeout"
    assert run.offered("activity") == [] and run.offered("workflow")


@pytest.mark.parametrize("kind", ["start_to_close", "heartbeat"])
def test_an_attempt_that_takes_too_long_is_retried_then_times_out(kind):
    run = scheduled(**{f"{kind}_timeout": 10}, retry_policy={"max_attempts": 2, "backoff_seconds": [1]})
    first = run.lease("activity")
    run.advance(10)
    with pytest.raises(LeaseLost):
        run.finish(first)
    run.advance(1)
    run.lease("activity")
    run.advance(10)
    assert run.event("ActivityTimedOut")["timeout_kind"] == kind
    assert run.task("charge-1").state == "failed"


def test_the_whole_time_of_an_activity_ends_it_between_attempts_too():
    run = scheduled(schedule_to_close_timeout=10, retry_policy={"max_attempts": None, "backoff_seconds": [6]})
    run.break_(run.lease("activity"))
    run.advance(6)
    assert run.break_(run.lease("activity"), "second")["next_task_id"] is None, "the third attempt would begin too late"
    assert run.event("ActivityFailed")["message"] == "second"


def test_a_running_attempt_ends_with_the_whole_time():
    run = scheduled(schedule_to_close_timeout=10)
    run.lease("activity")
    run.advance(10)
    assert run.event("ActivityTimedOut")["timeout_kind"] == "schedule_to_close"


def test_heartbeats_keep_an_attempt_alive():
    run = scheduled(heartbeat_timeout=10)
    task = run.lease("activity")
    for _ in range(5):
        run.advance(9)
        assert run.beat(task)["can_continue"] is True
    run.finish(task)
    assert run.task("charge-1").state == "succeeded"


def test_a_silent_attempt_is_given_to_another_worker_without_counting_as_a_failure():
    run = scheduled()
    lost = run.lease("activity")
    run.advance(300)
    again = run.lease("activity", worker="w2")
    assert again["attempt_number"] == 2
    assert run.beat(lost) | {"reason": None} == {
        "cancel_requested": True, "can_continue": False, "reason": None, "heartbeat_recorded": False,
        "lease_expires_at": None, "last_heartbeat_at": None,
    }  # fmt: skip
    run.finish(again)
    assert run.events.count("ActivityCompleted") == 1


def test_a_lease_given_back_is_offered_as_the_next_attempt():
    run = scheduled()
    task = run.lease("activity")
    assert run.release(task["task_id"]) == {"released": True}
    assert run.offered("activity") == [activity_task_id(RUN, 1, 2)]
    assert run.release(task["task_id"]) == {"released": False}


def test_activities_survive_a_restart_leased_queued_or_waiting():
    run = DurableRun()
    run.do(activity("leased"), activity("queued"), activity("waiting", retry_policy={"max_attempts": 2, "backoff_seconds": [30]}))
    leased = run.lease("activity", task_id=activity_task_id(RUN, 1, 1))
    run.break_(run.lease("activity", task_id=activity_task_id(RUN, 3, 1)))
    run.restart()
    assert run.offered("activity") == [activity_task_id(RUN, 2, 1)]
    assert [tell.value for tell in run.told if tell.topic == "lease_held"] == [
        {"task_id": leased["task_id"], "worker_id": "w1", "session_id": None}
    ]
    run.finish(leased)
    run.advance(30)
    assert activity_task_id(RUN, 3, 2) in run.offered("activity")


def test_a_lease_from_before_a_restart_still_ends_in_time():
    run = scheduled()
    run.lease("activity")
    run.advance(100)
    run.restart()
    run.advance(200)
    assert run.offered("activity") == [activity_task_id(RUN, 1, 2)]


def test_when_the_run_closes_its_activities_are_over_and_withdrawn():
    run = DurableRun()
    run.do(activity("queued"), activity("leased"))
    run.lease("activity", task_id=activity_task_id(RUN, 2, 1))
    run.signal()
    run.do(complete())
    assert run.offers == {}
    assert run.task("queued-1").state == "expired" and run.task("leased-2").state == "failed"
    assert run.state.jobs[("1", "leased-2", 1)].finished is not None
    assert run.events[-1] == "WorkflowCompleted"


@pytest.mark.parametrize("end", ["timeout", "closing"])
def test_a_lease_whose_activity_is_over_is_forgotten_by_whoever_keeps_leases(end):
    run = scheduled(schedule_to_close_timeout=3)
    task = run.lease("activity")
    if end == "timeout":
        run.advance(4)
    else:
        run.signal()
        run.do(complete())
    assert [told.value for told in run.told if told.topic == "lease_ended" and told.value.startswith("at-")] == [task["task_id"]]

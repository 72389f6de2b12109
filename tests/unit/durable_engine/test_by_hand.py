"""What people do to single tasks of a durable run beside killing them: hold timers and children, set, poll, message, stop later."""

import pytest

from triplane.commands import (
    HoldTasks,
    PauseRun,
    PollTasks,
    ReleaseTasks,
    ReportJob,
    ResumeRun,
    ScheduleStop,
    SendExternalTrigger,
    SetTasks,
    TriggerTasks,
)
from triplane.errors import InvalidFields, LimitReached, NothingMatched, NotSupported, RefusedInput
from triplane.payloads import envelope
from unit.durable_engine.harness import DurableRun, activity, child, timer


def on(kind, *globs, **fields):
    return kind(workflow_id="w", task_globs=globs or ("*",), **fields)


def report(*texts, submit_num=1, task="charge-1"):
    return ReportJob(workflow_id="w", cycle="1", task=task, submit_num=submit_num, messages=tuple(("INFO", text) for text in texts))


def test_a_held_timer_fires_when_it_is_released_and_not_before():
    run = DurableRun()
    run.do(timer(5), timer(500))
    assert run.send(on(HoldTasks, "1/timer-*")) == ["1/timer-1", "1/timer-2"]
    run.restart()
    run.advance(10)
    assert "TimerFired" not in run.events and run.task("timer-1").is_held
    assert run.send(on(ReleaseTasks)) == ["1/timer-1", "1/timer-2"]
    assert run.events.count("TimerFired") == 1 and run.task("timer-1").state == "succeeded"
    run.advance(489)
    assert not run.task("timer-2").is_held and run.events.count("TimerFired") == 1
    run.advance(2)
    assert run.events.count("TimerFired") == 2


def test_a_hold_of_a_leased_activity_keeps_its_next_attempt_back():
    run = DurableRun()
    run.do(activity(retry_policy={"max_attempts": 2}))
    task = run.lease("activity")
    assert run.send(on(HoldTasks)) == ["1/charge-1"]
    assert (run.task("charge-1").state, run.task("charge-1").is_held) == ("running", True)
    run.break_(task)
    run.restart()
    assert run.offered("activity") == [] and run.task("charge-1").is_held
    run.send(on(ReleaseTasks))
    assert len(run.offered("activity")) == 1


def test_a_held_child_is_not_begun_again_until_it_is_released_or_triggered():
    for command, attempts in ((on(ReleaseTasks), 1), (on(TriggerTasks), 1)):
        run = DurableRun()
        run.do(child(retry_policy={"max_attempts": 2, "backoff_seconds": [0]}))
        run.send(on(HoldTasks, "1/child-1"))
        run.begun.clear()
        run.close_child(status="failed", message="no")
        assert run.task("child-1").state == "waiting" and run.task("child-1").is_held and run.begun == []
        run.restart()
        run.advance(5)
        assert run.begun == []
        run.send(command)
        assert len(run.begun) == attempts and not run.task("child-1").is_held


def test_release_of_everything_needs_nothing_that_is_held():
    run = DurableRun()
    run.do(activity())
    assert run.send(on(ReleaseTasks, forget_hold_point=True)) == []
    run.send(on(HoldTasks))
    assert run.send(on(ReleaseTasks, forget_hold_point=True)) == ["1/charge-1"]


def test_a_trigger_in_a_pause_gives_that_activity_to_a_worker_and_no_other():
    run = DurableRun()
    run.do(activity("a"), activity("b"))
    run.send(PauseRun(workflow_id="w"))
    run.send(on(TriggerTasks, "1/a-1"))
    run.restart()
    assert [run.offers[one].item_type for one in run.offers] == ["a"]
    run.finish(run.lease("activity"))
    assert run.task("a-1").state == "succeeded" and run.offers == {}
    run.send(ResumeRun(workflow_id="w"))
    assert len(run.offered("activity")) == 1


def test_a_pause_after_a_trigger_in_a_pause_takes_it_back():
    run = DurableRun()
    run.do(activity("a"))
    run.send(PauseRun(workflow_id="w"))
    run.send(on(TriggerTasks))
    run.send(ResumeRun(workflow_id="w"))
    run.send(PauseRun(workflow_id="w"))
    run.restart()
    assert run.offers == {}


def test_a_trigger_of_what_runs_already_is_refused():
    run = DurableRun()
    run.do(activity())
    run.lease("activity")
    with pytest.raises(NothingMatched, match="is running already"):
        run.send(on(TriggerTasks))


@pytest.mark.parametrize("is_leased", [False, True])
def test_an_activity_set_to_succeeded_gives_null(is_leased):
    run = DurableRun()
    run.do(activity(), timer(50))
    task = run.lease("activity") if is_leased else None
    assert run.send(on(SetTasks)) == ["1/charge-1", "1/timer-2"]
    assert run.event("ActivityCompleted")["result"] == envelope(None) and "TimerFired" in run.events
    assert run.task("charge-1").state == run.task("timer-2").state == "succeeded" and run.offered("workflow")
    if task is not None:
        assert run.beat(task)["cancel_requested"] is True


def test_an_activity_set_to_failed_has_failed_for_good():
    run = DurableRun()
    run.do(activity(retry_policy={"max_attempts": 5}))
    run.send(on(SetTasks, "1/charge-1", outputs=("failed",)))
    assert run.event("ActivityFailed")["message"] == "set to failed by somebody"
    assert run.task("charge-1").state == "failed"


@pytest.mark.parametrize(
    ("command", "outputs", "words"),
    [
        (activity(), ("started",), "not as started"),
        (activity(), ("succeeded", "failed"), "not as succeeded, failed"),
        (timer(5), ("failed",), "a timer can be set to succeeded"),
        (child(), (), "child-1 is a run of its own"),
    ],
)
def test_outputs_that_a_task_does_not_have_are_refused(command, outputs, words):
    run = DurableRun()
    run.do(command)
    before = list(run.events)
    with pytest.raises(RefusedInput, match=words):
        run.send(on(SetTasks, outputs=outputs))
    assert run.events == before


def test_a_poll_ends_an_attempt_whose_time_is_over():
    run = DurableRun()
    run.do(activity(heartbeat_timeout=5, retry_policy={"max_attempts": 2}))
    run.lease("activity")
    assert run.send(on(PollTasks)) == ["1/charge-1"] and run.task("charge-1").state == "running"
    run.clock.advance(6)
    run.send(on(PollTasks))
    assert run.task("charge-1").state == "waiting" and run.events[-1] == "ActivityRetryScheduled"
    with pytest.raises(NothingMatched, match="nothing to poll"):
        run.send(on(PollTasks))


def test_a_poll_asks_after_a_child():
    run = DurableRun()
    run.do(child())
    run.begun.clear()
    assert run.send(on(PollTasks, "1/child-1")) == ["1/child-1"]
    assert len(run.begun) == 1


def test_a_message_is_kept_with_the_attempt_that_a_worker_has():
    run = DurableRun()
    run.do(activity())
    for wrong in (report("half done"), report("half done", task="nothing")):
        with pytest.raises(NothingMatched, match="no worker has attempt 1"):
            run.send(wrong)
    run.lease("activity")
    assert run.send(report("half done", "x" * 3_000)) == {"queued": 2}
    messages = run.state.jobs[("1", "charge-1", 1)].messages
    assert messages[0] == "half done" and len(messages[1]) == 2_000
    for _ in range(120):
        run.send(report("again"))
    assert len(run.state.jobs[("1", "charge-1", 1)].messages) == 100
    for word in ("succeeded", "failed/ERR", "started"):
        with pytest.raises(NotSupported, match="only its worker can say"):
            run.send(report(word))


def test_a_message_to_a_run_whose_history_is_full_is_refused():
    run = DurableRun(settings={"max_history_events": 100})
    run.do(activity())
    run.lease("activity")
    with pytest.raises(LimitReached):
        for _ in range(110):
            run.send(report("again"))
    assert len(run.state.jobs[("1", "charge-1", 1)].messages) < 100


def test_a_run_is_cancelled_at_the_time_that_was_set():
    run = DurableRun()
    run.do(activity())
    run.send(ScheduleStop(workflow_id="w", at=run.clock.now() + 60))
    run.restart()
    run.advance(59)
    assert run.state.run.is_open
    run.advance(2)
    assert run.state.run.status == "cancelled" and run.events[-1] == "WorkflowCancelled"


def test_an_external_trigger_is_a_signal():
    run = DurableRun()
    run.do(timer(5))
    run.send(SendExternalTrigger(workflow_id="w", message="arrived", trigger_id="id1"))
    signal = run.event("SignalReceived")
    assert (signal["signal_name"], signal["arguments"]) == ("arrived", envelope(["id1"]))
    with pytest.raises(RefusedInput, match="at most 256"):
        run.send(SendExternalTrigger(workflow_id="w", message="x" * 257, trigger_id="id1"))


@pytest.mark.parametrize(("glob", "found"), [("01/charge-1", 1), ("1:waiting", 2), ("*:running", 2), ("1", 2), ("1/root", 2)])
def test_globs_mean_what_they_mean_on_graphs(glob, found):
    run = DurableRun()
    run.do(activity(), timer(5))
    assert len(run.send(on(HoldTasks, glob))) == found


def test_a_time_to_stop_must_be_one():
    with pytest.raises((RefusedInput, InvalidFields)):
        DurableRun().send(ScheduleStop(workflow_id="w"))

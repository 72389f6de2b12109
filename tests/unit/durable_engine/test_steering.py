"""Pausing, holding, triggering, killing, stopping, and the run's own deadlines."""

import pytest

from triplane.commands import (
    HoldTasks,
    KillTasks,
    PauseRun,
    PlayRun,
    ReleaseTasks,
    RemoveTasks,
    ResumeRun,
    StopMode,
    StopRun,
    TriggerTasks,
)
from triplane.engines.durable.ids import activity_task_id
from triplane.errors import InvalidFields, NothingMatched, NotSupported
from unit.durable_engine.harness import RUN, DurableRun, activity, condition, timer


def test_a_paused_run_offers_nothing_until_it_is_resumed():
    run = DurableRun()
    run.do(activity("a"), activity("b"))
    leased = run.lease("activity")
    run.signal()
    run.send(PauseRun(workflow_id="w"))
    assert run.offers == {} and run.state.run.paused
    run.finish(leased)
    assert run.offers == {}
    run.restart()
    assert run.offers == {}
    run.send(ResumeRun(workflow_id="w"))
    assert len(run.offered("workflow")) == 1 and len(run.offered("activity")) == 1
    assert run.events.count("RunPaused") == run.events.count("RunResumed") == 1


def test_pausing_twice_is_pausing_once():
    run = DurableRun()
    for _ in range(2):
        assert run.send(PauseRun(workflow_id="w"))["paused"] is True
    assert run.events.count("RunPaused") == 1


def test_a_lease_that_meets_a_pause_gets_nothing():
    run = DurableRun()
    task_id = run.offered("workflow")[0]
    run.send(PauseRun(workflow_id="w"))
    assert run.lease(task_id=task_id) is None


def test_a_held_activity_is_not_offered_until_it_is_released():
    run = DurableRun()
    run.do(activity("a"), activity("b"))
    assert run.send(HoldTasks(workflow_id="w", task_globs=("1/a-*",))) == ["1/a-1"]
    assert run.task("a-1").is_held and run.offered("activity") == [activity_task_id(RUN, 2, 1)]
    assert run.lease("activity", task_id=activity_task_id(RUN, 1, 1)) is None
    run.restart()
    assert run.offered("activity") == [activity_task_id(RUN, 2, 1)]
    assert run.send(ReleaseTasks(workflow_id="w", task_globs=("*",))) == ["1/a-1"]
    assert len(run.offered("activity")) == 2 and not run.task("a-1").is_held


def test_a_trigger_ends_a_wait_for_the_next_attempt_and_fires_timers():
    run = DurableRun()
    run.do(activity(retry_policy={"max_attempts": 2, "backoff_seconds": [500]}), timer(500))
    run.break_(run.lease("activity"))
    assert run.send(TriggerTasks(workflow_id="w", task_globs=("1/*",))) == ["1/charge-1", "1/timer-2"]
    assert run.offered("activity") == [activity_task_id(RUN, 1, 2)]
    assert run.events[-1] == "TimerFired" and run.offered("workflow")


def test_killed_activities_and_timers_are_seen_as_cancelled():
    run = DurableRun()
    run.do(activity(), timer(500))
    task = run.lease("activity")
    assert run.send(KillTasks(workflow_id="w", task_globs=("1/charge-1:running", "1/timer-*"))) == ["1/charge-1", "1/timer-2"]
    assert run.events[-2:] == ["ActivityCancelled", "TimerCancelled"]
    assert run.beat(task)["cancel_requested"] is True
    assert run.task("charge-1").state == run.task("timer-2").state == "failed"


@pytest.mark.parametrize("glob", ["1/nothing", "2/*", "1/charge-1:failed"])
def test_globs_that_match_nothing_are_refused(glob):
    run = DurableRun()
    run.do(activity())
    with pytest.raises(NothingMatched):
        run.send(HoldTasks(workflow_id="w", task_globs=(glob,)))


def test_what_a_durable_run_does_not_have_is_said():
    run = DurableRun()
    with pytest.raises(NotSupported, match="keeps all that it scheduled"):
        run.send(RemoveTasks(workflow_id="w", task_globs=("*",)))
    with pytest.raises(NotSupported):
        run.engine.play(run.state, run.state, None)
    assert PlayRun.name == "play_run"


@pytest.mark.parametrize(
    ("mode", "status", "events"),
    [
        (StopMode.GRACEFUL, "cancelled", ["CancelRequested", "WorkflowCancelled"]),
        (StopMode.KILL, "terminated", ["TerminateRequested", "WorkflowTerminated"]),
        (StopMode.LEAVE, "terminated", ["TerminateRequested", "WorkflowTerminated"]),
    ],
)
def test_a_stop_closes_the_run_at_once_without_running_its_code(mode, status, events):
    run = DurableRun()
    run.do(activity(), timer(5), condition())
    run.signal()
    task = run.lease()
    run.signal("kept")
    reply = run.send(StopRun(workflow_id="w", mode=mode, reason="enough"))
    assert reply["status"] == run.state.run.status == status
    assert run.events[-3:] == ["SignalReceived", *events]
    assert run.state.history[-1].data == {"reason": "enough"}
    assert run.offers == {} and run.state.timers == {} and task is not None


def test_a_stop_without_a_reason_leaves_the_key_out():
    run = DurableRun()
    run.send(StopRun(workflow_id="w"))
    assert run.event("WorkflowCancelled") == {}


@pytest.mark.parametrize(
    ("options", "after_s", "kind"),
    [
        ({"run_timeout_s": 600, "execution_timeout_s": 3_600}, 600, "run_timeout"),
        ({"run_timeout_s": 600, "execution_timeout_s": 60}, 60, "execution_timeout"),
    ],
)
def test_a_run_over_its_time_is_failed_as_timed_out(options, after_s, kind):
    run = DurableRun(options=options)
    run.do(activity())
    run.restart()
    run.advance(after_s - 1)
    assert run.state.run.is_open
    run.advance(1)
    assert run.state.run.status == "failed" and run.state.run.closed_reason == "timed_out"
    assert run.events[-1] == "WorkflowTimedOut" and run.event("WorkflowTimedOut")["timeout_kind"] == kind


def test_a_run_without_timeouts_waits_for_ever():
    run = DurableRun()
    run.do(condition())
    assert run.state.timers.keys() <= {"workflow-task"}
    run.advance(10**9)
    assert run.state.run.is_open


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", None), ("priority", "high"), ("priority", 10), ("fairness_key", 7), ("run_timeout_s", "soon"),
        ("run_timeout_s", -1), ("execution_timeout_s", float("nan")), ("execution_timeout_s", True),
        ("execution_deadline", "now"), ("memo_blob", "AAAA"), ("carried_signals", [["x"]]), ("continued_from_run_id", 5),
    ],
)  # fmt: skip
def test_start_options_the_engine_could_not_use_are_refused(name, value):
    with pytest.raises(InvalidFields) as caught:
        DurableRun(options={name: value})
    assert list(caught.value.details["errors"]) == [f"options.{name}"]


def test_every_event_is_in_the_engines_catalogue():
    names = {kind.name for kind in DurableRun().engine.events}
    run = DurableRun()
    run.do(activity(), timer(1), condition(timeout_seconds=1))
    run.advance(5)
    run.finish(run.lease("activity"))
    run.update()
    run.send(StopRun(workflow_id="w"))
    assert set(run.events) <= names

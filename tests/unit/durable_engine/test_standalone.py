"""Standalone activities: one activity, no workflow code, and how it ends is how the run ends."""

import pytest

from triplane.commands import SignalRun, StopRun, UpdateRun
from triplane.engines.durable import standalone
from triplane.entities import HOST_TYPE
from triplane.errors import InvalidFields, NotSupported
from triplane.payloads import envelope
from triplane.queries import RunView
from unit.durable_engine.harness import DurableRun


def hosted(**activity: object) -> DurableRun:
    return DurableRun(workflow_type=HOST_TYPE, options={"activity": {"activity_type": "charge", **activity}})


def seen(run: DurableRun) -> standalone.StandaloneActivity:
    return standalone.describe(RunView(run.state.run, run.state.detail, run.state.tasks, run.state.jobs))


def test_it_is_offered_at_once_and_its_result_closes_the_run():
    run = hosted()
    assert run.offered("workflow") == [] and len(run.offered("activity")) == 1
    assert seen(run).status == "pending" and seen(run).attempts == 0
    task = run.lease("activity")
    assert task["arguments"] == envelope(["bob"]) and seen(run).status == "running"
    run.finish(task, {"paid": 40})
    assert run.state.run.status == "completed" and run.state.detail.output == envelope({"paid": 40})
    assert run.events[2:] == ["ActivityScheduled", "ActivityStarted", "ActivityCompleted", "WorkflowCompleted"]
    assert run.offers == {} and (seen(run).status, seen(run).attempts) == ("completed", 1)


def test_it_is_retried_as_its_policy_says_over_a_restart_and_its_failure_fails_the_run():
    run = hosted(retry_policy={"max_attempts": 2, "backoff_seconds": [5]})
    run.break_(run.lease("activity"))
    assert run.offered("activity") == [] and run.state.run.is_open
    run.restart()
    run.advance(5)
    run.break_(run.lease("activity"), "no funds", type="Poor")
    assert run.state.run.status == "failed" and seen(run).attempts == 2
    failed = run.event("WorkflowFailed")
    assert (failed["message"], failed["exception_type"]) == ("no funds", "Poor")


@pytest.mark.parametrize("kind", ["start_to_close", "heartbeat", "schedule_to_close", "schedule_to_start"])
def test_every_timeout_of_its_own_ends_it(kind):
    run = hosted(**{f"{kind}_timeout": 3})
    if kind != "schedule_to_start":
        run.lease("activity")
    run.advance(4)
    assert run.state.run.status == "failed" and run.state.run.closed_reason == "timed_out"
    assert seen(run).status == "timed_out" and run.event("WorkflowFailed")["timeout_kind"] == kind


def test_a_heartbeat_is_remembered_and_keeps_it_alive():
    run = hosted(heartbeat_timeout=3)
    task = run.lease("activity")
    for _ in range(3):
        run.advance(2)
        assert run.beat(task)["can_continue"]
    assert run.state.run.is_open and seen(run).heartbeat == run.clock.now()


def test_cancelling_it_closes_the_run_and_tells_the_worker_at_its_next_word():
    run = hosted()
    run.lease("activity")
    run.send(StopRun(workflow_id="w", reason="bored"))
    assert run.state.run.status == "cancelled" and seen(run).status == "cancelled"
    assert run.events[-2:] == ["CancelRequested", "WorkflowCancelled"]


@pytest.mark.parametrize("command", [SignalRun(workflow_id="w", signal_name="x"), UpdateRun(workflow_id="w", update_name="x")])
def test_it_has_no_code_that_a_message_could_reach(command):
    run = hosted()
    with pytest.raises(NotSupported):
        run.send(command)


def test_its_type_is_no_workflows_and_its_fields_are_checked():
    with pytest.raises(InvalidFields):
        DurableRun(workflow_type=HOST_TYPE)
    with pytest.raises(InvalidFields):
        DurableRun(options={"activity": {"activity_type": "charge"}})
    with pytest.raises(InvalidFields, match="backoff"):
        hosted(retry_policy={"backoff_seconds": ["soon"]})

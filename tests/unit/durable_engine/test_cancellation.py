"""Cooperative cancellation in the engine: asked for once, delivered once, and what the cancelled call waited for given up."""

import pytest

from triplane.commands.cancelling import BeginCancellation, DeliverCancellation, ObserveActivity
from triplane.errors import Conflict, LeaseLost, NotSupported
from unit.durable_engine.harness import RUN, DurableRun, activity, child, complete, condition, in_group, timer
from unit.durable_engine.test_selections import select

CANCELLED = {"type": "fail_workflow", "message": "workflow cancellation was requested", "exception_type": "WorkflowCancelled"}


def ask(run: DurableRun, cleanup_s: int | None = None, reason: str | None = "enough"):
    return run.send(BeginCancellation(workflow_id="w", request=None, reason=reason, cleanup_timeout_s=cleanup_s))


def deliver(run: DurableRun, task, sequence: int, kind: str, span: int = 1, **fields):
    place = {"cancellation_id": f"cancel-{RUN}", "sequence": sequence, "call_kind": kind, "sequence_span": span, **fields}
    return run._report(
        DeliverCancellation(
            task_id=task["task_id"], lease_owner=task["lease_owner"], attempt=task["workflow_task_attempt"], **place
        )
    )  # fmt: skip


def test_a_request_wakes_the_workflow_and_goes_only_to_workers_that_understand_it():
    run = DurableRun()
    run.do(timer(500))
    first = ask(run, cleanup_s=60)
    (offer,) = [run.offers[task_id] for task_id in run.offered("workflow")]
    assert offer.cooperative and run.events[-1] == "CooperativeCancellationRequested"
    run.restart()
    task = run.lease()
    assert task["cancellation_request"] == first["cancellation_request"]
    again = ask(run, cleanup_s=5, reason="other")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert again["cancellation_request"] == first["cancellation_request"]
    assert run.events.count("CooperativeCancellationRequested") == 1


def test_a_task_that_waits_for_a_worker_is_passed_on_to_one_that_understands():
    run = DurableRun()
    (task_id,) = run.offered("workflow")
    assert not run.offers[task_id].cooperative
    ask(run)
    assert run.offered("workflow") == [task_id] and run.offers[task_id].cooperative


def test_a_request_behind_a_task_in_hand_is_told_with_the_next_one():
    run = DurableRun()
    task = run.lease()
    ask(run)
    assert "CooperativeCancellationRequested" not in run.events
    with pytest.raises(Conflict):
        deliver(run, task, 1, "timer")
    run.restart()
    run.complete(task, timer(500))
    assert run.events[-1] == "CooperativeCancellationRequested"
    assert "cancellation_request" in run.lease()


def test_delivery_gives_up_what_the_call_waited_for_and_the_workflow_ends_as_cancelled():
    run = DurableRun()
    run.do(timer(5))
    ask(run, cleanup_s=100)
    task = run.lease()
    told = deliver(run, task, 1, "timer")
    assert (told["delivered"], told["sequence"]) == (True, 1) and deliver(run, task, 1, "timer") == told
    assert run.events[-1] == "CooperativeCancellationDelivered" and run.events.count("CooperativeCancellationDelivered") == 1
    page = run.state.private.task.snapshot
    assert page == len(run.events), "the worker reads its delivery in the history of the same lease"
    run.complete(task, activity("clean"))
    run.advance(6)
    assert "TimerFired" not in run.events
    run.finish(run.lease("activity"))
    run.restart()
    run.do(CANCELLED)
    assert (run.state.run.status, run.event("WorkflowCancelled")) == ("cancelled", {"reason": "enough"})


@pytest.mark.parametrize(
    ("commands", "kind", "span"),
    [
        ([activity()], "activity", 1),
        ([condition(timeout_seconds=9)], "condition", 1),
        ([child(cancellation_policy="try_cancel")], "child", 1),
        (in_group([activity(), timer(9), child()], 1), "parallel", 3),
    ],
    ids=["activity", "condition", "child", "parallel"],
)
def test_nothing_of_what_was_given_up_wakes_the_workflow_again(commands, kind, span):
    run = DurableRun()
    run.do(*commands)
    leased = run.lease("activity")
    ask(run, cleanup_s=1_000)
    task = run.lease()
    deliver(run, task, 1, kind, span)
    run.restart()
    run.complete(task, timer(700))
    before = len(run.events)
    if leased is not None:
        with pytest.raises(LeaseLost):
            run.finish(leased)
    for sequence in list(run.state.private.children):
        run.close_child(sequence, "cancelled")
    run.advance(60)
    assert len(run.events) == before and not run.offered("workflow")
    assert run.event("TimerScheduled")["sequence"] == span + 1


def test_a_child_goes_on_unless_its_policy_cancels_it_too():
    run = DurableRun()
    run.do(*in_group([child(), child(cancellation_policy="try_cancel")], 1))
    ask(run)
    deliver(run, run.lease(), 1, "parallel", 2)
    assert [(e.child.sequence, e.how) for e in run.ended] == [(2, "request_cancellation")]


def test_a_delivery_waits_for_a_child_whose_policy_says_so():
    run = DurableRun()
    group = in_group([child(cancellation_policy="wait_cancellation_completed"), timer(500)], 1)
    run.do(*group)
    ask(run)
    waiting = deliver(run, run.lease(), 1, "parallel", 2)
    assert (waiting["delivered"], waiting["claim_released"], waiting["reason"]) == (False, True, "cancellation_waiting_for_child")
    assert waiting["sequence"] is None and [e.how for e in run.ended] == ["request_cancellation"]
    assert not run.offered("workflow")
    run.restart()
    run.close_child(1, "cancelled", message="done")
    assert run.events[-1] == "ChildRunCancelled" and run.offered("workflow"), "although its group is not complete"
    assert deliver(run, run.lease(), 1, "parallel", 2)["delivered"] is True


def test_a_delivery_at_a_call_that_was_not_made_yet_counts_it():
    run = DurableRun()
    ask(run)
    task = run.lease()
    deliver(run, task, 1, "activity")
    run.complete(task, activity("clean"))
    assert run.event("ActivityScheduled")["sequence"] == 2


def test_a_delivery_at_a_selections_handle_gives_up_its_member_alone():
    run = DurableRun()
    run.do(*select(1, kid=activity(), late=timer(50), other=activity()))
    run.finish(run.lease("activity"))
    ask(run)
    task = run.lease()
    deliver(run, task, 4, "selection_handle", operation_sequence=2)
    assert list(run.state.private.timers) == [] and list(run.state.private.activities) == [3]
    run.complete(task, activity("clean"))
    assert run.event("ActivityScheduled")["sequence"] == 5


def test_a_delivery_that_does_not_fit_is_refused():
    run = DurableRun()
    run.do(timer(50))
    ask(run)
    task = run.lease()
    with pytest.raises(Conflict, match="no call 7"):
        deliver(run, task, 7, "timer")
    deliver(run, task, 1, "timer")
    with pytest.raises(Conflict, match="another call"):
        deliver(run, task, 2, "timer")
    with pytest.raises(Conflict):
        deliver(run, task, 1, "timer", cancellation_id="other")
    with pytest.raises(LeaseLost):
        deliver(run, {**task, "workflow_task_attempt": 9}, 1, "timer")


def test_a_workflow_that_does_not_finish_cleaning_up_is_cancelled_as_it_stands():
    run = DurableRun()
    run.do(timer(500), activity(), child(parent_close_policy="terminate"))
    ask(run, cleanup_s=30)
    run.restart()
    run.advance(31)
    assert run.state.run.status == "cancelled" and run.events[-2:] == ["CancelRequested", "WorkflowCancelled"]
    assert [e.how for e in run.ended] == ["terminate"] and not run.offered("workflow")


@pytest.mark.parametrize(("options", "cleanup_s"), [({"run_timeout_s": 50}, 50), ({}, 600)])
def test_patience_ends_with_the_runs_own_timeouts_where_the_request_says_nothing(options, cleanup_s):
    run = DurableRun(options=options)
    ask(run)
    assert run.state.private.cancellation.deadline == run.clock.now() + cleanup_s


def test_a_workflow_may_complete_in_spite_of_it_and_may_fail_of_something_else():
    failing = {"type": "fail_workflow", "message": "m", "exception_type": "ValueError"}
    for ending, status in ((complete(), "completed"), (failing, "failed")):
        run = DurableRun()
        run.do(timer(50))
        ask(run)
        task = run.lease()
        deliver(run, task, 1, "timer")
        run.complete(task, ending)
        assert run.state.run.status == status


def test_a_request_that_was_not_delivered_goes_on_with_the_chain():
    run = DurableRun()
    task = run.lease()
    ask(run, cleanup_s=60)
    asked = run.state.private.cancellation
    run.complete(task, {"type": "continue_as_new"})
    following = DurableRun(options={"continued_from_run_id": RUN, "carried_cancellation": asked.to_data()[:4]})
    assert following.events == ["StartAccepted", "WorkflowStarted", "CooperativeCancellationRequested"]
    assert following.lease()["cancellation_request"]["request_id"] == asked.request_id


def test_a_standalone_activity_has_no_code_to_be_told():
    run = DurableRun(workflow_type="dw.standalone_activity", options={"activity": {"activity_type": "charge", "task_queue": "q"}})
    with pytest.raises(NotSupported):
        ask(run)


def test_a_worker_sees_how_its_activity_stands_without_renewing_anything():
    run = DurableRun()
    run.do(activity(start_to_close_timeout=30, heartbeat_timeout=9))
    task = run.lease("activity")
    report = ObserveActivity(**{key: task[key] for key in ("task_id", "activity_attempt_id", "lease_owner")})
    run.advance(5)
    seen = run._report(report)
    assert (seen["can_continue"], seen["cancel_requested"], seen["heartbeat_recorded"]) == (True, False, False)
    assert set(seen["deadlines"]) == {"start_to_close", "heartbeat"} and seen["lease_expires_at"] == task["lease_expires_at"]
    run.finish(task)
    assert run._report(report)["can_continue"] is False

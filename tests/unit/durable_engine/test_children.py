"""Children in the engine: what is recorded, what is asked of the core, and what follows from how they end."""

import random

import pytest

from triplane.commands import KillTasks, StopMode, StopRun, TriggerTasks
from triplane.commands.system import ChildClosed
from triplane.errors import InvalidFields, LimitReached
from triplane.payloads import decode_envelope, envelope
from unit.durable_engine.harness import RUN, DurableRun, activity, call, child, complete, in_group, timer
from unit.durable_engine.test_selections import cancel, select


def stop(run: DurableRun, mode: StopMode = StopMode.GRACEFUL) -> None:
    run.send(StopRun(workflow_id="w", mode=mode))


def test_a_child_is_recorded_and_started_with_its_own_id_and_a_link_to_its_parent():
    run = DurableRun(options={"priority": 2})
    run.do(child(run_timeout_seconds=9, execution_timeout_seconds=30, parent_close_policy="terminate"))
    assert run.events[-2:] == ["ChildWorkflowScheduled", "ChildRunStarted"]
    scheduled = run.event("ChildWorkflowScheduled")
    (begun,) = run.begun
    start = begun.start
    assert (scheduled["sequence"], scheduled["child_workflow_type"], scheduled["parent_close_policy"]) == (1, "Child", "terminate")
    assert scheduled["child_workflow_instance_id"] == start.workflow_id == f"{RUN}-child-1"
    assert scheduled["child_workflow_run_id"] == start.run_id == run.event("ChildRunStarted")["child_workflow_run_id"]
    assert (start.engine, start.task_queue, start.input) == ("durable", "q", envelope([1]))
    assert start.options == {"priority": 2, "run_timeout_s": 9, "execution_timeout_s": 30}
    assert start.parent["run_id"] == RUN and (start.parent["workflow_id"], start.parent["policy"]) == ("w", "terminate")
    assert run.task("child-1").state == "running" and run.state.jobs[("1", "child-1", 1)].job_id == start.run_id


def test_a_childs_result_wakes_the_workflow_once_however_often_it_is_told():
    run = DurableRun()
    run.do(child())
    run.close_child()
    run.close_child()
    completed = run.event("ChildRunCompleted")
    assert run.events.count("ChildRunCompleted") == 1 and decode_envelope(completed["result"]) == "grown"
    assert completed["child_workflow_run_id"] == run.event("ChildRunStarted")["child_workflow_run_id"]
    assert run.task("child-1").state == "succeeded" and run.offered("workflow")


@pytest.mark.parametrize(
    ("status", "event"),
    [("failed", "ChildRunFailed"), ("cancelled", "ChildRunCancelled"), ("terminated", "ChildRunTerminated")],
)
def test_a_child_that_ends_otherwise_is_told_with_why(status, event):
    run = DurableRun()
    run.do(child())
    run.close_child(status=status, message="no luck", exception_class="Luckless")
    data = run.event(event)
    assert (data["message"], data["exception_class"], data["sequence"]) == ("no luck", "Luckless", 1)
    assert run.task("child-1").state == "failed" and None not in data.values()


def test_the_plain_result_of_another_engine_is_encoded():
    run = DurableRun()
    run.do(child("graph:weather"))
    start = run.begun[0].start
    assert (start.engine, start.workflow_type, start.source) == ("graph", "weather", {"definition": "weather"})
    run.close_child(output={"tasks": {"1/a": "succeeded"}})
    assert decode_envelope(run.event("ChildRunCompleted")["result"]) == {"tasks": {"1/a": "succeeded"}}


def test_a_result_that_has_no_payload_form_fails_the_child():
    run = DurableRun()
    run.do(child("simulation:flow"))
    run.close_child(output={"x": 2**90})
    assert run.event("ChildRunFailed")["exception_type"] == "InvalidPayload"


def test_a_failed_child_is_tried_again_as_its_policy_says_and_keeps_its_identity():
    run = DurableRun()
    run.do(child(retry_policy={"max_attempts": 3, "backoff_seconds": [5, 0]}))
    identity = run.event("ChildRunStarted")["child_workflow_run_id"]
    run.close_child(status="failed", message="one")
    assert run.task("child-1").state == "waiting" and not run.offered("workflow") and len(run.begun) == 1
    run.restart()
    assert run.begun == []
    run.advance(5)
    second = run.begun[-1].start
    assert (second.parent["attempt"], run.task("child-1").submit_num) == (2, 2) and second.run_id != identity
    run.close_child(status="failed", message="late word of the first", attempt=1)
    run.close_child(status="failed", message="two", attempt=2)
    assert run.begun[-1].start.parent["attempt"] == 3
    run.close_child(status="failed", message="three", attempt=3)
    failed = run.event("ChildRunFailed")
    assert run.events.count("ChildRunFailed") == 1
    assert (failed["message"], failed["child_workflow_run_id"]) == ("three", identity)


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        ({"max_attempts": 5, "non_retryable_error_types": ["Fatal"]}, {"exception_type": "Fatal"}),
        ({"max_attempts": 5}, {"non_retryable": True}),
        ({}, {}),
    ],
)
def test_a_child_is_not_tried_again_where_that_is_ruled_out(policy, ending):
    run = DurableRun()
    run.do(child(retry_policy=policy))
    run.close_child(status="failed", message="m", **ending)
    assert run.events[-1] == "ChildRunFailed"


def test_attempts_share_the_childs_execution_timeout():
    run = DurableRun()
    began = run.clock.now()
    run.do(child(execution_timeout_seconds=10, retry_policy={"max_attempts": 9, "backoff_seconds": [6]}))
    run.close_child(status="failed")
    run.advance(6)
    assert run.begun[-1].start.options["execution_deadline"] == began + 10
    run.close_child(status="failed", attempt=2)
    assert run.events[-1] == "ChildRunFailed"


def test_a_waiting_attempt_begins_when_its_task_is_triggered():
    run = DurableRun()
    run.do(child(retry_policy={"max_attempts": 2, "backoff_seconds": [500]}))
    run.close_child(status="failed")
    assert run.send(TriggerTasks(workflow_id="w", task_globs=("1/child-1",))) == ["1/child-1"]
    assert run.begun[-1].start.parent["attempt"] == 2


def test_children_of_a_group_wake_the_workflow_only_together_and_are_not_started_again():
    run = DurableRun()
    group = in_group([child("A"), child("B"), activity()], 1)
    run.do(*group)
    run.close_child(2)
    run.finish(run.lease("activity"))
    assert run.offered("workflow") == []
    run.signal()
    run.do(*group)
    assert len(run.begun) == 2
    run.close_child(1, "failed", message="m")
    assert run.offered("workflow") and run.event("ChildRunFailed")["parallel_group_index"] == 0


def test_a_group_under_way_that_is_sent_again_does_not_count_against_the_limit_twice():
    run = DurableRun(settings={"max_pending_children": 2, "max_pending_activities": 2})
    group = in_group([child("A"), child("B"), activity(), activity()], 1)
    run.do(*group)
    run.signal()
    run.do(*group)
    run.close_child(1)
    run.signal()
    with pytest.raises(LimitReached, match="max_pending_children"):
        run.do(child("C"), child("D"))


def test_what_a_child_says_while_a_workflow_task_is_out_is_recorded_behind_it():
    run = DurableRun()
    run.do(child(), timer(500))
    run.signal()
    task = run.lease()
    run.close_child()
    assert "ChildRunCompleted" not in run.events
    run.restart()
    run.complete(task, timer(7))
    assert run.events[-2:] == ["TimerScheduled", "ChildRunCompleted"]


def test_a_selected_child_wins_by_its_run_and_a_cancelled_one_is_ended_without_a_word():
    run = DurableRun()
    run.do(*select(1, kid=child(), late=timer(50)))
    run.close_child()
    resolved = run.event("SelectionResolved")
    assert (resolved["operation_kind"], resolved["outcome"]) == ("child", "completed")
    assert resolved["operation_identity"] == run.event("ChildRunStarted")["child_workflow_run_id"]

    run = DurableRun()
    run.do(*select(1, work=activity(), kid=child()))
    run.finish(run.lease("activity"))
    run.do(cancel(1, "kid", 1, 2, "child"))
    assert run.event("SelectionOperationCancelled")["member_key"] == "kid"
    assert [(e.how, e.child.sequence) for e in run.ended] == [("request_cancel", 2)]
    run.restart()
    assert [e.how for e in run.ended] == ["request_cancel"] and run.begun == []
    run.close_child(2, "cancelled")
    assert run.events[-1] == "SelectionOperationCancelled" and run.task("child-2").state == "failed"
    run.do(complete())


@pytest.mark.parametrize("ending", ["complete", "fail", "cancel", "terminate", "time out"])
def test_every_closing_of_the_parent_applies_each_childs_policy(ending):
    run = DurableRun(options={"run_timeout_s": 100})
    run.do(child("A"), child("B", parent_close_policy="request_cancel"), child("C", parent_close_policy="terminate"))
    run.signal()
    match ending:
        case "complete":
            run.do(complete())
        case "fail":
            run.do({"type": "fail_workflow", "message": "m"})
        case "cancel":
            stop(run)
        case "terminate":
            stop(run, StopMode.KILL)
        case "time out":
            run.advance(200)
    assert not run.state.run.is_open
    assert [(e.child.sequence, e.how) for e in run.ended] == [(2, "request_cancel"), (3, "terminate")]
    assert [run.task(f"child-{n}").state for n in (1, 2, 3)] == ["expired", "failed", "failed"]


def test_children_follow_the_chain_when_the_parent_continues_as_new():
    run = DurableRun()
    run.do(child("A"), child("B", parent_close_policy="terminate"), child("C", parent_close_policy="request_cancel"))
    run.signal()
    run.do({"type": "continue_as_new"})
    assert run.ended == [], "continuing as new closes nobody's parent"
    carried = run.state.detail.options
    assert "carried_children" not in carried
    following = DurableRun(options={"continued_from_run_id": RUN, "carried_children": [
        [f"{RUN}-child-2", "terminate", RUN, 2, 1], [f"{RUN}-child-3", "request_cancel", RUN, 3, 1]]})  # fmt: skip
    following.restart()
    for number in (2, 9):
        following.send(ChildClosed(
            workflow_id="w", parent_run_id="old-run", sequence=number, attempt=1, child_workflow_id=f"{RUN}-child-{number}",
            ending={"status": "completed"}))  # fmt: skip
    stop(following)
    assert [(e.child.child_workflow_id, e.how, e.child.run_id) for e in following.ended] == [(f"{RUN}-child-3", "request_cancel", RUN)]


def test_a_killed_child_is_terminated_and_the_workflow_told_when_it_is_over():
    run = DurableRun()
    run.do(child())
    assert run.send(KillTasks(workflow_id="w", task_globs=("1/child-*",))) == ["1/child-1"]
    assert [e.how for e in run.ended] == ["terminate"] and not run.offered("workflow")
    run.close_child(status="terminated", reason="terminated")
    assert run.events[-1] == "ChildRunTerminated" and run.offered("workflow")


def test_children_of_children_go_only_so_deep():
    run = DurableRun(settings={"max_child_depth": 3}, parent={"workflow_id": "p", "run_id": "r", "depth": 3})
    run.do(child())
    assert run.begun == [] and run.event("ChildRunFailed")["exception_type"] == "ChildDepthLimit"
    assert run.offered("workflow")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workflow_type", ""), ("workflow_type", "\ud800"), ("queue", 5), ("parent_close_policy", "adopt"), ("retry_policy", []),
        ("run_timeout_seconds", 0), ("cancellation_policy", "maybe"), ("arguments", {"codec": "avro", "blob": "x" * 9_000_000}),
    ],
)  # fmt: skip
def test_a_wrong_child_command_is_refused_by_field(field, value):
    run = DurableRun()
    with pytest.raises(InvalidFields) as caught:
        run.do(child(**{field: value}))
    assert f"commands.0.{field}" in caught.value.details["errors"] and run.events == ["StartAccepted", "WorkflowStarted"]


# ---- service operations --------------------------------------------------------------------------------------------------


def test_a_service_call_is_a_run_of_the_configured_workflow_and_its_result_the_answer():
    run = DurableRun()
    run.do(call(idempotency_key="k"))
    start = run.begun[0].start
    assert (start.workflow_type, start.task_queue, start.input) == ("OpenAccount", "accounts-queue", envelope(["ada"]))
    assert run.event("ServiceCallStarted")["service_call"]["status"] == "started" and not run.offered("workflow")
    run.restart()
    assert run.begun[0].start == start
    run.close_child(1, output=envelope({"number": 7}))
    completed = run.event("ServiceCallCompleted")
    assert completed["response_payload"] == envelope({"number": 7})["blob"] and completed["payload_codec"] == "avro"
    call_of = completed["service_call"]
    assert (call_of["status"], call_of["outcome"], call_of["idempotency_key"]) == ("completed", "completed", "k")
    assert call_of["service_call_id"] == start.workflow_id and run.offered("workflow")
    other = DurableRun()
    other.do(call(idempotency_key="k"))
    assert other.begun[0].start.workflow_id == start.workflow_id


@pytest.mark.parametrize(
    ("status", "event"),
    [("failed", "ServiceCallFailed"), ("cancelled", "ServiceCallCancelled"), ("terminated", "ServiceCallFailed")],
)
def test_a_service_call_whose_run_does_not_complete_fails(status, event):
    run = DurableRun()
    run.do(call())
    run.close_child(1, status, message="no")
    assert run.events[-1] == event and run.event(event)["message"] == run.event(event)["service_call"]["message"] == "no"


@pytest.mark.parametrize("how", [{"mode_override": "async"}, {"wait_for": "accepted"}])
def test_an_accepted_call_answers_at_once_and_its_run_goes_on_by_itself(how):
    run = DurableRun()
    run.do(call(**how))
    assert run.events[-1] == "ServiceCallStarted" and run.offered("workflow") and len(run.begun) == 1
    run.restart()
    assert len(run.begun) == 1, "it may not have been started before the restart"
    run.close_child(1)
    assert run.events[-1] == "ServiceCallStarted" and run.task("operation-1").state == "succeeded"
    run.do(complete())
    assert run.ended == []


def test_an_operation_nobody_configured_fails_the_call():
    run = DurableRun()
    run.do(call("close"))
    failed = run.event("ServiceCallFailed")
    assert (failed["service_call"]["outcome"], failed["exception_type"]) == ("rejected", "OperationNotFound")
    assert run.begun == [] and run.offered("workflow")
    run.do(call(namespace="elsewhere"))
    assert run.events.count("ServiceCallFailed") == 2


def test_a_callers_patience_ends_and_the_operations_run_goes_on():
    run = DurableRun()
    run.do(call(wait_timeout_seconds=5))
    run.restart()
    run.advance(5)
    assert run.event("ServiceCallFailed")["service_call"]["status"] == "timed_out" and run.ended == []
    run.close_child(1)
    assert run.events.count("ServiceCallCompleted") == 0


# ---- any order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_order_of_closings_restarts_and_signals_each_child_ends_once(seed):
    chance = random.Random(seed)
    run = DurableRun()
    count = chance.randint(1, 6)
    group = in_group([child(f"T{n}", retry_policy={"max_attempts": 2}) for n in range(count)], 1)
    run.do(*group)
    attempts = dict.fromkeys(range(1, count + 1), 1)
    task = None
    for _ in range(80):
        match chance.choice(["close", "fail", "late", "restart", "signal", "lease", "answer"]):
            case "close":
                run.close_child(n := chance.randint(1, count), attempt=attempts[n])
            case "fail":
                n = chance.randint(1, count)
                run.close_child(n, "failed", attempt=attempts[n], message="m")
                if n in run.state.private.children:
                    attempts[n] = run.state.private.children[n].attempt
            case "late":
                run.close_child(chance.randint(1, count), chance.choice(["failed", "completed"]), attempt=9)
            case "restart":
                run.restart()
                alive = {c.sequence for c in run.state.private.children.values()}
                assert {e.child.sequence for e in run.begun} == alive
            case "signal":
                run.signal()
            case "lease" if task is None:
                task = run.lease()
            case "answer" if task is not None:
                if run.state.private.groups or run.state.private.buffer:
                    run.complete(task, *group)
                else:
                    run.fail(task)
                task = None
    ends = [e.data["sequence"] for e in run.state.history if e.name in ("ChildRunCompleted", "ChildRunFailed")]
    ends += [b.data["sequence"] for b in run.state.private.buffer if "ChildRun" in b.name]
    assert len(ends) == len(set(ends)) and set(ends) == set(range(1, count + 1)) - run.state.private.children.keys()
    assert run.events.count("ChildWorkflowScheduled") == count

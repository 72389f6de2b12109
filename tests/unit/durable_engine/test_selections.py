"""Selections: one winner each, told right behind its end; losers go on, or are cancelled while they still can be."""

from typing import Any

import pytest

from triplane.engines.durable.ids import event_id
from triplane.errors import InvalidFields
from unit.durable_engine.harness import RUN, DurableRun, activity, complete, condition, timer


def select(base: int, **members: Any) -> list[dict[str, Any]]:
    """Commands marked as the SDK marks the members of a selection; a list is a member that is a group."""
    size = sum(len(m) if isinstance(m, list) else 1 for m in members.values())
    commands: list[dict[str, Any]] = []
    for index, (key, member) in enumerate(members.items()):
        leaves = member if isinstance(member, list) else [member]
        start = base + len(commands)
        kinds = {
            "schedule_activity": "activity", "start_timer": "timer", "open_condition_wait": "condition",
            "start_child_workflow": "child",
        }  # fmt: skip
        kind = "group" if isinstance(member, list) else kinds[member["type"]]
        for leaf in leaves:
            head = {
                "parallel_group_id": f"select-calls:{base}:{size}", "parallel_group_kind": "mixed", "parallel_group_mode": "select",
                "parallel_group_base_sequence": base, "parallel_group_size": size, "parallel_group_index": len(commands),
                "selection_member_key": key, "selection_member_index": index, "selection_member_base_sequence": start,
                "selection_member_size": len(leaves), "selection_member_kind": kind,
            }  # fmt: skip
            commands.append({**leaf, **head, "parallel_group_path": [head]})
    return commands


def cancel(base: int, key: str, index: int, member_base: int, kind: str, size: int = 1) -> dict[str, Any]:
    return {
        "type": "cancel_selection_operation", "selection_group_id": f"select-calls:{base}:2", "member_key": key,
        "member_index": index, "member_base_sequence": member_base, "member_size": size, "operation_kind": kind,
        "operation_identity": "x",
    }  # fmt: skip


def test_the_first_member_to_end_wins_and_the_loser_only_wakes():
    run = DurableRun()
    run.do(*select(1, work=activity(), late=timer(5)))
    run.finish(run.lease("activity"))
    assert run.events[-2:] == ["ActivityCompleted", "SelectionResolved"]
    resolved = run.event("SelectionResolved")
    assert resolved["member_key"] == "work" and resolved["outcome"] == "completed"
    assert resolved["operation_identity"] == run.event("ActivityCompleted")["activity_execution_id"]
    assert resolved["resolution_event_id"] == event_id(RUN, len(run.events) - 1)
    run.do()
    run.advance(5)
    assert run.events[-1] == "TimerFired" and run.offered("workflow")
    assert run.events.count("SelectionResolved") == 1


def test_a_selection_sent_again_is_not_done_again():
    run = DurableRun()
    commands = select(1, work=activity(), late=timer(50))
    run.do(*commands)
    run.signal()
    run.do(*commands)
    assert run.events.count("ActivityScheduled") == run.events.count("TimerScheduled") == 1


def test_a_failed_member_wins_as_failed():
    run = DurableRun()
    run.do(*select(1, work=activity(), late=timer(50)))
    run.break_(run.lease("activity"))
    assert run.event("SelectionResolved")["outcome"] == "failed"


def test_a_group_member_wins_when_all_its_leaves_are_over():
    run = DurableRun()
    run.do(*select(1, pair=[activity("a"), activity("b")], late=timer(50)))
    run.finish(run.lease("activity"))
    assert "SelectionResolved" not in run.events
    run.do()
    run.restart()
    run.finish(run.lease("activity"))
    resolved = run.event("SelectionResolved")
    assert (resolved["member_key"], resolved["operation_kind"], resolved["operation_identity"]) == ("pair", "group", "group:1:2")


def test_a_group_member_wins_as_failed_with_its_first_failed_leaf():
    run = DurableRun()
    run.do(*select(1, pair=[activity("a"), activity("b")], late=timer(50)))
    run.break_(run.lease("activity"))
    assert run.event("SelectionResolved")["outcome"] == "failed"


def test_a_signal_satisfies_a_selected_condition():
    run = DurableRun()
    run.do(*select(1, ready=condition(timeout_seconds=9), late=timer(50)))
    run.restart()
    run.signal()
    assert run.events[-4:] == ["SignalReceived", "ConditionWaitSatisfied", "TimerCancelled", "SelectionResolved"]
    assert run.event("SelectionResolved")["operation_kind"] == "condition"
    run.advance(9)
    assert "TimerFired" not in run.events


def test_a_selected_conditions_timeout_wins_by_itself():
    run = DurableRun()
    run.do(*select(1, ready=condition(timeout_seconds=9), late=timer(50)))
    run.advance(9)
    assert run.events[-2:] == ["TimerFired", "SelectionResolved"]
    run.signal()
    assert "ConditionWaitSatisfied" not in run.events


@pytest.mark.parametrize("loser", [timer(50), activity("slow"), condition()])
def test_a_cancelled_loser_never_ends(loser):
    run = DurableRun()
    run.do(*select(1, work=activity(), other=loser))
    run.finish(run.lease("activity"))
    run.do(cancel(1, "other", 1, 2, "any"))
    assert run.event("SelectionOperationCancelled")["member_key"] == "other"
    assert run.offered("workflow"), "the workflow goes on after the cancellation"
    run.signal()
    run.advance(400)
    assert run.offered("activity") == []
    ends = {"TimerFired", "ConditionWaitSatisfied"}
    assert not ends & set(run.events) and run.events.count("ActivityCompleted") == 1
    run.do(complete())


def test_a_group_behind_a_cancellation_keeps_the_numbers_its_worker_gave_it():
    run = DurableRun()
    run.do(*select(1, work=activity(), late=timer(50)))
    run.finish(run.lease("activity"))
    # The SDK counts the cancellation as a step when it numbers what it sends behind it in the same task.
    following = select(4, work=activity(), late=timer(50))
    run.do(cancel(1, "late", 1, 2, "timer"), *following)
    assert [e.data["sequence"] for e in run.state.history if e.name == "ActivityScheduled"] == [1, 4]
    run.signal()
    run.do(*following)
    run.finish(run.lease("activity"))
    assert run.event("SelectionResolved")["member_base_sequence"] == 4
    run.do(activity())
    assert run.event("ActivityScheduled")["sequence"] == 6


def test_a_cancellation_that_comes_after_the_end_is_void():
    run = DurableRun()
    run.do(*select(1, work=activity(), late=timer(5)))
    run.finish(run.lease("activity"))
    task = run.lease()
    run.advance(5)
    run.complete(task, cancel(1, "late", 1, 2, "timer"))
    assert "SelectionOperationCancelled" not in run.events and run.events[-1] == "TimerFired"
    assert run.offered("workflow")


@pytest.mark.parametrize("field", ["selection_member_kind", "selection_member_base_sequence", "parallel_group_size"])
def test_a_member_without_its_keys_is_refused(field):
    run = DurableRun()
    command = select(1, work=activity(), late=timer(5))[0]
    command["parallel_group_path"] = [{k: v for k, v in command["parallel_group_path"][0].items() if k != field}]
    with pytest.raises(InvalidFields):
        run.complete(run.lease(), command)

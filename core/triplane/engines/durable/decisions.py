"""What a completed workflow task decided: its commands become history events, in order. Source: contract durable 5."""

from collections.abc import Callable
from typing import Any

from triplane.commands.workers import CompleteWorkflowTask
from triplane.engines.durable import (
    activities,
    calling,
    cancellation,
    children,
    closing,
    conditions,
    ids,
    memo,
    messages,
    outputs,
    selections,
    timers,
    updates,
    workflow_tasks,
)
from triplane.engines.durable.reading import group_keys, read_commands
from triplane.engines.durable.state import NORMAL
from triplane.engines.durable.turn import Turn, barrier_of
from triplane.errors import InvalidFields, LimitReached
from triplane.visibility.attributes import MAX_ATTRIBUTES, wrong_values

STEPS = frozenset({
    "schedule_activity", "start_timer", "record_side_effect", "record_version_marker", "upsert_search_attributes",
    "upsert_memo", "open_condition_wait", "record_local_activity", "start_child_workflow", "start_service_operation",
})  # fmt: skip
"""Commands that are workflow steps: each takes the next number of the dense workflow sequence."""

WAITED_FOR = frozenset({"schedule_activity", "start_timer", "start_child_workflow"})
"""Steps whose end comes from outside, so that their group is complete only then."""


_RUNS = frozenset({"start_child_workflow", "start_service_operation"})
_COUNTED = WAITED_FOR | _RUNS


def complete(turn: Turn, report: CompleteWorkflowTask) -> dict[str, Any]:
    """Apply the commands of a completed workflow task.

    Raises:
        InvalidFields, NotSupported, LimitReached, LeaseLost, TaskNotFound: before anything is changed.
    """
    task = workflow_tasks.fence(turn, report)
    commands = read_commands(report.commands, task.update_id, turn.settings)
    _refuse_too_many(turn, commands)
    _refuse_wrong_attributes(turn, commands)
    memo.check_upserts(turn, commands)
    outputs.prepare(turn, commands)
    if report.message_cursors:
        messages.advance(turn, report.message_cursors)
    turn.withdraw_workflow_task()
    # From here on nobody else may have it: a report after a restart takes the task back from the queue.
    task.phase, task.grace = "leased", False
    is_moved = turn.is_moved_by_input
    _leave_condition(turn, commands, task.update_id)
    cancelled = 0
    for command in commands:
        _apply(turn, command, cancelled)
        cancelled += command["type"] == "cancel_selection_operation"
    if task.update_id != NORMAL and is_moved and turn.own.agenda[:1] != [NORMAL]:
        # An update's task does not advance the workflow itself; that takes a task of its own, before any other update.
        turn.own.agenda.insert(0, NORMAL)
    workflow_tasks.finish(turn)
    run = turn.state.run
    return {"run_id": run.run_id, "run_status": run.status}


def _refuse_too_many(turn: Turn, commands: list[dict[str, Any]]) -> None:
    own, most = turn.own, turn.settings.max_pending_activities
    wanted = [c["type"] for c in commands if c["type"] in _COUNTED and not _is_repeated(turn, c)]
    if not wanted:
        return
    runs = sum(1 for kind in wanted if kind in _RUNS)
    if len(wanted) > runs and len(own.activities) + len(own.timers) + len(wanted) - runs > most:
        raise LimitReached(
            f"the run would have over {most} activities and timers open (engines.durable.max_pending_activities)", limit=most
        )
    most = turn.settings.max_pending_children
    if runs and len(own.children) + len(own.inherited) + runs > most:
        raise LimitReached(f"the run would have over {most} children open (engines.durable.max_pending_children)", limit=most)


def _is_repeated(turn: Turn, command: dict[str, Any]) -> bool:
    """Whether it is a member of a group that is under way: the worker repeats all of it as long as one is missing."""
    return (
        bool(group_keys(command))
        and command["parallel_group_base_sequence"] + command["parallel_group_index"] <= turn.own.counter
    )


def _refuse_wrong_attributes(turn: Turn, commands: list[dict[str, Any]]) -> None:
    """Hold search attributes against their definitions: a wrong one fails the workflow task, never the run."""
    merged: dict[str, Any] | None = None
    for index, command in enumerate(commands):
        if command["type"] != "upsert_search_attributes":
            continue
        definitions = turn.definitions.of(turn.state.run.namespace) if turn.definitions is not None else {}
        wrong = wrong_values(command["attributes"], definitions)
        merged = {**(turn.state.detail.search_attributes if merged is None else merged), **command["attributes"]}
        merged = {key: value for key, value in merged.items() if value is not None}
        if not wrong and len(merged) > MAX_ATTRIBUTES:
            wrong = {"*": [f"The run would have {len(merged)} search attributes; the limit is {MAX_ATTRIBUTES}."]}
        if wrong:
            raise InvalidFields({f"commands.{index}.attributes.{name}": sentences for name, sentences in wrong.items()})


def _leave_condition(turn: Turn, commands: list[dict[str, Any]], update_id: str) -> None:
    """Close the open condition, unless the worker says that it still waits for it."""
    condition = turn.own.condition
    if condition is None or update_id != NORMAL:
        return
    if not any(c["type"] == "open_condition_wait" and "parallel_group_id" not in c and conditions.same(condition, c) for c in commands):
        conditions.leave(turn)


def _apply(turn: Turn, command: dict[str, Any], cancelled: int) -> None:
    """Take one step. `cancelled` counts the members of selections that the same task has cancelled before."""
    own, kind, group = turn.own, command["type"], group_keys(command)
    if kind not in STEPS:
        _ENDINGS[kind](turn, command)
        return
    place = command["parallel_group_base_sequence"] + command["parallel_group_index"] if group else 0
    if _is_repeated(turn, command):
        return
    if kind == "open_condition_wait" and not group and own.condition is not None and conditions.same(own.condition, command):
        return
    own.counter += 1
    if own.counter < place <= own.counter + cancelled:
        # The SDK counts the cancellations before a group in the same task as steps, and names the group's place accordingly.
        own.counter = place
    turn.touch()
    if selections.is_selection(group):
        selections.begin(turn, group)
    elif group and kind in WAITED_FOR:
        barrier = barrier_of(group)
        own.groups[barrier] = own.groups.get(barrier, 0) + 1
    _STEPS[kind](turn, command, own.counter, group)


def _side_effect(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    data = {"sequence": sequence, "result": command["result"], "payload_codec": "avro", **group}
    if command.get("workflow_stream") is not None:
        data["workflow_stream"] = outputs.record(turn, command)
    turn.emit("SideEffectRecorded", data)


def _version_marker(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    keys = ("change_id", "version", "min_supported", "max_supported")
    turn.emit("VersionMarkerRecorded", {"sequence": sequence, **{key: command[key] for key in keys}, **group})


def _search_attributes(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    merged = {**turn.state.detail.search_attributes, **command["attributes"]}
    merged = {key: value for key, value in merged.items() if value is not None}
    turn.step.set_detail(search_attributes=merged)
    turn.emit("SearchAttributesUpserted", {"sequence": sequence, "attributes": command["attributes"], "merged": merged, **group})


def _condition(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    condition = conditions.open_wait(turn, command, sequence, group)
    if condition.timeout_s == 0:
        timers.time_out_condition(turn, sequence)


def _local_activity(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    """An activity the worker has done itself: scheduled, started and over at once, and offered to nobody."""
    attempts = command.get("attempts") or [{}]
    local: dict[str, Any] = {
        "sequence": sequence,
        "activity_execution_id": ids.activity_execution_id(turn.run_id, sequence),
        "activity_type": command["activity_type"],
        "execution_mode": "local",
        "local_activity": True,
        "payload_codec": "avro",
        **group,
    }
    turn.emit("ActivityScheduled", {**local, **{k: command[k] for k in ("arguments", "retry_policy") if command.get(k) is not None}})
    attempt_id = str(attempts[-1].get("attempt_id") or ids.activity_attempt_id(turn.run_id, sequence, len(attempts)))
    local |= {"activity_attempt_id": attempt_id, "attempt_number": len(attempts)}
    turn.emit("ActivityStarted", dict(local))
    outcome = command["outcome"]
    if outcome == "completed":
        turn.emit("ActivityCompleted", {**local, "result": command["result"], "attempts": attempts})
    else:
        name = {"failed": "ActivityFailed", "timed_out": "ActivityTimedOut", "cancelled": "ActivityCancelled"}[outcome]
        last = attempts[-1]
        failed = {
            **local,
            "message": command.get("message") or str(last.get("message") or outcome),
            "exception_type": command.get("exception_type") or last.get("exception_type") or "Exception",
            "exception_class": command.get("exception_class") or command.get("exception_type") or "Exception",
            "non_retryable": bool(command.get("non_retryable") or last.get("non_retryable")),
            "failure_category": {"failed": "activity", "timed_out": "timeout", "cancelled": "cancelled"}[outcome],
            "attempts": attempts,
        }
        if last.get("timeout_kind"):
            failed["timeout_kind"] = last["timeout_kind"]
        turn.emit(name, failed)
    state = "succeeded" if outcome == "completed" else "failed"
    turn.step.new_task(
        ids.CYCLE, ids.activity_name(command["activity_type"], sequence), state, submit_num=0,
        detail={"kind": "activity", "title": command["activity_type"]},
    )  # fmt: skip


def _cancel_member(turn: Turn, command: dict[str, Any]) -> None:
    """Stop what is still open of a selection's member; where nothing is, its end came first and the cancellation is void."""
    own, base = turn.own, command["member_base_sequence"]
    steps = range(base, base + command["member_size"])
    open_steps = [s for s in steps if s in own.activities or s in own.timers or s in own.selected or s in own.children]
    if not open_steps:
        return
    turn.emit("SelectionOperationCancelled", {key: value for key, value in command.items() if key != "type" and value is not None})
    for step in open_steps:
        if step in own.activities:
            activities.abandon(turn, own.activities[step])
        elif step in own.timers:
            timers.abandon(turn, own.timers[step])
        elif step in own.children:
            children.end(turn, own.children[step], children.CANCEL, "the parent workflow cancelled it", silent=True)
        else:
            conditions.abandon(turn, own.selected[step])
    turn.wake()


def _complete_workflow(turn: Turn, command: dict[str, Any]) -> None:
    data = {"output": command["result"], "payload_codec": "avro"}
    closing.close(turn, "completed", "WorkflowCompleted", data, output=command["result"])


def _fail_workflow(turn: Turn, command: dict[str, Any]) -> None:
    keys = (
        "message", "exception_type", "exception_class", "exception", "non_retryable", "failed_step_sequence",
        "failed_activity_execution_id",
    )  # fmt: skip
    data = {key: command[key] for key in keys if command.get(key) is not None}
    data.setdefault("message", "the workflow failed")
    data.setdefault("exception_class", data.get("exception_type", "Exception"))
    if cancellation.is_let_through(turn, command):
        cancellation.close(turn)
        return
    closing.close(turn, "failed", "WorkflowFailed", data)


_STEPS: dict[str, Callable[[Turn, dict[str, Any], int, dict[str, Any]], None]] = {
    "schedule_activity": activities.schedule,
    "start_timer": timers.start,
    "record_side_effect": _side_effect,
    "record_version_marker": _version_marker,
    "upsert_search_attributes": _search_attributes,
    "upsert_memo": memo.upsert,
    "open_condition_wait": _condition,
    "record_local_activity": _local_activity,
    "start_child_workflow": children.start,
    "start_service_operation": calling.start,
}
_ENDINGS: dict[str, Callable[[Turn, dict[str, Any]], None]] = {
    "complete_workflow": _complete_workflow,
    "fail_workflow": _fail_workflow,
    "continue_as_new": closing.continue_as_new,
    "cancel_selection_operation": _cancel_member,
    "complete_update": updates.complete,
    "fail_update": updates.fail,
}

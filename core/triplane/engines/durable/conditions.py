"""Conditions that workflows wait for. Only a worker can tell whether one is true; this keeps what follows from its telling."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triplane.engines.durable import ids, selections
from triplane.engines.durable.alarms import CONDITION_TIMER, iso
from triplane.engines.durable.state import Condition

if TYPE_CHECKING:
    from triplane.engines.durable.turn import Turn


def open_wait(turn: "Turn", command: dict[str, Any], sequence: int, group: dict[str, Any]) -> Condition:
    """Record that the workflow waits until its worker finds a condition true, or until the timeout."""
    timeout_s = command.get("timeout_seconds")
    condition = Condition(
        sequence, command.get("condition_key"), command.get("condition_definition_fingerprint"), timeout_s,
        turn.now + timeout_s if timeout_s is not None else None, group=group,
    )  # fmt: skip
    if selections.is_selection(group):
        turn.own.selected[sequence] = condition
    else:
        turn.own.condition = condition
    opened = identity(turn, condition)
    if timeout_s is not None:
        opened["timeout_seconds"] = timeout_s
    turn.emit("ConditionWaitOpened", opened)
    if condition.deadline is not None:
        turn.emit("TimerScheduled", timer_data(turn, condition))
        turn.step.set_timer(f"{CONDITION_TIMER}{sequence}", condition.deadline)
    return condition


def same(condition: Condition, command: dict[str, Any]) -> bool:
    """Whether a worker only says again that it waits for this condition."""
    return (
        not condition.timed_out
        and condition.key == command.get("condition_key")
        and condition.fingerprint == command.get("condition_definition_fingerprint")
    )


def leave(turn: "Turn") -> None:
    """The workflow moved on from the condition it waited for.

    After a timeout nothing is recorded: a `ConditionWaitSatisfied` then would turn the replayed answer from no to yes.
    """
    condition, turn.own.condition = turn.own.condition, None
    if condition is None or condition.timed_out:
        return
    # A timeout that the worker has not been told yet came too late.
    forget_timeout(turn, condition)
    turn.emit("ConditionWaitSatisfied", identity(turn, condition))
    _cancel_timer(turn, condition)


def satisfy_selected(turn: "Turn") -> None:
    """A signal or an update came: every selected condition counts as satisfied, for no worker ever reports one."""
    for sequence in list(turn.own.selected):
        condition = turn.own.selected.pop(sequence)
        forget_timeout(turn, condition)
        satisfied = turn.emit("ConditionWaitSatisfied", identity(turn, condition))
        _cancel_timer(turn, condition)
        selections.ended(turn, satisfied)


def abandon(turn: "Turn", condition: Condition) -> None:
    """Wait for a selected condition no more, without an event of its own: its selection's cancellation says it."""
    del turn.own.selected[condition.sequence]
    forget_timeout(turn, condition)
    turn.step.clear_timer(f"{CONDITION_TIMER}{condition.sequence}")


def drop(turn: "Turn") -> None:
    """Wait for the open condition no more, without an event of its own: the delivered cancellation says it."""
    condition, turn.own.condition = turn.own.condition, None
    if condition is not None:
        forget_timeout(turn, condition)
        turn.step.clear_timer(f"{CONDITION_TIMER}{condition.sequence}")


def note_timeout(turn: "Turn", data: Mapping[str, Any]) -> None:
    """A `TimerFired` was recorded: if it is a condition's timeout, the worker will see it from now on."""
    if data.get("timer_kind") != "condition_timeout":
        return
    condition = turn.own.condition
    if condition is not None and condition.sequence == data["sequence"]:
        condition.timed_out = True
    turn.own.selected.pop(data["sequence"], None)
    turn.touch()


def forget_timeout(turn: "Turn", condition: Condition) -> None:
    """A timeout that waits to be recorded is recorded no more."""
    wait_id = ids.condition_wait_id(turn.run_id, condition.sequence)
    turn.drop_waiting(
        lambda b: b.data.get("timer_kind") == "condition_timeout" and b.data.get("condition_wait_id") == wait_id
    )


def identity(turn: "Turn", condition: Condition) -> dict[str, Any]:
    """What all events of a condition repeat."""
    data: dict[str, Any] = {
        "condition_wait_id": ids.condition_wait_id(turn.run_id, condition.sequence), "sequence": condition.sequence,
    }  # fmt: skip
    if condition.key is not None:
        data["condition_key"] = condition.key
    if condition.fingerprint is not None:
        data["condition_definition_fingerprint"] = condition.fingerprint
    return {**data, **condition.group}


def timer_data(turn: "Turn", condition: Condition) -> dict[str, Any]:
    """What all timer events of a condition repeat."""
    return {
        "timer_id": ids.timer_id(turn.run_id, condition.sequence),
        "delay_seconds": condition.timeout_s,
        "fire_at": iso(condition.deadline or turn.now),
        "timer_kind": "condition_timeout",
        **identity(turn, condition),
    }


def _cancel_timer(turn: "Turn", condition: Condition) -> None:
    if condition.deadline is not None:
        turn.step.clear_timer(f"{CONDITION_TIMER}{condition.sequence}")
        turn.emit("TimerCancelled", timer_data(turn, condition))

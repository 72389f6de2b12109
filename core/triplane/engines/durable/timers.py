"""Timers a workflow started, and the deadline of the condition it waits for."""

from typing import Any

from triplane.engines.durable import ids
from triplane.engines.durable.state import Condition, TimerWait
from triplane.engines.durable.turn import CONDITION_TIMER, USER_TIMER, Turn, is_timeout_of, iso, outermost_group
from triplane.entities import evolve


def start(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    """Record and set a timer; one of 0 seconds has fired once the step in hand is over."""
    delay_s = command["delay_seconds"]
    timer = TimerWait(sequence, turn.now + delay_s, delay_s, group)
    turn.own.timers[sequence] = timer
    turn.emit("TimerScheduled", {**_identity(turn, timer), **group})
    turn.step.new_task(
        ids.CYCLE, _name(sequence), "running", detail={"kind": "timer", "title": f"timer of {delay_s} s"},
        data={"timer": [sequence, timer.fire_at, delay_s, group]},
    )  # fmt: skip
    if delay_s == 0:
        fire(turn, sequence)
    else:
        turn.step.set_timer(f"{USER_TIMER}{sequence}", timer.fire_at)


def fire(turn: Turn, sequence: int) -> None:
    """A timer is due."""
    turn.step.clear_timer(f"{USER_TIMER}{sequence}")
    timer = turn.own.timers.pop(sequence, None)
    if timer is None:
        return
    task = turn.state.tasks[(ids.CYCLE, _name(sequence))]
    turn.step.put_task(evolve(task, state="succeeded", data={}))
    data = {**_identity(turn, timer), "fired_at": iso(turn.now), **timer.group}
    turn.receive(turn.happening("TimerFired", data, group=outermost_group(timer.group)))
    turn.issue_next()


def cancel(turn: Turn, sequence: int) -> None:
    """End a timer from outside, as killed: the workflow sees it fire no more, and is told."""
    turn.step.clear_timer(f"{USER_TIMER}{sequence}")
    timer = turn.own.timers.pop(sequence)
    task = turn.state.tasks[(ids.CYCLE, _name(sequence))]
    turn.step.put_task(evolve(task, state="failed", data={}))
    data = {**_identity(turn, timer), **timer.group}
    turn.receive(turn.happening("TimerCancelled", data, group=outermost_group(timer.group)))
    turn.issue_next()


def end_with_run(turn: Turn, timer: TimerWait) -> None:
    """The run closed: the timer is over without an event of its own."""
    task = turn.state.tasks[(ids.CYCLE, _name(timer.sequence))]
    turn.step.put_task(evolve(task, state="expired", data={}))


def open_condition(turn: Turn, command: dict[str, Any], sequence: int) -> None:
    """Record that the workflow waits until its worker finds a condition true, or until the timeout."""
    timeout_s = command.get("timeout_seconds")
    condition = Condition(
        sequence, command.get("condition_key"), command.get("condition_definition_fingerprint"), timeout_s,
        turn.now + timeout_s if timeout_s is not None else None,
    )  # fmt: skip
    turn.own.condition = condition
    opened = _condition_identity(turn, condition)
    if timeout_s is not None:
        opened["timeout_seconds"] = timeout_s
    turn.emit("ConditionWaitOpened", opened)
    if condition.deadline is not None:
        turn.emit("TimerScheduled", _condition_timer(turn, condition))
        if timeout_s == 0:
            time_out_condition(turn)
        else:
            turn.step.set_timer(CONDITION_TIMER, condition.deadline)


def satisfy_condition(turn: Turn) -> None:
    """The workflow moved on from the condition it waited for.

    After a timeout nothing is recorded: a `ConditionWaitSatisfied` then would turn the replayed answer from no to yes.
    """
    condition, turn.own.condition = turn.own.condition, None
    if condition is None or condition.timed_out:
        return
    # A timeout that the worker has not been told yet came too late.
    wait_id = ids.condition_wait_id(turn.run_id, condition.sequence)
    turn.own.buffer = [b for b in turn.own.buffer if not is_timeout_of(b.data, wait_id)]
    turn.emit("ConditionWaitSatisfied", _condition_identity(turn, condition))
    if condition.deadline is not None:
        turn.step.clear_timer(CONDITION_TIMER)
        turn.emit("TimerCancelled", _condition_timer(turn, condition))


def time_out_condition(turn: Turn) -> None:
    """The condition's time is over."""
    turn.step.clear_timer(CONDITION_TIMER)
    condition = turn.own.condition
    if condition is None or condition.deadline is None or condition.timed_out:
        return
    if turn.now < condition.deadline:
        turn.step.set_timer(CONDITION_TIMER, condition.deadline)
        return
    # `Turn` notes the timeout on the condition once it is recorded: until then the worker in hand does not know of it.
    turn.receive(turn.happening("TimerFired", {**_condition_timer(turn, condition), "fired_at": iso(turn.now)}))
    turn.issue_next()


def same_condition(condition: Condition, command: dict[str, Any]) -> bool:
    """Whether a worker only says again that it waits for this condition."""
    return (
        not condition.timed_out
        and condition.key == command.get("condition_key")
        and condition.fingerprint == command.get("condition_definition_fingerprint")
    )


def _name(sequence: int) -> str:
    return f"timer-{sequence}"


def _identity(turn: Turn, timer: TimerWait) -> dict[str, Any]:
    return {
        "timer_id": ids.timer_id(turn.run_id, timer.sequence),
        "sequence": timer.sequence,
        "delay_seconds": timer.delay_s,
        "fire_at": iso(timer.fire_at),
    }


def _condition_identity(turn: Turn, condition: Condition) -> dict[str, Any]:
    data: dict[str, Any] = {
        "condition_wait_id": ids.condition_wait_id(turn.run_id, condition.sequence), "sequence": condition.sequence,
    }  # fmt: skip
    if condition.key is not None:
        data["condition_key"] = condition.key
    if condition.fingerprint is not None:
        data["condition_definition_fingerprint"] = condition.fingerprint
    return data


def _condition_timer(turn: Turn, condition: Condition) -> dict[str, Any]:
    return {
        "timer_id": ids.timer_id(turn.run_id, condition.sequence),
        "delay_seconds": condition.timeout_s,
        "fire_at": iso(condition.deadline or turn.now),
        "timer_kind": "condition_timeout",
        **_condition_identity(turn, condition),
    }

"""Timers a workflow started, and the deadlines of conditions."""

from typing import Any

from triplane.engines.durable import conditions, ids
from triplane.engines.durable.alarms import CONDITION_TIMER, USER_TIMER, iso
from triplane.engines.durable.state import TimerWait
from triplane.engines.durable.turn import Turn, barrier_of
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
    turn.step.put_task(evolve(task, state="succeeded", is_held=False, data={}))
    data = {**_identity(turn, timer), "fired_at": iso(turn.now), **timer.group}
    turn.receive(turn.happening("TimerFired", data, group=barrier_of(timer.group)))
    turn.issue_next()


def cancel(turn: Turn, sequence: int) -> None:
    """End a timer from outside, as killed: the workflow sees it fire no more, and is told."""
    turn.step.clear_timer(f"{USER_TIMER}{sequence}")
    timer = turn.own.timers.pop(sequence)
    task = turn.state.tasks[(ids.CYCLE, _name(sequence))]
    turn.step.put_task(evolve(task, state="failed", is_held=False, data={}))
    data = {**_identity(turn, timer), **timer.group}
    turn.receive(turn.happening("TimerCancelled", data, group=barrier_of(timer.group)))
    turn.issue_next()


def set_held(turn: Turn, timer: TimerWait, held: bool) -> None:
    """Keep a timer from firing, or let it go on: one that is due by then fires at once."""
    timer.held = held
    task = turn.state.tasks[(ids.CYCLE, _name(timer.sequence))]
    kept = [timer.sequence, timer.fire_at, timer.delay_s, timer.group, held]
    turn.step.put_task(evolve(task, is_held=held, data={"timer": kept}))
    if held:
        turn.step.clear_timer(f"{USER_TIMER}{timer.sequence}")
    elif timer.fire_at <= turn.now:
        fire(turn, timer.sequence)
    else:
        turn.step.set_timer(f"{USER_TIMER}{timer.sequence}", timer.fire_at)


def abandon(turn: Turn, timer: TimerWait) -> None:
    """End a timer without an event of its own: its selection's cancellation says it."""
    del turn.own.timers[timer.sequence]
    turn.step.clear_timer(f"{USER_TIMER}{timer.sequence}")
    end_with_run(turn, timer)


def end_with_run(turn: Turn, timer: TimerWait) -> None:
    """The run closed: the timer is over without an event of its own."""
    task = turn.state.tasks[(ids.CYCLE, _name(timer.sequence))]
    turn.step.put_task(evolve(task, state="expired", is_held=False, data={}))


def time_out_condition(turn: Turn, sequence: int) -> None:
    """A condition's time is over."""
    turn.step.clear_timer(f"{CONDITION_TIMER}{sequence}")
    condition = turn.own.selected.get(sequence) or turn.own.condition
    if condition is None or condition.sequence != sequence or condition.deadline is None or condition.timed_out:
        return
    # The condition is timed out once this is recorded: until then the worker in hand does not know of it.
    data = {**conditions.timer_data(turn, condition), "fired_at": iso(turn.now)}
    turn.receive(turn.happening("TimerFired", data))
    turn.issue_next()


def _name(sequence: int) -> str:
    return f"timer-{sequence}"


def _identity(turn: Turn, timer: TimerWait) -> dict[str, Any]:
    return {
        "timer_id": ids.timer_id(turn.run_id, timer.sequence),
        "sequence": timer.sequence,
        "delay_seconds": timer.delay_s,
        "fire_at": iso(timer.fire_at),
    }

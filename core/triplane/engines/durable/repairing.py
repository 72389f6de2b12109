"""Finding out whether a durable run can still go on by itself, and having it go on."""

from triplane.commands.passes import CheckActivity, RedispatchRun
from triplane.engines.base import RunState
from triplane.engines.durable import activities, ids
from triplane.engines.durable.state import DurableState
from triplane.engines.durable.turn import Turn

LATE_S = 5.0
"""An alarm that is late by so much did not come; the gateway's own are late by milliseconds."""


def offered(state: RunState) -> list[str]:
    """Ids of the tasks that must be in a queue for workers, for nobody holds them."""
    own: DurableState = state.private
    run, task = state.run, own.task
    if run.paused or not run.is_open:
        return []
    found = []
    if task is not None and task.phase == "ready":
        found.append(ids.workflow_task_id(run.run_id, task.number))
    found.extend(
        ids.activity_task_id(run.run_id, activity.sequence, activity.attempt)
        for activity in own.activities.values()
        if activity.phase == "queued" and not activity.held
    )
    return found


def idle(state: RunState) -> bool:
    """Whether nothing is under way that could wake the run, and it waits for nothing from outside that it has named."""
    own: DurableState = state.private
    if own.task is not None or not state.run.is_open or state.run.paused:
        return False
    if own.agenda or own.buffer:
        return True
    named = own.condition is not None or own.selected or own.inboxes or own.updates
    return not (own.activities or own.timers or own.children or named)


def late(state: RunState, now: float) -> list[str]:
    """Alarms that should have gone off."""
    return [timer.timer_id for timer in state.timers.values() if timer.fire_at < now - LATE_S]


def expired(state: RunState, now: float) -> list[int]:
    """Workflow steps of activities that are past one of their deadlines."""
    own: DurableState = state.private
    return [
        activity.sequence
        for activity in own.activities.values()
        if any(limit <= now for limit in activities.deadlines(activity).values())
    ]


def redispatch(turn: Turn, command: RedispatchRun) -> dict[str, bool]:
    """Offer again what is ready, and open a workflow task where none of anything is under way."""
    woken = not turn.is_host and idle(turn.state)
    if woken:
        turn.flush()
        turn.wake()
        turn.issue_next()
    else:
        turn.offer_workflow_task()
    for activity in turn.own.activities.values():
        turn.offer_activity(activity)
    return {"woken": woken}


def check_activity(turn: Turn, command: CheckActivity) -> dict[str, bool]:
    """Apply whatever deadline of an activity is over."""
    activity = turn.own.activities.get(command.sequence)
    if activity is None:
        return {"enforced": False, "has_retry": False}
    before = (activity.phase, activity.attempt)
    activities.alarm(turn, command.sequence)
    after = turn.own.activities.get(command.sequence)
    retried = after is not None and (after.phase, after.attempt) != before
    return {"enforced": after is None or retried, "has_retry": retried}

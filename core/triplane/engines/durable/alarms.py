"""Names of a durable run's timers, and times as the durable wire writes them."""

from datetime import UTC, datetime

WORKFLOW_TIMER = "workflow-task"
RUN_TIMER = "run"
CANCEL_TIMER = "cleanup"
STOP_TIMER = "stop-at"
CONDITION_TIMER = "condition-"
"""Followed by the workflow step, as the next three."""
ACTIVITY_TIMER = "activity-"
USER_TIMER = "timer-"
CHILD_TIMER = "child-"
WAITING_ROW = "waiting-"
"""Not an alarm: a row of the run's timers that keeps something until the workflow task in hand is over."""
NEVER = 253_402_300_799.0
"""When such a row would fire: the end of the year 9999."""


def iso(seconds: float) -> str:
    """UTC, six digits, `Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

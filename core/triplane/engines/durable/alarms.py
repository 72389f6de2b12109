"""Names of a durable run's timers, and times as the durable wire writes them."""

from datetime import UTC, datetime

WORKFLOW_TIMER = "workflow-task"
RUN_TIMER = "run"
CONDITION_TIMER = "condition-"
"""Followed by the workflow step, as the next two."""
ACTIVITY_TIMER = "activity-"
USER_TIMER = "timer-"


def iso(seconds: float) -> str:
    """UTC, six digits, `Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

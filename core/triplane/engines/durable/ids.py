"""Ids of a durable run's parts. They are derived from the run's id and positions, so no table is needed to find the run."""

import re
from functools import lru_cache
from typing import NamedTuple

from triplane.ids import derived_run_id

_RUN = r"(?P<run>[A-Za-z0-9-]{1,64})"
_WORKFLOW_TASK = re.compile(rf"^wt-{_RUN}-(?P<number>[1-9][0-9]{{0,8}})$")
_ACTIVITY_TASK = re.compile(rf"^at-{_RUN}-(?P<number>[1-9][0-9]{{0,8}})-(?P<attempt>[1-9][0-9]{{0,8}})$")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.+@%-]")

CYCLE = "1"
"""Everything in a durable run belongs to this cycle."""


class TaskRef(NamedTuple):
    """What a task id says: `kind` is `workflow` or `activity`; `attempt` is 0 for workflow tasks."""

    kind: str
    run_id: str
    number: int
    attempt: int


@lru_cache(maxsize=4_096)
def parse_task_id(task_id: str) -> TaskRef | None:
    """What a task id from a worker refers to; None if we cannot have made it."""
    if match := _WORKFLOW_TASK.match(task_id):
        return TaskRef("workflow", match["run"], int(match["number"]), 0)
    if match := _ACTIVITY_TASK.match(task_id):
        return TaskRef("activity", match["run"], int(match["number"]), int(match["attempt"]))
    return None


def event_id(run_id: str, seq: int) -> str:
    """The id of a history event: unique over all runs."""
    return f"{run_id}-{seq}"


def workflow_task_id(run_id: str, number: int) -> str:
    """Stable over redeliveries of the task."""
    return f"wt-{run_id}-{number}"


def activity_task_id(run_id: str, sequence: int, attempt: int) -> str:
    """New for each attempt."""
    return f"at-{run_id}-{sequence}-{attempt}"


def activity_execution_id(run_id: str, sequence: int) -> str:
    """Constant over all attempts."""
    return f"ax-{run_id}-{sequence}"


def activity_attempt_id(run_id: str, sequence: int, attempt: int) -> str:
    """New for each attempt; a worker must present it with the task id."""
    return f"aa-{run_id}-{sequence}-{attempt}"


def timer_id(run_id: str, sequence: int) -> str:
    """The timer a workflow started as its step `sequence`."""
    return f"tm-{run_id}-{sequence}"


def condition_wait_id(run_id: str, sequence: int) -> str:
    """The condition a workflow began to wait for as its step `sequence`."""
    return f"cw-{run_id}-{sequence}"


def child_workflow_id(run_id: str, sequence: int) -> str:
    """The workflow that a workflow's step `sequence` starts as its child."""
    return f"{run_id}-child-{sequence}"


def child_run_id(scheduled: float, run_id: str, sequence: int, attempt: int) -> str:
    """The first run of an attempt at a child: known before it is started, so that starting it again finds it."""
    return derived_run_id(scheduled, f"{run_id}-{sequence}-{attempt}")


def activity_name(activity_type: str, sequence: int) -> str:
    """How an activity is called as a task: its type, with what task names may not hold as `-`, and its step."""
    return f"{_NOT_IN_NAMES.sub('-', activity_type)}-{sequence}"

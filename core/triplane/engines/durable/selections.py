"""Selections: the first member of a group to end is its winner, and the losers go on until they are cancelled.

Source: contract durable 5.4.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from triplane.engines.durable import ids
from triplane.events import Event

if TYPE_CHECKING:
    from triplane.engines.durable.turn import Turn

_LOST = frozenset({
    "ActivityFailed", "ActivityTimedOut", "ActivityCancelled", "TimerCancelled", "ChildRunFailed", "ChildRunCancelled",
    "ChildRunTerminated",
})  # fmt: skip


def outermost(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys of the outermost group in a command's or event's group keys; empty outside groups."""
    path = group.get("parallel_group_path")
    if path:
        head: Mapping[str, Any] = path[0]
        return head
    return group if "parallel_group_id" in group else {}


def is_selection(group: Mapping[str, Any]) -> bool:
    """Whether group keys are those of a member of a selection."""
    return outermost(group).get("parallel_group_mode") == "select"


def begin(turn: "Turn", group: Mapping[str, Any]) -> None:
    """A member of a selection (or a leaf of one) was started."""
    head = outermost(group)
    leaves = turn.own.selections.setdefault(head["parallel_group_id"], {})
    if head["selection_member_kind"] == "group":
        base = str(head["selection_member_base_sequence"])
        leaves[base] = leaves.get(base, 0) + 1


def ended(turn: "Turn", event: Event) -> None:
    """A member (or a leaf of one) is over; the first member that is resolves its selection, right behind its event."""
    head = outermost(event.data)
    group_id, kind = head["parallel_group_id"], head["selection_member_kind"]
    leaves = turn.own.selections.get(group_id)
    if leaves is None:
        return
    base, size = head["selection_member_base_sequence"], head["selection_member_size"]
    outcome = "failed" if event.name in _LOST else "completed"
    if kind == "group" and outcome == "completed":
        leaves[str(base)] = left = leaves.get(str(base), 1) - 1
        turn.touch()
        if left > 0:
            return
    del turn.own.selections[group_id]
    identity = {
        "activity": event.data.get("activity_execution_id"),
        "timer": event.data.get("timer_id"),
        "child": event.data.get("child_workflow_run_id"),
        "condition": event.data.get("condition_wait_id"),
    }.get(kind, f"group:{base}:{size}")
    turn.emit(
        "SelectionResolved",
        {
            "selection_group_id": group_id,
            "selection_group_base_sequence": head["parallel_group_base_sequence"],
            "selection_group_size": head["parallel_group_size"],
            "member_key": head["selection_member_key"],
            "member_index": head["selection_member_index"],
            "member_base_sequence": base,
            "member_size": size,
            "operation_kind": kind,
            "operation_identity": identity,
            "outcome": outcome,
            "resolution_event_id": ids.event_id(turn.run_id, event.seq),
            "resolution_event_type": event.name,
        },
    )

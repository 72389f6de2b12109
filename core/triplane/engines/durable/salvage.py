"""What a redriven run takes over from the one that failed: results of activities that were done, so that nothing is paid twice.

Each result waits in a row of its own until the workflow schedules the same activity again: same step, same type, same
arguments. The first step that differs ends it: from there on the workflow has gone another way. Timers, children and side
effects happen anew. Source: contract durable 2.1 and the reference of the SDK's `redrive_workflow`.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from triplane.engines.durable.alarms import NEVER
from triplane.errors import NotSupported
from triplane.events import Event
from triplane.jsontext import to_json

if TYPE_CHECKING:
    from triplane.engines.durable.turn import Turn

KEPT_ROW = "kept-"
"""Followed by the workflow step. Not an alarm: a row of the run's timers that keeps a result."""

MOST_RESULTS = 5_000
MOST_BYTES = 32 * 1024 * 1024


def collect(history: Sequence[Event]) -> list[list[Any]]:
    """Step, type, digest of the arguments, and result of every activity that a worker completed, in order of their steps.

    Raises:
        NotSupported: they are more than a run can take over.
    """
    wanted: dict[int, tuple[str, bytes]] = {}
    found: dict[int, list[Any]] = {}
    size = 0
    for event in history:
        data = event.data
        if event.name == "ActivityScheduled" and not data.get("local_activity"):
            wanted[data["sequence"]] = (data["activity_type"], _digest(data.get("arguments")))
        elif event.name == "ActivityCompleted" and data.get("sequence") in wanted:
            sequence = data["sequence"]
            found[sequence] = [sequence, *wanted[sequence], data.get("result")]
            size += len(to_json(data.get("result")))
    if len(found) > MOST_RESULTS or size > MOST_BYTES:
        raise NotSupported(
            f"the run has {len(found)} results of {size} bytes; at most {MOST_RESULTS} of {MOST_BYTES} can be taken over by a redrive"
        )
    return [found[sequence] for sequence in sorted(found)]


def keep(turn: "Turn", results: Iterable[Sequence[Any]]) -> None:
    """Lay results by for the run that begins."""
    for sequence, activity_type, digest, result in results:
        turn.step.set_timer(f"{KEPT_ROW}{sequence}", NEVER, {"kept": [activity_type, digest, result]})


def take(turn: "Turn", sequence: int, scheduled: Mapping[str, Any]) -> Any:
    """The result kept for an activity that was just scheduled, or None; what is kept of a workflow that differs goes.

    Args:
        scheduled: the data of its `ActivityScheduled`.
    """
    row = turn.state.timers.get(f"{KEPT_ROW}{sequence}")
    if row is None:
        return None
    turn.step.clear_timer(row.timer_id)
    activity_type, digest, result = row.data["kept"]
    if activity_type == scheduled["activity_type"] and digest == _digest(scheduled.get("arguments")):
        return result
    for timer_id in [timer_id for timer_id in turn.state.timers if timer_id.startswith(KEPT_ROW)]:
        turn.step.clear_timer(timer_id)
    return None


def _digest(arguments: Any) -> bytes:
    return blake2b(to_json(arguments), digest_size=16).digest()

"""What subscribers get: the change of visible state that one commit made, in cursor order."""

from dataclasses import dataclass, field

from triplane.entities import Job, Rows, Run, RunDetail, Task, TaskKey
from triplane.events import Event
from triplane.values import value


@value()
class Delta:
    """One committed step of one run.

    Attributes:
        cursor: position in the one global order; a subscriber resumes after it.
        time: when it was decided, wall-clock seconds.
        run: the run as it is now.
        detail: present if it changed (and when `opened`).
        events: history appended by this step.
        tasks, jobs: each as it is now, only those that changed.
        pruned: tasks that left the present view (their jobs with them).
        rows: table rows appended.
        opened, closed: whether this step began or ended the run.
    """

    cursor: int
    time: float
    run: Run
    detail: RunDetail | None = None
    events: tuple[Event, ...] = ()
    tasks: tuple[Task, ...] = ()
    pruned: tuple[TaskKey, ...] = ()
    jobs: tuple[Job, ...] = ()
    rows: tuple[Rows, ...] = ()
    opened: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Deltas after `after` up to and including `until` are not to be had any more: read the state anew.

    A subscription announces it instead of missing something silently; it is followed by deltas with greater cursors.
    """

    after: int
    until: int


@dataclass(frozen=True, slots=True)
class DeltaFilter:
    """Which deltas a subscription wants.

    Attributes:
        namespaces: empty for all that the principal may read.
        workflow_id, run_id: only that workflow or run.
    """

    namespaces: frozenset[str] = field(default_factory=frozenset)
    workflow_id: str | None = None
    run_id: str | None = None

    def wants(self, run: Run) -> bool:
        """Whether a delta of `run` passes."""
        return (
            (self.run_id is None or run.run_id == self.run_id)
            and (self.workflow_id is None or run.workflow_id == self.workflow_id)
            and (not self.namespaces or run.namespace in self.namespaces)
        )

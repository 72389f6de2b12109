"""How tasks of a run depend on each other, as its definition has it: for wires that draw graphs.

A graph may be endless, so nobody gets it whole: it is asked for one task after the other.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from triplane.engines.base import RunState
from triplane.entities import RunDetail, Task, TaskKey


class Neighbours(NamedTuple):
    """What a task waits for or is removed by (`parents`), and what waits for it or is removed by it (`children`), each once."""

    parents: tuple[TaskKey, ...] = ()
    children: tuple[TaskKey, ...] = ()


class TaskGraph(Protocol):
    """The graph of a run's definition. Answers come at once, without I/O; a changed definition has another graph."""

    def neighbours(self, key: TaskKey) -> Neighbours:
        """Tasks next to one; none where the definition has no such task at that cycle.

        Of the many that wait for a fixed cycle's task, only the first of each sequence counts as that task's child.
        """
        ...

    def planned(self, key: TaskKey) -> Task | None:
        """A task that has not come to be, as it will be: `waiting`, in no flow (`[]`), `seq` 0; None if it never will (again)."""
        ...

    def is_over(self, task: Task) -> bool:
        """Whether the run is done with a task: it has ended with all that the definition wants of it."""
        ...


@runtime_checkable
class Charted(Protocol):
    """An engine whose runs have a task graph."""

    def chart(self, detail: RunDetail, state: RunState | None) -> TaskGraph:
        """The graph of a run.

        Args:
            state: the run in memory, where it is; without it the definition is read from `detail`, which takes longer.

        Raises:
            CannotNow: the stored definition cannot be read.
        """
        ...

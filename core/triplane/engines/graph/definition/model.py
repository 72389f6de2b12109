"""A workflow definition as the engine uses it: plain, complete, and the same after a trip through JSON (see `plain`)."""

from dataclasses import dataclass, field
from typing import Any

from triplane.engines.graph.definition.calendar import NOTHING, Calendar, Interval
from triplane.engines.graph.definition.expressions import Expression
from triplane.engines.graph.definition.sequences import Sequence
from triplane.engines.graph.definition.task_settings import TaskSettings

STANDARD_OUTPUTS = ("expired", "submitted", "submit-failed", "started", "succeeded", "failed")
"""Labels that every task has, in the order they are shown; each is its own message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An output that a task waits for.

    Attributes:
        task, output: whose, and the output's label.
        offset: from the waiting task's own point to the upstream point.
        point: a fixed upstream point instead of an offset (`a[^]`).
    """

    task: str
    output: str
    offset: Interval = NOTHING
    point: int | None = None

    def upstream_point(self, point: int, calendar: Calendar) -> int:
        """Where the output is looked for by the task at `point`."""
        if self.point is not None:
            return self.point
        offset = self.offset
        return point + offset.units if offset.is_exact else calendar.shift(point, offset)


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """What the task waits for at its points on one sequence (an index in `Definition.sequences`).

    Attributes:
        conditions: each once.
        expression: over the indices of `conditions`.
    """

    sequence: int
    conditions: tuple[Condition, ...]
    expression: Expression

    @classmethod
    def all_of(cls, sequence: int, conditions: tuple[Condition, ...]) -> "Prerequisite":
        """One that needs every condition."""
        return cls(sequence, conditions, Expression("all", tuple(range(len(conditions)))))


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """One task name.

    Attributes:
        families: what it inherits from, nearest first, `root` last.
        first_parent: the family that it is shown in; `root` for none.
        sequences: indices of the sequences on which it runs.
        prerequisites: all of them must hold; those of every sequence that a point is on.
        suicides: the task is removed when all of them hold (`=> !task`), as in the real scheduler.
        xtriggers: (sequence, label in `Definition.xtriggers`) that it waits for at its points on that sequence.
        external_triggers: messages that it waits for (`[special tasks]external-trigger`).
        outputs: label → message, the standard ones first.
        required: labels that must be done for the task to be complete.
        optional: labels that may or may not be done.
        completion: over labels; what being complete means. The default follows from `required` and `optional`.
        expire: the task expires when the clock passes its point and this (`clock-expire`).
        is_sequential: it waits for its own instance before (`[special tasks]sequential`).
        parameters: name → value of a task made from a parameterised one, as text (`CYLC_TASK_PARAM_…`).
    """

    name: str
    families: tuple[str, ...]
    first_parent: str
    sequences: tuple[int, ...]
    prerequisites: tuple[Prerequisite, ...]
    suicides: tuple[Prerequisite, ...]
    xtriggers: tuple[tuple[int, str], ...]
    external_triggers: tuple[str, ...]
    outputs: dict[str, str]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    completion: Expression
    expire: Interval | None
    is_sequential: bool
    parameters: dict[str, str]
    settings: TaskSettings

    @property
    def title(self) -> str:
        """`[meta]title`."""
        return self.settings.title

    @property
    def scripts(self) -> dict[str, str]:
        """Script parts by setting name."""
        return self.settings.scripts

    @property
    def environment(self) -> dict[str, str]:
        """In the order of definition."""
        return self.settings.environment

    @property
    def platform(self) -> str:
        """Name of the platform."""
        return self.settings.platform


@dataclass(frozen=True, slots=True)
class FamilyDefinition:
    """A namespace that tasks inherit from: `parents` nearest first."""

    parents: tuple[str, ...]
    title: str
    first_parent: str = "root"


@dataclass(frozen=True, slots=True)
class Queue:
    """At most `limit` members may be active at once; 0 for no limit. A task is in one queue at most, else in `default`."""

    limit: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class XTrigger:
    """A function that tasks wait for.

    Attributes:
        function: `wall_clock`, `echo`, `workflow_state`, `xrandom`, or a user's, in the source directory's `lib/python`.
        arguments, named_arguments: strings, numbers and booleans; strings may hold templates such as `%(point)s`.
        interval_s: between two calls.
        is_sequential: the next point is looked at when this one is satisfied.
    """

    function: str
    arguments: tuple[Any, ...]
    named_arguments: dict[str, Any]
    interval_s: float
    is_sequential: bool


@dataclass(frozen=True, slots=True)
class WorkflowEvents:
    """`[scheduler][events]`; times in seconds, None for none.

    Attributes:
        handlers: event (`startup`, `shutdown`, `abort`, `workflow timeout`, `inactivity timeout`, `stall`, `stall timeout`)
            → commands of its own.
        aborts_on: `stall timeout`, `inactivity timeout`, `workflow timeout` where the workflow is to stop with an error.
    """

    handlers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    general_handlers: tuple[str, ...] = ()
    handler_events: tuple[str, ...] = ()
    workflow_timeout_s: float | None = None
    inactivity_timeout_s: float | None = None
    stall_timeout_s: float | None = 3_600.0
    restart_timeout_s: float | None = 300.0
    aborts_on: tuple[str, ...] = ("stall timeout",)


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole workflow.

    Attributes:
        meta: `[meta]` as written, with `title` and `description` where given.
        calendar: what points mean; `calendar.text(point)` writes one.
        initial, final: cycle points; no `final` means it goes on until stopped.
        hold_after, stop_after: points after which tasks are held, or the workflow stops; None for none.
        runahead: how many cycles after the oldest active one may be active too.
        runahead_interval: how far after the oldest active one, instead of `runahead`.
        sequences: the recurrences of the graph, each once.
        queues: by name; `default` is always there, and has no members of its own listed.
        xtriggers: by label.
        parameters: name → values, of `[task parameters]`.
    """

    meta: dict[str, str]
    calendar: Calendar
    utc_mode: bool
    events: WorkflowEvents
    initial: int
    final: int | None
    hold_after: int | None
    stop_after: int | None
    runahead: int
    runahead_interval: Interval | None
    sequences: tuple[Sequence, ...]
    queues: dict[str, Queue]
    xtriggers: dict[str, XTrigger]
    parameters: dict[str, tuple[str, ...]]
    tasks: dict[str, TaskDefinition]
    families: dict[str, FamilyDefinition] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """`[meta]title`."""
        return self.meta.get("title", "")

    @property
    def description(self) -> str:
        """`[meta]description`."""
        return self.meta.get("description", "")

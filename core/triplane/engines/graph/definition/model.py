"""A workflow definition as the engine uses it: plain, complete, and the same after a trip through JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from triplane.engines.graph.definition.cycling import Sequence

FORMAT = 1

STANDARD_OUTPUTS = ("expired", "submitted", "submit-failed", "started", "succeeded", "failed")
"""Labels that every task has, in the order they are shown; each is its own message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An output that a task waits for.

    Attributes:
        task, output: whose, and the output's label.
        offset: added to the waiting task's own point to find the upstream point.
        point: a fixed upstream point instead of an offset (`a[^]`).
    """

    task: str
    output: str
    offset: int = 0
    point: int | None = None

    def upstream_point(self, point: int) -> int:
        """Where the output is looked for by the task at `point`."""
        return self.point if self.point is not None else point + self.offset


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Conditions, all of which must hold, for the task's points on one sequence (its index in `Definition.sequences`)."""

    sequence: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """One task name.

    Attributes:
        families: what it inherits from, nearest first, `root` last.
        sequences: indices of the sequences on which it runs.
        prerequisites: one or more for each of its sequences; a point on several sequences takes all of them.
        outputs: label → message, the standard ones first.
        required: labels that must be done for the task to be complete.
        optional: labels that may or may not be done.
        scripts: script parts by setting name.
        environment: in the order of definition.
    """

    name: str
    title: str
    families: tuple[str, ...]
    sequences: tuple[int, ...]
    prerequisites: tuple[Prerequisite, ...]
    outputs: dict[str, str]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    scripts: dict[str, str]
    environment: dict[str, str]
    platform: str


@dataclass(frozen=True, slots=True)
class FamilyDefinition:
    """A namespace that tasks inherit from: `parents` nearest first."""

    parents: tuple[str, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole workflow.

    Attributes:
        initial, final: cycle points; no `final` means it goes on until stopped.
        runahead: how many cycles after the oldest active one may be active too.
        sequences: the recurrences of the graph, each once.
        meta: `[meta]` as written.
    """

    title: str
    description: str
    meta: dict[str, str]
    utc_mode: bool
    initial: int
    final: int | None
    runahead: int
    sequences: tuple[Sequence, ...]
    tasks: dict[str, TaskDefinition]
    families: dict[str, FamilyDefinition] = field(default_factory=dict)


def to_plain(definition: Definition) -> dict[str, Any]:
    """JSON values, for the child process's answer and for storage."""
    return {"format": FORMAT, **asdict(definition)}


def from_plain(plain: dict[str, Any]) -> Definition:
    """The inverse of `to_plain`.

    Raises:
        ValueError: another format version.
    """
    if plain.get("format") != FORMAT:
        raise ValueError(f"definition format {plain.get('format')!r}, not {FORMAT}")
    fields = {key: value for key, value in plain.items() if key != "format"}
    fields["sequences"] = tuple(Sequence(**one) for one in plain["sequences"])
    fields["families"] = {
        name: FamilyDefinition(tuple(one["parents"]), one["title"]) for name, one in plain["families"].items()
    }
    fields["tasks"] = {name: _task(one) for name, one in plain["tasks"].items()}
    return Definition(**fields)


def _task(plain: dict[str, Any]) -> TaskDefinition:
    fields = dict(plain)
    for name in ("families", "sequences", "required", "optional"):
        fields[name] = tuple(plain[name])
    fields["prerequisites"] = tuple(
        Prerequisite(one["sequence"], tuple(Condition(**condition) for condition in one["conditions"]))
        for one in plain["prerequisites"]
    )
    return TaskDefinition(**fields)

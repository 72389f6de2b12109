"""A workflow definition as the engine uses it: plain, complete, and the same after a trip through JSON."""

from dataclasses import dataclass, field
from typing import Any

from triplane.engines.graph.definition.cycling import Sequence

FORMAT = 1

_SHARED = ("families", "outputs", "scripts", "environment", "platform")

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
    """JSON values, for the child process's answer and for storage.

    What tasks have in common is written once: ten thousand tasks of one family are not ten thousand scripts.
    """
    runtimes: dict[str, int] = {}
    shared: list[dict[str, Any]] = []
    tasks = {}
    for name, task in definition.tasks.items():
        runtime = {key: getattr(task, key) for key in _SHARED}
        index = runtimes.setdefault(repr(runtime), len(shared))
        if index == len(shared):
            shared.append({**runtime, "families": list(task.families)})
        tasks[name] = {
            "title": task.title,
            "runtime": index,
            "sequences": list(task.sequences),
            "prerequisites": [
                [one.sequence, [[c.task, c.output, c.offset, c.point] for c in one.conditions]] for one in task.prerequisites
            ],
            "required": list(task.required),
            "optional": list(task.optional),
        }
    return {
        "format": FORMAT,
        "title": definition.title,
        "description": definition.description,
        "meta": definition.meta,
        "utc_mode": definition.utc_mode,
        "initial": definition.initial,
        "final": definition.final,
        "runahead": definition.runahead,
        "sequences": [[one.start, one.step, one.stop] for one in definition.sequences],
        "runtimes": shared,
        "tasks": tasks,
        "families": {name: [list(one.parents), one.title] for name, one in definition.families.items()},
    }


def from_plain(plain: dict[str, Any]) -> Definition:
    """The inverse of `to_plain`.

    Raises:
        ValueError: another format version.
    """
    if plain.get("format") != FORMAT:
        raise ValueError(f"definition format {plain.get('format')!r}, not {FORMAT}")
    runtimes = [{**one, "families": tuple(one["families"])} for one in plain["runtimes"]]
    return Definition(
        title=plain["title"],
        description=plain["description"],
        meta=plain["meta"],
        utc_mode=plain["utc_mode"],
        initial=plain["initial"],
        final=plain["final"],
        runahead=plain["runahead"],
        sequences=tuple(Sequence(*one) for one in plain["sequences"]),
        tasks={name: _task(name, one, runtimes[one["runtime"]]) for name, one in plain["tasks"].items()},
        families={name: FamilyDefinition(tuple(parents), title) for name, (parents, title) in plain["families"].items()},
    )


def _task(name: str, plain: dict[str, Any], runtime: dict[str, Any]) -> TaskDefinition:
    return TaskDefinition(
        name=name,
        title=plain["title"],
        sequences=tuple(plain["sequences"]),
        prerequisites=tuple(
            Prerequisite(sequence, tuple(Condition(*one) for one in conditions)) for sequence, conditions in plain["prerequisites"]
        ),
        required=tuple(plain["required"]),
        optional=tuple(plain["optional"]),
        **runtime,
    )

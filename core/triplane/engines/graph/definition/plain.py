"""A definition as JSON values, for the child process's answer and for storage.

What tasks have in common is written once: ten thousand tasks of one family are not ten thousand scripts.
"""

from dataclasses import asdict, fields
from typing import Any

from triplane.engines.graph.definition import expressions
from triplane.engines.graph.definition.calendar import Calendar, Interval
from triplane.engines.graph.definition.model import (
    Condition,
    Definition,
    FamilyDefinition,
    Prerequisite,
    Queue,
    TaskDefinition,
    WorkflowEvents,
    XTrigger,
)
from triplane.engines.graph.definition.sequences import Sequence
from triplane.engines.graph.definition.task_settings import Simulation, Skip, TaskEvents, TaskSettings

FORMAT = 2

_NESTED: dict[str, type[Any]] = {"events": TaskEvents, "simulation": Simulation, "skip": Skip}
_DEFAULTS: dict[str, Any] = {one.name: getattr(TaskSettings(), one.name) for one in fields(TaskSettings)}


def to_plain(definition: Definition) -> dict[str, Any]:
    """JSON values."""
    known: dict[str, int] = {}
    shared: list[dict[str, Any]] = []
    tasks = {}
    for name, task in definition.tasks.items():
        common = {"families": list(task.families), "outputs": task.outputs, "settings": _settings_to_plain(task.settings)}
        index = known.setdefault(repr(common), len(shared))
        if index == len(shared):
            shared.append(common)
        tasks[name] = _task_to_plain(task, index)
    return {
        "format": FORMAT,
        "meta": definition.meta,
        "calendar": asdict(definition.calendar),
        "utc_mode": definition.utc_mode,
        "events": asdict(definition.events),
        "initial": definition.initial,
        "final": definition.final,
        "hold_after": definition.hold_after,
        "stop_after": definition.stop_after,
        "runahead": definition.runahead,
        "runahead_interval": _interval_to_plain(definition.runahead_interval),
        "sequences": [_sequence_to_plain(one) for one in definition.sequences],
        "queues": {name: [one.limit, list(one.members)] for name, one in definition.queues.items()},
        "xtriggers": {label: asdict(one) for label, one in definition.xtriggers.items()},
        "parameters": {name: list(values) for name, values in definition.parameters.items()},
        "common": shared,
        "tasks": tasks,
        "families": {name: [list(one.parents), one.title, one.first_parent] for name, one in definition.families.items()},
    }


def from_plain(plain: dict[str, Any]) -> Definition:
    """The inverse of `to_plain`.

    Raises:
        ValueError: another format version.
    """
    if plain.get("format") != FORMAT:
        raise ValueError(f"definition format {plain.get('format')!r}, not {FORMAT}")
    calendar = Calendar(**plain["calendar"])
    common = [(tuple(one["families"]), one["outputs"], _settings(one["settings"])) for one in plain["common"]]
    return Definition(
        meta=plain["meta"],
        calendar=calendar,
        utc_mode=plain["utc_mode"],
        events=WorkflowEvents(**_with_tuples(plain["events"])),
        initial=plain["initial"],
        final=plain["final"],
        hold_after=plain["hold_after"],
        stop_after=plain["stop_after"],
        runahead=plain["runahead"],
        runahead_interval=_interval(plain["runahead_interval"]),
        sequences=tuple(_sequence(one, calendar) for one in plain["sequences"]),
        queues={name: Queue(limit, tuple(members)) for name, (limit, members) in plain["queues"].items()},
        xtriggers={label: XTrigger(**{**one, "arguments": tuple(one["arguments"])}) for label, one in plain["xtriggers"].items()},
        parameters={name: tuple(values) for name, values in plain["parameters"].items()},
        tasks={name: _task(name, one, common[one["common"]]) for name, one in plain["tasks"].items()},
        families={name: FamilyDefinition(tuple(parents), title, first) for name, (parents, title, first) in plain["families"].items()},
    )


def _interval_to_plain(interval: Interval | None) -> list[int] | None:
    return None if interval is None else [interval.years, interval.months, interval.units]


def _interval(plain: list[int] | None) -> Interval | None:
    return None if plain is None else Interval(*plain)


def _sequence_to_plain(one: Sequence) -> list[Any]:
    excluded = [_sequence_to_plain(each) for each in one.excluded]
    return [one.start, _interval_to_plain(one.step), one.stop, list(one.excluded_points), excluded]


def _sequence(plain: list[Any], calendar: Calendar) -> Sequence:
    start, step, stop, points, excluded = plain
    return Sequence(calendar, start, Interval(*step), stop, tuple(points), tuple(_sequence(one, calendar) for one in excluded))


def _task_to_plain(task: TaskDefinition, common: int) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "common": common,
        "sequences": list(task.sequences),
        "prerequisites": [_prerequisite_to_plain(one) for one in task.prerequisites],
        "required": list(task.required),
        "optional": list(task.optional),
        "completion": expressions.to_plain(task.completion),
    }
    # Most tasks have none of these: thousands of empty entries are not worth their bytes.
    rare = {
        "suicides": [_prerequisite_to_plain(one) for one in task.suicides],
        "xtriggers": [list(one) for one in task.xtriggers],
        "external_triggers": list(task.external_triggers),
        "expire": _interval_to_plain(task.expire),
        "is_sequential": task.is_sequential,
        "parameters": task.parameters,
        "first_parent": task.first_parent,
    }
    return {**plain, **{key: value for key, value in rare.items() if value}}


def _task(name: str, plain: dict[str, Any], common: tuple[tuple[str, ...], dict[str, str], TaskSettings]) -> TaskDefinition:
    families, outputs, settings = common
    return TaskDefinition(
        name=name,
        families=families,
        first_parent=plain.get("first_parent", "root"),
        sequences=tuple(plain["sequences"]),
        prerequisites=tuple(_prerequisite(one) for one in plain["prerequisites"]),
        suicides=tuple(_prerequisite(one) for one in plain.get("suicides", ())),
        xtriggers=tuple((sequence, label) for sequence, label in plain.get("xtriggers", ())),
        external_triggers=tuple(plain.get("external_triggers", ())),
        outputs=outputs,
        required=tuple(plain["required"]),
        optional=tuple(plain["optional"]),
        completion=expressions.from_plain(plain["completion"]),
        expire=_interval(plain.get("expire")),
        is_sequential=plain.get("is_sequential", False),
        parameters=plain.get("parameters", {}),
        settings=settings,
    )


def _prerequisite_to_plain(one: Prerequisite) -> list[Any]:
    conditions = [
        [condition.task, condition.output, _interval_to_plain(condition.offset), condition.point] for condition in one.conditions
    ]
    return [one.sequence, conditions, None if one.expression.is_flat_all else expressions.to_plain(one.expression)]


def _prerequisite(plain: list[Any]) -> Prerequisite:
    sequence, plain_conditions, expression = plain
    conditions = tuple(Condition(task, output, Interval(*offset), point) for task, output, offset, point in plain_conditions)
    if expression is None:
        return Prerequisite.all_of(sequence, conditions)
    return Prerequisite(sequence, conditions, expressions.from_plain(expression))


def _with_tuples(plain: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples they were, also one level down (handlers by event)."""
    return {
        key: tuple(value)
        if isinstance(value, list)
        else {name: tuple(one) if isinstance(one, list) else one for name, one in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in plain.items()
    }


def _settings_to_plain(settings: TaskSettings) -> dict[str, Any]:
    """Only what differs from the defaults: thousands of tasks with settings of their own say little each."""
    plain: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(settings, name)
        if value != default:
            plain[name] = asdict(value) if name in _NESTED else value
    return plain


def _settings(plain: dict[str, Any]) -> TaskSettings:
    given = _with_tuples({name: value for name, value in plain.items() if name not in _NESTED})
    nested = {name: kind(**_with_tuples(plain[name])) for name, kind in _NESTED.items() if name in plain}
    return TaskSettings(**given, **nested)

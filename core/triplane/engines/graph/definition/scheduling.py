"""`[scheduling]` but for the graph: bounds, runahead, queues, special tasks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from triplane.engines.graph.definition.calendar import Interval
from triplane.engines.graph.definition.model import Queue
from triplane.engines.graph.definition.parameters import Parameters
from triplane.engines.graph.definition.points import Points
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting
from triplane.engines.graph.definition.values import given, strings, whole

MAX_RUNAHEAD = 10_000
DEFAULT_RUNAHEAD = 4
DEFAULT_QUEUE_LIMIT = 100
MAX_QUEUES = 1_000

_COUNT = re.compile(r"P(\d{1,9})", re.ASCII)
_ITEM = re.compile(r"\s*([^()\s]+)\s*(?:\(\s*(.+?)\s*\))?\s*")
_ITEMS = re.compile(r"""((?:[^,()"'<]|<[^>]*>|"[^"]*"|'[^']*'|\((?:[^()"']|"[^"]*"|'[^']*')*\))+)""")

Members = Mapping[str, tuple[str, ...]]
"""Family name → its tasks."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a workflow begins and ends; see `Definition`."""

    initial: int
    final: int | None
    hold_after: int | None
    stop_after: int | None


def read_bounds(scheduling: Section, points: Points) -> Bounds:
    """The bounds; `points` knows them from then on.

    Raises:
        DefinitionProblem: a point that cannot be read, does not meet its constraints, or lies before the initial one.
    """
    initial = given(scheduling, "initial cycle point")
    if initial is None and not points.calendar.is_integer:
        raise DefinitionProblem("there is no initial cycle point, and dates as cycle points need one", scheduling.line)
    points.initial = first = points.beginning(initial.value, initial.line) if initial else 1
    _check_constraints(scheduling, "initial", first, points)
    final = given(scheduling, "final cycle point")
    if final is not None:
        points.final = points.relative(final.value, first, final.line)
        if points.final < first:
            text = points.calendar.text
            message = f"the final cycle point {text(points.final)} is before the initial cycle point {text(first)}"
            raise DefinitionProblem(message, final.line)
        _check_constraints(scheduling, "final", points.final, points)
    elif points.calendar.is_integer and given(scheduling, "cycling mode") is None:
        # A graph that runs once, without a word about cycles.
        points.final = first
    hold = given(scheduling, "hold after cycle point")
    stop = given(scheduling, "stop after cycle point")
    return Bounds(
        first,
        points.final,
        points.absolute(hold.value, hold.line) if hold else None,
        points.relative(stop.value, first, stop.line) if stop else None,
    )


def _check_constraints(scheduling: Section, which: str, point: int, points: Points) -> None:
    setting = given(scheduling, f"{which} cycle point constraints")
    if setting is None:
        return
    if not any(points.relative(one, point, setting.line) == point for one in strings(setting)):
        text = f"the {which} cycle point {points.calendar.text(point)} meets none of its constraints {shown(setting.value)}"
        raise DefinitionProblem(text, setting.line)


def read_runahead(scheduling: Section, points: Points) -> tuple[int, Interval | None]:
    """How many cycles ahead, and how long ahead where that is given instead.

    Raises:
        DefinitionProblem: it is neither, negative, or too much.
    """
    setting = given(scheduling, "runahead limit")
    if setting is None:
        return DEFAULT_RUNAHEAD, None
    count = _COUNT.fullmatch(setting.value)
    if count is not None:
        if int(count[1]) > MAX_RUNAHEAD:
            raise DefinitionProblem(f"runahead limit {shown(setting.value)} is not between P0 and P{MAX_RUNAHEAD}", setting.line)
        return int(count[1]), None
    if points.calendar.is_integer:
        raise DefinitionProblem(f"runahead limit {shown(setting.value)} is not a number of cycles such as P4", setting.line)
    interval = points.interval(setting.value, setting.line)
    if not (interval.is_forward or interval.is_nothing):
        raise DefinitionProblem(f"runahead limit {shown(setting.value)} is negative", setting.line)
    return DEFAULT_RUNAHEAD, interval


def read_queues(scheduling: Section, parameters: Parameters, members: Members) -> dict[str, Queue]:
    """Queues by name, families written out. A task of several queues is in the last one that names it.

    Raises:
        DefinitionProblem: a limit that is no number, or too many queues.
    """
    section = scheduling.sections.get("queues")
    found: dict[str, tuple[int, list[str]]] = {"default": (DEFAULT_QUEUE_LIMIT, [])}
    for name, queue in section.sections.items() if section else ():
        limit = given(queue, "limit")
        default = DEFAULT_QUEUE_LIMIT if name == "default" else 0
        listed = given(queue, "members")
        names = [one for text in _names(listed) for one, _ in parameters.expanded(text, listed.line)] if listed else []
        found[name] = (whole(limit) if limit else default, [] if name == "default" else _tasks(names, members))
        if len(found) > MAX_QUEUES:
            raise DefinitionProblem(f"more than {MAX_QUEUES} queues", queue.line)
    owner = {task: name for name, (_, tasks) in found.items() for task in tasks}
    return {
        name: Queue(limit, tuple(task for task in dict.fromkeys(tasks) if owner[task] == name)) for name, (limit, tasks) in found.items()
    }


def _names(setting: Setting) -> list[str]:
    return [item.strip().strip("'\"") for item in _ITEMS.findall(setting.value) if item.strip()]


def _tasks(names: list[str], members: Members) -> list[str]:
    return [task for name in names for task in members.get(name, (name,))]


@dataclass(frozen=True, slots=True)
class SpecialTasks:
    """`[special tasks]`, families written out.

    Attributes:
        clock_triggers: task → offset as text.
        expiries: task → offset.
        external_triggers: task → message.
        lines: task → where it is named.
    """

    clock_triggers: dict[str, str] = field(default_factory=dict)
    expiries: dict[str, Interval] = field(default_factory=dict)
    external_triggers: dict[str, str] = field(default_factory=dict)
    sequential: dict[str, None] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read_special_tasks(scheduling: Section, parameters: Parameters, members: Members, points: Points) -> SpecialTasks:
    """What `[special tasks]` says.

    Raises:
        DefinitionProblem: an entry that cannot be read, or an external trigger that two tasks wait for.
    """
    special = SpecialTasks()
    section = scheduling.sections.get("special tasks")
    for setting in section.settings.values() if section else ():
        if setting.value and setting.key.startswith("clock") and points.calendar.mode != "gregorian":
            raise DefinitionProblem(f"{setting.key} needs the gregorian calendar", setting.line)
        for text in _names(setting):
            _enter(special, setting, text, parameters, members, points)
    return special


def _enter(special: SpecialTasks, setting: Setting, text: str, parameters: Parameters, members: Members, points: Points) -> None:
    match = _ITEM.fullmatch(text)
    if match is None or (setting.key == "sequential" and match[2]) or (setting.key == "external-trigger" and not match[2]):
        raise DefinitionProblem(f"{setting.key} = {shown(text)} cannot be read", setting.line)
    names = [one for one, _ in parameters.expanded(match[1], setting.line)]
    for task in _tasks(names, members):
        special.lines[task] = setting.line
        if setting.key == "sequential":
            special.sequential[task] = None
        elif setting.key == "external-trigger":
            message = match[2].strip("'\"")
            if message in special.external_triggers.values() and special.external_triggers.get(task) != message:
                raise DefinitionProblem(f"the external trigger {shown(message)} is used by two tasks", setting.line)
            special.external_triggers[task] = message
        else:
            offset = points.interval(match[2] or "PT0S", setting.line)
            if setting.key == "clock-trigger":
                special.clock_triggers[task] = match[2] or "PT0S"
            else:
                special.expiries[task] = offset

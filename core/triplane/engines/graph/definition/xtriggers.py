"""`[scheduling][xtriggers]`: functions that tasks wait for, as they are called, without calling them.

Source: cylc-flow 8.5, user guide, "External triggers".
"""

import ast
import re
from collections.abc import Collection
from typing import Any

from triplane.engines.graph.definition.model import XTrigger
from triplane.engines.graph.definition.points import Points
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting
from triplane.engines.graph.definition.values import flag, seconds_of

DEFAULT_INTERVAL_S = 10.0
MAX_ARGUMENTS = 50
WALL_CLOCK = "wall_clock"
RETRY_PREFIX = "_cylc"

_CALL = re.compile(r"(\w+)\((.*)\)(?:\s*:\s*([\w.]+))?", re.DOTALL)
_LABEL = re.compile(r"\w+", re.ASCII)
_FIELD = re.compile(r"%\((\w+)\)|%(.)")
_FIELDS = frozenset(
    {
        "point", "debug", "name", "id", "user_name", "workflow", "workflow_name", "workflow_run_dir", "workflow_share_dir",
        "suite_name", "suite_run_dir", "suite_share_dir",
    }
)  # fmt: skip
_BUILT_IN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    WALL_CLOCK: (("offset",), ("sequential",)),
    "workflow_state": (("workflow_task_id", "offset", "flow_num", "is_trigger", "is_message", "alt_cylc_run_dir"), ("sequential",)),
    "xrandom": (("percent", "secs", "_"), ("sequential",)),
}
"""name → (its parameters in order, further ones by name only); `echo` takes anything."""


def read_xtriggers(scheduling: Section, points: Points, files: Collection[str] | None) -> dict[str, XTrigger]:
    """Label → function call.

    Args:
        files: the files beside the definition, or None where they are not known.

    Raises:
        DefinitionProblem: a call that cannot be read, or of a function that is neither built in nor in `lib/python`.
    """
    section = scheduling.sections.get("xtriggers")
    is_sequential = flag(scheduling, "sequential xtriggers", False)
    if section is None:
        return {}
    return {label: _xtrigger(setting, points, files, is_sequential) for label, setting in section.settings.items()}


def wall_clock(offset: str = "PT0S") -> XTrigger:
    """What `@wall_clock` and `[special tasks]clock-trigger` stand for."""
    return XTrigger(WALL_CLOCK, (), {"offset": offset}, DEFAULT_INTERVAL_S, True)


def _xtrigger(setting: Setting, points: Points, files: Collection[str] | None, is_sequential: bool) -> XTrigger:
    label, line = setting.key, setting.line
    if not _LABEL.fullmatch(label) or label.startswith(RETRY_PREFIX):
        raise DefinitionProblem(f"{shown(label)} is not a label of an xtrigger", line)
    match = _CALL.fullmatch(setting.value.strip())
    if match is None:
        raise DefinitionProblem(f"{label} = {shown(setting.value)} is not a call such as function(argument):PT10S", line)
    function, inside, interval = match.groups()
    positional, named = _arguments(inside, setting)
    if function in _BUILT_IN:
        _check_built_in(function, positional, named, setting, points)
    elif function != "echo" and files is not None and f"lib/python/{function}.py" not in files:
        raise DefinitionProblem(f"{label}: there is no xtrigger function {shown(function)} (lib/python/{function}.py)", line)
    for argument in (*positional, *named.values()):
        _check_fields(argument, setting)
    # Clocks go one after the other unless it is said otherwise. Source: cylc-flow 8.5.4, wall_clock's own default.
    own = named.pop("sequential", is_sequential or function == WALL_CLOCK)
    if not isinstance(own, bool):
        raise DefinitionProblem(f"{label}: sequential = {own!r} is neither True nor False", line)
    seconds = seconds_of(interval, setting) if interval else DEFAULT_INTERVAL_S
    if seconds <= 0:
        raise DefinitionProblem(f"{label}: an interval of nothing", line)
    return XTrigger(function, tuple(positional), named, seconds, own)


def _check_built_in(function: str, positional: list[Any], named: dict[str, Any], setting: Setting, points: Points) -> None:
    order, further = _BUILT_IN[function]
    if len(positional) > len(order):
        raise DefinitionProblem(f"{setting.key}: {function} takes at most {len(order)} arguments", setting.line)
    given = [*order[: len(positional)], *named]
    if len(set(given)) != len(given):
        raise DefinitionProblem(f"{setting.key}: an argument of {function} is given twice", setting.line)
    unknown = [name for name in named if name not in order and name not in further]
    if unknown:
        raise DefinitionProblem(f"{setting.key}: {function} has no argument {shown(unknown[0])}", setting.line)
    values = dict(zip(order, positional, strict=False)) | named
    if function == WALL_CLOCK:
        if points.calendar.is_integer:
            raise DefinitionProblem(f"{setting.key}: {WALL_CLOCK} needs dates as cycle points", setting.line)
        points.interval(str(values.get("offset", "PT0S")), setting.line)
    elif function == "workflow_state" and values.keys() & {"alt_cylc_run_dir", "flow_num", "offset"}:
        message = f"{setting.key}: offset, flow_num and alt_cylc_run_dir of workflow_state are not supported"
        raise DefinitionProblem(message, setting.line)
    elif function == "workflow_state" and "workflow_task_id" not in values:
        raise DefinitionProblem(f"{setting.key}: workflow_state needs an id: WORKFLOW//CYCLE/TASK", setting.line)
    elif function == "xrandom" and "percent" not in values:
        raise DefinitionProblem(f"{setting.key}: xrandom needs a percentage", setting.line)


def _check_fields(argument: Any, setting: Setting) -> None:
    if not isinstance(argument, str):
        return
    for match in _FIELD.finditer(argument):
        if match[1] is not None and match[1] not in _FIELDS:
            raise DefinitionProblem(f"{setting.key}: there is no template %({match[1]})s", setting.line)


def _arguments(text: str, setting: Setting) -> tuple[list[Any], dict[str, Any]]:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for item in _items(text):
        name, equals, value = item.partition("=")
        if equals and re.fullmatch(r"\s*\w+\s*", name):
            named[name.strip()] = _value(value)
        elif named:
            raise DefinitionProblem(f"{setting.key}: {shown(item)} stands behind arguments with a name", setting.line)
        else:
            positional.append(_value(item))
    if len(positional) + len(named) > MAX_ARGUMENTS:
        raise DefinitionProblem(f"{setting.key}: more than {MAX_ARGUMENTS} arguments", setting.line)
    return positional, named


def _items(text: str) -> list[str]:
    """Split at commas outside quotes and brackets."""
    items, current, quote, depth = [], "", "", 0
    for mark in text:
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == "," and depth == 0:
            items.append(current)
            current = ""
            continue
        current += mark
    return [item for item in [*items, current] if item.strip()]


def _value(text: str) -> Any:
    """A number, a boolean or None where it reads as one; else a string, without its quotes."""
    stripped = text.strip()
    try:
        value = ast.literal_eval(stripped)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return stripped
    return value if isinstance(value, (str, int, float, bool)) or value is None else stripped

"""`[runtime]` → every namespace with what it inherits."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from triplane.engines.graph.definition.dependencies import FAMILY_OUTPUTS, SHORT_NAMES
from triplane.engines.graph.definition.inheritance import ROOT, linearised
from triplane.engines.graph.definition.model import STANDARD_OUTPUTS
from triplane.engines.graph.definition.optionality import FINISHED
from triplane.engines.graph.definition.parameters import Choice, Parameters
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting
from triplane.engines.graph.definition.task_settings import EVENTS, SCRIPTS, TaskSettings
from triplane.engines.graph.definition.values import boolean, duration, durations, positive, string, strings
from triplane.entities import TASK_STATES

MAX_NAME = 255
MAX_NAMESPACES = 50_000
RUN_MODES = ("live", "skip")
_NAME = re.compile(r"\w[\w\-+%@]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Path = tuple[str, str]
"""(sub-section or empty, setting)"""

Own = dict[Path, tuple[Any, Setting]]
"""What a namespace says itself: typed values, each with the setting that it stems from."""


def _platform(setting: Setting) -> str:
    if setting.value == "queue:":
        raise DefinitionProblem("queue: without the name of a worker queue", setting.line)
    if "$" in setting.value or "`" in setting.value:
        raise DefinitionProblem(f"a platform computed by the shell is not supported: {shown(setting.value)}", setting.line)
    return setting.value or "localhost"


def _run_mode(setting: Setting) -> str:
    if setting.value and setting.value not in RUN_MODES:
        raise DefinitionProblem(f"run mode = {shown(setting.value)}: a task's own is live or skip", setting.line)
    return setting.value


def _seconds(setting: Setting) -> float:
    return duration(setting) or 0.0


READERS: dict[Path, Callable[[Setting], Any]] = {
    **{("", script): string for script in SCRIPTS},
    ("", "platform"): _platform,
    ("", "completion"): string,
    ("", "work sub-directory"): string,
    ("", "execution polling intervals"): durations,
    ("", "execution retry delays"): durations,
    ("", "execution time limit"): duration,
    ("", "submission polling intervals"): durations,
    ("", "submission retry delays"): durations,
    ("", "run mode"): _run_mode,
    ("environment filter", "include"): strings,
    ("environment filter", "exclude"): strings,
    ("skip", "outputs"): strings,
    ("skip", "disable task event handlers"): boolean,
    ("simulation", "default run length"): _seconds,
    ("simulation", "speedup factor"): positive,
    ("simulation", "time limit buffer"): _seconds,
    ("simulation", "fail cycle points"): strings,
    ("simulation", "fail try 1 only"): boolean,
    ("simulation", "disable task event handlers"): boolean,
    ("events", "handlers"): strings,
    ("events", "handler events"): strings,
    ("events", "handler retry delays"): durations,
    ("events", "execution timeout"): duration,
    ("events", "submission timeout"): duration,
    ("events", "late offset"): duration,
    **{("events", f"{event} handlers"): strings for event in EVENTS},
}

_QUALIFIERS = frozenset({*STANDARD_OUTPUTS, FINISHED, *SHORT_NAMES, *FAMILY_OUTPUTS})
_TAKEN_LABELS = frozenset({"required", "optional", "all", "and", "or", "skip", *TASK_STATES})

_FIELDS = {
    ("", "platform"): "platform",
    ("", "work sub-directory"): "work_sub_directory",
    ("", "execution polling intervals"): "execution_polling_s",
    ("", "execution retry delays"): "execution_retry_delays_s",
    ("", "execution time limit"): "execution_time_limit_s",
    ("", "submission polling intervals"): "submission_polling_s",
    ("", "submission retry delays"): "submission_retry_delays_s",
    ("", "run mode"): "run_mode",
    ("environment filter", "exclude"): "environment_exclude",
}
_NESTED = {
    ("events", "handlers"): "general_handlers",
    ("events", "handler events"): "handler_events",
    ("events", "handler retry delays"): "handler_retry_delays_s",
    ("events", "execution timeout"): "execution_timeout_s",
    ("events", "submission timeout"): "submission_timeout_s",
    ("events", "late offset"): "late_offset_s",
    ("skip", "outputs"): "outputs",
    ("skip", "disable task event handlers"): "disable_task_event_handlers",
    ("simulation", "default run length"): "default_run_length_s",
    ("simulation", "speedup factor"): "speedup_factor",
    ("simulation", "time limit buffer"): "time_limit_buffer_s",
    ("simulation", "fail try 1 only"): "fail_try_1_only",
    ("simulation", "disable task event handlers"): "disable_task_event_handlers",
}
_OPEN = ("environment", "directives", "meta", "outputs", "parameter environment templates")


@dataclass(frozen=True, slots=True)
class Namespace:
    """What one namespace comes to after inheritance.

    Attributes:
        ancestors: nearest first, `root` last; empty for root.
        first_parent: the family it is shown in.
        outputs: custom ones, label → message.
        completion: as written, None where nothing is.
        fail_points: `[simulation]fail cycle points` as written.
        parameters: values that made its name.
    """

    name: str
    ancestors: tuple[str, ...]
    first_parent: str
    settings: TaskSettings
    outputs: dict[str, str]
    completion: Setting | None
    fail_points: Setting | None
    parameters: Choice
    line: int


@dataclass
class _Defined:
    """A namespace while it is collected from the headings that name it."""

    line: int
    own: Own
    parents: list[str]
    first_parent: str
    parameters: dict[str, int | str]


def read_runtime(section: Section | None, parameters: Parameters) -> dict[str, Namespace]:
    """All namespaces, `root` first and always there.

    Raises:
        DefinitionProblem: a bad name, bad inheritance, or a value that cannot be read.
    """
    defined: dict[str, _Defined] = {ROOT: _Defined(0, {}, [], "", {})}
    for heading in section.sections.values() if section else ():
        _collect(heading, parameters, defined)
    if defined[ROOT].parents:
        raise DefinitionProblem("root inherits from nothing", defined[ROOT].line)
    parents = {name: one.parents for name, one in defined.items() if name != ROOT}
    ancestors = linearised(parents, {name: one.line for name, one in defined.items()})
    layered: dict[tuple[str, ...], Own] = {(): {}}
    return {name: _flattened(name, defined, ancestors[name], layered, parameters) for name in defined}


def check_task_name(name: str, line: int) -> None:
    """Raises DefinitionProblem where `name` cannot be a task's, and so a directory's, name."""
    if not _NAME.fullmatch(name):
        raise DefinitionProblem(
            f"{shown(name)} is not a task name: letters, digits, _ - + % @ are, beginning with a letter, digit or _", line
        )
    if name.startswith("_cylc"):
        raise DefinitionProblem(f"{shown(name)} is not a task name: those that begin with _cylc are taken", line)
    if len(name) > MAX_NAME:
        raise DefinitionProblem(f"a task name of {len(name)} characters; at most {MAX_NAME} are allowed", line)


# ---- headings ----------------------------------------------------------------------------------------------------------


def _collect(heading: Section, parameters: Parameters, defined: dict[str, _Defined]) -> None:
    own = own_values(heading)
    inherit = heading.settings.get("inherit")
    for name, chosen in parameters.expanded(heading.path[1], heading.line):
        if name != ROOT:
            check_task_name(name, heading.line)
        one = defined.setdefault(name, _Defined(heading.line, {}, [], ROOT, {}))
        one.line = one.line or heading.line
        one.own.update(own)
        one.parameters.update(chosen)
        if inherit is not None:
            one.parents, one.first_parent = _parents(inherit, parameters, chosen, one)
        if len(defined) > MAX_NAMESPACES:
            raise DefinitionProblem(f"[runtime] defines more than {MAX_NAMESPACES} namespaces", heading.line)


def own_values(section: Section) -> Own:
    """What one `[runtime]` section says, typed.

    Raises:
        DefinitionProblem: a value that cannot be read.
    """
    found: Own = {}
    for key, setting in section.settings.items():
        if key != "inherit":
            found["", key] = (READERS["", key](setting), setting)
    for name, child in section.sections.items():
        for key, setting in child.settings.items():
            if name in ("environment", "parameter environment templates") and not _VARIABLE.fullmatch(key):
                raise DefinitionProblem(f"{shown(key)} is not a name of an environment variable", setting.line)
            found[name, key] = (setting.value if name in _OPEN else READERS[name, key](setting), setting)
    return found


def _parents(setting: Setting, parameters: Parameters, chosen: Choice, one: _Defined) -> tuple[list[str], str]:
    names = []
    for text in re.findall(r"(?:[^,<]|<[^>]*>)+", setting.value):
        filled = parameters.filled(text.strip().strip("'\""), chosen, setting.line)
        if filled is None or not filled[0]:
            raise DefinitionProblem(f"no name in inherit = {shown(setting.value)}", setting.line)
        names.append(filled[0])
        one.parameters.update(filled[1])
    is_hidden = names[:1] == ["None"]
    if is_hidden:
        names = names[1:]
        if not names:
            raise DefinitionProblem("inherit = None needs a second parent", setting.line)
    if len(set(names)) != len(names):
        raise DefinitionProblem(f"a name twice in inherit = {shown(setting.value)}", setting.line)
    return names, ROOT if is_hidden or not names else names[0]


# ---- inheritance -------------------------------------------------------------------------------------------------------


def _flattened(
    name: str, defined: Mapping[str, _Defined], ancestors: tuple[str, ...], layered: dict[tuple[str, ...], Own], parameters: Parameters
) -> Namespace:
    one = defined[name]
    merged = {**_layers(ancestors, defined, layered), **one.own}
    values = {path: value for path, (value, _) in merged.items()}
    if one.parameters:
        values = {
            path: parameters.in_text(value, one.parameters) if path[0] in ("environment", "parameter environment templates") else value
            for path, value in values.items()
        }
    completion = merged.get(("", "completion"))
    fail_points = merged.get(("simulation", "fail cycle points"))
    return Namespace(
        name,
        ancestors,
        one.first_parent,
        applied(TaskSettings(), values),
        {path[1]: value for path, value in values.items() if path[0] == "outputs"},
        completion[1] if completion and completion[0] else None,
        fail_points[1] if fail_points and fail_points[0] else None,
        one.parameters,
        one.line,
    )


def _layers(ancestors: tuple[str, ...], defined: Mapping[str, _Defined], layered: dict[tuple[str, ...], Own]) -> Own:
    """What the ancestors come to together: the farthest first, so that nearer ones replace it."""
    known = layered.get(ancestors)
    if known is None:
        known = layered[ancestors] = {}
        for name in reversed(ancestors):
            known.update(defined[name].own)
    return known


def applied(base: TaskSettings, values: Mapping[Path, Any]) -> TaskSettings:
    """`base` with some settings replaced: what inheritance does, and what a broadcast does to a task."""
    changes: dict[str, Any] = {_FIELDS[path]: value for path, value in values.items() if path in _FIELDS}
    nested: dict[str, dict[str, Any]] = {}
    handlers: dict[str, tuple[str, ...]] = {}
    for path, value in values.items():
        if path in _NESTED:
            nested.setdefault(path[0], {})[_NESTED[path]] = value
        elif path[0] == "events":
            handlers[path[1].removesuffix(" handlers")] = value
    if handlers:
        nested.setdefault("events", {})["handlers"] = {**base.events.handlers, **handlers}
    for name, fields in nested.items():
        changes[name] = replace(getattr(base, name), **fields)
    scripts = {path[1]: value for path, value in values.items() if path[0] == "" and path[1] in SCRIPTS}
    templates = {path[1]: value for path, value in values.items() if path[0] == "parameter environment templates"}
    variables = {path[1]: value for path, value in values.items() if path[0] == "environment"}
    changes["scripts"] = {**base.scripts, **scripts}
    changes["environment"] = {**templates, **base.environment, **variables}
    for name in ("directives", "meta"):
        changes[name] = {**getattr(base, name), **{path[1]: value for path, value in values.items() if path[0] == name}}
    include = values.get(("environment filter", "include"))
    if include:
        changes["environment_include"] = include
    return replace(base, **changes)


def check_outputs(name: str, outputs: Mapping[str, str], line: int) -> None:
    """Raises DefinitionProblem where custom outputs clash with each other or with words that mean something else."""
    seen: set[str] = set()
    for label, message in outputs.items():
        if label in _TAKEN_LABELS or label in _QUALIFIERS:
            raise DefinitionProblem(f"{name}: the output {shown(label)} has a name that means something else", line)
        if not re.fullmatch(r"[\w\-]+", label) or label.startswith("_cylc"):
            raise DefinitionProblem(f"{name}: {shown(label)} is not a label of an output", line)
        if not message:
            raise DefinitionProblem(f"{name}: the output {shown(label)} has no message", line)
        if message in _QUALIFIERS or message.startswith("_cylc"):
            raise DefinitionProblem(f"{name}: the message {shown(message)} of an output means something else", line)
        if not re.fullmatch(r"[^\s:]+:?(\s[^:]*)?", message):
            raise DefinitionProblem(f"{name}: the message {shown(message)} has a colon that does not end its first word", line)
        if message in seen:
            raise DefinitionProblem(f"{name}: two outputs have the message {shown(message)}", line)
        seen.add(message)

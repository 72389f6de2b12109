"""`[runtime]` → every namespace with what it inherits."""

import re
from dataclasses import dataclass

from triplane.engines.graph.definition.inheritance import ROOT, linearised
from triplane.engines.graph.definition.model import STANDARD_OUTPUTS
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting
from triplane.engines.graph.definition.settings import SCRIPTS, check_environment_name

MAX_NAME = 255
_NAME = re.compile(r"[A-Za-z0-9_][\w\-+%@]*")
_QUEUE = "queue:"


@dataclass(frozen=True, slots=True)
class Namespace:
    """What one namespace comes to after inheritance.

    Attributes:
        ancestors: nearest first, `root` last; empty for root.
        outputs: custom ones, label → message.
    """

    name: str
    ancestors: tuple[str, ...]
    title: str
    scripts: dict[str, str]
    environment: dict[str, str]
    outputs: dict[str, str]
    platform: str
    line: int


def read_runtime(section: Section | None) -> dict[str, Namespace]:
    """All namespaces, `root` first and always there.

    Raises:
        DefinitionProblem: a bad name, bad inheritance, or a bad output.
    """
    defined = dict(section.sections) if section else {}
    root = defined.pop(ROOT, Section(("runtime", ROOT), 0))
    if "inherit" in root.settings:
        raise DefinitionProblem("root inherits from nothing", root.settings["inherit"].line)
    parents = {name: _parents(one) for name, one in defined.items()}
    lines = {name: one.line for name, one in defined.items()}
    for name, line in lines.items():
        check_task_name(name, line)
    ancestors = linearised(parents, lines)
    everything = {ROOT: root, **defined}
    return {
        name: _flattened(name, [everything[one] for one in reversed((name, *ancestors[name]))], ancestors[name])
        for name in everything
    }


def check_task_name(name: str, line: int) -> None:
    """Raises DefinitionProblem where `name` cannot be a task's, and so a directory's, name."""
    if "<" in name:
        raise DefinitionProblem(f"task parameters are not supported: {shown(name)}", line)
    if not _NAME.fullmatch(name):
        raise DefinitionProblem(
            f"{shown(name)} is not a task name: letters, digits, _ - + % @ are, beginning with a letter, digit or _", line
        )
    if len(name) > MAX_NAME:
        raise DefinitionProblem(f"a task name of {len(name)} characters; at most {MAX_NAME} are allowed", line)


def _parents(section: Section) -> list[str]:
    setting = section.settings.get("inherit")
    if setting is None:
        return []
    names = [part.strip().strip("'\"") for part in setting.value.split(",")]
    if names and names[0] == "None":
        # `None` first asks for a parent that is not shown as one; that distinction is not kept here.
        raise DefinitionProblem("inherit = None, … is not supported", setting.line)
    if not all(names):
        raise DefinitionProblem(f"an empty name in inherit = {shown(setting.value)}", setting.line)
    if len(set(names)) != len(names):
        raise DefinitionProblem(f"a name twice in inherit = {shown(setting.value)}", setting.line)
    return names


def _flattened(name: str, layers: list[Section], ancestors: tuple[str, ...]) -> Namespace:
    """Settings of the farthest ancestor first, so that nearer ones replace them."""
    scripts: dict[str, str] = {}
    environment: dict[str, str] = {}
    outputs: dict[str, Setting] = {}
    platform = "localhost"
    for layer in layers:
        scripts.update({key: layer.settings[key].value for key in SCRIPTS if key in layer.settings})
        if "platform" in layer.settings:
            platform = _platform(layer.settings["platform"])
        for setting in _settings(layer, "environment"):
            check_environment_name(setting)
            environment[setting.key] = setting.value
        for setting in _settings(layer, "outputs"):
            outputs[setting.key] = setting
    own = layers[-1]
    title = own.sections["meta"].settings.get("title") if "meta" in own.sections else None
    return Namespace(
        name,
        ancestors,
        title.value if title else "",
        scripts,
        environment,
        _messages(outputs),
        platform,
        own.line,
    )


def _platform(setting: Setting) -> str:
    if setting.value.startswith(_QUEUE):
        raise DefinitionProblem("a worker queue as platform is not supported", setting.line)
    if "$" in setting.value or "`" in setting.value:
        raise DefinitionProblem(f"a platform computed by the shell is not supported: {shown(setting.value)}", setting.line)
    return setting.value or "localhost"


def _settings(section: Section, name: str) -> list[Setting]:
    return list(section.sections[name].settings.values()) if name in section.sections else []


def _messages(outputs: dict[str, Setting]) -> dict[str, str]:
    messages: dict[str, str] = {}
    for label, setting in outputs.items():
        if label in STANDARD_OUTPUTS or setting.value in STANDARD_OUTPUTS:
            raise DefinitionProblem(f"the output {shown(label)} has the name of a standard one", setting.line)
        if not setting.value:
            raise DefinitionProblem(f"the output {shown(label)} has no message", setting.line)
        if setting.value in messages.values():
            raise DefinitionProblem(f"two outputs have the message {shown(setting.value)}", setting.line)
        messages[label] = setting.value
    return messages

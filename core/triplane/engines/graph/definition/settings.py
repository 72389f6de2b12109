"""Which settings are understood, and which are known and not supported: both lists, so that nothing is ignored.

Paths are section names; `*` stands for a name that users choose.
"""

import re

from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Section, Setting

ANY = frozenset({"*"})
SCRIPTS = ("init-script", "env-script", "pre-script", "script", "post-script", "err-script", "exit-script")

SUPPORTED: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset(),
    ("meta",): ANY,
    ("scheduler",): frozenset({"UTC mode", "allow implicit tasks"}),
    ("scheduling",): frozenset({"cycling mode", "initial cycle point", "final cycle point", "runahead limit"}),
    ("scheduling", "graph"): ANY,
    ("runtime",): frozenset(),
    ("runtime", "*"): frozenset({"inherit", "platform", *SCRIPTS}),
    ("runtime", "*", "meta"): ANY,
    ("runtime", "*", "environment"): ANY,
    ("runtime", "*", "outputs"): ANY,
}

KNOWN: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset(),
    ("scheduler",): frozenset(
        {
            "install", "cycle point format", "cycle point num expanded year digits", "cycle point time zone",
            "UTC mode", "events", "mail",
        }
    ),
    ("scheduling",): frozenset(
        {
            "initial cycle point constraints", "final cycle point constraints", "hold after cycle point",
            "stop after cycle point", "sequential xtriggers", "queues", "special tasks", "xtriggers",
        }
    ),
    ("runtime", "*"): frozenset(
        {
            "completion", "work sub-directory", "execution polling intervals", "execution retry delays",
            "execution time limit", "submission polling intervals", "submission retry delays", "run mode", "job",
            "remote", "simulation", "skip", "environment filter", "events", "mail", "workflow state polling",
            "parameter environment templates", "directives", "shell",
        }
    ),
    ("task parameters",): frozenset(),
}  # fmt: skip

_TRUE, _FALSE = "true", "false"
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(root: Section) -> None:
    """Refuse the first section or setting that is not understood.

    Raises:
        DefinitionProblem: it is unknown, or known and not supported; the message says which.
    """
    pending = [root]
    while pending:
        section = pending.pop()
        place = _place(section.path)
        for setting in section.settings.values():
            if place not in SUPPORTED or not _is_in(setting.key, SUPPORTED[place]):
                raise _refusal(section, place, setting.key, setting.line)
        for name, child in section.sections.items():
            if _place(child.path) not in SUPPORTED:
                raise _refusal(section, place, name, child.line)
        pending.extend(reversed(section.sections.values()))


def _place(path: tuple[str, ...]) -> tuple[str, ...]:
    return ("runtime", "*", *path[2:]) if len(path) >= 2 and path[0] == "runtime" else path


def _is_in(key: str, known: frozenset[str]) -> bool:
    return known is ANY or key in known


def _refusal(section: Section, place: tuple[str, ...], name: str, line: int) -> DefinitionProblem:
    where = f"{section.title}{name}" if section.path else f"[{name}]"
    if name in KNOWN.get(place, ()) or (*place, name) in KNOWN:
        return DefinitionProblem(f"{where} is not supported", line)
    return DefinitionProblem(f"no setting {where} is known", line)


def flag(section: Section | None, key: str, default: bool) -> bool:
    """A `True` or `False` setting.

    Raises:
        DefinitionProblem: it is neither.
    """
    setting = section.settings.get(key) if section else None
    if setting is None or not setting.value:
        return default
    if setting.value.lower() not in (_TRUE, _FALSE):
        raise DefinitionProblem(f"{key} = {shown(setting.value)} is neither True nor False", setting.line)
    return setting.value.lower() == _TRUE


def text(section: Section | None, key: str) -> Setting | None:
    """A setting that is there and not empty."""
    setting = section.settings.get(key) if section else None
    return setting if setting is not None and setting.value else None


def check_environment_name(setting: Setting) -> None:
    """Raises DefinitionProblem where a variable's name is not one that a shell can export."""
    if not _ENVIRONMENT_NAME.fullmatch(setting.key):
        raise DefinitionProblem(f"{shown(setting.key)} is not a name of an environment variable", setting.line)

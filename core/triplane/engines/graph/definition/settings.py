"""Which settings are understood, and which are known and not supported: both lists, so that nothing is ignored.

Paths are section names; `*` stands for a name that users choose.
"""

from triplane.engines.graph.definition.problems import DefinitionProblem
from triplane.engines.graph.definition.sections import Section
from triplane.engines.graph.definition.task_settings import EVENTS, SCRIPTS

ANY = frozenset({"*"})

WORKFLOW_EVENTS = (
    "startup", "shutdown", "abort", "workflow timeout", "stall", "stall timeout", "inactivity timeout",
)  # fmt: skip

SUPPORTED: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset(),
    ("meta",): ANY,
    ("scheduler",): frozenset(
        {
            "UTC mode", "allow implicit tasks", "cycle point format", "cycle point num expanded year digits",
            "cycle point time zone",
        }
    ),
    ("scheduler", "events"): frozenset(
        {
            "handlers", "handler events", *(f"{event} handlers" for event in WORKFLOW_EVENTS),
            "workflow timeout", "stall timeout", "inactivity timeout", "restart timeout",
            "abort on workflow timeout", "abort on stall timeout", "abort on inactivity timeout",
        }
    ),
    ("task parameters",): ANY,
    ("task parameters", "templates"): ANY,
    ("scheduling",): frozenset(
        {
            "cycling mode", "initial cycle point", "final cycle point", "initial cycle point constraints",
            "final cycle point constraints", "hold after cycle point", "stop after cycle point", "runahead limit",
            "sequential xtriggers",
        }
    ),
    ("scheduling", "queues"): frozenset(),
    ("scheduling", "queues", "*"): frozenset({"limit", "members"}),
    ("scheduling", "special tasks"): frozenset({"clock-trigger", "clock-expire", "external-trigger", "sequential"}),
    ("scheduling", "xtriggers"): ANY,
    ("scheduling", "graph"): ANY,
    ("runtime",): frozenset(),
    ("runtime", "*"): frozenset(
        {
            "inherit", "platform", "completion", "work sub-directory", "execution polling intervals",
            "execution retry delays", "execution time limit", "submission polling intervals", "submission retry delays",
            "run mode", *SCRIPTS,
        }
    ),
    ("runtime", "*", "meta"): ANY,
    ("runtime", "*", "environment"): ANY,
    ("runtime", "*", "environment filter"): frozenset({"include", "exclude"}),
    ("runtime", "*", "parameter environment templates"): ANY,
    ("runtime", "*", "directives"): ANY,
    ("runtime", "*", "outputs"): ANY,
    ("runtime", "*", "skip"): frozenset({"outputs", "disable task event handlers"}),
    ("runtime", "*", "simulation"): frozenset(
        {
            "default run length", "speedup factor", "time limit buffer", "fail cycle points", "fail try 1 only",
            "disable task event handlers",
        }
    ),
    ("runtime", "*", "events"): frozenset(
        {
            "handlers", "handler events", "handler retry delays", "execution timeout", "submission timeout",
            "late offset", *(f"{event} handlers" for event in EVENTS),
        }
    ),
}  # fmt: skip

KNOWN: dict[tuple[str, ...], frozenset[str]] = {
    ("scheduler",): frozenset({"install", "main loop", "mail"}),
    ("scheduler", "events"): frozenset(
        {"mail events", "expected task failures", "abort if any task fails", "stalled handlers", "timeout handlers", "timeout"}
    ),
    ("runtime", "*"): frozenset({"job", "remote", "mail", "workflow state polling", "suite state polling"}),
    ("runtime", "*", "events"): frozenset({"mail events"}),
}


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
            keys = SUPPORTED[place]
            if keys is not ANY and setting.key not in keys:
                raise _refusal(section, place, setting.key, setting.line)
        for name, child in section.sections.items():
            if _place(child.path) not in SUPPORTED:
                raise _refusal(section, place, name, child.line)
        pending.extend(reversed(section.sections.values()))


def _place(path: tuple[str, ...]) -> tuple[str, ...]:
    if len(path) >= 2 and path[0] == "runtime":
        return ("runtime", "*", *path[2:])
    if len(path) >= 3 and path[:2] == ("scheduling", "queues"):
        return ("scheduling", "queues", "*", *path[3:])
    return path


def _refusal(section: Section, place: tuple[str, ...], name: str, line: int) -> DefinitionProblem:
    where = f"{section.title}{name}" if section.path else f"[{name}]"
    if name in KNOWN.get(place, ()):
        return DefinitionProblem(f"{where} is not supported", line)
    return DefinitionProblem(f"no setting {where} is known", line)

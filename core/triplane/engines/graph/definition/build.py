"""Source text → `Definition`. Runs in the child process; see `triplane.engines.graph.definition.child`."""

from triplane.engines.graph.definition.calendar import Calendar
from triplane.engines.graph.definition.cycling import (
    Bounds,
    parse_final_point,
    parse_interval,
    parse_point,
    parse_recurrence,
)
from triplane.engines.graph.definition.dependencies import GraphReader, TaskUse, outputs_of, refuse_circles
from triplane.engines.graph.definition.expressions import Expression
from triplane.engines.graph.definition.graph_text import parse_graph
from triplane.engines.graph.definition.inheritance import ROOT
from triplane.engines.graph.definition.model import Definition, FamilyDefinition, Queue, TaskDefinition, WorkflowEvents
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.runtime import Namespace, check_task_name, read_runtime
from triplane.engines.graph.definition.sections import Section, parse_sections
from triplane.engines.graph.definition.sequences import Sequence
from triplane.engines.graph.definition.settings import check, flag, text
from triplane.engines.graph.definition.task_settings import TaskSettings

MAX_TASKS = 10_000
MAX_RUNAHEAD = 10_000
DEFAULT_RUNAHEAD = 4


def build_definition(source: str) -> Definition:
    """Read a whole `flow.cylc`.

    Raises:
        DefinitionProblem: with the line to look at.
    """
    root = parse_sections(source, adds_up=lambda path: path == ("scheduling", "graph"))
    check(root)
    scheduling = root.sections.get("scheduling")
    graph = scheduling.sections.get("graph") if scheduling else None
    if scheduling is None or graph is None or not any(one.value for one in graph.settings.values()):
        raise DefinitionProblem("there is no [scheduling][graph], so there is nothing to run", scheduling.line if scheduling else 0)
    bounds = _bounds(scheduling, graph)
    reader, sequences = _read_graph(graph, bounds)
    runtime = root.sections.get("runtime")
    namespaces = read_runtime(runtime)
    scheduler = root.sections.get("scheduler")
    tasks = _tasks(reader, namespaces, flag(scheduler, "allow implicit tasks", False))
    refuse_circles(reader.uses, sequences)
    meta = {key: one.value for key, one in root.sections["meta"].settings.items()} if "meta" in root.sections else {}
    return Definition(
        meta=meta,
        calendar=Calendar(),
        utc_mode=flag(scheduler, "UTC mode", False),
        events=WorkflowEvents(),
        mail={},
        initial=bounds.initial,
        final=bounds.final,
        hold_after=None,
        stop_after=None,
        runahead=_runahead(scheduling),
        runahead_interval=None,
        sequences=sequences,
        queues={"default": Queue(100, ())},
        xtriggers={},
        parameters={},
        tasks=tasks,
        families=_families(tasks, namespaces),
    )


def _bounds(scheduling: Section, graph: Section) -> Bounds:
    mode = text(scheduling, "cycling mode")
    initial = text(scheduling, "initial cycle point")
    final = text(scheduling, "final cycle point")
    if mode is None and initial is None and [key.replace(" ", "") for key in graph.settings] == ["R1"]:
        # A graph that runs once needs no calendar: it has one cycle, 1.
        return Bounds(1, 1)
    if mode is None or mode.value != "integer":
        named = shown(mode.value) if mode else "gregorian, the default,"
        raise DefinitionProblem(f"cycling mode {named} is not supported; integer is", mode.line if mode else scheduling.line)
    first = parse_point(initial.value, initial.line) if initial else 1
    return Bounds(first, parse_final_point(final.value, first, final.line) if final else None)


def _runahead(scheduling: Section) -> int:
    setting = text(scheduling, "runahead limit")
    if setting is None:
        return DEFAULT_RUNAHEAD
    limit = parse_interval(setting.value, setting.line)
    if not 0 <= limit <= MAX_RUNAHEAD:
        raise DefinitionProblem(f"runahead limit {shown(setting.value)} is not between P0 and P{MAX_RUNAHEAD}", setting.line)
    return limit


def _read_graph(graph: Section, bounds: Bounds) -> tuple[GraphReader, tuple[Sequence, ...]]:
    reader = GraphReader(bounds)
    sequences: dict[Sequence, int] = {}
    for key, setting in graph.settings.items():
        sequence = parse_recurrence(key, bounds, setting.line)
        chains = parse_graph(setting.lines)
        reader.read(chains, sequences.setdefault(sequence, len(sequences)))
        if len(reader.uses) > MAX_TASKS:
            raise DefinitionProblem(f"the graph names more than {MAX_TASKS} tasks", setting.line)
    if not reader.uses:
        raise DefinitionProblem("the graph names no task", graph.line)
    return reader, tuple(sequences)


def _tasks(reader: GraphReader, namespaces: dict[str, Namespace], allow_implicit: bool) -> dict[str, TaskDefinition]:
    is_family = {ancestor for one in namespaces.values() for ancestor in one.ancestors} | {ROOT}
    tasks = {}
    for name, use in reader.uses.items():
        check_task_name(name, use.line)
        if name in is_family:
            raise DefinitionProblem(f"the family {shown(name)} in a graph is not supported; name its members", use.line)
        if name not in namespaces and not allow_implicit:
            raise DefinitionProblem(
                f"the graph names the task {shown(name)}, which [runtime] does not define (and implicit tasks are not allowed)",
                use.line,
            )
        tasks[name] = _task(name, use, namespaces.get(name, _implicit(name, namespaces[ROOT], use)))
    return tasks


def _implicit(name: str, root: Namespace, use: TaskUse) -> Namespace:
    return Namespace(name, (ROOT,), "", root.scripts, root.environment, root.outputs, root.platform, use.line)


def _task(name: str, use: TaskUse, namespace: Namespace) -> TaskDefinition:
    if not use.sequences:
        raise DefinitionProblem(f"{shown(name)} is only named with an offset, so it never runs", use.line)
    outputs, required, optional = outputs_of(name, use, namespace.outputs)
    return TaskDefinition(
        name=name,
        families=namespace.ancestors,
        first_parent=namespace.ancestors[0],
        sequences=tuple(use.sequences),
        prerequisites=use.prerequisites(),
        suicides=(),
        xtriggers=(),
        external_triggers=(),
        outputs=outputs,
        required=required,
        optional=optional,
        completion=Expression("all", required),
        expire=None,
        is_sequential=False,
        parameters={},
        settings=TaskSettings(
            scripts=namespace.scripts,
            environment=namespace.environment,
            platform=namespace.platform,
            meta={"title": namespace.title},
        ),
    )


def _families(tasks: dict[str, TaskDefinition], namespaces: dict[str, Namespace]) -> dict[str, FamilyDefinition]:
    """The namespaces that tasks of the graph inherit from."""
    used = {family for task in tasks.values() for family in task.families}
    return {
        name: FamilyDefinition(one.ancestors, one.title, one.ancestors[0] if one.ancestors else "")
        for name, one in namespaces.items()
        if name in used or name == ROOT
    }

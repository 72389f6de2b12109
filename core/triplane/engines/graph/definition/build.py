"""Source text → `Definition`. Runs in the child process; see `triplane.engines.graph.definition.child`."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from triplane.engines.graph.definition.circles import Circles
from triplane.engines.graph.definition.completion import default_completion, given_completion
from triplane.engines.graph.definition.dependencies import GraphReader, TaskUse
from triplane.engines.graph.definition.graph_text import parse_graph
from triplane.engines.graph.definition.inheritance import ROOT
from triplane.engines.graph.definition.model import STANDARD_OUTPUTS, Definition, FamilyDefinition, TaskDefinition, XTrigger
from triplane.engines.graph.definition.parameters import Parameters
from triplane.engines.graph.definition.points import Points, calendar_mode
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.recurrences import parse_recurrence, split_headings
from triplane.engines.graph.definition.reference import Drawing, draw
from triplane.engines.graph.definition.runtime import Namespace, check_outputs, check_task_name, read_runtime
from triplane.engines.graph.definition.scheduler import read_calendar, read_events
from triplane.engines.graph.definition.scheduling import SpecialTasks, read_bounds, read_queues, read_runahead, read_special_tasks
from triplane.engines.graph.definition.sections import parse_sections
from triplane.engines.graph.definition.sequences import Sequence
from triplane.engines.graph.definition.settings import check
from triplane.engines.graph.definition.task_settings import TaskSettings
from triplane.engines.graph.definition.templating import Opener, expanded
from triplane.engines.graph.definition.values import flag
from triplane.engines.graph.definition.xtriggers import WALL_CLOCK, read_xtriggers, wall_clock

MAX_TASKS = 20_000
MAX_SEQUENCES = 2_000
CLOCK_LABEL = "_cylc_wall_clock_{}"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a definition is read with.

    Attributes:
        settings: template variables (`--set`).
        opener: the files beside it.
        files: their names, None where they are not known.
        now: seconds since 1970, what `now` means.
    """

    settings: Mapping[str, str]
    opener: Opener
    files: Collection[str] | None
    now: float


def without_files(settings: Mapping[str, str] | None = None, now: float | None = None) -> Inputs:
    """Inputs of a definition that stands alone."""
    return Inputs(settings or {}, lambda name: None, None, time.time() if now is None else now)


def build_definition(source: str, inputs: Inputs | None = None) -> Definition:
    """Read a whole `flow.cylc`.

    Raises:
        DefinitionProblem: with the line to look at.
    """
    return Reader(source, inputs or without_files()).definition


def build_drawing(source: str, inputs: Inputs | None = None, start: str | None = None, stop: str | None = None) -> Drawing:
    """Read a whole `flow.cylc` and draw its graph; see `reference.draw`.

    Raises:
        DefinitionProblem: with the line to look at.
    """
    return Reader(source, inputs or without_files()).drawing(start, stop)


class Reader:
    """One definition while it is read.

    Attributes:
        definition: what it comes to.
    """

    def __init__(self, source: str, inputs: Inputs) -> None:
        root = parse_sections(
            expanded(source, inputs.settings, inputs.opener), adds_up=lambda path: path == ("scheduling", "graph")
        )
        check(root)
        scheduling = root.sections.get("scheduling")
        graph = scheduling.sections.get("graph") if scheduling else None
        if scheduling is None or graph is None or not any(one.value for one in graph.settings.values()):
            line = scheduling.line if scheduling else 0
            raise DefinitionProblem("there is no [scheduling][graph], so there is nothing to run", line)
        self._root, self._scheduling, self._graph = root, scheduling, graph
        self._scheduler = root.sections.get("scheduler")
        calendar, digits = read_calendar(self._scheduler, scheduling, graph)
        with calendar_mode(calendar.mode):
            self.points = Points(calendar, digits, inputs.now)
            self.definition = self._read(inputs)

    # ---- the parts in order ----------------------------------------------------------------------------------------

    def _read(self, inputs: Inputs) -> Definition:
        points, scheduling = self.points, self._scheduling
        bounds = read_bounds(scheduling, points)
        parameters = Parameters(self._root.sections.get("task parameters"))
        namespaces = read_runtime(self._root.sections.get("runtime"), parameters)
        members = _members(namespaces)
        self._reader, self._sequences = self._read_graph(parameters, members)
        special = read_special_tasks(scheduling, parameters, members, points)
        xtriggers = read_xtriggers(scheduling, points, inputs.files)
        clocks = self._clocks(special, xtriggers)
        tasks = self._tasks(namespaces, special, xtriggers, clocks)
        Circles(self._reader.uses, self._sequences, points.calendar).refuse()
        runahead, runahead_interval = read_runahead(scheduling, points)
        meta = self._root.sections.get("meta")
        return Definition(
            meta={key: one.value for key, one in meta.settings.items()} if meta else {},
            calendar=points.calendar,
            utc_mode=flag(self._scheduler, "UTC mode", False),
            events=read_events(self._scheduler),
            initial=bounds.initial,
            final=bounds.final,
            hold_after=bounds.hold_after,
            stop_after=bounds.stop_after,
            runahead=runahead,
            runahead_interval=runahead_interval,
            sequences=self._sequences,
            queues=read_queues(scheduling, parameters, members),
            xtriggers=_used(xtriggers, tasks),
            parameters={name: tuple(str(value) for value in values) for name, values in parameters.values.items()},
            tasks=tasks,
            families=_families(tasks, namespaces),
        )

    def _read_graph(self, parameters: Parameters, members: Mapping[str, tuple[str, ...]]) -> tuple[GraphReader, tuple[Sequence, ...]]:
        reader = GraphReader(self.points, members)
        sequences: dict[Sequence, int] = {}
        for key, setting in self._graph.settings.items():
            chains = parse_graph(setting.lines, parameters)
            for heading in split_headings(key):
                sequence = parse_recurrence(heading, self.points, setting.line)
                reader.read(chains, sequences.setdefault(sequence, len(sequences)))
                if len(reader.uses) > MAX_TASKS:
                    raise DefinitionProblem(f"the graph names more than {MAX_TASKS} tasks", setting.line)
                if len(sequences) > MAX_SEQUENCES:
                    raise DefinitionProblem(f"more than {MAX_SEQUENCES} recurrences", setting.line)
        if not reader.uses:
            raise DefinitionProblem("the graph names no task", self._graph.line)
        return reader, tuple(sequences)

    @staticmethod
    def _clocks(special: SpecialTasks, xtriggers: dict[str, XTrigger]) -> dict[str, str]:
        """Task → label of the clock that `clock-trigger` makes it wait for."""
        labels = {}
        for task, offset in special.clock_triggers.items():
            labels[task] = CLOCK_LABEL.format(task)
            xtriggers[labels[task]] = wall_clock(offset)
        return labels

    # ---- tasks -----------------------------------------------------------------------------------------------------

    def _tasks(
        self, namespaces: dict[str, Namespace], special: SpecialTasks, xtriggers: dict[str, XTrigger], clocks: dict[str, str]
    ) -> dict[str, TaskDefinition]:
        allow_implicit = flag(self._scheduler, "allow implicit tasks", False)
        for name, line in special.lines.items():
            check_task_name(name, line)
            if name not in namespaces and not allow_implicit:
                raise DefinitionProblem(f"[special tasks] names {shown(name)}, which [runtime] does not define", line)
        tasks = {}
        for name, use in self._reader.uses.items():
            check_task_name(name, use.line)
            if name == ROOT:
                raise DefinitionProblem("root is the family of all, and cannot stand in a graph", use.line)
            if name not in namespaces and not allow_implicit:
                raise DefinitionProblem(
                    f"the graph names the task {shown(name)}, which [runtime] does not define (and implicit tasks are not allowed)",
                    use.line,
                )
            if name in xtriggers:
                raise DefinitionProblem(f"{shown(name)} is a task and the label of an xtrigger", use.line)
            namespace = namespaces.get(name) or _implicit(name, namespaces[ROOT], use)
            tasks[name] = self._task(name, use, namespace, special, self._labels(use, name, xtriggers, clocks))
        return tasks

    def _labels(self, use: TaskUse, name: str, xtriggers: dict[str, XTrigger], clocks: dict[str, str]) -> tuple[tuple[int, str], ...]:
        for (_, label), line in use.xtriggers.items():
            if label not in xtriggers:
                if label != WALL_CLOCK:
                    raise DefinitionProblem(f"@{label}: [xtriggers] does not define it", line)
                if self.points.calendar.is_integer:
                    raise DefinitionProblem(f"@{label} needs dates as cycle points", line)
                xtriggers[label] = wall_clock()
        own = [(sequence, clocks[name]) for sequence in use.sequences] if name in clocks else []
        return (*use.xtriggers, *own)

    def _task(
        self, name: str, use: TaskUse, namespace: Namespace, special: SpecialTasks, labels: tuple[tuple[int, str], ...]
    ) -> TaskDefinition:
        if not use.sequences:
            raise DefinitionProblem(f"{shown(name)} is only named with an offset or a suicide trigger, so it never runs", use.line)
        check_outputs(name, namespace.outputs, namespace.line)
        outputs = {label: label for label in STANDARD_OUTPUTS} | namespace.outputs
        for label, line in self._reader.optionality.labels(name).items():
            if label not in outputs:
                raise DefinitionProblem(f"{name}:{label}: the task has no output {shown(label)}", line)
        self._check_conditions(use, namespace, name)
        marks = self._reader.optionality.of(name)
        order = [label for label in outputs if label in marks]
        completion = namespace.completion
        return TaskDefinition(
            name=name,
            families=namespace.ancestors,
            first_parent=namespace.first_parent,
            sequences=tuple(use.sequences),
            prerequisites=use.prerequisites(),
            suicides=tuple(use.suicides),
            xtriggers=labels,
            external_triggers=(special.external_triggers[name],) if name in special.external_triggers else (),
            outputs=outputs,
            required=tuple(label for label in order if not marks[label]),
            optional=tuple(label for label in order if marks[label]),
            completion=given_completion(name, completion, outputs, marks) if completion else default_completion(marks),
            expire=special.expiries.get(name),
            is_sequential=name in special.sequential,
            parameters={key: str(value) for key, value in namespace.parameters.items()},
            settings=self._settings(namespace, outputs),
        )

    def _check_conditions(self, use: TaskUse, namespace: Namespace, name: str) -> None:
        for one in use.suicides:
            for condition in one.conditions:
                if condition.task not in self._reader.uses:
                    raise DefinitionProblem(f"{shown(condition.task)} is no task", use.line)

    def _settings(self, namespace: Namespace, outputs: Mapping[str, str]) -> TaskSettings:
        settings = namespace.settings
        unknown = [label for label in settings.skip.outputs if label not in outputs]
        if unknown:
            raise DefinitionProblem(f"{namespace.name}: [skip]outputs names {shown(unknown[0])}, which is no output", namespace.line)
        setting = namespace.fail_points
        if setting is None:
            return settings
        if setting.value.strip().lower() == "all":
            return replace(settings, simulation=replace(settings.simulation, fails_everywhere=True))
        fails = tuple(self.points.absolute(one, setting.line) for one in setting.value.split(",") if one.strip())
        return replace(settings, simulation=replace(settings.simulation, fail_cycle_points=fails))

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def drawing(self, start: str | None, stop: str | None) -> Drawing:
        """See `reference.draw`."""
        with calendar_mode(self.points.calendar.mode):
            return draw(self._reader.edges, self._sequences, self.points, start, stop)


def _members(namespaces: Mapping[str, Namespace]) -> dict[str, tuple[str, ...]]:
    """Family → the tasks below it, by name."""
    below: dict[str, list[str]] = {}
    for name, one in namespaces.items():
        for family in one.ancestors:
            below.setdefault(family, []).append(name)
    return {family: tuple(sorted(name for name in names if name not in below)) for family, names in below.items() if family != ROOT}


def _implicit(name: str, root: Namespace, use: TaskUse) -> Namespace:
    return replace(root, name=name, ancestors=(ROOT,), first_parent=ROOT, parameters={}, line=use.line)


def _used(xtriggers: dict[str, XTrigger], tasks: Mapping[str, TaskDefinition]) -> dict[str, XTrigger]:
    used = {label for task in tasks.values() for _, label in task.xtriggers}
    return {label: one for label, one in xtriggers.items() if label in used}


def _families(tasks: Mapping[str, TaskDefinition], namespaces: Mapping[str, Namespace]) -> dict[str, FamilyDefinition]:
    """The namespaces that tasks of the graph inherit from."""
    used = {family for task in tasks.values() for family in task.families}
    return {
        name: FamilyDefinition(one.ancestors, one.settings.title, one.first_parent)
        for name, one in namespaces.items()
        if name in used or name == ROOT
    }


"""Chains of nodes → what each task waits for, where it runs, and which outputs it must or may give."""

from dataclasses import dataclass, field
from itertools import islice

from triplane.engines.graph.definition.calendar import Calendar, Interval
from triplane.engines.graph.definition.cycling import Bounds, parse_bounded_point, parse_interval
from triplane.engines.graph.definition.graph_text import Chain, Node
from triplane.engines.graph.definition.model import STANDARD_OUTPUTS, Condition, Prerequisite
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sequences import Sequence

MAX_CONDITIONS = 200_000
MAX_SAMPLE_POINTS = 100
MAX_SAMPLE_TASKS = 50_000

INTEGERS = Calendar()
_OPPOSITES = (("succeeded", "failed"), ("submitted", "submit-failed"))


@dataclass
class TaskUse:
    """How the graph uses one task name.

    Attributes:
        line: where it is first named.
        sequences: indices of the sequences it runs on, in order of first use.
        conditions: by sequence, in order and each once.
        optional: label → whether the graph marks it optional (`?`), with the line that said so first.
    """

    line: int
    sequences: list[int] = field(default_factory=list)
    conditions: dict[int, dict[Condition, None]] = field(default_factory=dict)
    optional: dict[str, tuple[bool, int]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)

    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """One for each sequence on which it waits for something."""
        return tuple(Prerequisite.all_of(index, tuple(found)) for index, found in self.conditions.items() if found)


class GraphReader:
    """Collects the uses of tasks over all graph strings of a workflow."""

    def __init__(self, bounds: Bounds) -> None:
        self.uses: dict[str, TaskUse] = {}
        self._bounds = bounds
        self._conditions = 0

    def read(self, chains: list[Chain], sequence: int) -> None:
        """Add the chains of one recurrence.

        Raises:
            DefinitionProblem: an offset where none may be, or contradicting `?`.
        """
        for chain in chains:
            for index, side in enumerate(chain):
                for node in side:
                    self._use(node, sequence, is_target=index > 0)
                    if index > 0:
                        self._depend(node, chain[index - 1], sequence)

    def _use(self, node: Node, sequence: int, is_target: bool) -> None:
        use = self.uses.setdefault(node.name, TaskUse(node.line))
        if node.offset is None:
            if sequence not in use.sequences:
                use.sequences.append(sequence)
        elif is_target:
            raise DefinitionProblem(f"{shown(node.name)} has an offset on the right of `=>`", node.line)
        label = node.output or "succeeded"
        use.labels.setdefault(label, node.line)
        if node.output is None and is_target and not node.optional:
            # A plain name on the right only says that the task runs; what it must give is said elsewhere or by default.
            return
        earlier = use.optional.setdefault(label, (node.optional, node.line))
        if earlier[0] != node.optional:
            raise DefinitionProblem(
                f"{node.name}:{label} is both required and optional (`?`), see line {earlier[1]}", node.line
            )

    def _depend(self, node: Node, upstream: tuple[Node, ...], sequence: int) -> None:
        wanted = self.uses[node.name].conditions.setdefault(sequence, {})
        self._conditions += len(upstream)
        if self._conditions > MAX_CONDITIONS:
            raise DefinitionProblem(f"the graph has more than {MAX_CONDITIONS} dependencies", node.line)
        for parent in upstream:
            condition = self._condition(parent)
            if parent.name == node.name and condition.offset.is_nothing and condition.point is None:
                raise DefinitionProblem(f"{shown(node.name)} depends on itself", node.line)
            wanted[condition] = None

    def _condition(self, node: Node) -> Condition:
        label = node.output or "succeeded"
        if node.offset is None:
            return Condition(node.name, label)
        if node.offset.startswith(("^", "$")) or "P" not in node.offset:
            return Condition(node.name, label, point=parse_bounded_point(node.offset, self._bounds, node.line))
        return Condition(node.name, label, offset=Interval(units=parse_interval(node.offset, node.line)))


def outputs_of(
    name: str, use: TaskUse, custom: dict[str, str]
) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """All outputs (label → message), the required labels and the optional ones.

    Success is required unless the graph marks it, or its failure, otherwise.

    Raises:
        DefinitionProblem: an output that is not defined, or required ones that exclude each other.
    """
    outputs = {label: label for label in STANDARD_OUTPUTS} | custom
    for label, line in use.labels.items():
        if label not in outputs:
            raise DefinitionProblem(f"{name}:{label}: the task has no output {shown(label)}", line)
    marks = {label: is_optional for label, (is_optional, _) in use.optional.items()}
    if marks.get("expired") is False:
        raise DefinitionProblem(f"{name}:expired must be optional (`?`)", use.optional["expired"][1])
    for good, bad in _OPPOSITES:
        if (marks.get(good) is False and bad in marks) or (marks.get(bad) is False and good in marks):
            line = max(use.optional[good][1], use.optional[bad][1])
            raise DefinitionProblem(f"{name}:{good} and {name}:{bad} cannot both happen, so both must be optional (`?`)", line)
    if "succeeded" not in marks and "failed" not in marks:
        marks["succeeded"] = False
    if "submitted" not in marks and "submit-failed" not in marks:
        marks["submitted"] = False
    order = list(outputs)
    required = tuple(label for label in order if marks.get(label) is False)
    optional = tuple(label for label in order if marks.get(label) is True)
    return outputs, required, optional


def refuse_circles(uses: dict[str, TaskUse], sequences: tuple[Sequence, ...]) -> None:
    """Refuse tasks that wait for each other, so that none of them could ever run.

    Looked for among the first points of the sequences; what a circle is made of shows up there.

    Raises:
        DefinitionProblem: naming a circle.
    """
    bound = max(2, min(MAX_SAMPLE_POINTS, MAX_SAMPLE_TASKS // len(uses)))
    points = sorted({point for one in sequences for point in islice(one.from_point(one.start), bound)})
    tasks = {
        (name, point) for name, use in uses.items() for point in points if any(point in sequences[index] for index in use.sequences)
    }
    done: set[TaskAt] = set()
    for name, point in sorted(tasks, key=lambda task: (task[1], uses[task[0]].line)):
        _refuse_circle((name, point), tasks, done, uses, sequences)


TaskAt = tuple[str, int]
"""A task's name and point"""


def _parents(task: TaskAt, tasks: set[TaskAt], uses: dict[str, TaskUse], sequences: tuple[Sequence, ...]) -> list[TaskAt]:
    name, point = task
    found = {
        (condition.task, condition.upstream_point(point, INTEGERS))
        for sequence, conditions in uses[name].conditions.items()
        if point in sequences[sequence]
        for condition in conditions
    }
    return sorted(found & tasks)


def _refuse_circle(
    start: TaskAt, tasks: set[TaskAt], done: set[TaskAt], uses: dict[str, TaskUse], sequences: tuple[Sequence, ...]
) -> None:
    # A stack of our own: a chain of thousands of tasks must not be a recursion of thousands of calls.
    path: dict[TaskAt, list[TaskAt]] = {}
    stack = [start]
    while stack:
        task = stack[-1]
        if task in done:
            stack.pop()
            continue
        if task not in path:
            path[task] = _parents(task, tasks, uses, sequences)
        waiting = path[task]
        while waiting and waiting[-1] in done:
            waiting.pop()
        if not waiting:
            done.add(task)
            path.pop(task)
            stack.pop()
        elif waiting[-1] in path:
            order = list(path)
            circle = [f"{point}/{name}" for name, point in order[order.index(waiting[-1]) :]]
            chain = " => ".join([*reversed(circle), circle[-1]])
            raise DefinitionProblem(f"circular dependencies: {shown(chain, 300)[1:-1]}", uses[waiting[-1][0]].line)
        else:
            stack.append(waiting[-1])

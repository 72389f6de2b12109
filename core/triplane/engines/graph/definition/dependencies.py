"""Chains of expressions → what each task waits for, where it runs, and which outputs it must or may give."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from triplane.engines.graph.definition.calendar import NOTHING, Interval
from triplane.engines.graph.definition.expressions import Expression
from triplane.engines.graph.definition.graph_text import Chain, Group, Node
from triplane.engines.graph.definition.model import Condition, Prerequisite
from triplane.engines.graph.definition.optionality import FINISHED, Optionality
from triplane.engines.graph.definition.points import Points
from triplane.engines.graph.definition.problems import DefinitionProblem, shown

MAX_CONDITIONS = 300_000

SHORT_NAMES = {
    "expire": "expired", "submit": "submitted", "submit-fail": "submit-failed", "start": "started",
    "succeed": "succeeded", "fail": "failed", "finish": FINISHED,
}  # fmt: skip
FAMILY_OUTPUTS = {
    f"{short}-{which}": (SHORT_NAMES[short], "all" if which == "all" else "any") for short in SHORT_NAMES for which in ("all", "any")
}


@dataclass(frozen=True, slots=True)
class Edge:
    """A line of the drawn graph, at each point of one sequence.

    Attributes:
        left: name of a task, or of an xtrigger with `@`; None for a task that stands alone.
        offset, point: as of a `Condition`.
        right: name of a task.
    """

    left: str | None
    offset: Interval
    point: int | None
    right: str
    suicide: bool


@dataclass
class TaskUse:
    """How the graph uses one task name.

    Attributes:
        line: where it is first named.
        sequences: indices of the sequences it runs on, in order of first use.
        conditions: by sequence, in order and each once: those that must all hold.
        alternatives: expressions that are not just that.
        suicides: what removes it.
        xtriggers: (sequence, label), with the line.
    """

    line: int
    sequences: dict[int, None] = field(default_factory=dict)
    conditions: dict[int, dict[Condition, None]] = field(default_factory=dict)
    alternatives: dict[Prerequisite, None] = field(default_factory=dict)
    suicides: dict[Prerequisite, None] = field(default_factory=dict)
    xtriggers: dict[tuple[int, str], int] = field(default_factory=dict)

    def prerequisites(self) -> tuple[Prerequisite, ...]:
        """All that it waits for."""
        plain = [Prerequisite.all_of(index, tuple(found)) for index, found in self.conditions.items() if found]
        return (*plain, *self.alternatives)


class GraphReader:
    """Collects the uses of tasks over all graph strings of a workflow.

    Attributes:
        uses: by task name, in the order of first mention.
        edges: by sequence, in order and each once.
    """

    def __init__(self, points: Points, families: Mapping[str, tuple[str, ...]]) -> None:
        self.uses: dict[str, TaskUse] = {}
        self.edges: dict[int, dict[Edge, None]] = {}
        self.optionality = Optionality()
        self._points, self._families = points, families
        self._conditions = 0
        self._offsets: dict[str, tuple[Interval, int | None]] = {}
        self._suicidal: dict[tuple[int, str, object], bool] = {}

    def read(self, chains: list[Chain], sequence: int) -> None:
        """Add the chains of one recurrence.

        Raises:
            DefinitionProblem: something stands where it may not be, or contradicts what was said before.
        """
        lefts = {self._identity(node) for chain in chains for side in chain[:-1] for node in side.nodes()}
        for chain in chains:
            for node in chain[0].nodes():
                if not node.is_xtrigger:
                    if node.suicide:
                        raise DefinitionProblem(f"a suicide trigger on the left: {shown('!' + node.name)}", node.line)
                    self._mention(node)
                    if node.offset is None:
                        self._alone(node, sequence)
            for index, right in enumerate(chain[1:]):
                self._depend(chain[index], right, sequence, lefts)

    @staticmethod
    def _identity(node: Node) -> tuple[str, str | None, str | None]:
        return node.name, node.offset, node.output

    # ---- sides of an arrow -----------------------------------------------------------------------------------------

    def _depend(self, left: Group, right: Group, sequence: int, lefts: set[tuple[str, str | None, str | None]]) -> None:
        targets = self._targets(right)
        separate = [left] if left.joins == "any" or any(isinstance(part, Group) for part in left.parts) else self._separate(left)
        # Plain tasks joined by & are conditions of one kind, so they need not be looked at one by one.
        whole = [left] if all(isinstance(part, Node) and self._is_plain(part) for part in left.parts) else separate
        for node in left.nodes():
            if node.suicide:
                raise DefinitionProblem(f"a suicide trigger on the left: {shown('!' + node.name)}", node.line)
        for target in targets:
            if target.offset is not None:
                if self._identity(target) not in lefts:
                    raise DefinitionProblem(f"{shown(target.name)} has an offset on the right of `=>`", target.line)
                self._mention(target)
                continue
            if not target.suicide:
                self._mention(target)
            for member in self._members(target):
                for part in separate if target.suicide else whole:
                    self._wait(member, target, part, sequence)

    def _is_plain(self, node: Node) -> bool:
        return not node.is_xtrigger and node.name not in self._families and SHORT_NAMES.get(node.output or "") != FINISHED

    @staticmethod
    def _separate(left: Group) -> list[Group]:
        return [Group("all", (part,)) for part in left.parts]

    @staticmethod
    def _targets(right: Group) -> list[Node]:
        pending: list[Group] = [right]
        while pending:
            group = pending.pop()
            if group.joins == "any":
                raise DefinitionProblem("`|` on the right of `=>`", next(group.nodes()).line)
            pending.extend(part for part in group.parts if isinstance(part, Group))
        targets = list(right.nodes())
        for node in targets:
            if node.is_xtrigger:
                raise DefinitionProblem(f"an xtrigger on the right of `=>`: {shown('@' + node.name)}", node.line)
        return targets

    def _members(self, node: Node) -> tuple[str, ...]:
        return self._families.get(node.name, (node.name,))

    def _use(self, name: str, line: int) -> TaskUse:
        use = self.uses.get(name)
        if use is None:
            use = self.uses[name] = TaskUse(line)
        return use

    def _alone(self, node: Node, sequence: int) -> None:
        for name in self._members(node):
            self._use(name, node.line).sequences.setdefault(sequence)
            self.edges.setdefault(sequence, {}).setdefault(Edge(None, NOTHING, None, name, False))

    def _wait(self, name: str, target: Node, part: Group, sequence: int) -> None:
        use = self._use(name, target.line)
        if not target.suicide:
            use.sequences.setdefault(sequence)
        conditions: dict[Condition, int] = {}
        labels: dict[str, int] = {}
        expression = self._expression(part, conditions, labels, name, target, sequence)
        self._conditions += len(conditions)
        if self._conditions > MAX_CONDITIONS:
            raise DefinitionProblem(f"the graph has more than {MAX_CONDITIONS} dependencies", target.line)
        for label, line in labels.items():
            use.xtriggers.setdefault((sequence, label), line)
        if not conditions:
            return
        self._check_suicide(name, target, conditions, expression, sequence)
        if target.suicide:
            use.suicides.setdefault(Prerequisite(sequence, tuple(conditions), expression))
        elif expression.is_flat_all:
            use.conditions.setdefault(sequence, {}).update(dict.fromkeys(conditions))
        else:
            use.alternatives.setdefault(Prerequisite(sequence, tuple(conditions), expression))

    def _check_suicide(self, name: str, target: Node, conditions: dict[Condition, int], expression: Expression, sequence: int) -> None:
        said: list[object] = list(conditions) if expression.is_flat_all else [(tuple(conditions), expression)]
        for one in said:
            if self._suicidal.setdefault((sequence, name, one), target.suicide) != target.suicide:
                raise DefinitionProblem(f"the same condition triggers both {name} and !{name}", target.line)

    # ---- conditions ------------------------------------------------------------------------------------------------

    def _expression(
        self, group: Group, conditions: dict[Condition, int], labels: dict[str, int], name: str, target: Node, sequence: int
    ) -> Expression:
        """The group over indices of `conditions`; xtriggers go to `labels`: they are waited for beside it."""
        parts: list[Expression | int | str] = []
        for part in group.parts:
            if isinstance(part, Group):
                inner = self._expression(part, conditions, labels, name, target, sequence)
                if inner.parts:
                    parts.append(inner)
            elif part.is_xtrigger:
                if group.joins == "any":
                    raise DefinitionProblem(f"an xtrigger beside `|`: {shown('@' + part.name)}", part.line)
                labels.setdefault(part.name, part.line)
                self._edge(f"@{part.name}", NOTHING, None, name, target.suicide, sequence)
            else:
                parts.append(self._leaf(part, conditions, name, target, sequence))
        return _simple(Expression(group.joins, tuple(parts)))

    def _leaf(self, node: Node, conditions: dict[Condition, int], name: str, target: Node, sequence: int) -> Expression | int:
        offset, point = self._offset(node)
        output, joins = self._output(node)
        members = []
        for member in self._members(node):
            self._use(member, node.line)
            if node.offset is None and not target.suicide:
                self.uses[member].sequences.setdefault(sequence)
                if member == name:
                    raise DefinitionProblem(f"{shown(name)} depends on itself", node.line)
            if node.offset is not None or member != name:
                self._edge(member, offset, point, name, target.suicide, sequence)
            outputs = ("succeeded", "failed") if output == FINISHED else (output,)
            indices = [conditions.setdefault(Condition(member, one, offset, point), len(conditions)) for one in outputs]
            members.append(indices[0] if len(indices) == 1 else Expression("any", tuple(indices)))
        return members[0] if len(members) == 1 else Expression(joins, tuple(members))

    def _edge(self, left: str, offset: Interval, point: int | None, right: str, suicide: bool, sequence: int) -> None:
        self.edges.setdefault(sequence, {}).setdefault(Edge(left, offset, point, right, suicide))

    def _output(self, node: Node) -> tuple[str, str]:
        """The output waited for, and how the members of a family are joined."""
        if node.name not in self._families:
            if node.output in FAMILY_OUTPUTS:
                raise DefinitionProblem(f"{node.name}:{node.output} is for families, and {shown(node.name)} is none", node.line)
            return SHORT_NAMES.get(node.output or "succeeded", node.output or "succeeded"), "all"
        if node.output is None or node.output not in FAMILY_OUTPUTS:
            what = f"{node.name}:{node.output}" if node.output else node.name
            raise DefinitionProblem(f"{shown(what)} on the left needs a family qualifier such as :succeed-all", node.line)
        return FAMILY_OUTPUTS[node.output]

    def _offset(self, node: Node) -> tuple[Interval, int | None]:
        if node.offset is None:
            return NOTHING, None
        known = self._offsets.get(node.offset)
        if known is None:
            known = self._offsets[node.offset] = self._read_offset(node.offset, node.line)
        return known

    def _read_offset(self, text: str, line: int) -> tuple[Interval, int | None]:
        stripped = text.replace(" ", "")
        points = self._points
        if not stripped:
            raise DefinitionProblem("an empty offset: `[]`", line)
        if stripped.startswith("^"):
            assert points.initial is not None
            return NOTHING, points.relative(stripped[1:], points.initial, line) if stripped[1:] else points.initial
        if stripped.startswith("$"):
            return NOTHING, points.absolute(stripped, line)
        if stripped.startswith(("+P", "-P", "P")):
            return points.interval(stripped, line), None
        return NOTHING, points.absolute(stripped, line)

    # ---- outputs ---------------------------------------------------------------------------------------------------

    def _mention(self, node: Node) -> None:
        """What a node says of its outputs being required or optional."""
        if node.name not in self._families:
            if node.output in FAMILY_OUTPUTS:
                raise DefinitionProblem(f"{node.name}:{node.output} is for families, and {shown(node.name)} is none", node.line)
            output = SHORT_NAMES.get(node.output or "succeeded", node.output or "succeeded")
            self.optionality.mark(node.name, output, node.optional, False, node.line)
            return
        output = node.output or "succeed-all"
        if output not in FAMILY_OUTPUTS:
            raise DefinitionProblem(f"{node.name}:{output} is no output of a family; :succeed-all is", node.line)
        label = FAMILY_OUTPUTS[output][0]
        for member in self._members(node):
            self.optionality.mark(member, label, node.optional, True, node.line)


def _simple(expression: Expression) -> Expression:
    """Without needless nesting: `all` within `all`, `any` within `any`, one part alone."""
    parts: list[Expression | int | str] = []
    for part in expression.parts:
        if isinstance(part, Expression) and (part.joins == expression.joins or len(part.parts) == 1):
            parts.extend(part.parts)
        else:
            parts.append(part)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0]
    joins = "all" if len(parts) == 1 else expression.joins
    return Expression(joins, tuple(dict.fromkeys(parts)))

"""Graph strings → chains of expressions: `(a[-P1]:x? | b<m-1>) & @clock => c<m> => !d`, over as many lines as it takes.

Source: cylc-flow 8.5, user guide, "Graph strings".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from triplane.engines.graph.definition.parameters import Choice, Parameters
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Line

MAX_NODES = 100_000
MAX_NESTING = 50

_NAME = r"\w[\w\-+%@]*"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<operator>=>|[&|()])
        | @(?P<xtrigger>[\w\-+%]+)
        | (?P<suicide>!)?\s*(?P<name>(?:{_NAME}|<[^<>]*>)(?:<[^<>]*>|[\w\-+%@]+)*)
          (?:\s*\[\s*(?P<offset>[^\[\]]*?)\s*\])?
          (?:\s*:\s*(?P<output>[\w\-]+))?
          (?:\s*(?P<optional>\?))?
    )""",
    re.VERBOSE,
)
_OTHER_WORKFLOW = re.compile(r"<[^<>]*::[^<>]*>")


@dataclass(frozen=True, slots=True)
class Node:
    """A task, family or xtrigger as it stands in a graph.

    Attributes:
        name: with its parameters as written until they are written out.
        offset: text between brackets, None without brackets.
        output: text after the colon, None without.
        optional: whether a `?` follows.
    """

    name: str
    offset: str | None
    output: str | None
    optional: bool
    line: int
    suicide: bool = False
    is_xtrigger: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes and groups joined by `&` or `|`.

    Attributes:
        joins: `all` or `any`.
    """

    joins: str
    parts: tuple["Node | Group", ...]

    def nodes(self) -> Iterator[Node]:
        """Every node, from left to right."""
        for part in self.parts:
            if isinstance(part, Group):
                yield from part.nodes()
            else:
                yield part


Chain = tuple[Group, ...]
"""The sides of `=>`, in order."""

_Token = tuple[str | Node, int]


def parse_graph(lines: list[Line], parameters: Parameters) -> list[Chain]:
    """Read one graph string, parameters written out.

    Raises:
        DefinitionProblem: it cannot be read, or it is larger than can be handled.
    """
    chains: list[Chain] = []
    nodes = 0
    for statement in _statements(lines):
        for chain in _expanded(_chain(statement), parameters):
            nodes += sum(1 for side in chain for _ in side.nodes())
            if nodes > MAX_NODES:
                raise DefinitionProblem(f"a graph string of more than {MAX_NODES} nodes", statement[0][0])
            chains.append(chain)
    return chains


# ---- lines and tokens --------------------------------------------------------------------------------------------------


def _statements(lines: list[Line]) -> Iterator[list[Line]]:
    """Lines that belong together: one goes on where it ends, or the next begins, with an operator."""
    statement: list[Line] = []
    goes_on = False
    for number, raw in lines:
        text = raw.partition("#")[0].strip()
        if not text:
            continue
        begins_with_operator = text.startswith(("=>", "&", "|"))
        if goes_on and begins_with_operator:
            raise DefinitionProblem(f"an operator at the end of one line and another at the beginning of the next: {shown(text)}", number)
        if statement and not (goes_on or begins_with_operator):
            yield statement
            statement = []
        if not statement and begins_with_operator:
            raise DefinitionProblem(f"nothing before the operator in {shown(text)}", number)
        statement.append((number, text))
        goes_on = text.endswith(("=>", "&", "|"))
    if goes_on:
        raise DefinitionProblem("the graph ends with an operator", statement[-1][0])
    if statement:
        yield statement


def _tokens(statement: list[Line]) -> Iterator[_Token]:
    for number, text in statement:
        if _OTHER_WORKFLOW.search(text):
            raise DefinitionProblem(f"polling another workflow by `<WORKFLOW::TASK>` is not supported: {shown(text)}", number)
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.end() == at:
                raise DefinitionProblem(f"bad graph node {shown(text[at:])}", number)
            at = match.end()
            if match["operator"]:
                yield match["operator"], number
            elif match["xtrigger"]:
                yield Node(match["xtrigger"], None, None, False, number, is_xtrigger=True), number
            else:
                optional, suicide = bool(match["optional"]), bool(match["suicide"])
                yield Node(match["name"], match["offset"], match["output"], optional, number, suicide), number
            while at < len(text) and text[at].isspace():
                at += 1


# ---- expressions -------------------------------------------------------------------------------------------------------


def _chain(statement: list[Line]) -> Chain:
    sides: list[Group] = []
    tokens: list[_Token] = []
    for token, number in _tokens(statement):
        if token == "=>":
            sides.append(_side(tokens, number))
            tokens = []
        else:
            tokens.append((token, number))
    sides.append(_side(tokens, statement[-1][0]))
    return tuple(sides)


def _side(tokens: list[_Token], line: int) -> Group:
    """An expression by precedence: `&` binds closer than `|`. A stack of our own, so that depth costs no recursion."""
    stack: list[list[list[Node | Group]]] = [[[]]]
    expected = True
    for token, number in tokens:
        if isinstance(token, Node):
            if not expected:
                raise DefinitionProblem(f"no operator before {shown(token.name)}", number)
            stack[-1][-1].append(token)
            expected = False
        elif token == "(":
            if not expected:
                raise DefinitionProblem("no operator before a parenthesis", number)
            if len(stack) > MAX_NESTING:
                raise DefinitionProblem(f"parentheses nested more than {MAX_NESTING} deep", number)
            stack.append([[]])
        elif token == ")":
            if len(stack) == 1:
                raise DefinitionProblem("mismatched parentheses: one is closed that is not open", number)
            if expected:
                raise DefinitionProblem("nothing before a closing parenthesis", number)
            stack[-2][-1].append(_joined(stack.pop()))
            expected = False
        else:
            if expected:
                raise DefinitionProblem(f"nothing before `{token}`", number)
            if token == "|":
                stack[-1].append([])
            expected = True
    if expected:
        raise DefinitionProblem("a task is missing beside an operator", line)
    if len(stack) > 1:
        raise DefinitionProblem("mismatched parentheses: one is open that is never closed", line)
    return _joined(stack.pop())


def _joined(alternatives: list[list[Node | Group]]) -> Group:
    groups = [Group("all", tuple(parts)) for parts in alternatives]
    return groups[0] if len(groups) == 1 else Group("any", tuple(_single(group) for group in groups))


def _single(group: Group) -> Node | Group:
    return group.parts[0] if len(group.parts) == 1 else group


# ---- parameters --------------------------------------------------------------------------------------------------------


def _expanded(chain: Chain, parameters: Parameters) -> Iterator[Chain]:
    """The chain once for each choice of parameters, without nodes whose offset leads outside; it ends where a side is gone."""
    uses = [use for side in chain for node in side.nodes() if "<" in node.name for use in parameters.uses(node.name, node.line)]
    if not uses:
        yield chain
        return
    line = next(chain[0].nodes()).line
    seen: set[Chain] = set()
    for choice in parameters.choices(uses, line):
        sides = []
        for side in chain:
            filled = _filled(side, choice, parameters)
            if filled is None:
                break
            sides.append(filled if isinstance(filled, Group) else Group("all", (filled,)))
        expanded = tuple(sides)
        if expanded and expanded not in seen:
            seen.add(expanded)
            yield expanded


def _filled(part: Node | Group, choice: Choice, parameters: Parameters) -> Node | Group | None:
    if isinstance(part, Node):
        found = parameters.filled(part.name, choice, part.line)
        return None if found is None else replace(part, name=found[0])
    parts = [filled for one in part.parts if (filled := _filled(one, choice, parameters)) is not None]
    return Group(part.joins, tuple(parts)) if parts else None

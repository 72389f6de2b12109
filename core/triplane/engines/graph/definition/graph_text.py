"""Graph strings → chains of nodes: `a[-P1]:out? & b => c`, over as many lines as it takes.

What the language has beyond that is refused by name with its line.

Source: cylc-flow 8.5 documentation, "Graph strings".
"""

import re
from dataclasses import dataclass

from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Line

MAX_NODES = 50_000

_NAME = r"[A-Za-z0-9_][\w\-+%@]*"
_NODE = re.compile(rf"({_NAME})\s*(?:\[\s*([^\[\]]*?)\s*\])?\s*(?::\s*([\w\-]+))?\s*(\?)?")

_REFUSED = (
    ("|", "alternatives (`|`)"),
    ("(", "parentheses"),
    (")", "parentheses"),
    ("!", "suicide triggers (`!`)"),
    ("<", "task parameters (`<`)"),
)
_QUALIFIER_NAMES = {
    "submit": "submitted",
    "submit-fail": "submit-failed",
    "start": "started",
    "succeed": "succeeded",
    "fail": "failed",
    "expire": "expired",
}
_REFUSED_QUALIFIERS = ("finish", "finished")
_FAMILY_QUALIFIER = re.compile(r".+-(all|any)")


@dataclass(frozen=True, slots=True)
class Node:
    """A task as it stands in a graph.

    Attributes:
        offset: text between brackets, None without brackets.
        output: label named after the colon (short forms written out), None without.
        optional: whether a `?` follows.
    """

    name: str
    offset: str | None
    output: str | None
    optional: bool
    line: int


Chain = tuple[tuple[Node, ...], ...]
"""The sides of `=>`, in order; nodes of one side are joined by `&`."""


def parse_graph(lines: list[Line]) -> list[Chain]:
    """Read one graph string.

    Raises:
        DefinitionProblem: it cannot be read, or it uses what is not supported.
    """
    chains: list[Chain] = []
    nodes = 0
    for statement in _statements(lines):
        chain = _chain(statement)
        nodes += sum(len(side) for side in chain)
        if nodes > MAX_NODES:
            raise DefinitionProblem(f"a graph string of more than {MAX_NODES} nodes", statement[0][0])
        chains.append(chain)
    return chains


def _statements(lines: list[Line]) -> list[list[Line]]:
    """Lines that belong together: one goes on where it ends, or the next begins, with an operator."""
    statements: list[list[Line]] = []
    goes_on = False
    for number, raw in lines:
        text = raw.partition("#")[0].strip()
        if not text:
            continue
        if statements and (goes_on or text.startswith(("=>", "&", "|"))):
            statements[-1].append((number, text))
        else:
            statements.append([(number, text)])
        goes_on = text.endswith(("=>", "&", "|"))
    return statements


def _chain(statement: list[Line]) -> Chain:
    sides: list[list[Node]] = [[]]
    expected = True
    number = statement[0][0]
    for number, text in statement:
        for sign, what in _REFUSED:
            if sign in text:
                raise DefinitionProblem(f"{what} in graphs are not supported: {shown(text)}", number)
        for token in re.split(r"(=>|&)", text):
            piece = token.strip()
            if piece == "=>":
                if expected:
                    raise DefinitionProblem(f"nothing before `=>` in {shown(text)}", number)
                sides.append([])
                expected = True
            elif piece == "&":
                if expected:
                    raise DefinitionProblem(f"nothing before `&` in {shown(text)}", number)
                expected = True
            elif piece:
                sides[-1].append(_node(piece, number))
                expected = False
    if expected:
        raise DefinitionProblem("the graph ends with an operator", number)
    return tuple(tuple(side) for side in sides)


def _node(text: str, line: int) -> Node:
    if text.startswith("@"):
        raise DefinitionProblem(f"xtriggers in graphs are not supported: {shown(text)}", line)
    match = _NODE.fullmatch(text)
    if match is None:
        raise DefinitionProblem(f"bad graph node {shown(text)}", line)
    name, offset, qualifier, question = match.groups()
    if qualifier in _REFUSED_QUALIFIERS or (qualifier and _FAMILY_QUALIFIER.fullmatch(qualifier)):
        raise DefinitionProblem(f"the qualifier `:{qualifier}` is not supported", line)
    output = _QUALIFIER_NAMES.get(qualifier, qualifier) if qualifier else None
    return Node(name, offset, output, question is not None, line)

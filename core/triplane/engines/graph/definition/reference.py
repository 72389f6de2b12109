"""The drawn graph of a definition between two points, as `cylc graph --reference` prints it.

Source: cylc-flow 8.5.4, `cylc graph --reference`, measured.
"""

from dataclasses import dataclass

from triplane.engines.graph.definition.dependencies import Edge
from triplane.engines.graph.definition.points import Points
from triplane.engines.graph.definition.problems import DefinitionProblem
from triplane.engines.graph.definition.sequences import Sequence

DEFAULT_POINTS = 3
MAX_DRAWN = 500_000

NodeAt = tuple[str, int]
"""A name (xtriggers with `@`) and a point"""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Nodes and edges by their names `POINT/NAME`, in the order in which they are printed."""

    nodes: list[str]
    edges: list[tuple[str, str]]

    def reference(self) -> str:
        """The lines of `cylc graph --reference`."""
        edges = [f'edge "{left}" "{right}"' for left, right in self.edges]
        nodes = []
        for node in self.nodes:
            point, _, name = node.partition("/")
            nodes.append(f'node "{node}" "{name}\\n{point}"')
        return "\n".join([*edges, "graph", *nodes, "stop"])


def draw(
    edges: dict[int, dict[Edge, None]], sequences: tuple[Sequence, ...], points: Points, start: str | None, stop: str | None
) -> Drawing:
    """The graph from `start` (else the initial point) to `stop` (a point or an interval; else three points).

    Raises:
        DefinitionProblem: a bound that cannot be read, or more than `MAX_DRAWN` edges.
    """
    assert points.initial is not None
    first = points.absolute(start, 0) if start else points.initial
    last = points.relative(stop, first, 0) if stop else None
    earliest = min((point for one in sequences if (point := one.at_or_after(first)) is not None), default=first)
    drawn: dict[int, list[tuple[NodeAt, NodeAt | None]]] = {}
    count = 0
    for index, found in edges.items():
        taken = 0
        for point in sequences[index].from_point(first):
            taken += 1
            if (last is not None and point > last) or (last is None and taken > DEFAULT_POINTS):
                break
            drawn.setdefault(point, []).extend(_at(point, found, earliest, points))
            count += len(found)
            if count > MAX_DRAWN:
                raise DefinitionProblem(f"more than {MAX_DRAWN} edges to draw; choose fewer points")
    shown = sorted(drawn) if last is not None else sorted(drawn)[:DEFAULT_POINTS]
    return _sorted([edge for point in shown for edge in drawn[point]], points)


def _at(point: int, edges: dict[Edge, None], earliest: int, points: Points) -> list[tuple[NodeAt, NodeAt | None]]:
    calendar = points.calendar
    found: list[tuple[NodeAt, NodeAt | None]] = []
    for edge in edges:
        if edge.suicide:
            continue
        right = (edge.right, point)
        if edge.left is None:
            found.append((right, None))
            continue
        at = edge.point if edge.point is not None else calendar.shift(point, edge.offset)
        # What would have happened before the beginning is not drawn, but who waits for it is.
        found.append((right, None) if at < earliest else ((edge.left, at), right))
    return found


def _sorted(pairs: list[tuple[NodeAt, NodeAt | None]], points: Points) -> Drawing:
    calendar = points.calendar

    def text(node: NodeAt) -> str:
        return f"{calendar.text(node[1])}/{node[0]}"

    nodes = {node for pair in pairs for node in pair if node is not None}
    edges = {(left, right) for left, right in pairs if right is not None}
    if calendar.is_integer:
        return Drawing([text(node) for node in sorted(nodes)], [(text(left), text(right)) for left, right in sorted(edges)])
    return Drawing(sorted(map(text, nodes)), sorted((text(left), text(right)) for left, right in edges))

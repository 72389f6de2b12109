"""Which namespaces a task inherits from, in which order (C3, as Python orders base classes)."""

from collections.abc import Mapping, Sequence

from triplane.engines.graph.definition.problems import DefinitionProblem, shown

ROOT = "root"
MAX_ANCESTORS = 200


def linearised(parents: Mapping[str, Sequence[str]], lines: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Every namespace with its ancestors, nearest first, `root` last.

    Args:
        parents: direct parents as written; `root` has none, and is the parent of those that name none.
        lines: where each namespace is defined, for errors.

    Raises:
        DefinitionProblem: an unknown parent, a namespace that is its own ancestor, too deep, or no consistent order.
    """
    done: dict[str, tuple[str, ...]] = {ROOT: ()}
    for name in parents:
        # A stack of our own: a chain of ten thousand families must not be a recursion of ten thousand calls.
        stack = dict.fromkeys([name])
        while stack:
            at = next(reversed(stack))
            if at in done:
                stack.popitem()
                continue
            missing = [parent for parent in _direct(at, parents, lines) if parent not in done]
            if not missing:
                done[at] = _merge(at, _direct(at, parents, lines), done, lines)
                stack.popitem()
            elif missing[0] in stack:
                raise DefinitionProblem(f"namespace {shown(at)} inherits from itself", lines.get(at, 0))
            else:
                stack[missing[0]] = None
    return done


def _direct(name: str, parents: Mapping[str, Sequence[str]], lines: Mapping[str, int]) -> Sequence[str]:
    named = parents[name] or (ROOT,)
    for parent in named:
        if parent != ROOT and parent not in parents:
            raise DefinitionProblem(f"{shown(name)} inherits from {shown(parent)}, which is not defined", lines.get(name, 0))
    return named


def _merge(
    name: str, direct: Sequence[str], done: Mapping[str, tuple[str, ...]], lines: Mapping[str, int]
) -> tuple[str, ...]:
    queues = [[parent, *done[parent]] for parent in direct] + [list(direct)]
    merged: list[str] = []
    while queues := [queue for queue in queues if queue]:
        head = next((queue[0] for queue in queues if not any(queue[0] in other[1:] for other in queues)), None)
        if head is None:
            raise DefinitionProblem(f"the parents of {shown(name)} cannot be put in one order", lines.get(name, 0))
        merged.append(head)
        if len(merged) > MAX_ANCESTORS:
            raise DefinitionProblem(f"{shown(name)} has more than {MAX_ANCESTORS} ancestors", lines.get(name, 0))
        for queue in queues:
            if queue[0] == head:
                del queue[0]
    return tuple(merged)

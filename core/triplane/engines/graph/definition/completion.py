"""When a task counts as complete: the expression a user gives, or the one that follows from the graph.

Source: cylc-flow 8.5, configuration reference, `[runtime][<namespace>]completion`.
"""

import ast
from collections.abc import Mapping

from triplane.engines.graph.definition.dependencies import SHORT_NAMES
from triplane.engines.graph.definition.expressions import Expression
from triplane.engines.graph.definition.problems import DefinitionProblem, shown
from triplane.engines.graph.definition.sections import Setting

MAX_LENGTH = 2_000
_UNLIKELY = ("submit-failed", "expired")


def default_completion(marks: Mapping[str, bool]) -> Expression:
    """From output → whether it is optional: the required ones, or an end that the graph allows for."""
    required = [label for label, is_optional in marks.items() if not is_optional]
    parts: list[Expression | int | str] = [Expression("all", tuple(sorted(required)))] if required else []
    if marks.get("succeeded") or marks.get("failed"):
        ran = Expression("all", (*sorted(required), "succeeded"))
        parts = [ran, "failed"] if required else ["succeeded", "failed"]
    if marks.get("submitted") or marks.get("submit-failed"):
        parts.append("submit-failed")
    if marks.get("expired"):
        parts.append("expired")
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0]
    return Expression("any", tuple(parts))


def given_completion(name: str, setting: Setting, outputs: Mapping[str, str], marks: Mapping[str, bool]) -> Expression:
    """A user's expression: output names with `_` for `-`, joined by `and`, `or` and parentheses.

    Args:
        outputs: label → message.
        marks: output → whether the graph makes it optional.

    Raises:
        DefinitionProblem: it cannot be read, names no output, or contradicts the graph.
    """
    text = setting.value
    if "-" in text:
        raise DefinitionProblem(f"completion = {shown(text)}: write _ for - in the names of outputs", setting.line)
    if len(text) > MAX_LENGTH:
        raise DefinitionProblem(f"completion has more than {MAX_LENGTH} characters", setting.line)
    labels = {label.replace("-", "_"): label for label in outputs}
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval").body
        expression = _read(tree, labels, setting)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DefinitionProblem(f"completion = {shown(text)} is no expression of outputs, and, or", setting.line) from error
    _agree(name, expression, marks, setting)
    return expression


def _read(node: ast.expr, labels: Mapping[str, str], setting: Setting) -> Expression:
    if isinstance(node, ast.Name):
        if node.id not in labels:
            raise DefinitionProblem(_unknown(node.id), setting.line)
        return Expression("all", (labels[node.id],))
    if isinstance(node, ast.BoolOp):
        joins = "all" if isinstance(node.op, ast.And) else "any"
        parts = tuple(part.parts[0] if len(part.parts) == 1 else part for part in (_read(one, labels, setting) for one in node.values))
        return Expression(joins, parts)
    raise DefinitionProblem(f"completion = {shown(setting.value)}: only outputs, and, or and parentheses are allowed", setting.line)


def _unknown(word: str) -> str:
    label = word.replace("_", "-")
    if word == "finished":
        return "completion: finished is not allowed; succeeded or failed is the same"
    if label in SHORT_NAMES:
        return f"completion: write {SHORT_NAMES[label].replace('-', '_')} for {word}"
    return f"completion: the task has no output {shown(word)}"


def _agree(name: str, expression: Expression, marks: Mapping[str, bool], setting: Setting) -> None:
    graph = dict(marks)
    if graph.get("succeeded") and "failed" not in graph:
        graph["failed"] = True
    used = list(dict.fromkeys(str(leaf) for leaf in expression.leaves()))
    for label in dict.fromkeys([*graph, *used]):
        is_used = label in used
        is_optional = _can_do_without(expression, label)
        marked = graph.get(label)
        if marked is True and is_used and not is_optional:
            raise DefinitionProblem(f"{name}:{label} is optional (`?`) in the graph, and required by completion", setting.line)
        if marked is False and not is_used:
            raise DefinitionProblem(f"{name}:{label} is required in the graph, and missing in completion", setting.line)
        if marked is True and not is_used and label in _UNLIKELY:
            raise DefinitionProblem(f"{name}:{label} is allowed in the graph, and completion does not allow for it", setting.line)
        if marked is False and is_optional and label not in _UNLIKELY:
            raise DefinitionProblem(f"{name}:{label} is required in the graph, and optional in completion", setting.line)


def _can_do_without(expression: Expression, label: str) -> bool:
    """Whether the expression can hold without an output, in a job that runs to an end and gives all others."""
    return expression.holds(lambda one: one != label and one not in _UNLIKELY)

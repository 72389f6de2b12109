"""Which outputs the graph makes required and which optional, and that it does not contradict itself.

What a family trigger says of its members is a default, that the members' own mentions may overrule.

Source: cylc-flow 8.5, user guide, "Expected outputs" and "Optional outputs"; the rules of contradiction measured.
"""

from dataclasses import dataclass

from triplane.engines.graph.definition.problems import DefinitionProblem

FINISHED = "finished"
_NEVER_REQUIRED = ("expired", "submit-failed")
_OPPOSITE = {
    "succeeded": "failed", "failed": "succeeded", "submitted": "submit-failed", "submit-failed": "submitted",
}  # fmt: skip


@dataclass(slots=True)
class _Mark:
    """What is known of one output: `default` comes from families, and holds until something fixes it."""

    is_optional: bool
    default: bool
    is_fixed: bool
    line: int


class Optionality:
    """Marks of one workflow's outputs."""

    def __init__(self) -> None:
        self._marks: dict[str, dict[str, _Mark]] = {}

    def mark(self, name: str, output: str, is_optional: bool, by_family: bool, line: int) -> None:
        """Take in one mention of a task's output.

        Raises:
            DefinitionProblem: it contradicts an earlier one.
        """
        if output in _NEVER_REQUIRED and not is_optional:
            raise DefinitionProblem(f"{name}:{output} must be optional (`?`)", line)
        if output == FINISHED:
            if is_optional:
                raise DefinitionProblem(f"{name}:{output} cannot be optional (`?`): it stands for two outputs that are", line)
            for one in ("succeeded", "failed"):
                self.mark(name, one, True, by_family, line)
            return
        marks = self._marks.setdefault(name, {})
        earlier = marks.get(output)
        if earlier is None:
            marks[output] = _Mark(is_optional, is_optional, not by_family, line)
        elif earlier.is_fixed:
            if not by_family and is_optional != earlier.is_optional:
                raise DefinitionProblem(f"{name}:{output} is both required and optional (`?`), see line {earlier.line}", line)
        elif not by_family:
            marks[output] = _Mark(is_optional, earlier.default, True, line)
        elif is_optional != earlier.default:
            raise DefinitionProblem(
                f"{name}:{output} is both required and optional (`?`) by family triggers, see line {earlier.line}", line
            )
        self._check_opposite(name, output, by_family, line)

    def _check_opposite(self, name: str, output: str, by_family: bool, line: int) -> None:
        marks = self._marks[name]
        opposite = marks.get(_OPPOSITE.get(output, ""))
        if opposite is None:
            return
        mark = marks[output]
        uses_default = (by_family or not opposite.is_fixed) and not opposite.default
        if not mark.is_optional or not opposite.is_optional or uses_default:
            raise DefinitionProblem(
                f"{name}:{output} and {name}:{_OPPOSITE[output]} cannot both happen, so both must be optional (`?`), "
                f"see line {opposite.line}",
                line,
            )

    def of(self, name: str) -> dict[str, bool]:
        """Output → whether it is optional, for the outputs that the graph mentions, and success where nothing is said."""
        found = {output: mark.is_optional for output, mark in self._marks.get(name, {}).items()}
        if "succeeded" not in found and "failed" not in found:
            found["succeeded"] = False
        return found

    def labels(self, name: str) -> dict[str, int]:
        """Outputs that the graph mentions, each with the line of the first mention."""
        return {output: mark.line for output, mark in self._marks.get(name, {}).items()}

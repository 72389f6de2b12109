"""The corpus of definitions: what is in it, what the real Cylc says of each, and what ours does.

`tests/golden/flows/NAME/flow.cylc` are valid; `tests/golden/flows_invalid/NAME.cylc` are not, and have the words `refused
here` (or an `%include`) in the line to blame. `answers.json` keeps what the real Cylc 8.5.4 answered.
"""

import hashlib
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from triplane.engines.graph.definition.build import Inputs, build_drawing
from triplane.engines.graph.definition.problems import DefinitionProblem
from triplane.engines.graph.definition.templating import files_of

GOLDEN = Path(__file__).parent.parent / "golden"
FLOWS = GOLDEN / "flows"
INVALID = GOLDEN / "flows_invalid"
ANSWERS = FLOWS / "answers.json"

SETTINGS = {"jinja_set": {"NAMES": "['a', 'b']", "PREFIX": "'t_'", "LAST": "3"}}
"""Template variables of the flows that want some."""

BY_THE_CLOCK = ("point_now", "point_next", "point_previous")
"""Flows that begin at another point every day: their graphs are compared live only."""

NOT_IN_OURS = (
    "install_is_not_supported", "jinja_attributes", "mail_is_not_supported", "polling_tasks_are_not_supported",
    "remote_is_not_supported",
)  # fmt: skip
"""Definitions that the real one takes and ours refuses by name."""

DRAWN = {
    "big_grid": ("1", "7"), "big_parameters": ("20300101T00Z", "20300107T00Z"), "big_families": ("1", "7"),
    "big_chain": ("20300101T00Z", "20300701T00Z"), "big_alternatives": ("1", "7"),
    "big_recurrences": ("20300101T00Z", "20300111T00Z"), "big_outputs": ("1", "7"), "big_offsets": ("20300101T00Z", "P2D"),
    "big_360day": ("20300130T00Z", "P7M"), "big_suicide": ("1", "+P7"), "big_mixed": ("20300101T00Z", "20300107T00Z"),
    "integer_recurrences": ("1", "20"), "recurrence_repeats": ("20300101T00Z", "20300120T00Z"),
    "recurrence_steps": ("20300101T00Z", "20300301T00Z"), "recurrence_times": ("20300101T03Z", "20300320T00Z"),
    "recurrence_exclusions": ("20300101T00Z", "20300115T00Z"), "several_recurrences": ("20300101T00Z", "20300104T00Z"),
    "gregorian_months": ("20280131T00Z", "20290101T00Z"), "calendar_360day": ("20300130T00Z", "20330301T00Z"),
    "calendar_365day": ("20300130T00Z", "20330301T00Z"), "calendar_366day": ("20300130T00Z", "20330301T00Z"),
    "points": ("20300115T06Z", "20300118T12Z"), "graph_offsets": ("20300101T00Z", "20300105T00Z"),
    "integer_cycling": ("3", "12"), "special_tasks": ("20300101T00Z", "20300104T00Z"),
}  # fmt: skip
"""Flows drawn from one point to another, else three points are."""


def valid_flows() -> list[str]:
    """Names, sorted."""
    return sorted(path.parent.name for path in FLOWS.glob("*/flow.cylc"))


def invalid_flows() -> list[str]:
    """Names, sorted."""
    return sorted(path.stem for path in INVALID.glob("*.cylc"))


def lines_to_blame(name: str) -> list[int]:
    """The lines of an invalid flow at which it may be refused."""
    lines = (INVALID / f"{name}.cylc").read_text().splitlines()
    return [number for number, line in enumerate(lines, start=1) if "refused here" in line or line.startswith("%include")]


def summary(reference: str) -> dict[str, Any]:
    """A drawn graph in a few words: how many nodes and edges, and a hash over all lines in their order."""
    lines = reference.strip().splitlines()
    return {
        "nodes": sum(line.startswith("node ") for line in lines),
        "edges": sum(line.startswith("edge ") for line in lines),
        "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def ours(name: str) -> str:
    """The graph of a valid flow as we draw it.

    Raises:
        DefinitionProblem: we do not take it for valid.
    """
    folder = FLOWS / name
    files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.suffix != ".pyc" and path.is_file()}
    inputs = Inputs(SETTINGS.get(name, {}), files_of(files), set(files), time.time())
    return build_drawing(files["flow.cylc"], inputs, *DRAWN.get(name, ())).reference()


def our_refusal(name: str) -> DefinitionProblem | None:
    """Why we refuse an invalid flow; None where we do not."""
    try:
        build_drawing((INVALID / f"{name}.cylc").read_text())
    except DefinitionProblem as problem:
        return problem
    return None


class Real:
    """The real Cylc, as a program."""

    def __init__(self, program: Path, environment: dict[str, str], scratch: Path) -> None:
        # Functions of users are imported from the corpus, and must leave nothing there.
        self._environment = {**environment, "PYTHONDONTWRITEBYTECODE": "1"}
        self._program, self._scratch = str(program), scratch

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments], env=self._environment, capture_output=True, text=True, timeout=120, check=False
        )

    def draws(self, name: str) -> str | None:
        """The graph of a flow of the valid ones; None where it does not validate."""
        variables = [part for key, value in SETTINGS.get(name, {}).items() for part in ("-s", f"{key}={value}")]
        if self._run("validate", *variables, str(FLOWS / name)).returncode != 0:
            return None
        drawn = self._run("graph", "--reference", *variables, str(FLOWS / name), *DRAWN.get(name, ()))
        assert drawn.returncode == 0, drawn.stderr[-2_000:]
        return drawn.stdout

    def takes(self, name: str) -> bool:
        """Whether it validates a flow of the invalid ones."""
        folder = self._scratch / "invalid" / name
        folder.mkdir(parents=True)
        (folder / "flow.cylc").write_text((INVALID / f"{name}.cylc").read_text())
        return self._run("validate", str(folder)).returncode == 0

    def completions(self, name: str) -> dict[str, str]:
        """Task → completion expression."""
        shown = self._run("config", str(FLOWS / name), "-i", "[runtime]").stdout
        return dict(re.findall(r"\[\[(\w+)\]\][^\[]*?completion = (.*)", shown))

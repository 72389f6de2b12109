"""Small graphs beside the corpus: the real scheduler and ours take or refuse them alike, and run them in the same order.

The real one runs in simulation mode (its jobs are imagined, and take a second); ours is driven without a gateway.
"""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interop import clients
from triplane.engines.graph.definition.build import build_definition
from triplane.engines.graph.definition.problems import DefinitionProblem
from unit.graph.simulated import SimulatedRun, cycling, once

Line = tuple[str, tuple[str, ...]]

SHORT_JOBS = "[runtime]\n[[root]]\n[[[simulation]]]\ndefault run length = PT1S\n"
OUTPUTS = "[runtime]\n[[a]]\n[[[outputs]]]\nx = the x is done\n"
PARENTS = "[runtime]\n[[A]]\n[[B]]\ninherit = A\n[[C]]\ninherit = A\n[[x]]\ninherit = {}\n"

VALID_OR_NOT = {
    "quotes and comments": once("a # then\na => b") + "[runtime]\n[[a]]\nscript = echo 'b # c' # d\n",
    "required and optional": once("a? => b\na => c"),
    "opposites": once("a:fail => b\na => c"),
    "optional opposites": once("a:fail? => b\na? => c"),
    "self": once("a => a"),
    "circle": once("a => b => c => a"),
    "circle over recurrences": cycling("a => b") + "        R1/2 = b => a\n",
    "circle at a fixed point": once("a[^] => b\nb => a"),
    "only with an offset": cycling("ghost[-P1] => b"),
    "offset from the first": cycling("a[^+P1] => b\na"),
    "last point": cycling("a[$] => b\na"),
    "undefined output": once("a:x => b"),
    "custom output": once("a:x => b") + OUTPUTS,
    "optional custom output": once("a:x? => b") + OUTPUTS,
    "diamond of families": once("x") + PARENTS.format("B, C"),
    "disorder of families": once("x") + PARENTS.format("A, B"),
    "unknown parent": once("x") + PARENTS.format("D"),
    "unknown setting": once("a") + "[runtime]\n[[a]]\nscritp = true\n",
    "no calendar": "[scheduler]\nallow implicit tasks = True\n[scheduling]\n[[graph]]\nR1 = a => b\n",
    "implicit": "[scheduling]\n[[graph]]\nR1 = a => b\n",
    "final before initial": cycling("a", final=0),
    "bad recurrence": cycling("a", recurrence="P1/P2"),
    "offset recurrence": cycling("a", recurrence="+P1/P3"),
    "bounded recurrence": cycling("a", recurrence="R2/2/P1"),
    "unclosed": once("a") + '[meta]\ntitle = """never closed\n',
    "brackets": once("a") + "[runtime]\n[[a]\n",
}

FLOWS = {
    "diamond": cycling("a => b & c => d\nd[-P1] => a", final=3),
    "fixed": cycling("first[^] => a => b\nb[-P1] => a", final=4) + "        R1 = first\n",
    "sequences": cycling("a => b\nb[-P2] => a\na:start => c", final=6, runahead="P1") + "        P2 = b => x\n",
    "optional": once("a? => b\na:fail? => c\nb & d => e"),
    "late": cycling("a[-P1] => b\na", final=3) + "        R1/3 = z => b\n",
    "forward": cycling("a[+P1] => b\na", final=3),
    "wide": cycling(" & ".join(f"t{n}" for n in range(12)) + " => all\nall[-P1] => t0", final=8, runahead="P2"),
}


class Cylc:
    """The real programs, with a home of their own."""

    def __init__(self, home: Path) -> None:
        folder = clients.cylc()
        self.home, self.program = home, str(folder / "cylc")
        self.environment = clients.environment_of(folder, home)

    def run(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def accepts(self, name: str, source: str) -> bool:
        """Whether `cylc validate` does."""
        folder = self.home / "sources" / re.sub(r"\W", "_", name)
        folder.mkdir(parents=True)
        (folder / "flow.cylc").write_text(source)
        return self.run("validate", str(folder)).returncode == 0

    def play(self, name: str, source: str) -> set[Line]:
        """Run a workflow to its end. Returns what was triggered off what."""
        folder = self.home / "cylc-run" / name
        folder.mkdir(parents=True)
        (folder / "flow.cylc").write_text(source + SHORT_JOBS)
        done = self.run("play", "--no-detach", "--mode=simulation", "--reference-log", name)
        assert done.returncode == 0, done.stderr[-2_000:]
        lines = set()
        for task, parents in re.findall(r"(\S+) -triggered off \[(.*)\]", (folder / "reference.log").read_text()):
            lines.add((task, tuple(sorted(re.findall(r"'([^']*)'", parents)))))
        return lines


@pytest.fixture
def cylc(tmp_path: Path) -> Cylc:
    return Cylc(tmp_path)


def ours_accepts(source: str) -> bool:
    try:
        build_definition(source)
    except DefinitionProblem:
        return False
    return True


def test_the_real_one_and_ours_agree_on_what_is_valid(cylc: Cylc):
    with ThreadPoolExecutor(2) as workers:
        theirs = dict(zip(VALID_OR_NOT, workers.map(cylc.accepts, VALID_OR_NOT, VALID_OR_NOT.values()), strict=True))
    assert {name: ours_accepts(source) for name, source in VALID_OR_NOT.items()} == theirs
    assert {True, False} == set(theirs.values())


QUICK = ("optional", "late", "forward")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("names", [QUICK, pytest.param(tuple(FLOWS), marks=pytest.mark.full)], ids=["quick", "all"])
def test_the_real_one_and_ours_trigger_the_same_tasks_off_the_same_tasks(names: tuple[str, ...], cylc: Cylc):
    with ThreadPoolExecutor(4) as workers:
        theirs = dict(zip(names, workers.map(cylc.play, names, [FLOWS[name] for name in names]), strict=True))
    for name in names:
        run = SimulatedRun(FLOWS[name])
        run.succeed_all()
        assert run.state.run.status == "completed"
        ours = {
            (event.data["task"], tuple(sorted(event.data["triggered_off"]))) for event in run.events if event.name == "JobPrepared"
        }
        assert ours == theirs[name], name

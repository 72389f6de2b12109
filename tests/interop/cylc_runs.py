"""Runs of whole workflows by the real scheduler, and by ours without a gateway: what was triggered off what, and how it ended."""

import json
import re
import sqlite3
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from interop import clients
from unit.graph.simulated import SimulatedRun

FOLDER = Path(__file__).parents[1] / "golden" / "flow_runs"
FLOWS = {path.stem: path for path in sorted(FOLDER.glob("*.cylc"))}

_LINE = re.compile(r"(\S+) -triggered off \[(.*)\] in flow (\S+)")


@dataclass
class Outcome:
    """How a run went.

    Attributes:
        exit: whether it ended badly.
        lines: `[cycle/task, sorted parents, flows]` for each submission, sorted.
        states: last state of each task.
    """

    exit: bool
    lines: list[list[object]]
    states: dict[str, str]

    def as_json(self) -> str:
        """As it is kept beside its flow."""
        return json.dumps(asdict(self), indent=0) + "\n"


def kept(name: str) -> Outcome:
    """What the real scheduler did when the golden file was made."""
    return Outcome(**json.loads(FLOWS[name].with_suffix(".json").read_text()))


def mode_of(name: str) -> str:
    """The run mode that a flow asks for in its first line."""
    match = re.search(r"^# mode: (\w+)$", FLOWS[name].read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


def by_cylc(name: str, home: Path) -> Outcome:
    """Have the real scheduler run a flow to its end, with a home of its own."""
    folder = clients.cylc()
    run = home / "cylc-run" / name
    run.mkdir(parents=True)
    (run / "flow.cylc").write_text(FLOWS[name].read_text())
    command = [str(folder / "cylc"), "play", "--no-detach", f"--mode={mode_of(name)}", "--reference-log", name]
    environment = clients.environment_of(folder, home)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    log = run / "reference.log"
    text = (log if log.exists() else run / "log" / "scheduler" / "log").read_text()
    with sqlite3.connect(run / "log" / "db") as database:
        rows = database.execute("select cycle, name, status from task_states order by cycle, name").fetchall()
    lines = sorted([task, sorted(re.findall(r"'([^']*)'", parents)), flows] for task, parents, flows in _LINE.findall(text))
    return Outcome(done.returncode != 0, lines, {f"{cycle}/{task}": state for cycle, task, state in rows})


def by_ours(name: str) -> Outcome:
    """Drive our engine through a flow; time passes from alarm to alarm."""
    run = SimulatedRun(FLOWS[name].read_text(), mode=mode_of(name), now=time.time())
    while run.state.run.is_open:
        run.answer()
        if run.state.run.is_open and not run.succeed_all() and not run.wait():
            break
    lines = sorted(
        [event.data["task"], event.data["triggered_off"], ",".join(map(str, event.data["flows"])) or "none"]
        for event in run.events
        if event.name == "JobPrepared"
    )
    return Outcome(run.state.run.status != "completed", lines, run.states())

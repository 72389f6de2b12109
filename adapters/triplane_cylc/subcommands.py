"""Every way of giving a Cylc command, and what it means for runs of each engine: read by the session, the document and the tests.

Rows that become commands of the core take their meaning from the core's own table; the others are answered here, or by
the client from files. `python -m triplane_cylc.subcommands FILE` writes the document.

Source: contract section 8 (cylc-flow 8.5.4).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from triplane.engines.meanings import ENGINES, MEANINGS, Meaning

VERBOSITY: Final = "the log level belongs to the gateway, not to a run: set gateway.log_level"
GLOBAL_RELOAD: Final = "the global configuration is the gateway's, not a run's: reload without --global"
NO_SPAWN: Final = "remove --no-spawn is not supported by this gateway"


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A row.

    Attributes:
        words: as typed, without ids: `stop --kill`; a part in capitals stands for a value.
        asks: `core` sends a command, `reads` a query, `files` nothing: the client looks at the run directory.
        cells: engine → meaning.
    """

    words: str
    asks: str
    cells: Mapping[str, Meaning]


def _core(words: str, row: str) -> Subcommand:
    return Subcommand(words, "core", MEANINGS[row])


def _refused(words: str, sentence: str) -> Subcommand:
    return Subcommand(words, "core", dict.fromkeys(ENGINES, Meaning(refuses=sentence)))


def _same(words: str, asks: str, does: str) -> Subcommand:
    return Subcommand(words, asks, dict.fromkeys(ENGINES, Meaning(does=does)))


_STUB: Final = "says from the stub what to use instead; with run_dir_definition = \"real\", reads the definition of a graph"

SUBCOMMANDS: Final[Mapping[str, Subcommand]] = {
    row.words: row
    for row in (
        _core("hold", "hold_tasks"),
        _core("hold --after=CYCLE", "set_hold_point"),
        _core("release", "release_tasks"),
        _core("release --all", "release_tasks forget_hold_point"),
        _core("trigger", "trigger_tasks"),
        _core("trigger --flow=FLOW", "trigger_tasks flow"),
        _core("trigger --on-resume", "trigger_tasks on_resume"),
        _core("set --out=OUTPUT", "set_tasks outputs"),
        _core("set --pre=PREREQUISITE", "set_tasks prerequisites"),
        _core("set --flow=FLOW", "set_tasks flow"),
        _core("kill", "kill_tasks"),
        _core("poll", "poll_tasks"),
        _core("remove", "remove_tasks"),
        _core("remove --flow=FLOW", "remove_tasks flow"),
        _refused("client graphql: remove(noSpawn)", NO_SPAWN),
        _core("pause", "pause_run"),
        _core("play", "resume_run"),
        _core("stop", "stop_run graceful"),
        _core("stop --kill", "stop_run kill"),
        _core("stop --now", "stop_run leave"),
        _core("stop --now --now", "stop_run leave"),
        _core("stop //CYCLE", "schedule_stop point"),
        _core("stop //CYCLE/TASK", "schedule_stop task"),
        _core("stop --wall-clock=TIME", "schedule_stop at"),
        _core("stop --flow=FLOW", "schedule_stop flow"),
        _core("broadcast", "broadcast"),
        _core("message", "report_job"),
        _core("ext-trigger", "send_external_trigger"),
        _core("reload", "reload_run"),
        _refused("reload --global", GLOBAL_RELOAD),
        _refused("verbosity", VERBOSITY),
        _same("ping", "reads", "where the run is served"),
        _same("scan -t rich", "reads", "state, title and numbers of tasks"),
        _same("get-workflow-version", "reads", "the version this wire speaks, 8.5.4"),
        _same("dump", "reads", "the run and all its tasks"),
        _same("dump -t", "reads", "a line for each task"),
        _same("dump -r", "reads", "the run, its families and tasks, raw"),
        _same("show", "reads", "the run's title and description"),
        _same("show //CYCLE/TASK", "reads", "a task's state, prerequisites and outputs"),
        _same("show --task-def=TASK", "reads", "title and description of a task's definition"),
        _same("broadcast --display", "reads", "the settings that are broadcast; none but on graphs"),
        _same("client", "reads", "any endpoint, as JSON"),
        Subcommand(
            "client graphql: setGraphWindowExtent",
            "reads",
            {
                "graph": Meaning(does="how far from active tasks others are shown, to all who look, until the gateway restarts"),
                "durable": Meaning(does="accepted, and nothing changes: its tasks have no edges"),
                "simulation": Meaning(does="accepted, and nothing changes: its tasks have no edges"),
            },
        ),
        _same("subscribe", "reads", "what changes, as it changes, until the run ends"),
        _same("stop --max-polls=N", "reads", "as stop, and asks until the run has stopped"),
        _same("tui", "reads", "the tree of tasks, and commands upon them"),
        _same("gui", "reads", "the tree of tasks in a browser, and commands upon them"),
        _same("scan", "files", "the runs that are served"),
        _same("get-workflow-contact", "files", "the contact file"),
        _same("workflow-state", "files", "states and outputs of tasks, from log/db"),
        _same("cat-log", "files", "the run's log, and those of jobs that have files"),
        _same("list", "files", _STUB),
        _same("config", "files", _STUB),
        _same("graph", "files", _STUB),
        _same("lint", "files", "looks at the text of the stub, or of the real definition"),
        _same("cycle-point", "files", "computes a cycle point; needs no run"),
        _same("validate", "files", _STUB),
        _same("clean", "files", "refused by the client while the run is open"),
        _same("vr", "files", "refused by the client: the run was not installed from a source; use reload"),
        _same("reinstall", "files", "refused by the client: the run was not installed from a source"),
        _same("install", "files", "looks for sources of its own, which are no runs of a gateway"),
        _same("play, of a run that is not served", "files", "starts nothing: the stub fails validation, and says what to use instead"),
    )
}
"""By words, in the order of the document."""


def document() -> str:
    """The table as a page of Markdown."""
    lines = [
        "# What each Cylc command means",
        "",
        "Generated by `make schemas` from the tables that the gateway itself goes by (`triplane.engines.meanings`,",
        "`triplane_cylc.subcommands`). **No:** begins a refusal: the command prints the sentence and exits with 1. The same",
        "command, where another wire has it, means the same there and is refused with the same sentence.",
    ]
    kinds = {
        "core": "## Commands that change a run",
        "reads": "## Commands that ask the gateway",
        "files": "## Commands that only read files",
    }
    for kind, title in kinds.items():
        lines += ["", title, "", "| `cylc …` | graph | durable run | simulation |", "|---|---|---|---|"]
        for row in SUBCOMMANDS.values():
            if row.asks == kind:
                lines.append(f"| `{row.words}` | " + " | ".join(_cell(row.cells[engine]) for engine in ENGINES) + " |")
    return "\n".join(lines) + "\n"


def _cell(meaning: Meaning) -> str:
    return f"**No:** {meaning.refuses}" if meaning.refuses else meaning.does


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document())

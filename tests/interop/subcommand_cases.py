"""A case for each way of giving a Cylc command and each engine: what is typed, what comes of it, what is printed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from interop.steered_runs import Seen
from triplane.engines.meanings import ENGINES

WAITING: Final = {"graph": "1/messaged", "durable": "1/charge-1", "simulation": "1/step"}
BUSY: Final = {"graph": "1/a", "durable": "1/ship-2", "simulation": "2/step"}
QUEUED: Final = "^Command queued$"
STUB: Final = "use: triplane play {run}"
Effect = Callable[[Seen], bool]


@dataclass(frozen=True)
class Case:
    """One command on one run.

    Attributes:
        typed: the arguments; `{run}` and the engine's `{waiting}` and `{busy}` tasks are filled in, `~` is a space in an argument.
        effect: what becomes true of the run on every wire; None where nothing changes: then the run may be shared.
        prints: a pattern that is found in what is printed.
        before: commands that are applied first. kind: of the run.
        stdin: what is given on standard input. stirred: the run is paused and resumed while the command runs.
        traces: the client prints a traceback of its own for any refusal.
    """

    typed: str
    effect: Effect | None = None
    prints: str = QUEUED
    code: int = 0
    kind: str = ""
    before: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    stdin: str = ""
    stirred: bool = False
    traces: bool = False


@dataclass(frozen=True)
class Elsewhere:
    """A row whose cases are in a file of their own, for all engines alike."""

    file: str


def held(task: str, is_held: bool = True) -> Effect:
    return lambda seen: task in seen.tasks and seen.tasks[task][1] == is_held


def state(task: str, *words: str) -> Effect:
    return lambda seen: task in seen.tasks and seen.tasks[task][0] in words


def gone(task: str) -> Effect:
    return lambda seen: task not in seen.tasks


def status(word: str) -> Effect:
    return lambda seen: seen.status == word


def event(name: str) -> Effect:
    return lambda seen: name in seen.events


def both(*effects: Effect) -> Effect:
    return lambda seen: all(effect(seen) for effect in effects)


def on(command: str, *globs: str, **fields: Any) -> tuple[str, Mapping[str, Any]]:
    return (command, {"task_globs": list(globs), **fields} if globs else fields)


def alike(case: Case) -> Mapping[str, Case]:
    """The same for every engine."""
    return dict.fromkeys(ENGINES, case)


def engines(graph: Case, durable: Case, simulation: Case) -> Mapping[str, Case]:
    return {"graph": graph, "durable": durable, "simulation": simulation}


BEGUN: Final = ("preparing", "submitted", "running", "succeeded")
PAUSED: Final = (("pause_run", {}),)
NO_SPAWN: Final = json.dumps(
    {"request_string": 'mutation { remove(workflows: ["*"], tasks: ["*"], noSpawn: true) { result } }', "variables": {}}
)
EXTENT: Final = json.dumps(
    {"request_string": 'mutation { setGraphWindowExtent(workflows: ["*"], nEdgeDistance: 2) { result } }', "variables": {}}
)

CASES: Final[Mapping[str, Mapping[str, Case] | Elsewhere]] = {
    "hold": {engine: Case("hold {run}//{waiting}", held(WAITING[engine])) for engine in ENGINES},
    "hold --after=CYCLE": engines(
        Case("hold --after=1 {run}", held("2/messaged")),
        Case("hold --after=1 {run}"),
        Case("hold --after=0 {run}", held("1/step")),
    ),
    "release": {
        engine: Case(
            "release {run}//{waiting}",
            both(held(WAITING[engine], False), event("TasksReleased")), before=(on("hold_tasks", WAITING[engine]),),
        )
        for engine in ENGINES
    },
    "release --all": {
        engine: Case(
            "release --all {run}",
            both(held(WAITING[engine], False), event("TasksReleased")), before=(on("hold_tasks", WAITING[engine]),),
        )
        for engine in ENGINES
    },
    "trigger": engines(
        Case("trigger {run}//{waiting}", state(WAITING["graph"], *BEGUN)),
        Case("trigger {run}//{waiting}", both(held("1/charge-1", False), event("TasksTriggered")), before=(on("hold_tasks", "*"),)),
        Case("trigger {run}//{waiting}", both(state("1/step", "succeeded"), status("paused"))),
    ),
    "trigger --flow=FLOW": engines(
        Case("trigger --flow=1 {run}//{waiting}", state(WAITING["graph"], *BEGUN)),
        Case("trigger --flow=1 {run}//{waiting}"),
        Case("trigger --flow=new {run}//{waiting}"),
    ),
    "trigger --on-resume": {
        engine: Case(
            "trigger --on-resume {run}//{waiting}",
            both(state(WAITING[engine], "waiting"), event("TasksTriggered"), status("paused")), before=PAUSED,
        )
        for engine in ENGINES
    },
    "set --out=OUTPUT": engines(
        Case("set --out=succeeded {run}//{busy}", state("1/a", "succeeded")),
        Case("set --out=succeeded {run}//{waiting}", both(state("1/charge-1", "succeeded"), event("ActivityCompleted"))),
        Case("set --out=succeeded {run}//{waiting}"),
    ),
    "set --pre=PREREQUISITE": engines(
        Case("set --pre=1/a:succeeded {run}//1/b", state("1/b", *BEGUN)),
        Case("set --pre=all {run}//{waiting}"),
        Case("set --pre=all {run}//{waiting}"),
    ),
    "set --flow=FLOW": engines(
        Case("set --flow=1 {run}//{busy}", state("1/a", "succeeded")),
        Case("set --flow=1 {run}//{waiting}"),
        Case("set --flow=1 {run}//{waiting}"),
    ),
    "kill": engines(
        Case("kill {run}//{busy}", state("1/a", "failed")),
        Case("kill {run}//{busy}", both(state("1/ship-2", "failed"), event("ActivityCancelled"))),
        Case("kill {run}//{busy}", both(state("2/step", "waiting"), held("2/step"), event("TasksKilled")), kind="busy"),
    ),
    "poll": engines(
        Case("poll {run}//{busy}", state("1/a", "running")),
        Case("poll {run}//{busy}", state("1/ship-2", "running")),
        Case("poll {run}//{waiting}"),
    ),
    "remove": engines(
        Case("remove {run}//{waiting}", both(gone(WAITING["graph"]), event("TasksRemoved"))),
        Case("remove {run}//{waiting}"),
        Case("remove {run}//{waiting}"),
    ),
    "remove --flow=FLOW": engines(
        Case("remove --flow=1 {run}//{waiting}", both(gone(WAITING["graph"]), event("TasksRemoved"))),
        Case("remove --flow=1 {run}//{waiting}"),
        Case("remove --flow=1 {run}//{waiting}"),
    ),
    "client graphql: remove(noSpawn)": alike(Case("client {run} graphql", stdin=NO_SPAWN)),
    "pause": engines(
        Case("pause {run}", status("paused")), Case("pause {run}", status("paused")), Case("pause {run}", status("paused"), kind="busy")
    ),
    "play": alike(
        Case("play {run}", both(status("running"), event("RunResumed")), prints="Resuming already-running workflow", before=PAUSED)
    ),
    "stop": engines(
        Case("stop {run}", event("StopRequested")), Case("stop {run}", status("cancelled")), Case("stop {run}", status("cancelled"))
    ),
    "stop --kill": engines(
        Case("stop --kill {run}", status("terminated")), Case("stop --kill {run}", status("terminated")),
        Case("stop --kill {run}", status("terminated"), kind="busy"),
    ),
    "stop --now": engines(
        Case("stop --now {run}", status("cancelled")), Case("stop --now {run}", status("terminated")),
        Case("stop --now {run}", status("terminated"), kind="busy"),
    ),
    "stop --now --now": engines(
        Case("stop --now --now {run}", status("cancelled")), Case("stop --now --now {run}", status("terminated")),
        Case("stop --now --now {run}", status("terminated")),
    ),
    "stop //CYCLE": engines(
        Case("stop {run}//3", event("StopScheduled")), Case("stop {run}//1"), Case("stop {run}//3", event("StopScheduled"))
    ),
    "stop //CYCLE/TASK": engines(
        Case("stop {run}//3/a", event("StopScheduled")), Case("stop {run}//{waiting}"), Case("stop {run}//3/step", event("StopScheduled"))
    ),
    "stop --wall-clock=TIME": alike(Case("stop --wall-clock=2090-01-01T00:00Z {run}", event("StopScheduled"))),
    "stop --flow=FLOW": engines(
        Case("stop --flow=1 {run}", event("StopScheduled")), Case("stop --flow=1 {run}"), Case("stop --flow=1 {run}")
    ),
    "broadcast": engines(
        Case("broadcast -p 1 -n b -s [environment]X=1 {run}", event("BroadcastSet"), prints=r"\+ \[1/b\] \[environment\]X=1"),
        Case("broadcast -s [environment]X=1 {run}"),
        Case("broadcast -s [environment]X=1 {run}"),
    ),
    "message": engines(
        Case("message -- {run} {busy}/01 hello", event("MessageReceived"), prints="INFO - hello"),
        Case("message -- {run} {busy}/01 hello", event("MessageReceived"), prints="INFO - hello"),
        Case("message -- {run} {waiting}/01 hello"),
    ),
    "ext-trigger": engines(
        Case("ext-trigger --max-tries=1 {run} data~are~there id1", event("ExternalTrigger"), prints=""),
        Case("ext-trigger --max-tries=1 {run} arrived id1", event("SignalReceived"), prints=""),
        Case("ext-trigger --max-tries=1 {run} arrived id1", traces=True),
    ),
    "reload": engines(Case("reload {run}", event("RunReloaded")), Case("reload {run}"), Case("reload {run}")),
    "reload --global": alike(Case("reload --global {run}")),
    "verbosity": alike(Case("verbosity DEBUG {run}")),
    # ---- what asks -----------------------------------------------------------------------------------------------------
    "ping": alike(Case("ping {run}", prints=r":\d+$")),
    "scan -t rich": alike(Case("scan -t rich -n ^{run}$ --color=never", prints="{run}")),
    "get-workflow-version": alike(Case("get-workflow-version {run}", prints=r"^8\.5\.4$")),
    "dump": alike(Case("dump {run}", prints="^status=")),
    "dump -t": alike(Case("dump -t {run}", prints="^{waiting}:waiting")),
    "dump -r": alike(Case("dump -r {run}", prints="'taskProxies': .*'familyProxies': ")),
    "show": alike(Case("show {run}", prints="^title: ")),
    "show //CYCLE/TASK": alike(Case("show {run}//{waiting}", prints="^state: waiting")),
    "show --task-def=TASK": engines(
        Case("show --task-def=messaged {run}", prints="^title: "),
        Case("show --task-def=charge-1 {run}", prints="^title: charge"),
        Case("show --task-def=step {run}", prints="^title: one time step"),
    ),
    "broadcast --display": alike(Case("broadcast --display {run}", prints="")),
    "client": alike(Case("client -n {run} ping_workflow", prints="^true$")),
    "client graphql: setGraphWindowExtent": alike(
        Case("client {run} graphql", prints='"Maximum edge distance set to 2"', stdin=EXTENT),
    ),
    "subscribe": alike(Case("subscribe --once {run}", effect=event("RunPaused"), prints="^Received: workflow", stirred=True)),
    "stop --max-polls=N": engines(
        Case("stop --now --max-polls=20 --interval=1 {run}", status("cancelled")),
        Case("stop --max-polls=20 --interval=1 {run}", status("cancelled")),
        Case("stop --max-polls=20 --interval=1 {run}", status("cancelled")),
    ),
    "tui": Elsewhere("test_tui.py"),
    "gui": Elsewhere("test_gui.py"),
    # ---- what reads files ------------------------------------------------------------------------------------------------
    "scan": alike(Case("scan -n ^{run}$ -t name", prints="^{run}$")),
    "get-workflow-contact": alike(Case("get-workflow-contact {run}", prints="^CYLC_API=5$")),
    "workflow-state": alike(Case("workflow-state --max-polls=20 --interval=1 {run}", prints="^{waiting}:waiting$")),
    "cat-log": alike(Case("cat-log {run}", prints="served by a Triplane gateway")),
    "list": alike(Case("list {run}", prints=STUB, code=1)),
    "config": alike(Case("config {run}", prints=STUB, code=1)),
    "graph": alike(Case("graph --reference {run}", prints=STUB, code=1)),
    "validate": alike(Case("validate {run}", prints=STUB, code=1)),
    "lint": alike(Case("lint {run}", prints="^Checked .*/{run} ")),
    "cycle-point": alike(Case("cycle-point --offset-hours=6 20200101T00Z", prints="^20200101T06Z$")),
    "clean": alike(Case("clean -y {run}", prints='Workflow "{run}" is already running', code=1)),
    "vr": alike(Case("vr {run}", prints="it is not an installed workflow", code=1)),
    "reinstall": alike(Case("reinstall {run}", prints="was not installed with cylc install", code=1)),
    "install": alike(Case("install {run}", prints="Could not find workflow", code=1)),
    "play, of a run that is not served": Elsewhere("test_every_subcommand.py"),
}

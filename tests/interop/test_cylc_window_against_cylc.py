"""The same run under Cylc's own scheduler and under the gateway: at the same moments both show the same tasks, jobs, families and edges.

Totals are left out: the real scheduler leaves a family that has just come into view out of the totals of those above it,
until something there changes again. Ours are held against our own tasks.
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess
from interop import clients

FLOW = """
[scheduler]
    allow implicit tasks = True
    UTC mode = True
    [[events]]
        stall timeout = PT1H
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 4
    runahead limit = P1
    [[graph]]
        R1 = start => a
        P1 = '''
            a => b & c
            b & c => d
            c => e
            start[^] => f
            d[-P1] => a
        '''
[runtime]
    [[root]]
        script = '''
            while [[ -d $HOME/gates && ! -e $HOME/gates/$CYLC_TASK_CYCLE_POINT.$CYLC_TASK_NAME ]]; do sleep 0.1; done
            [[ ! -e $HOME/gates/$CYLC_TASK_CYCLE_POINT.$CYLC_TASK_NAME.fails ]]
        '''
    [[PAIR]]
    [[b, c]]
        inherit = PAIR
"""
EXTENT = 'mutation { setGraphWindowExtent(workflows: ["demo"], nEdgeDistance: %d) { result } }'
AGREE_S = 40.0


class Scheduler:
    """One of the two: its home, and the real `cylc` command there."""

    def __init__(self, name: str, home: Path) -> None:
        self.name, self.home = name, home
        (home / "gates").mkdir(parents=True)

    def cylc(self, *arguments: str, stdin: str = "") -> str:
        folder = clients.cylc()
        done = subprocess.run(
            [str(folder / "cylc"), *arguments],
            input=stdin, capture_output=True, text=True, env=clients.environment_of(folder, self.home), timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (self.name, arguments, done.stdout, done.stderr)
        return done.stdout

    def open_gate(self, task: str, fails: bool = False) -> None:
        if fails:
            (self.home / "gates" / f"{task}.fails").touch()
        (self.home / "gates" / task).touch()

    def end(self) -> None:
        (self.home / "gates").rename(self.home / "no-gates")

    def state(self) -> Any:
        return json.loads(self.cylc("client", "-n", "demo", "pb_entire_workflow"))

    def shown(self) -> dict[str, Any]:
        """What its full state holds, without times, stamps, texts of its own and the order of what has none."""
        state = self.state()
        workflow = state["workflow"]
        graph = workflow.get("edges", {})
        return {
            "tasks": {
                _short(proxy): (
                    proxy["state"], proxy.get("graphDepth", 0), proxy["flowNums"],
                    tuple(flag for flag in ("isHeld", "isQueued", "isRunahead") if proxy.get(flag)),
                    tuple(sorted(_short(edge) for edge in proxy.get("edges", ()))),
                    tuple(_short(job) for job in proxy.get("jobs", ())),
                    tuple(_short(one) for one in proxy["ancestors"]),
                    tuple(sorted(label for label, output in proxy["outputs"].items() if output.get("satisfied"))),
                    tuple(sorted(
                        (condition["taskProxy"], condition["reqState"], condition.get("satisfied", False))
                        for prerequisite in proxy.get("prerequisites", ())
                        for condition in prerequisite["conditions"]
                    )),
                )
                for proxy in state["taskProxies"]
            },
            "jobs": {_short(job): job["state"] for job in state.get("jobs", ())},
            "edges": sorted(_short(edge) for edge in state.get("edges", ())),
            "families": {
                _short(proxy): (
                    proxy.get("graphDepth", 0),
                    tuple(sorted(_short(one) for one in proxy.get("childTasks", ()))),
                    tuple(sorted(_short(one) for one in proxy.get("childFamilies", ()))),
                )
                for proxy in state["familyProxies"]
            },
            "definitions": {
                _short(task): tuple(sorted(_short(proxy) for proxy in task.get("proxies", ())))
                for task in (*state["tasks"], *state["families"])
            },
            "workflow": (
                workflow.get("nEdgeDistance", 0),
                workflow["oldestActiveCyclePoint"], workflow["newestActiveCyclePoint"],
                sorted(_short(edge) for edge in graph.get("edges", ())),
                sorted(_short(proxy) for proxy in workflow["taskProxies"]),
                sorted(_short(proxy) for proxy in workflow["familyProxies"]),
            ),
        }  # fmt: skip


def _short(thing: Any) -> str:
    return str(thing["id"] if isinstance(thing, dict) else thing).partition("//")[2]


def check_totals(scheduler: Scheduler) -> None:
    """The totals of the workflow and of each cycle are those of the tasks in view."""
    state = scheduler.state()
    by_cycle: dict[str, Counter[str]] = {}
    for proxy in state["taskProxies"]:
        by_cycle.setdefault(proxy["cyclePoint"], Counter())[proxy["state"]] += 1
    roots = {proxy["cyclePoint"]: +Counter(proxy["stateTotals"]) for proxy in state["familyProxies"] if proxy["name"] == "root"}
    assert roots == by_cycle
    assert +Counter(state["workflow"]["stateTotals"]) == sum(by_cycle.values(), Counter())


@contextmanager
def real_scheduler(home: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler("cylc", home)
    run_dir = home / "cylc-run" / "demo"
    run_dir.mkdir(parents=True)
    (run_dir / "flow.cylc").write_text(FLOW)
    folder = clients.cylc()
    settings = home / ".cylc" / "flow" / "global.cylc"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[platforms]\n    [[localhost]]\n        cylc path = {folder}\n")
    with (home / "play.log").open("wb") as log:
        process = subprocess.Popen(
            [str(folder / "cylc"), "play", "--no-detach", "demo"],
            stdout=log, stderr=log, env=clients.environment_of(folder, home),
        )  # fmt: skip
    try:
        wait_for("the real scheduler to serve", lambda: (run_dir / ".service" / "contact").exists())
        yield scheduler
    finally:
        scheduler.end()
        process.terminate()
        process.wait(30)


@contextmanager
def gateway(home: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler("triplane", home)
    served = GatewayProcess(home)
    (served.definitions / "demo").mkdir()
    (served.definitions / "demo" / "flow.cylc").write_text(FLOW)
    with served:
        served.cli("start", "graph:demo", "--id", "demo")
        wait_for("the face", lambda: (home / "cylc-run" / "demo" / ".service" / "contact").exists())
        yield scheduler
        scheduler.end()


def wait_for(what: str, holds: Any) -> None:
    end = time.monotonic() + AGREE_S
    while not holds():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.1)


class Pair:
    """Both, steered alike."""

    def __init__(self, *both: Scheduler) -> None:
        self.both = both

    def agree(self, *states: str) -> None:
        """Both come to show the same, and it has these tasks in these states (`1/a:running`)."""
        end = time.monotonic() + AGREE_S
        while True:
            one, other = (scheduler.shown() for scheduler in self.both)
            there = {f"{task}:{told[0]}" for task, told in one["tasks"].items()}
            if one == other and there.issuperset(states):
                check_totals(self.both[1])
                return
            assert time.monotonic() < end, differences(one, other) or f"{states} not in {there}"
            time.sleep(0.2)

    def agree_on_tasks(self, *states: str) -> None:
        """Both come to show the same tasks in the same states, equally far from active ones.

        That is what can be compared when the window has grown over what ended long ago: the real scheduler then shows
        prerequisites that held as unsatisfied, and no edge between two tasks at the rim that are there for different active ones.
        """
        end = time.monotonic() + AGREE_S
        while True:
            one, other = ({task: told[:2] for task, told in scheduler.shown()["tasks"].items()} for scheduler in self.both)
            if one == other and {f"{task}:{state}" for task, (state, _) in one.items()}.issuperset(states):
                return
            assert time.monotonic() < end, (one, other)
            time.sleep(0.2)

    def open_gate(self, *tasks: str, fails: bool = False) -> None:
        for scheduler in self.both:
            for task in tasks:
                scheduler.open_gate(task, fails)

    def cylc(self, *arguments: str, stdin: str = "") -> None:
        for scheduler in self.both:
            scheduler.cylc(*arguments, stdin=stdin)

    def look_as_far_as(self, extent: int) -> None:
        self.cylc("client", "demo", "graphql", stdin=json.dumps({"request_string": EXTENT % extent, "variables": {}}))


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    told = []
    for part in one:
        if isinstance(one[part], dict):
            keys = sorted(one[part].keys() | other[part].keys())
            pairs = ((key, one[part].get(key), other[part].get(key)) for key in keys)
            told += [f"{part} {key}:\n  {first}\n  {second}" for key, first, second in pairs if first != second]
        elif one[part] != other[part]:
            told.append(f"{part}:\n  {one[part]}\n  {other[part]}")
    return "\n".join(told)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_at_the_same_moments_the_gateway_shows_what_the_real_scheduler_shows(tmp_path):
    with real_scheduler(tmp_path / "cylc") as theirs, gateway(tmp_path / "triplane") as ours:
        pair = Pair(theirs, ours)
        pair.agree("1/start:running")
        pair.open_gate("1.start")
        pair.agree("1/a:running", "1/f:running", "2/f:running")
        for extent in (2, 0, 3, 1):
            pair.look_as_far_as(extent)
            pair.agree("1/a:running")
        pair.open_gate("1.a", "1.f", "2.f")
        pair.agree("1/b:running", "1/c:running")
        pair.cylc("hold", "demo//1/b")
        pair.open_gate("1.c")
        pair.agree("1/b:running", "1/e:running")
        pair.open_gate("1.b", fails=True)
        pair.agree("1/b:failed", "1/e:running")
        pair.open_gate("1.e")
        pair.agree("1/b:failed")
        pair.cylc("set", "demo//1/b")
        pair.agree("1/d:running")
        pair.open_gate("1.d")
        pair.agree("2/a:running")
        pair.open_gate("2.a", "2.b")
        pair.agree("2/c:running", "2/b:succeeded")
        pair.look_as_far_as(2)
        pair.agree_on_tasks("2/c:running")

"""Tasks through the graph engine in skip mode, beside the real scheduler on the same flows.

A flow of N tasks is N/2 that can begin at once and one after each of those. Skip mode leaves jobs out, so what is timed is
scheduling: prerequisites, spawning, states, histories, and everything durable. The real scheduler is run as a program, and
timed from the first line that it logs of a task to the last. Ours is timed from the request that starts the run to its end, less
what a flow of two tasks takes (a process that parses it); of several runs the quickest counts, for the rest is noise.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from environments import CannotBeHad
from gateway import Gateway
from harness import Conditions, Fact, Measurement, cpu_s

# Run as a script, only this folder is on the path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from interop.clients import cylc

FLOW = """
[task parameters]
    i = 1..{half}
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = first<i> => second<i>
[runtime]
    [[root]]
        run mode = skip
    [[first<i>]]
    [[second<i>]]
"""
SIZES, LARGE, SMALL, LEAST = (100, 1_000), 10_000, 100, 2
SMALL_RUNS = 10
"""Runs of the small flow that are taken together: one takes too little CPU to be measured."""
TIMES_GOAL, GROWTH_GOAL, STALL_GOAL_MS = 20.0, 1.3, 100.0
FLOW_S = 300.0
LOOK_S = 0.002
LEAST_S = 0.01
"""A difference below this is not told from noise, and counts as so much."""
OUR_RUNS = 5
"""Ours take a fraction of the other's time, so more of them are had for it."""
PROBE_S = 0.005
MOST_REPETITIONS = 3
OF_A_TASK, SUCCEEDED = " [1/", "=> succeeded"
CLIENT = "raw HTTP for ours, `cylc play` for the other"


def write_flow(folder: Path, tasks: int) -> None:
    folder.mkdir(parents=True)
    (folder / "flow.cylc").write_text(FLOW.format(half=tasks // 2))


class Ours:
    """Flows on a gateway, each run under an id of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self._count = gateway, 0
        for tasks in (LEAST, *SIZES, LARGE):
            write_flow(gateway.directory / "definitions" / f"skip{tasks}", tasks)

    def seconds(self, tasks: int) -> float:
        """From the start request to the end of the run.

        Raises:
            RuntimeError: it did not complete, or not in time.
        """
        self._count += 1
        workflow_id, began = f"skip{tasks}-{self._count}", time.perf_counter()
        start = {"workflow_id": workflow_id, "workflow_type": f"graph:skip{tasks}"}
        # It is answered when the definition is read, which takes a while for a large one.
        if self.gateway.http("POST", "/api/workflows", start, FLOW_S) is None:
            raise RuntimeError(f"a flow of {tasks} tasks was not started")
        while (status := self.gateway.http("GET", f"/api/workflows/{workflow_id}")["status"]) in ("pending", "running"):
            if time.perf_counter() - began > FLOW_S:
                raise RuntimeError(f"a flow of {tasks} tasks took more than {FLOW_S:g} s")
            time.sleep(LOOK_S)
        if status != "completed":
            raise RuntimeError(f"a flow of {tasks} tasks is {status}")
        return time.perf_counter() - began


class RealScheduler:
    """`cylc play --no-detach` with a home of its own.

    Raises:
        CannotBeHad: the program cannot be installed here.
    """

    def __init__(self, home: Path) -> None:
        try:
            self._program = cylc() / "cylc"
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            raise CannotBeHad(str(error)) from error
        self._home, self._count = home, 0

    def seconds(self, tasks: int) -> float:
        """From the first that it logs of a task to the last task's success.

        Raises:
            RuntimeError: it failed, or not all tasks succeeded.
        """
        self._count += 1
        name = f"skip{tasks}-{self._count}"
        write_flow(self._home / "cylc-run" / name, tasks)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "CYLC"))}
        environment |= {"HOME": str(self._home), "PATH": f"{self._program.parent}{os.pathsep}{environment.get('PATH', '')}"}
        process = subprocess.Popen(
            [self._program, "play", "--no-detach", name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        first = last = 0.0
        succeeded, said = 0, ""
        with process:
            give_up = threading.Timer(FLOW_S, process.kill)
            give_up.start()
            for line in process.stdout:
                said = (said + line)[-500:]
                if OF_A_TASK in line:
                    last = time.perf_counter()
                    first = first or last
                    succeeded += SUCCEEDED in line
            give_up.cancel()
        if process.returncode or succeeded != tasks:
            raise RuntimeError(f"{succeeded} of {tasks} tasks succeeded, and the real scheduler ended with {process.returncode}: {said}")
        shutil.rmtree(self._home / "cylc-run" / name, ignore_errors=True)
        return last - first


@dataclass
class BesideReal:
    """Tasks/s at each of `SIZES`, in turns."""

    ours: Ours
    real: RealScheduler

    def run(self, repetitions: int) -> Sequence[Fact]:
        repetitions = min(repetitions, MOST_REPETITIONS)
        bare_s = min(self.ours.seconds(LEAST) for _ in range(OUR_RUNS))
        rows = []
        for tasks in SIZES:
            took = [(self._ours(tasks), self.real.seconds(tasks)) for _ in range(repetitions)]
            ours = tasks / max(LEAST_S, min(ours for ours, _ in took) - bare_s)
            real = tasks / min(real for _, real in took)
            rows.append(
                Fact(
                    f"Tasks/s in skip mode, {tasks:,} tasks", f"{ours / real:.0f}", f"≥ {TIMES_GOAL:g}", ours / real >= TIMES_GOAL,
                    f"{ours:,.0f} /s", f"the real scheduler: {real:,.0f} /s", CLIENT,
                )
            )  # fmt: skip
        return rows

    def _ours(self, tasks: int) -> float:
        return min(self.ours.seconds(tasks) for _ in range(OUR_RUNS))


@dataclass
class Growth:
    """CPU per task of a large flow beside a small one, and how long others wait meanwhile."""

    ours: Ours

    def run(self, repetitions: int) -> Sequence[Fact]:
        self.ours.seconds(SMALL)
        # All small ones first: what a large one leaves to be put away would count against those behind it.
        small_us = statistics.median(self._small() for _ in range(repetitions))
        turns = [self._large() for _ in range(repetitions)]
        large_us, took = (statistics.median(turn[at] for turn in turns) for at in range(2))
        growth, stall_ms = large_us / small_us, max(prober.longest_s for *_, prober in turns) * 1e3
        answers = sum(prober.answers for *_, prober in turns)
        return [
            Fact(
                f"CPU per task, a flow of {LARGE:,} tasks beside flows of {SMALL}", f"{growth:.2f}", f"≤ {GROWTH_GOAL:g}",
                growth <= GROWTH_GOAL, f"{large_us:,.0f} µs; {LARGE / took:,.0f} tasks/s", f"{small_us:,.0f} µs", CLIENT,
            ),
            Fact(
                f"Longest answer of `/api/health` while {LARGE:,} tasks run, half of them spawned at once", f"{stall_ms:.0f} ms",
                f"≤ {STALL_GOAL_MS:g} ms", stall_ms <= STALL_GOAL_MS, f"{answers:,} answers", "", "one HTTP client",
            ),
        ]  # fmt: skip

    def _small(self) -> float:
        """CPU per task of small flows, in µs."""
        began = cpu_s(self.ours.gateway.pid)
        for _ in range(SMALL_RUNS):
            self.ours.seconds(SMALL)
        return (cpu_s(self.ours.gateway.pid) - began) / SMALL_RUNS / SMALL * 1e6

    def _large(self) -> "tuple[float, float, Prober]":
        """CPU per task of a large flow in µs, the seconds that it took, and who asked meanwhile."""
        began = cpu_s(self.ours.gateway.pid)
        with Prober(self.ours.gateway.http_port) as prober:
            took = self.ours.seconds(LARGE)
        return (cpu_s(self.ours.gateway.pid) - began) / LARGE * 1e6, took, prober


class Prober:
    """Asks for `/api/health` again and again in a thread of its own.

    Attributes:
        answers: how many came. longest_s: the time that the slowest took.
    """

    def __init__(self, port: int) -> None:
        self._url, self._over = f"http://127.0.0.1:{port}/api/health", threading.Event()
        self._thread = threading.Thread(target=self._probe)
        self.answers, self.longest_s = 0, 0.0

    def _probe(self) -> None:
        while not self._over.wait(PROBE_S):
            began = time.perf_counter()
            with urllib.request.urlopen(self._url, timeout=FLOW_S) as answer:
                answer.read()
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            self.answers += 1

    def __enter__(self) -> "Prober":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def measurements(given: Conditions) -> Iterator[Measurement]:
    """Growth first, so that a machine without the real scheduler has it too."""
    ours = Ours(given.stack.enter_context(Gateway()))
    yield Growth(ours)
    home = Path(given.stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-cylc-", ignore_cleanup_errors=True)))
    try:
        real = RealScheduler(home)
    except CannotBeHad as error:
        yield error.row("Tasks/s in skip mode", f"≥ {TIMES_GOAL:g}", CLIENT)
        return
    yield BesideReal(ours, real)

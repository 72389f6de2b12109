"""How things are measured: child processes, interleaved repetitions, medians, and the spread of the ratio.

A box is never quiet, so nothing here claims an absolute rate. A comparison runs the floor and the gateway in turns and
keeps the ratio of each turn; the median of those ratios is the result, and their spread says how far to trust it. CPU
per operation comes from /proc (10 ms ticks), and is steadier than any rate.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FLOORS = Path(__file__).parent / "floors"


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that process `pid` has used in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def percentile(values: list[float], percent: float) -> float:
    """The value that `percent` (0 to 100) of `values` do not exceed; `values` must not be empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Floor:
    """A floor's server as a child process; `.said` is the JSON line that it prints when it is ready.

    A floor that needs a database gets a path in a temporary directory of its own.
    """

    def __init__(self, script: str, *, database: bool = False) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="floor-")
        command = [sys.executable, str(FLOORS / script)]
        if database:
            command.append(str(Path(self.directory.name) / "floor.db"))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the floor {script} did not start")
        self.said: dict[str, Any] = json.loads(line)

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.directory.cleanup()


@dataclass(frozen=True)
class Sample:
    """One repetition: operations per second, their latencies in milliseconds, server CPU per operation in microseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float

    @classmethod
    def of(cls, latencies_s: list[float], took_s: float, cpu: float) -> "Sample":
        """From the latency of each operation that ended within `took_s`, and the server's CPU seconds over that time.

        Raises:
            RuntimeError: nothing ended at all, so there is nothing to compare.
        """
        if not latencies_s:
            raise RuntimeError("not one operation ended in the time given")
        return cls(
            rate=len(latencies_s) / took_s,
            p50_ms=percentile(latencies_s, 50) * 1e3,
            p99_ms=percentile(latencies_s, 99) * 1e3,
            cpu_us=cpu / len(latencies_s) * 1e6,
        )


@dataclass
class Comparison:
    """The gateway against a floor at one concurrency.

    Attributes:
        measure: `rate` (ours / floor, at least `goal`) or `p50_ms` (ours / floor, at most `goal`).
        floor, ours: run one repetition each.
    """

    title: str
    clients: int
    measure: str
    goal: float
    floor: Callable[[], Sample]
    ours: Callable[[], Sample]
    floor_samples: list[Sample] = field(default_factory=list)
    our_samples: list[Sample] = field(default_factory=list)

    def run(self, repetitions: int) -> "Comparison":
        """Run both in turns, the one that goes first changing each time, so that drift falls on both alike."""
        for repetition in range(repetitions):
            turns = [(self.floor, self.floor_samples), (self.ours, self.our_samples)]
            for once, samples in turns if repetition % 2 == 0 else reversed(turns):
                samples.append(once())
        return self

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.our_samples, self.floor_samples, strict=True)
        return [getattr(ours, self.measure) / getattr(floor, self.measure) for ours, floor in pairs]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> float:
        """(greatest - least ratio) / median; above 0.3 a repetition tells little and more are needed."""
        return (max(self.ratios) - min(self.ratios)) / self.ratio

    @property
    def reached(self) -> bool:
        return self.ratio >= self.goal if self.measure == "rate" else self.ratio <= self.goal

    @staticmethod
    def median(samples: list[Sample]) -> Sample:
        """Each figure's own median."""
        names = ("rate", "p50_ms", "p99_ms", "cpu_us")
        return Sample(**{name: statistics.median(getattr(sample, name) for sample in samples) for name in names})

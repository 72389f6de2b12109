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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FLOORS = Path(__file__).parent / "floors"


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that process `pid` has used in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def tree_cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of processes and of all below them, ended children that were waited for included."""
    below: dict[int, list[int]] = {}
    own: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(folder.name))
        own[int(folder.name)] = sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_S
    total, waiting, seen = 0.0, list(pids), set[int]()
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            total += own.get(pid, 0.0)
            waiting += below.get(pid, [])
    return total


def percentile(values: list[float], percent: float) -> float:
    """The value that `percent` (0 to 100) of `values` do not exceed; `values` must not be empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Floor:
    """A floor's server as a child process; `.said` is the JSON line that it prints when it is ready.

    A floor that needs a database gets a path in a temporary directory of its own, which goes with it. A part of ours that is
    measured by itself is started likewise, from its own folder.
    """

    def __init__(self, script: str, *arguments: str, database: bool = False, folder: Path = FLOORS) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="floor-")
        command = [sys.executable, str(folder / script), *arguments]
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


@dataclass(frozen=True)
class Fact:
    """A row that is not a ratio of rates: a count, a time against a limit, or why there is no figure.

    Attributes:
        found, goal: as they are to be read. reached: None where there is nothing to judge.
        ours, against: the figures behind it. client: what drove it.
    """

    title: str
    found: str
    goal: str
    reached: bool | None
    ours: str = ""
    against: str = ""
    client: str = ""


@dataclass
class Comparison:
    """The gateway against a floor, a limit or a peer at one concurrency.

    Attributes:
        measure: `rate` (ours / theirs, at least `goal`) or `p50_ms` (ours / theirs, at most `goal`).
        floor, ours: run one repetition each.
        against: what the other side is. client: what drove both, or each.
    """

    title: str
    clients: int
    measure: str
    goal: float
    floor: Callable[[], Sample]
    ours: Callable[[], Sample]
    against: str = "floor"
    client: str = ""
    floor_samples: list[Sample] = field(default_factory=list)
    our_samples: list[Sample] = field(default_factory=list)

    def run(self, repetitions: int) -> "Sequence[Comparison]":
        """Run both in turns, the one that goes first changing each time, so that drift falls on both alike."""
        for repetition in range(repetitions):
            turns = [(self.floor, self.floor_samples), (self.ours, self.our_samples)]
            for once, samples in turns if repetition % 2 == 0 else reversed(turns):
                samples.append(once())
        return [self]

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


@dataclass(frozen=True)
class Conditions:
    """What a group works under.

    Attributes:
        stack: ends what the group started. seconds: length of one repetition of one side. stored: runs in a large store.
        notes: sentences for its section.
    """

    stack: ExitStack
    seconds: float
    stored: int = 500_000
    notes: list[str] = field(default_factory=list)


class Measurement(Protocol):
    """What a group is made of."""

    def run(self, repetitions: int) -> "Sequence[Comparison | Fact]":
        """Measure, and give the rows that come of it."""
        ...


@dataclass(frozen=True)
class Known:
    """Rows that need no measuring."""

    rows: "list[Comparison | Fact]"

    def run(self, repetitions: int) -> "Sequence[Comparison | Fact]":
        return self.rows


@dataclass(frozen=True)
class Against:
    """A row that a contest gives: ours against the contender `name`; the rest as in `Comparison`."""

    name: str
    title: str
    measure: str
    goal: float
    client: str


@dataclass
class Contest:
    """Several contenders and us at one concurrency, in turns.

    Attributes:
        contenders: name → one repetition; the one named `ours` is the gateway. rows: what to make of it.
    """

    clients: int
    contenders: Mapping[str, Callable[[], Sample]]
    rows: tuple[Against, ...]

    def run(self, repetitions: int) -> "Sequence[Comparison | Fact]":
        """Every repetition runs all once and begins one further on; a contender that fails is out, and its rows say why."""
        samples: dict[str, list[Sample]] = {name: [] for name in self.contenders}
        failed: dict[str, str] = {}
        names = list(self.contenders)
        for repetition in range(repetitions):
            first = repetition % len(names)
            for name in names[first:] + names[:first]:
                if name in failed:
                    continue
                try:
                    samples[name].append(self.contenders[name]())
                except (RuntimeError, OSError) as error:
                    if name == "ours":
                        raise
                    failed[name] = str(error)[-200:].replace("\n", " ").replace("|", "/")
        found: list[Comparison | Fact] = []
        for row in self.rows:
            if row.name in failed:
                goal = f"{'≥' if row.measure == 'rate' else '≤'} {row.goal:g}"
                found.append(Fact(f"{row.title}, {self.clients} at once", "failed", goal, None, "", failed[row.name], row.client))
            else:
                found.append(self._comparison(row, samples))
        return found

    def _comparison(self, row: Against, samples: Mapping[str, list[Sample]]) -> Comparison:
        return Comparison(
            row.title, self.clients, row.measure, row.goal, self.contenders[row.name], self.contenders["ours"],
            row.name, row.client, samples[row.name], samples["ours"],
        )  # fmt: skip

"""Runs as the durable engine leaves them, written through the store's own interface."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Sample

from triplane.entities import Run, RunDetail, Task, evolve
from triplane.events import Event
from triplane.ids import new_run_id
from triplane.store.interface import AuditRecord, Slice
from triplane.store.sqlite import SqliteStore, open_store

EVENTS, EVENT_BYTES = 5, 300
GROUP = 512
"""Runs that are filled in together."""
TOGETHER = 64
"""Commands in one group of a measurement."""
NAMES = ("WorkflowStarted", "ActivityScheduled", "ActivityStarted", "ActivityCompleted", "WorkflowCompleted")


def closed_runs(count: int, prefix: str = "old") -> Iterator[Slice]:
    """Slices that each open and close one run with `EVENTS` events of about `EVENT_BYTES` and one activity."""
    for number in range(count):
        now = time.time()
        run = Run(
            "default", f"{prefix}-{number}", new_run_id(now), 1, "durable", "bench.old", "bench-old", "completed", now, now,
            started=now, closed=now, history_length=EVENTS, cursor=number + 1, data={"tasks": 3, "fill": "f" * 100},
        )  # fmt: skip
        events = [
            Event(seq, now, name, "durable", "local", {"fill": "e" * EVENT_BYTES}) for seq, name in enumerate(NAMES, 1)
        ]
        detail = RunDetail(input={"codec": "avro", "blob": "A" * 100}, output={"codec": "avro", "blob": "A" * 100})
        task = Task("1", "bench.hello-1", 1, "succeeded", now, submit_num=1, detail={"kind": "activity"})
        yield Slice(cursor=number + 1, run=run, opened=True, closed=True, detail=detail, events=events, tasks=[task])


def fill(directory: Path, count: int, kept: int = 0) -> list[Run]:
    """Make a data directory with so many closed runs, about 3 KB each; gives at least `kept` of them, spread evenly."""
    store = open_store(directory)
    every = max(1, count // kept) if kept else count + 1
    runs: list[Run] = []
    try:
        group: list[Slice] = []
        for number, change in enumerate(closed_runs(count)):
            group.append(change)
            if number % every == 0 and kept and change.run is not None:
                runs.append(change.run)
            if len(group) == GROUP:
                store.writer.commit(group)
                group = []
        store.writer.commit(group)
    finally:
        store.close()
    return runs


class Commands:
    """Commands on stored runs: each appends one event, changes its run and one task, and has its line in the audit log.

    That is what a message or a worker's report makes of the store: 4 rows, where the bare limit writes 2.
    """

    def __init__(self, store: SqliteStore, runs: list[Run], event_bytes: int) -> None:
        # Commands are for open runs; what is stored of these as closed is left as it is.
        self.store, self.runs = store, [evolve(run, status="running", closed=None) for run in runs]
        self.fill = "e" * event_bytes
        self.cursor = store.last_cursor()
        self.random = random.Random(1)

    def measure(self, seconds: float) -> Sample:
        """Commands per second in groups of `TOGETHER` on random runs; latencies are of groups, from `commit` to its return.

        Making the slices is the engine's work and not timed: time and CPU are of `commit` alone.
        """
        took, cpu, latencies = 0.0, 0.0, []
        while took < seconds:
            group = [self._command(self.random.randrange(len(self.runs))) for _ in range(TOGETHER)]
            began, used = time.perf_counter(), time.process_time()
            self.store.writer.commit(group)
            latencies.append(time.perf_counter() - began)
            cpu += time.process_time() - used
            took += latencies[-1]
        return in_groups(latencies, took, cpu)

    def _command(self, number: int) -> Slice:
        now = time.time()
        run = self.runs[number]
        seq = run.history_length + 1
        self.cursor += 1
        data = {"tasks": seq, "fill": "f" * 100}
        run = self.runs[number] = evolve(run, history_length=seq, updated=now, cursor=self.cursor, data=data)
        event = Event(seq, now, "ActivityCompleted", "durable", "local", {"fill": self.fill})
        task = Task("1", "bench.hello-1", 1, "succeeded", now, submit_num=1, detail={"kind": "activity"})
        audit = AuditRecord(
            now, "durable", "127.0.0.1", "local", "default", "complete_activity", run.workflow_id, run.run_id, "", "accepted", {}
        )
        return Slice(cursor=self.cursor, run=run, events=[event], tasks=[task], audit=[audit])


def in_groups(latencies: list[float], took_s: float, cpu: float) -> Sample:
    """A sample of commands from the latencies of their groups."""
    groups = Sample.of(latencies, took_s, cpu)
    return Sample(groups.rate * TOGETHER, groups.p50_ms, groups.p99_ms, groups.cpu_us / TOGETHER)

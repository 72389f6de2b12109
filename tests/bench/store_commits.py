"""The store by itself: commands through its interface, against the least that SQLite can do for one, both in groups of 64."""

import functools
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Comparison, Conditions, Measurement, Sample
from stored_runs import TOGETHER, Commands, fill, in_groups

from triplane.store.sqlite import open_store

GOAL = 0.5
RUNS = 1_000
EVENT_BYTES = 500


class BareStore:
    """SQLite, WAL and FULL: a command inserts one event row of `EVENT_BYTES` and updates its run's row."""

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("pragma journal_mode=wal")
        self.database.execute("pragma synchronous=full")
        self.database.execute("create table run(id integer primary key, state text, seq int)")
        self.database.execute("create table event(run int, seq int, body text, primary key(run, seq)) without rowid")
        self.database.executemany("insert into run values(?, 'x', 0)", [(run,) for run in range(RUNS)])
        self.random, self.seq, self.body = random.Random(1), 0, "e" * EVENT_BYTES

    def measure(self, seconds: float) -> Sample:
        """Commands per second in groups of `TOGETHER` on random runs; latencies are of groups."""
        execute, latencies = self.database.execute, []
        cpu, start = time.process_time(), time.perf_counter()
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            execute("begin immediate")
            for _ in range(TOGETHER):
                self.seq += 1
                run = self.random.randrange(RUNS)
                execute("insert into event values(?,?,?)", (run, self.seq, self.body))
                execute("update run set seq=?, state='y' where id=?", (self.seq, run))
            execute("commit")
            latencies.append(time.perf_counter() - began)
        return in_groups(latencies, time.perf_counter() - start, time.process_time() - cpu)


def measurements(given: Conditions) -> Iterator[Measurement]:
    """One row: there is one store."""
    directory = Path(given.stack.enter_context(tempfile.TemporaryDirectory(prefix="store-")))
    runs = fill(directory / "ours", RUNS, RUNS)
    store = open_store(directory / "ours")
    given.stack.callback(store.close)
    bare = BareStore(directory / "bare.db")
    given.stack.callback(bare.database.close)
    commands = Commands(store, runs, EVENT_BYTES)
    given.notes.append(
        "A command of ours writes 4 rows (run, event, task, audit), the limit's 2; the SQLite store is the only one there is so far."
    )
    yield Comparison(
        "Durable commands/s through the store interface, 64 to a commit", 1, "rate", GOAL,
        functools.partial(bare.measure, given.seconds), functools.partial(commands.measure, given.seconds),
        "bare SQLite, 64 to a commit", "one thread of this process",
    )  # fmt: skip

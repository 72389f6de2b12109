"""kill -9 under load: how soon the first command is accepted again, and whether anything was lost or done twice."""

import asyncio
import shutil
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import uvloop
from gateway import Gateway
from harness import Comparison, Conditions, Fact, Measurement
from restart_load import CONNECTION_ERRORS, Load
from stored_runs import fill
from workflow_clients import DurableWire, Http

STORED_PER_OPEN = 10
OPEN = 10_000
CLIENTS = 16
MOST_REPETITIONS = 3
PROCESS_START_S, LOAD_FACTOR = 0.5, 3.0
DATABASE = "triplane.sqlite"
FINISH_S = 30.0
PROBE_S = 0.005
OPEN_STATUSES = ("pending", "running", "waiting")
CLIENT = "raw HTTP clients that repeat what was not answered"


@dataclass
class Found:
    """What all repetitions together found, in seconds and counts."""

    accepted_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unfinished: int = 0


def rows(found: Found, open_runs: int) -> list[Fact]:
    """Three rows: the time against its limit, what was lost, what was done twice."""
    ours, bare = statistics.median(found.accepted_s), statistics.median(found.bare_s)
    most = LOAD_FACTOR * bare + PROCESS_START_S
    limit = f"{LOAD_FACTOR:g} x bare load of the same runs ({bare:.3f} s) + {PROCESS_START_S} s"
    each = ", ".join(f"{seconds:.2f}" for seconds in found.accepted_s)
    told = f"of {found.acknowledged:,} acknowledged over {len(found.accepted_s)} kills"
    unfinished = f"; {found.unfinished} workflows did not end within {FINISH_S:g} s" if found.unfinished else ""
    return [
        Fact(
            f"kill -9 with {open_runs:,} open runs: start of the process to the first accepted command", f"{ours:.2f} s",
            f"≤ {most:.2f} s", ours <= most, f"each: {each} s", limit, CLIENT,
        ),
        Fact("Acknowledged commands lost", str(len(found.lost)), "0", not found.lost, told + unfinished, "", CLIENT),
        Fact("Effects duplicated", str(len(found.twice)), "0", not found.twice, told, "", CLIENT),
    ]  # fmt: skip


def bare_load(data: Path) -> tuple[float, int]:
    """Seconds to open a copy of a store that was killed and to read every open run with its history; how many there are."""
    with tempfile.TemporaryDirectory(prefix="bare-") as home:
        for file in data.glob(f"{DATABASE}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, home)
        began = time.perf_counter()
        database = sqlite3.connect(Path(home) / DATABASE)
        rows = database.execute("SELECT key, body FROM runs WHERE closed IS NULL")
        runs: dict[int, list[object]] = {key: [msgpack.unpackb(memoryview(body)[1:], strict_map_key=False)] for key, body in rows}
        events = database.execute(
            "SELECT h.run, h.body FROM runs r JOIN histories h ON h.run = r.key WHERE r.closed IS NULL ORDER BY h.run, h.seq"
        )
        for run, body in events:
            runs[run].append(msgpack.unpackb(memoryview(body)[1:], strict_map_key=False))
        took = time.perf_counter() - began
        database.close()
        return took, len(runs)


@dataclass
class Kills:
    """Kills one gateway several times; the runs that are open stay the same."""

    gateway: Gateway
    open_runs: int
    seconds: float

    def run(self, repetitions: int) -> "Sequence[Comparison | Fact]":
        found = Found()
        left = uvloop.run(self._open())
        for _ in range(min(repetitions, MOST_REPETITIONS)):
            uvloop.run(self._once(found))
        found.acknowledged += len(left)
        found.lost += uvloop.run(self._missing(left))
        return rows(found, self.open_runs)

    async def _open(self) -> list[str]:
        """Start the runs that stay open; their ids."""
        http = Http(self.gateway.http_port)
        ids = [f"open-{number}" for number in range(self.open_runs)]
        waiting = iter(ids)

        async def start() -> None:
            for workflow_id in waiting:
                body = {"workflow_id": workflow_id, "workflow_type": "bench.idle", "task_queue": "bench-idle"}
                await http("POST", "/api/workflows", body, DurableWire.CONTROL)

        await asyncio.gather(*[start() for _ in range(64)])
        http.close()
        return ids

    async def _missing(self, ids: list[str]) -> list[str]:
        http = Http(self.gateway.http_port)
        waiting = iter(ids)
        lost: list[str] = []

        async def look() -> None:
            for workflow_id in waiting:
                try:
                    found = await http("GET", f"/api/workflows/{workflow_id}", None, DurableWire.CONTROL)
                except RuntimeError:
                    found = {"status": "not there"}
                if found["status"] not in OPEN_STATUSES:
                    lost.append(workflow_id)

        await asyncio.gather(*[look() for _ in range(CLIENTS)])
        http.close()
        return lost

    async def _once(self, found: Found) -> None:
        load = Load(self.gateway.http_port)
        await load.prepare()
        workers = [asyncio.create_task(load.work(kind)) for kind in ("workflow", "activity") for _ in range(CLIENTS // 2)]
        starters = [asyncio.create_task(load.start_workflows(number)) for number in range(CLIENTS)]
        try:
            await asyncio.sleep(self.seconds)
            await asyncio.to_thread(self.gateway.kill)
            bare_s, runs = await asyncio.to_thread(bare_load, self.gateway.directory / "data")
            if runs < self.open_runs:
                raise RuntimeError(f"the bare load found {runs} open runs of {self.open_runs}")
            found.bare_s.append(bare_s)
            began = time.perf_counter()
            self.gateway.start_again()
            await self._first_command()
            found.accepted_s.append(time.perf_counter() - began)
            load.starting = False
            _, pending = await asyncio.wait(starters, timeout=FINISH_S)
            found.unfinished += len(pending)
            await _ask(load, found)
        finally:
            for task in [*workers, *starters]:
                task.cancel()
            ended = await asyncio.gather(*workers, *starters, return_exceptions=True)
            load.http.close()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    async def _first_command(self) -> None:
        http, workflow_id = Http(self.gateway.http_port), f"first-{uuid.uuid4().hex}"
        body = {"workflow_id": workflow_id, "workflow_type": "bench.idle", "task_queue": "bench-idle", "request_id": workflow_id}
        end = time.monotonic() + FINISH_S
        while True:
            try:
                await http("POST", "/api/workflows", body, DurableWire.CONTROL)
                break
            except CONNECTION_ERRORS:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(PROBE_S)
        http.close()


async def _ask(load: Load, found: Found) -> None:
    """Hold every acknowledgement against what the gateway says now."""
    told = load.told
    found.acknowledged += told.count
    found.twice += told.given_twice
    waiting = iter(list(told.started.items()))

    async def look() -> None:
        for workflow_id, run_id in waiting:
            path = f"/api/workflows/{workflow_id}/runs"
            try:
                runs = (await load.http("GET", path, None, DurableWire.CONTROL))["runs"]
                page = await load.http("GET", f"{path}/{run_id}/history?page_size=1000", None, DurableWire.CONTROL)
            except RuntimeError:
                found.lost.append(workflow_id)
                continue
            events = [event["event_type"] for event in page["events"]]
            lost, twice = verdict(len(runs), events, workflow_id in told.activities, workflow_id in told.completed)
            found.lost += [workflow_id] * lost
            found.twice += [workflow_id] * twice

    await asyncio.gather(*[look() for _ in range(CLIENTS)])


def verdict(runs: int, events: Sequence[str], activity: bool, completed: bool) -> tuple[int, int]:
    """How many acknowledged things a workflow lacks, and how many happened more than once.

    Args:
        runs: of the workflow. events: names in the history of its run.
        activity, completed: whether the completion of its activity, and of itself, was acknowledged.
    """
    expected = {"WorkflowStarted": True, "ActivityCompleted": activity, "WorkflowCompleted": completed}
    lost = sum(1 for name, told in expected.items() if told and name not in events)
    twice = sum(max(0, events.count(name) - 1) for name in expected) + max(0, runs - 1)
    return lost, twice


def measurements(given: Conditions) -> Iterator[Measurement]:
    """One tenth of the stored runs is open, as many as a node is meant to hold; fewer where `stored` is small."""
    open_runs = min(OPEN, given.stored // STORED_PER_OPEN)

    def prepare(data: Path) -> None:
        fill(data, open_runs * (STORED_PER_OPEN - 1))

    gateway = given.stack.enter_context(Gateway(prepare, TRIPLANE__ENGINES__DURABLE__WORKFLOW_TASK_LEASE_S="3"))
    given.notes.append(f"{open_runs:,} open runs of {open_runs * STORED_PER_OPEN:,}; workflow task leases of 3 s, so that a run ends soon.")
    yield Kills(gateway, open_runs, max(1.0, given.seconds))

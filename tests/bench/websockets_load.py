"""The Cyclus wire against bare aiohttp websockets: echo, a table, fan-out, and steps of a watched simulation."""

import asyncio
import functools
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import uvloop
from gateway import Gateway
from harness import Comparison, Conditions, Fact, Floor, Measurement, Sample, cpu_s, tree_cpu_s
from websocket_clients import SETTLE_S, Asking, Client, close, connect, frame_bytes

ECHO_P50_GOAL, ECHO_RATE_GOAL, TABLE_GOAL, FAN_GOAL, STEPS_GOAL = 4.0, 0.6, 2.0, 0.9, 0.5
ORIGINAL_STEPS_PER_S, ORIGINAL_GOAL = 182.0, 10.0
"""Steps/s of the original server with a repeating filtered `table_data`, as measured once on a box like this one."""
ECHO = json.dumps({"event": "echo", "params": {"s": "d" * 160}})
ROWS = 2_000
TABLE = json.dumps({"event": "table_data", "params": {"table": "Stores", "conds": None, "orient": "split"}})
FILTERED = """["table_data", {table = "Stores", conds = [["Time", "==", 1]], orient = "split"}]"""
FAN_TEXT = "d" * 82
FAN_ECHO = json.dumps({"event": "echo", "params": {"s": FAN_TEXT}, "data": FAN_TEXT}, separators=(",", ":"))
"""An echo of about 200 bytes as it is sent to everybody."""
PER_STEP = 4_000
"""Deliveries that one step of the fan-out's simulation causes, however many clients there are."""
STEPS_PER_S = 1_000
LEAST_SHOWN = 0.5
"""A watcher that reads slowly may be shown only the newest table; less often than this, and it is not watching."""
ENDLESS = 1_000_000
PATIENCE_S = 60.0
LOADED, SHOWN, LAST = b'"event":"loaded"', b'"event":"table_data"', b'"event":"run_finished"'
CLIENT = "raw websocket clients, one process"
CYCLUS = "TRIPLANE__ADAPTERS__CYCLUS__"
QUIET = {f"{CYCLUS}HEARTBEAT_S": "3600"}
"""A heartbeat among the answers would be taken for one."""


@dataclass(frozen=True)
class Side:
    """A server: where its websocket is, and whose CPU counts (with `children`, that of all below it too)."""

    port: int
    path: str
    pid: int
    children: bool = False

    @classmethod
    def of_floor(cls, floor: Floor, children: bool = False) -> "Side":
        return cls(floor.said["port"], "/ws", floor.pid, children)

    @classmethod
    def of(cls, gateway: Gateway, workflow_id: str, children: bool = False) -> "Side":
        return cls(gateway.http_port + 1, f"/runs/{workflow_id}", gateway.pid, children)

    def cpu_s(self) -> float:
        return tree_cpu_s([self.pid]) if self.children else cpu_s(self.pid)


# ---- one at a time ---------------------------------------------------------------------------------------------------


def measure_answers(side: Side, text: str, clients: int, seconds: float) -> Sample:
    """Answers per second to `clients` that each send `text` again as soon as it is answered."""
    return uvloop.run(_answers(side, text, clients, seconds))


async def _answers(side: Side, text: str, count: int, seconds: float) -> Sample:
    clients = await connect(Asking, side.port, side.path, count)
    try:
        size = await clients[0].one_answer(text)
        for client in clients:
            client.begin(text, size)
        await asyncio.sleep(seconds / 10)
        for client in clients:
            client.latencies.clear()
        cpu, began = side.cpu_s(), time.perf_counter()
        await asyncio.sleep(seconds)
        sample = Sample.of(list(chain(*(client.latencies for client in clients))), time.perf_counter() - began, side.cpu_s() - cpu)
        if any(client.lost for client in clients):
            raise RuntimeError("the server closed a websocket")
        return sample
    finally:
        close(clients)


def table_of(gateway: Gateway, rows: int) -> Side:
    """A simulation that has ended, whose table `Stores` has so many rows."""
    workflow_id = f"table-{uuid.uuid4().hex}"
    side = Side.of(gateway, workflow_id)
    uvloop.run(_run_to_the_end(side, workflow_id, rows))
    return side


# ---- to all ----------------------------------------------------------------------------------------------------------


def measure_fan(side: Side, begin: str, end: str, count: int, seconds: float) -> Sample:
    """Deliveries per second of frames of one length to all clients; the latencies are the mean times of one round to all."""
    return uvloop.run(_fan(side, begin, end, count, seconds))


async def _fan(side: Side, begin: str, end: str, count: int, seconds: float) -> Sample:
    control, *_ = await connect(Client, side.port, side.path, 1)
    clients = await connect(Client, side.port, side.path, count)
    try:
        control.send(begin)
        # Some frames come first that do not repeat.
        await asyncio.wait_for(_all_have(clients, 2_000), PATIENCE_S)
        size = _last_size(clients[0])
        before, cpu, began = sum(client.received for client in clients), side.cpu_s(), time.perf_counter()
        await asyncio.sleep(seconds)
        took, used = time.perf_counter() - began, side.cpu_s() - cpu
        delivered = (sum(client.received for client in clients) - before) // size
        cut = sum(client.lost for client in clients)
        control.send(end)
        if cut or not delivered:
            raise RuntimeError(f"{cut} of {count} clients were cut, and {delivered} frames came")
        each_ms = took / max(1, delivered // count) * 1e3
        return Sample(delivered / took, each_ms, each_ms, used / delivered * 1e6)
    finally:
        await asyncio.sleep(SETTLE_S)
        close([control, *clients])


async def _all_have(clients: list[Client], size: int) -> None:
    for client in clients:
        await client.until(size)


def _last_size(client: Client) -> int:
    """The length of the last whole frame in the client's first bytes."""
    last, head = 0, client.head
    while (size := frame_bytes(head)) is not None and size <= len(head):
        last, head = size, head[size:]
    return last


def measure_our_fan(gateway: Gateway, count: int, seconds: float) -> Sample:
    """The same, of the echoes that a simulation repeats after each step."""
    workflow_id = f"fan-{uuid.uuid4().hex}"
    side = Side.of(gateway, workflow_id)
    return measure_fan(side, start(workflow_id, ENDLESS), SHUTDOWN, count, seconds)


# ---- steps -----------------------------------------------------------------------------------------------------------


def start(workflow_id: str, steps: int, paused: bool = False) -> str:
    """The request that starts the bundled model."""
    params = {"type": "simulation:material_flow", "id": workflow_id, "input": {"duration": steps}, "paused": paused}
    return json.dumps({"event": "start", "params": params})


SHUTDOWN = json.dumps({"event": "shutdown", "params": {"when": "now"}})
UNPAUSE = json.dumps({"event": "unpause", "params": {}})


def measure_floor_steps(side: Side, seconds: float) -> Sample:
    """Steps per second over `STEPS_PER_S` x `seconds` steps, from the first that is shown to the last."""
    steps = round(STEPS_PER_S * seconds)
    return uvloop.run(_steps(side, f"steps {steps}", steps))


def measure_our_steps(gateway: Gateway, seconds: float) -> Sample:
    """The same, of the bundled model."""
    steps, workflow_id = round(STEPS_PER_S * seconds), f"steps-{uuid.uuid4().hex}"
    side = Side.of(gateway, workflow_id, children=True)
    return uvloop.run(_our_steps(side, workflow_id, steps))


async def _steps(side: Side, begin: str, steps: int) -> Sample:
    watcher, *_ = await connect(Watcher, side.port, side.path, 1)
    try:
        return await _watch(side, watcher, begin, steps)
    finally:
        close([watcher])


async def _our_steps(side: Side, workflow_id: str, steps: int) -> Sample:
    watcher, *_ = await connect(Watcher, side.port, f"{side.path}?status=1", 1)
    try:
        # A new process takes its time to begin; only its steps are of interest.
        watcher.send(start(workflow_id, steps, paused=True))
        await asyncio.wait_for(watcher.sees(LOADED), PATIENCE_S)
        return await _watch(side, watcher, UNPAUSE, steps)
    finally:
        close([watcher])


async def _run_to_the_end(side: Side, workflow_id: str, steps: int) -> None:
    watcher, *_ = await connect(Watcher, side.port, f"{side.path}?status=1", 1)
    try:
        watcher.send(start(workflow_id, steps))
        await asyncio.wait_for(watcher.sees(LAST), PATIENCE_S)
    finally:
        close([watcher])


async def _watch(side: Side, watcher: "Watcher", begin: str, steps: int) -> Sample:
    watcher.shown = 0
    cpu = side.cpu_s()
    watcher.send(begin)
    await asyncio.wait_for(watcher.sees(SHOWN), PATIENCE_S)
    began = time.perf_counter()
    await asyncio.wait_for(watcher.sees(LAST), PATIENCE_S)
    took = time.perf_counter() - began
    if watcher.shown < steps * LEAST_SHOWN:
        raise RuntimeError(f"the table was shown {watcher.shown} times in {steps} steps")
    return Sample.of([took / steps] * steps, took, side.cpu_s() - cpu)


class Watcher(Client):
    """Looks for words in what comes; `shown` counts the tables."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.shown, self.tail = 0, b""

    def data_received(self, data: bytes) -> None:
        self.shown += data.count(SHOWN)
        self.tail = (self.tail + data)[-16_384:]
        super().data_received(data)

    async def sees(self, word: bytes) -> None:
        """Return when `word` came.

        Raises:
            RuntimeError: the server closed the connection.
        """
        while word not in self.tail:
            if self.lost:
                raise RuntimeError(f"the server closed a websocket: {self.tail[-500:]!r}")
            self.changed.clear()
            await self.changed.wait()


# ---- the rows --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps:
    """Two rows from one comparison: beside the floor, and beside what the original does."""

    comparison: Comparison

    def run(self, repetitions: int) -> "Sequence[Comparison | Fact]":
        self.comparison.run(repetitions)
        ours = Comparison.median(self.comparison.our_samples).rate
        ratio = ours / ORIGINAL_STEPS_PER_S
        original = f"the original's {ORIGINAL_STEPS_PER_S:g} steps/s, a fixed figure and not of this run"
        return [
            self.comparison,
            Fact(
                "Steps/s beside the original", f"{ratio:.1f}", f"≥ {ORIGINAL_GOAL:g}", ratio >= ORIGINAL_GOAL,
                f"{ours:,.0f} /s", original, CLIENT,
            ),
        ]  # fmt: skip


def measurements(given: Conditions) -> Iterator[Measurement]:
    """Echo and table on one gateway; one more for each set of repeating actions, which belong to the config."""
    floor = Side.of_floor(given.stack.enter_context(Floor("websocket.py", database=True)))
    gateway = given.stack.enter_context(Gateway(**QUIET))
    ours = Side.of(gateway, "bench-echo")
    for clients, measure, goal in ((1, "p50_ms", ECHO_P50_GOAL), (16, "rate", ECHO_RATE_GOAL), (64, "rate", ECHO_RATE_GOAL)):
        yield Comparison(
            f"Websocket echo, {'p50' if measure == 'p50_ms' else 'messages/s'}", clients, measure, goal,
            functools.partial(measure_answers, floor, ECHO, clients, given.seconds),
            functools.partial(measure_answers, ours, ECHO, clients, given.seconds),
            "bare aiohttp echo", CLIENT,
        )  # fmt: skip
    yield Comparison(
        f"`table_data` of {ROWS:,} rows, p50", 1, "p50_ms", TABLE_GOAL,
        functools.partial(measure_answers, floor, "table", 1, given.seconds),
        functools.partial(measure_answers, table_of(gateway, ROWS), TABLE, 1, given.seconds),
        "SQLite read + orjson on aiohttp", CLIENT,
    )  # fmt: skip
    given.notes.append("Fan-out: the gateway writes what one step says to a client in one piece; the loop writes frame by frame.")
    for clients in (100, 1_000):
        echoes = ", ".join([f'["echo", {{s = "{FAN_TEXT}"}}]'] * (PER_STEP // clients))
        fanning = Gateway(**QUIET, **{f"{CYCLUS}REPEATING_ACTIONS": f"[{echoes}]"})
        with fanning:
            yield Comparison(
                f"Websocket fan-out ({PER_STEP // clients} echoes a step), deliveries/s", clients, "rate", FAN_GOAL,
                functools.partial(measure_fan, floor, f"fan {FAN_ECHO}", "stop", clients, given.seconds),
                functools.partial(measure_our_fan, fanning, clients, given.seconds),
                "`send_str` loop", CLIENT,
            )  # fmt: skip
    steps = Side.of_floor(given.stack.enter_context(Floor("simulation.py", database=True)), children=True)
    stepping = given.stack.enter_context(Gateway(**QUIET, **{f"{CYCLUS}REPEATING_ACTIONS": f"[{FILTERED}]"}))
    yield Steps(
        Comparison(
            "Steps/s with a repeating filtered `table_data`", 1, "rate", STEPS_GOAL,
            functools.partial(measure_floor_steps, steps, given.seconds),
            functools.partial(measure_our_steps, stepping, given.seconds),
            "pipe, commit and read", CLIENT,
        )
    )  # fmt: skip

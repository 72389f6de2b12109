"""The gateway and models' processes are killed at random while tables are announced: all that was told is what is stored, once."""

import contextlib
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from crash.contents import rows_of
from gateway_process import GatewayProcess
from triplane.models import Model, Recorder
from triplane.models.epidemic import Epidemic
from triplane.models.material_flow import MaterialFlow
from triplane.store.sqlite import open_store

CONFIG = """
[engines.simulation]
max_restarts = 1000
"""
WATCHED = {"ore": "Stores", "flu": "Incidence"}
"""Run → the table that is announced after each of its steps, where enough of something is in a row."""

ENOUGH = {"ore": ["Quantity", ">=", 0.5], "flu": ["Infected", ">=", 0.5]}


def inputs(steps: int) -> dict[str, dict[str, Any]]:
    """One run that is paced, and one that goes as fast as it can and computes ahead."""
    return {
        "ore": {"duration": steps, "pace_s": 0.004, "checkpoint_every": 7, "seed": 5},
        "flu": {"duration": 8 * steps, "checkpoint_every": 20, "noise": 0.4, "seed": 5},
    }


class Watcher(threading.Thread):
    """Has a table announced after every step, and keeps every row that it was told of, by number."""

    def __init__(self, gateway: GatewayProcess, workflow_id: str) -> None:
        super().__init__(daemon=True)
        self.gateway, self.workflow_id = gateway, workflow_id
        self.told: dict[int, list[Any]] = {}
        self.contradictions: list[Any] = []
        self.frames = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            with contextlib.suppress(OSError, EOFError, WebSocketException):
                self._watch()
            time.sleep(0.02)

    def _watch(self) -> None:
        action = ["table_data", {"table": WATCHED[self.workflow_id], "conds": [ENOUGH[self.workflow_id]]}]
        with connect(f"ws://localhost:{self.gateway.websocket_port}/runs/{self.workflow_id}", max_size=None) as socket:
            socket.send(json.dumps({"event": "set_repeating_actions", "params": {"actions": [action]}}))
            while not self.done.is_set():
                with contextlib.suppress(TimeoutError):
                    frame = json.loads(socket.recv(timeout=0.5))
                    if frame["event"] == "table_data" and isinstance(frame["data"], dict):
                        self.frames += 1
                        for number, row in zip(frame["data"]["index"], frame["data"]["data"], strict=True):
                            if self.told.setdefault(number, row) != row:
                                self.contradictions.append((number, self.told[number], row))


@pytest.mark.parametrize(
    ("rounds", "steps"),
    [pytest.param(2, 300, id="reduced"), pytest.param(12, 2_000, id="full", marks=[pytest.mark.full, pytest.mark.timeout(900)])],
)
def test_what_was_announced_is_stored_once_however_often_gateway_and_models_are_killed(tmp_path: Path, rounds: int, steps: int) -> None:
    choice = random.Random(os.urandom(8))
    with GatewayProcess(tmp_path, CONFIG) as gateway:
        watchers = {}
        for workflow_id, source in inputs(steps).items():
            definition = {"model": "material_flow" if workflow_id == "ore" else "epidemic", "input": source}
            (gateway.definitions / f"{workflow_id}.json").write_text(json.dumps(definition))
            status, answer = gateway.http(
                "POST", "/api/workflows", {"workflow_id": workflow_id, "workflow_type": f"simulation:{workflow_id}"}
            )
            assert status == 201, answer
            watchers[workflow_id] = Watcher(gateway, workflow_id)
            watchers[workflow_id].start()
        for _ in range(rounds):
            before = watchers["ore"].frames
            until = time.monotonic() + 60
            while watchers["ore"].frames < before + 10 and is_open(gateway, "ore"):
                assert time.monotonic() < until, gateway.output[-3_000:]
                time.sleep(0.01)
            time.sleep(choice.uniform(0.0, 0.3))
            for pid in choice.sample(family := descendants(gateway.pid), min(len(family), choice.randrange(1, 3))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(choice.uniform(0.0, 0.2))
            orphans = descendants(gateway.pid)
            gateway.stop(signal.SIGKILL)
            await_end(orphans)
            gateway.start()
        until = time.monotonic() + 600
        while is_open(gateway, "ore") or is_open(gateway, "flu"):
            assert time.monotonic() < until, gateway.output[-3_000:]
            time.sleep(0.1)
        time.sleep(0.2)
        for watcher in watchers.values():
            watcher.done.set()
            watcher.join(10)
        views = {workflow_id: json.loads(gateway.cli("show", workflow_id, "--json").stdout) for workflow_id in watchers}
    store = open_store(gateway.data_dir)
    try:
        for workflow_id, model in (("ore", MaterialFlow()), ("flu", Epidemic())):
            run = views[workflow_id]["run"]
            assert run["run_number"] == 1 and run["status"] == "completed", views[workflow_id]
            expected = computed(model, inputs(steps)[workflow_id])
            assert set(store.tables.names(run["run_id"])) == set(expected)
            for table, rows in expected.items():
                stored = rows_of(store, run["run_id"], table)
                assert [number for number, _ in stored] == list(range(len(rows))), table
                assert [json.loads(json.dumps(row[1:])) for _, row in stored] == rows, table
            watcher = watchers[workflow_id]
            assert watcher.told and not watcher.contradictions
            announced = expected[WATCHED[workflow_id]]
            assert all(row[1:] == announced[number] for number, row in watcher.told.items())
    finally:
        store.close()


def computed(model: Model, source: dict[str, Any]) -> dict[str, list[Any]]:
    """All rows of a run that nobody disturbs, by table, without their first column and as JSON has them."""
    recorder = Recorder()
    rows: dict[str, list[Any]] = {}
    steps = model.load(source, "", recorder)
    recorder.declare(model.tables)
    for number in range(steps + 1):
        if number:
            model.step(number, recorder)
        if number == steps:
            model.finish(recorder)
        for table in recorder.take():
            rows.setdefault(table["table"], []).extend(json.loads(json.dumps(row[1:])) for row in table["rows"])
    return rows


def is_open(gateway: GatewayProcess, workflow_id: str) -> bool:
    status, answer = gateway.http("GET", f"/api/workflows/{workflow_id}")
    assert status == 200, answer
    return answer["status"] in ("pending", "running", "waiting")


def descendants(pid: int) -> list[int]:
    """The processes that come from this one: keepers and models."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, thread.read_text().split()):
                found += [child, *descendants(child)]
    return found


def await_end(pids: list[int]) -> None:
    """Models do not outlive the gateway."""
    until = time.monotonic() + 10
    while any(lives(pid) for pid in pids):
        assert time.monotonic() < until, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids if lives(pid)]
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False

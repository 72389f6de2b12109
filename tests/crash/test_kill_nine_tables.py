"""The gateway is killed while a model appends and a client reads: no row that was shown is lost, doubled or changed."""

import contextlib
import json
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
from triplane.store.interface import TABLE_PAGE_ROWS
from triplane.store.sqlite import open_store

TABLES = ("Stores", "Flows")


class Watcher(threading.Thread):
    """Reads what is new of the tables, again and again, and keeps every row that it was shown."""

    def __init__(self, gateway: GatewayProcess) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.shown: dict[str, list[tuple[int, tuple[Any, ...]]]] = {table: [] for table in TABLES}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            with contextlib.suppress(OSError, EOFError, WebSocketException):
                self.watch()
            time.sleep(0.02)

    def watch(self) -> None:
        with connect(f"ws://localhost:{self.gateway.websocket_port}/runs/ore", max_size=None) as socket:
            while not self.done.is_set():
                for table, shown in self.shown.items():
                    after = shown[-1][0] if shown else -1
                    socket.send(json.dumps({"event": "table_data", "params": {"table": table, "after": after}}))
                    while (frame := json.loads(socket.recv()))["event"] != "table_data":
                        pass
                    if isinstance(frame["data"], dict):
                        shown += zip(frame["data"]["index"], map(tuple, frame["data"]["data"]), strict=True)


@pytest.mark.parametrize(
    ("kills", "steps"), [pytest.param(2, 1_500, id="reduced"), pytest.param(25, 30_000, id="full", marks=[pytest.mark.full])]
)
def test_every_row_that_was_shown_is_there_once_after_every_kill(tmp_path: Path, kills: int, steps: int) -> None:
    choice = random.Random()
    with GatewayProcess(tmp_path) as gateway:
        definition = {"model": "material_flow", "input": {"duration": steps, "checkpoint_every": 50}}
        (gateway.definitions / "ore.json").write_text(json.dumps(definition))
        gateway.cli("start", "simulation:ore", "--id", "ore")
        watcher = Watcher(gateway)
        watcher.start()
        for kill in range(1, kills + 1):
            least = steps * kill * choice.uniform(0.7, 0.95) / (kills + 1)
            until = time.monotonic() + 120
            while len(watcher.shown["Stores"]) < least:
                assert watcher.is_alive() and time.monotonic() < until, gateway.output[-2_000:]
                time.sleep(0.002)
            gateway.stop(signal.SIGKILL)
            gateway.start()
        until = time.monotonic() + 240
        while len(watcher.shown["Stores"]) < steps:
            assert watcher.is_alive() and time.monotonic() < until, gateway.output[-2_000:]
            time.sleep(0.02)
        time.sleep(0.2)
        watcher.done.set()
        watcher.join(10)
        view = json.loads(gateway.cli("show", "ore", "--json").stdout)
        assert view["run"]["run_number"] == 1 and view["run"]["status"] == "completed"
    store = open_store(gateway.data_dir)
    try:
        for table, shown in watcher.shown.items():
            stored = rows_of(store, view["run"]["run_id"], table)
            assert [number for number, _ in stored] == list(range(len(stored)))
            assert shown == stored
            chunks = store.tables.chunks(view["run"]["run_id"], table, 0, len(stored), 1 << 40)
            assert all(chunk.row_count == TABLE_PAGE_ROWS for chunk in chunks if chunk.first_row + TABLE_PAGE_ROWS <= len(stored))
        times = [row[2] for _, row in rows_of(store, view["run"]["run_id"], "Stores")]
        assert sorted(times) == times and set(range(1, steps + 1)) <= set(times)
    finally:
        store.close()

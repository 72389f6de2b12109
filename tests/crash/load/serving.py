"""A `triplane serve` process that can be killed at any moment and started again on the same data."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from gateway_process import free_ports

READY_S = 60.0
HEADERS = {"X-Durable-Workflow-Control-Plane-Version": "2"}

GRAPH = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        R1 = endless => waits
[runtime]
    [[endless]]
        script = sleep 86400
    [[waits]]
        script = true
"""

SIMULATION = {
    "model": "material_flow",
    "input": {
        "duration": 100_000, "pace_s": 3_600, "seed": 1,
        "sources": [{"name": "Mine", "commodity": "ore", "capacity": 6.0}],
        "sinks": [{"name": "Mill", "commodity": "ore", "demand": 8.0}],
    },
}  # fmt: skip

CONFIG = """
[gateway]
data_dir = "{directory}/data"
[definitions]
directories = ["{directory}/definitions"]
[jobs]
run_dir = "{directory}/cylc-run"
[adapters.durable]
port = {http}
[adapters.cylc]
host = "localhost"
ports = [{first}, {last}]
expose = []
[adapters.cyclus]
port = {websocket}
[adapters.web]
enabled = false
"""


class ServedGateway:
    """`command serve` on ports and a data directory that stay the same over restarts.

    Attributes:
        faces: where the runs' Cylc faces are.
    """

    def __init__(self, directory: Path, *command: str, **environment: str) -> None:
        self.directory, self.faces = directory, directory / "cylc-run"
        self.data = directory / "data"
        first = free_ports(12)[0]
        self.http, self.websocket = f"http://127.0.0.1:{first}", f"ws://127.0.0.1:{first + 1}"
        definitions = directory / "definitions"
        (definitions / "bench").mkdir(parents=True)
        (definitions / "bench" / "flow.cylc").write_text(GRAPH)
        (definitions / "material.json").write_text(json.dumps(SIMULATION))
        self.config = directory / "triplane.toml"
        self.config.write_text(
            CONFIG.format(directory=directory, http=first, websocket=first + 1, first=first + 2, last=first + 11)
        )
        self.command = command or (sys.executable, "-m", "triplane.cli.main")
        self.environment = {**os.environ, "HOME": str(directory), **environment}
        self.log = directory / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; `ready` says when it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip

    async def ready(self) -> None:
        """Return once `GET /api/ready` answers 200."""
        end = time.monotonic() + READY_S
        async with aiohttp.ClientSession() as session:
            while True:
                assert self.process is not None
                assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.tail()}"
                assert time.monotonic() < end, f"the gateway is not ready after {READY_S:g} s:\n{self.tail()}"
                with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError):
                    async with session.get(f"{self.http}/api/ready", timeout=aiohttp.ClientTimeout(5)) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def face(self, workflow_id: str) -> None:
        """Return once this process, not one before it, has written the run's contact file."""
        assert self.process is not None
        contact, pid = self.faces / workflow_id / ".service" / "contact", f"CYLC_WORKFLOW_PID={self.process.pid}\n"
        end = time.monotonic() + READY_S
        while not contact.exists() or pid not in contact.read_text():
            assert time.monotonic() < end, f"{workflow_id} has no face after {READY_S:g} s:\n{self.tail()}"
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    async def stop(self, within_s: float = 15.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, within_s)

    def end(self) -> None:
        """Whatever state it is in, it and its jobs are gone afterwards."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for status in self.faces.glob("*/log/job/*/*/[0-9]*/job.status"):
            facts = dict(line.split("=", 1) for line in status.read_text().splitlines() if "=" in line)
            if "CYLC_JOB_EXIT" not in facts and facts.get("CYLC_JOB_ID", "").isdigit():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(facts["CYLC_JOB_ID"]), signal.SIGKILL)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4_000:] if self.log.exists() else ""

    async def post(self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and decoded body."""
        async with session.post(f"{self.http}{path}", json=body, headers=HEADERS) as answer:
            return answer.status, await answer.json()

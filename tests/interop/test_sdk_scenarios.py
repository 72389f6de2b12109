"""Workflows through the real Worker, all in their middle when the worker or the gateway is killed: every one still ends right.

`make test` kills the worker of one version and the gateway of the other; `make test-all` does both for both.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from gateway_process import GatewayProcess
from interop.clients import SDK_212, SDK_290, ForeignClient, bin_dir

PROGRAMS = Path(__file__).parent / "programs"
CONFIG = """
[engines.durable]
workflow_task_lease_s = 5
activity_lease_s = 3
[nexus.shop.orders]
echo = {workflow_type = "c-echo", task_queue = "scenarios"}
gated = {workflow_type = "c-gated", task_queue = "scenarios"}
"""
END_S = 150.0
LEAST = 55

pytestmark = pytest.mark.timeout(300)


class Programs:
    """The worker and the driver, each a process of its own with the SDK of one version."""

    def __init__(self, client: ForeignClient, gateway: GatewayProcess, gates: Path) -> None:
        self._python, self._url, self.gates = bin_dir(client) / "python", f"http://127.0.0.1:{gateway.http_port}", gates
        gates.mkdir()
        self._environment = {**os.environ, "SCENARIO_GATES": str(gates)}
        self._log = (gates / "worker.log").open("ab")
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
        self._log.close()

    def names(self) -> list[str]:
        """Every scenario, as the programs know them."""
        code = "import json, scenarios; print(json.dumps(list(scenarios.all_scenarios())))"
        environment = {**self._environment, "PYTHONPATH": str(PROGRAMS)}
        said = subprocess.run([self._python, "-c", code], capture_output=True, text=True, env=environment, check=True)
        names: list[str] = json.loads(said.stdout)
        return names

    def worker(self) -> subprocess.Popen[str]:
        command = [self._python, PROGRAMS / "scenarios_worker.py", self._url]
        process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=self._environment, text=True)
        self._running.append(process)
        return process

    def driver(self, names: list[str]) -> subprocess.Popen[str]:
        command = [self._python, PROGRAMS / "scenarios_driver.py", self._url, json.dumps(names)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment, text=True)
        self._running.append(process)
        return process


def outcomes(client: ForeignClient, kill: str, home: Path) -> dict[str, str | None]:
    """Run all scenarios with one kill in their middle; what was wrong with each."""
    with GatewayProcess(home, CONFIG) as gateway, Programs(client, gateway, home / "gates") as programs:
        worker = programs.worker()
        driver = programs.driver(programs.names())
        assert driver.stdin is not None and driver.stdout is not None
        assert driver.stdout.readline() == "middle\n"
        if kill == "gateway":
            gateway.stop(signal.SIGKILL)
            gateway.start()
        else:
            worker.kill()
            worker.wait()
            programs.worker()
        (programs.gates / "open").touch()
        said, _ = driver.communicate("go on\n", timeout=END_S)
    return {line["name"]: line["error"] for line in map(json.loads, said.splitlines())}


def all_end_right(client: ForeignClient, kill: str, home: Path) -> None:
    seen = outcomes(client, kill, home)
    assert len(seen) >= LEAST
    wrong = [f"{name}: {error}" for name, error in seen.items() if error]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("client", "kill"), [(SDK_290, "worker"), (SDK_212, "gateway")], ids=["290-worker", "212-gateway"])
def test_every_scenario_outlives_a_kill(client, kill, tmp_path):
    all_end_right(client, kill, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(("client", "kill"), [(SDK_290, "gateway"), (SDK_212, "worker")], ids=["290-gateway", "212-worker"])
def test_every_scenario_outlives_the_other_kill(client, kill, tmp_path):
    all_end_right(client, kill, tmp_path)

"""A worker queue as a platform: tasks of a graph done by a real SDK worker, and killed by the real Cylc client."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from gateway_process import GatewayProcess
from interop import clients
from interop.test_durable_sdk import PROGRAMS

DEADLINE_S = 60.0

GRAPH = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = \"\"\"
            fit => after
            bad:failed => rescue
            beat:failed => last
        \"\"\"
[runtime]
    [[fit, bad, beat]]
        platform = queue:jobs
        [[[environment]]]
            DEPTH = 3
    [[after, rescue, last]]
"""


def states(gateway: GatewayProcess) -> dict[str, str]:
    view = json.loads(gateway.cli("show", "hands", "--json").stdout)
    return {"": view["run"]["status"], **{task["name"]: task["state"] for task in view["tasks"]}}


def until(gateway: GatewayProcess, what: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds(seen := states(gateway)):
        assert time.monotonic() < end, f"it never came true that {what}: {seen}\n{gateway.output[-3_000:]}"
        time.sleep(0.2)


def test_workers_do_the_jobs_of_a_graph_and_cylc_kills_one(gateway_process: GatewayProcess):
    folder = gateway_process.definitions / "hands"
    folder.mkdir()
    (folder / "flow.cylc").write_text(GRAPH)
    gateway_process.cli("start", "graph:hands", "--id", "hands")
    until(gateway_process, "three jobs wait for a worker", lambda seen: list(seen.values()).count("submitted") == 3)
    # Found again after a crash, not offered twice.
    gateway_process.stop(signal.SIGKILL)
    gateway_process.start()
    url = f"http://127.0.0.1:{gateway_process.http_port}"
    command = [str(clients.sdk_212() / "python"), str(PROGRAMS / "durable_jobs.py"), url, "jobs"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        try:
            until(gateway_process, "the worker has one that does not end", lambda seen: seen.get("beat") == "running")
            until(gateway_process, "the others are done", lambda seen: seen.get("after") == seen.get("rescue") == "succeeded")
            assert states(gateway_process)["fit"] == "succeeded" and states(gateway_process)["bad"] == "failed"
            cylc = clients.cylc()
            killed = subprocess.run(
                [str(cylc / "cylc"), "kill", "hands//1/beat"], env=clients.environment_of(cylc, gateway_process.home),
                capture_output=True, text=True, timeout=40, check=False,
            )  # fmt: skip
            assert killed.returncode == 0, killed.stderr
            until(gateway_process, "the run goes on without it", lambda seen: seen[""] == "completed")
        finally:
            said, complained = worker.communicate("", timeout=30)
    did = json.loads(said.splitlines()[-1]) if said else complained
    assert did == {
        "given": [{"CYLC_TASK_JOB": "1/fit/01", "CYLC_WORKFLOW_ID": "hands", "DEPTH": "3"}], "stopped": ["ActivityCancelled"],
    }, complained  # fmt: skip

"""Jobs through a real Slurm of one node: submitted, tracked, killed, ended at their time limit, and never submitted twice."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess
from interop.slurm_node import SlurmNode

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]

DEADLINE_S = 200.0

PLATFORM = """
[platforms.cluster]
job_runner = "slurm"
submission_polling_intervals = "PT2S"
execution_polling_intervals = "PT2S"
execution_time_limit_polling_intervals = "PT5S"
kill_grace_s = 5
"""

GRAPH = """
[scheduler]
    allow implicit tasks = True
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = {graph}
[runtime]
    [[root]]
        platform = cluster
        script = echo "$SLURM_JOB_ID $CYLC_TASK_JOB" >> "$CYLC_WORKFLOW_SHARE_DIR/ran"; {script}
        {settings}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[SlurmNode, GatewayProcess]]:
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, SlurmNode(Path(folder) / "node") as node:
        with GatewayProcess(Path(folder) / "home", PLATFORM, {"SLURM_CONF": str(node.config)}) as gateway:
            yield node, gateway


def start(gateway: GatewayProcess, name: str, graph: str, script: str, settings: str = "") -> Path:
    folder = gateway.definitions / name
    folder.mkdir()
    (folder / "flow.cylc").write_text(GRAPH.format(graph=graph, script=script, settings=settings))
    gateway.cli("start", f"graph:{name}", "--id", name)
    return gateway.home / "cylc-run" / name


def until(cluster: tuple[SlurmNode, GatewayProcess], name: str, what: str, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    node, gateway = cluster
    end = time.monotonic() + DEADLINE_S
    while not holds(view := json.loads(gateway.cli("show", name, "--json").stdout)):
        assert time.monotonic() < end, f"it never came true that {what}: {view['jobs']}\n{node.log}\n{gateway.output[-3_000:]}"
        time.sleep(0.3)
    return view


def state_of(view: dict[str, Any], name: str) -> str:
    return next((task["state"] for task in view["tasks"] if task["name"] == name), "")


def queued(node: SlurmNode) -> list[str]:
    done = subprocess.run(
        ["squeue", "--noheader", "--format=%i"], env={**os.environ, "SLURM_CONF": str(node.config)},
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_jobs_go_through_the_queue_and_report(cluster):
    _, gateway = cluster
    directory = start(gateway, "through", "a => b & c", "sleep 1", "[[[directives]]]\n--requeue =\n")
    view = until(cluster, "through", "the run is completed", lambda view: view["run"]["status"] == "completed")
    ids = {job["name"]: job["job_id"] for job in view["jobs"]}
    ran = dict(reversed(line.split()) for line in (directory / "share/ran").read_text().splitlines())
    assert ran == {f"1/{name}/01": job_id for name, job_id in ids.items()}
    log = directory / "log/job/1/a/01"
    assert "CYLC_JOB_RUNNER_NAME=slurm" in (log / "job.status").read_text() and "INFO - succeeded" in (log / "job.out").read_text()
    assert "#SBATCH --requeue\n" in (log / "job").read_text()


def test_a_killed_job_is_gone_from_the_queue_and_has_failed(cluster):
    node, gateway = cluster
    start(gateway, "killed", "a", "sleep 300")
    until(cluster, "killed", "the job runs", lambda view: state_of(view, "a") == "running")
    assert gateway.cli("stop", "killed", "--kill").returncode == 0
    view = until(cluster, "killed", "the run is terminated", lambda view: view["run"]["status"] == "terminated")
    assert [job["state"] for job in view["jobs"]] == ["failed"]
    assert not queued(node)


def test_a_job_over_its_time_limit_has_failed(cluster):
    _, gateway = cluster
    # Slurm counts in minutes, and looks now and then.
    start(gateway, "late", "a:failed => b", 'test "$CYLC_TASK_NAME" = b || sleep 300', "execution time limit = PT1M")
    view = until(cluster, "late", "the run is completed", lambda view: view["run"]["status"] == "completed")
    assert {job["name"]: job["state"] for job in view["jobs"]} == {"a": "failed", "b": "succeeded"}


def test_jobs_are_found_again_after_a_kill_and_run_once(cluster):
    _, gateway = cluster
    directory = start(gateway, "again", "a & b & c & d", "sleep 2")
    time.sleep(0.3)
    gateway.stop(signal.SIGKILL)
    gateway.start()
    until(cluster, "again", "the run is completed", lambda view: view["run"]["status"] == "completed")
    ran = [line.split()[1] for line in (directory / "share/ran").read_text().splitlines()]
    assert sorted(ran) == [f"1/{name}/01" for name in "abcd"]


def test_what_slurm_refuses_is_a_failed_submission_that_says_why(cluster):
    _, gateway = cluster
    start(gateway, "refused", "a:submit-failed? => b", "true", "[[[directives]]]\n--partition = nowhere\n")
    view = until(cluster, "refused", "the submission has failed", lambda view: state_of(view, "a") == "submit-failed")
    history = json.loads(gateway.cli("show", "refused", "--history", "--json").stdout)
    (reason,) = {event["data"]["reason"] for event in history if event["data"].get("task") == "1/a" and "reason" in event["data"]}
    assert "slurm refused the job" in reason and view["jobs"]

"""Real jobs of a real gateway process: they report over ZeroMQ, and the real Cylc 8.5.4 sees and steers them."""

import json
import signal
import subprocess
import sys
import time

import pytest

from interop import clients

DEADLINE_S = 30.0

CHAIN = '''
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = first => second => third
[runtime]
    [[first]]
        script = """
            while [[ ! -e "$CYLC_WORKFLOW_RUN_DIR/../../go" ]]; do sleep 0.1; done
            cylc_bin/cylc message "WARNING: low on disk"; "${TRIPLANE_MESSAGE_COMMAND[@]}" "CUSTOM:half way"
        """
    [[second, third]]
        script = sleep 0.1
'''

SLOW = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = slow => after
[runtime]
    [[slow]]
        script = while [[ ! -e "$CYLC_WORKFLOW_RUN_DIR/../../go" ]]; do sleep 0.1; done
    [[after]]
        script = true
"""


@pytest.fixture
def gateway(gateway_process):
    for name, text in (("chain", CHAIN.replace("cylc_bin", str(clients.cylc()))), ("slow", SLOW)):
        folder = gateway_process.definitions / name
        folder.mkdir()
        (folder / "flow.cylc").write_text(text)
    return gateway_process


def cylc(gateway, *arguments, stdin=""):
    folder = clients.cylc()
    environment = clients.environment_of(folder, gateway.home)
    return subprocess.run(
        [str(folder / "cylc"), *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=40, check=False
    )


def until(what, holds):
    end = time.monotonic() + DEADLINE_S
    while not (value := holds()):
        assert time.monotonic() < end, f"within {DEADLINE_S:g} s it never came true that {what}"
        time.sleep(0.05)
    return value


def status_of(gateway, workflow_id):
    shown = json.loads(gateway.cli("show", workflow_id, "--json").stdout)
    return (shown.get("run") or shown)["status"]


def contact(gateway, workflow_id):
    return gateway.home / "cylc-run" / workflow_id / ".service" / "contact"


def test_a_graph_runs_on_what_its_jobs_report_and_the_client_sees_each_held_and_released(gateway):
    gateway.cli("start", "graph:chain", "--id", "demo")
    until("the face is open", contact(gateway, "demo").exists)
    assert cylc(gateway, "hold", "demo//1/second").returncode == 0
    (gateway.home / "go").touch()
    until("the held task is all that is left", lambda: "1/second:waiting (held)" in cylc(gateway, "dump", "-t", "demo").stdout)
    query = {"request_string": "{ jobs { id state messages } }"}
    jobs = json.loads(cylc(gateway, "client", "demo", "graphql", stdin=json.dumps(query)).stdout)["jobs"]
    (first,) = [job for job in jobs if job["id"].endswith("//1/first/01")]
    assert first["state"] == "succeeded"
    assert sorted(text.rpartition(":")[2].strip() for text in first["messages"]) == ["half way", "low on disk"]
    assert cylc(gateway, "release", "demo//1/second").returncode == 0
    until("the run is completed", lambda: status_of(gateway, "demo") == "completed")
    until("its contact file is gone", lambda: not contact(gateway, "demo").exists())
    out = (gateway.home / "cylc-run" / "demo" / "log" / "job" / "1" / "first" / "NN" / "job.out").read_text()
    assert "INFO - started" in out and "CUSTOM - half way" in out and "INFO - succeeded" in out


def test_a_job_that_ends_while_the_gateway_is_dead_is_found_and_the_run_goes_on(gateway):
    gateway.cli("start", "graph:slow", "--id", "demo")
    until("the job runs", lambda: contact(gateway, "demo").exists() and "1/slow:running" in cylc(gateway, "dump", "-t", "demo").stdout)
    gateway.stop(signal.SIGKILL)
    (gateway.home / "go").touch()
    status = gateway.home / "cylc-run" / "demo" / "log" / "job" / "1" / "slow" / "01" / "job.status"
    until("the job has ended", lambda: "CYLC_JOB_EXIT=SUCCEEDED" in status.read_text())
    gateway.start()
    until("the run is completed", lambda: status_of(gateway, "demo") == "completed")
    assert sorted(path.name for path in status.parents[2].iterdir()) == ["after", "slow"]
    assert [path.name for path in status.parents[1].iterdir() if path.name != "NN"] == ["01"], "it was not run twice"
    assert "CYLC_JOB_INIT_TIME" in status.read_text()


def test_a_killed_job_fails_and_a_run_stopped_now_leaves_its_job_and_plays_on(gateway):
    gateway.cli("start", "graph:slow", "--id", "demo")
    until("the job runs", lambda: contact(gateway, "demo").exists() and "1/slow:running" in cylc(gateway, "dump", "-t", "demo").stdout)
    stop = cylc(gateway, "stop", "--now", "--max-polls=10", "--interval=1", "demo")
    assert stop.returncode == 0, stop.stderr
    assert status_of(gateway, "demo") == "cancelled"
    gateway.cli("play", "demo")
    until("the next run has a face", contact(gateway, "demo").exists)
    assert "1/slow:running" in cylc(gateway, "dump", "-t", "demo").stdout
    assert cylc(gateway, "kill", "demo//1/slow").returncode == 0
    until("the task has failed", lambda: "1/slow:failed" in cylc(gateway, "dump", "-t", "demo").stdout)
    assert cylc(gateway, "stop", "--kill", "demo").returncode == 0
    until("the run is terminated", lambda: status_of(gateway, "demo") == "terminated")


def test_a_message_by_hand_over_the_wire_is_like_the_jobs_own(gateway):
    gateway.cli("start", "graph:slow", "--id", "demo")
    until("the job runs", lambda: contact(gateway, "demo").exists() and "1/slow:running" in cylc(gateway, "dump", "-t", "demo").stdout)
    command = [sys.executable, "-m", "triplane_cylc", "--", "demo", "1/slow/01", "by hand"]
    environment = clients.environment_of(clients.cylc(), gateway.home)
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert said.returncode == 0 and "INFO - by hand" in said.stdout, said.stderr
    query = json.dumps({"request_string": "{ jobs { messages } }"})
    assert "by hand" in cylc(gateway, "client", "demo", "graphql", stdin=query).stdout
    cylc(gateway, "stop", "--kill", "demo")


def test_the_real_cat_log_shows_every_file_of_a_job(gateway):
    (gateway.home / "go").touch()
    gateway.cli("start", "graph:chain", "--id", "demo")
    until("the run is completed", lambda: status_of(gateway, "demo") == "completed")
    shown = {letter: cylc(gateway, "cat-log", "-f", letter, "demo//1/first") for letter in "joesa"}
    assert {letter: done.returncode for letter, done in shown.items()} == dict.fromkeys("joesa", 0), shown
    assert shown["j"].stdout.startswith("#!/bin/bash -l\n") and "CYLC_JOB_EXIT=SUCCEEDED" in shown["s"].stdout
    assert "CUSTOM - half way" in shown["o"].stdout and "WARNING - low on disk" in shown["e"].stdout
    assert "[jobs-submit ret_code] 0" in shown["a"].stdout

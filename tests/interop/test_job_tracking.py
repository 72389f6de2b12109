"""Jobs that report over ZeroMQ, over ssh and by being polled, here and on a job host behind a real sshd, by our client and by Cylc's."""

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_process import GatewayProcess
from interop import clients
from interop.loopback_ssh import HOST, LoopbackSsh
from left_jobs import end_jobs

DEADLINE_S = 60.0

PLATFORMS = """
[platforms.localhost]
ssh_command = "{back}"
message_command = "{message}"
submission_polling_intervals = "PT5S"
[platforms.near]
message_command = "{message}"
[platforms.far]
hosts = ["{host}"]
ssh_command = "{there}"
message_command = "{message}"
retrieve_job_logs = true
[platforms.shelled]
hosts = ["{host}"]
ssh_command = "{there}"
message_command = "{message}"
communication_method = "ssh"
[platforms.silent]
hosts = ["{host}"]
ssh_command = "{there}"
message_command = "{message}"
communication_method = "poll"
submission_polling_intervals = "PT1S"
execution_polling_intervals = "PT1S"
[platforms.vacating]
message_command = "{message}"
vacation_signals = ["USR1"]
[platforms.forgetful]
hosts = ["{host}"]
ssh_command = "{there}"
message_command = "{message}"
submission_polling_intervals = "PT1S"
execution_polling_intervals = "PT1S"
[platforms.timed]
hosts = ["{host}"]
ssh_command = "{noted} {there}"
message_command = "{message}"
communication_method = "poll"
submission_polling_intervals = "PT1S"
execution_polling_intervals = "PT1S, 2*PT3S, PT2S"
"""

ALL_WAYS = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = near:ready => far:ready => shelled:ready => silent:ready => last
[runtime]
    [[root]]
        script = "{say} -- $CYLC_WORKFLOW_ID $CYLC_TASK_JOB 'it is ready' 'CUSTOM:by {say}'; echo $HOME; tool"
        [[[outputs]]]
            ready = it is ready
    [[near]]
        platform = near
    [[far]]
        platform = far
    [[shelled]]
        platform = shelled
    [[silent]]
        platform = silent
    [[last]]
        platform = near
"""


CASES = '''
[scheduler]
    allow implicit tasks = True
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = """
            killed_here:failed & killed_there:failed & killed_silent:failed => after_kill
            late:failed => after_limit
            tried => after_try
            vacated => after_vacation
        """
[runtime]
    [[root]]
        platform = near
    [[KILLED]]
        script = sleep 300
    [[killed_here]]
        inherit = KILLED
    [[killed_there]]
        inherit = KILLED
        platform = shelled
    [[killed_silent]]
        inherit = KILLED
        platform = silent
    [[late]]
        platform = far
        script = sleep 300
        execution time limit = PT1S
    [[tried]]
        platform = shelled
        script = test "$CYLC_TASK_TRY_NUMBER" -gt 1
        execution retry delays = PT1S
    [[vacated]]
        platform = vacating
        script = until test -e "$CYLC_WORKFLOW_SHARE_DIR/go"; do sleep 0.1; done
'''

LOST = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = lost:ready => last
[runtime]
    [[lost]]
        platform = forgetful
        # From here on nothing that the job says is heard.
        script = "rm $CYLC_WORKFLOW_RUN_DIR/.service/client.key_secret; {say} -- $CYLC_WORKFLOW_ID $CYLC_TASK_JOB 'it is ready' || true"
        [[[outputs]]]
            ready = it is ready
    [[last]]
        platform = near
"""

TIMED = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = timed
[runtime]
    [[timed]]
        platform = timed
        script = sleep 13
"""


class House:
    """A gateway, a job host, and the platforms between them."""

    def __init__(self, directory: Path, message: str) -> None:
        self.message = message
        # What a job host has on its path: our client and Cylc's.
        tools = directory / "tools"
        tools.mkdir(parents=True)
        (tools / "triplane").write_text(f'#!/bin/sh\nshift\nexec {shlex.quote(sys.executable)} -m triplane_cylc "$@"\n')
        (tools / "cylc").write_text(f'#!/bin/sh\nexec {clients.cylc()}/cylc "$@"\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.ssh = LoopbackSsh(directory / "ssh", directory / "home", str(tools))
        self.polls = directory / "polls"
        noted = directory / "noted"
        noted.write_text(f'#!/bin/sh\ndate +%s.%N >>{self.polls}\nexec "$@"\n')
        noted.chmod(0o755)
        text = PLATFORMS.format(noted=noted, back=self.ssh.to_gateway, there=self.ssh.to_job_host, host=HOST, message=message)
        self.gateway = GatewayProcess(directory / "home", text)
        (directory / "home" / ".bash_profile").write_text(f"export PATH={tools}:$PATH\n")

    def __enter__(self) -> "House":
        self.ssh.__enter__()
        self.gateway.__enter__()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.gateway.__exit__(*arguments)
        self.ssh.__exit__(*arguments)
        end_jobs(self.ssh.home)

    def start(self, name: str, text: str) -> None:
        folder = self.gateway.definitions / name
        (folder / "bin").mkdir(parents=True)
        (folder / "flow.cylc").write_text(text)
        (folder / "bin" / "tool").write_text("#!/bin/sh\necho from the tool\n")
        (folder / "bin" / "tool").chmod(0o755)
        self.gateway.cli("start", str(folder), "--id", name)

    def view(self, name: str) -> dict[str, Any]:
        """The run as `triplane show --json` has it."""
        return json.loads(self.gateway.cli("show", name, "--json").stdout)

    def jobs(self, name: str) -> dict[str, dict[str, Any]]:
        """`NAME/NN` → the job."""
        return {f"{job['name']}/{job['submit_num']:02d}": job for job in self.view(name)["jobs"]}

    def until(self, name: str, what: str, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until the run is as `holds` says; the run."""
        end = time.monotonic() + DEADLINE_S
        while not holds(view := self.view(name)):
            states = {f"{job['name']}/{job['submit_num']}": (job["state"], job["messages"]) for job in view["jobs"]}
            assert time.monotonic() < end, f"it never came true that {what}:\n{states}\n{self.gateway.output[-3_000:]}"
            time.sleep(0.2)
        return view

    def history(self, name: str) -> list[dict[str, Any]]:
        """All events of the run."""
        return json.loads(self.gateway.cli("show", name, "--history", "--json").stdout)

    def cylc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the real Cylc client."""
        folder = clients.cylc()
        environment = clients.environment_of(folder, self.gateway.home)
        return subprocess.run([str(folder / "cylc"), *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False)

    def log(self, name: str, job: str, remote: bool = False) -> Path:
        """A job's directory, here or on the job host."""
        home = self.ssh.home if remote else self.gateway.home
        return home / "cylc-run" / name / "log" / "job" / "1" / job


def is_completed(view: dict[str, Any]) -> bool:
    return bool(view["run"]["status"] == "completed")


OURS = pytest.mark.parametrize("house", ["triplane message"], indirect=True)
# Each call of Cylc's client is a second of work.
BOTH = pytest.mark.parametrize(
    "house", ["triplane message", pytest.param("cylc message", marks=pytest.mark.full)], indirect=True
)


@pytest.fixture(scope="module", params=["triplane message", "cylc message"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("tracking"), request.param) as house:
        yield house


def test_one_workflow_reports_by_every_method_from_here_and_from_a_job_host(house: House):
    house.start("ways", ALL_WAYS.format(say=house.message))
    house.until("ways", "the run is completed", is_completed)
    jobs = house.jobs("ways")
    assert {name: job["state"] for name, job in jobs.items()} == dict.fromkeys(
        ["near/01", "far/01", "shelled/01", "silent/01", "last/01"], "succeeded"
    )
    # Only what was never sent is found by a poll.
    told = f"by {house.message}"
    assert {name: job["messages"] for name, job in jobs.items()} == {
        "near/01": [told], "far/01": [told], "shelled/01": [told], "silent/01": [f"{told} (polled)"], "last/01": [told],
    }  # fmt: skip
    for name in ("far", "shelled", "silent"):
        there = house.log("ways", f"{name}/01", remote=True)
        assert f"{house.ssh.home}\nfrom the tool" in (there / "job.out").read_text()
        assert "CYLC_JOB_EXIT=SUCCEEDED" in (there / "job.status").read_text()
    # Only this platform's logs are fetched; a job host gets keys only where jobs use them, and they are its own.
    assert "from the tool" in (house.log("ways", "far/01") / "job.out").read_text()
    assert not (house.log("ways", "silent/01") / "job.out").exists()
    # What jobs could report with is taken back when the run is closed.
    service = house.log("ways", "far/01", remote=True).parents[4] / ".service"
    house.until("ways", "the job host has no contact file", lambda view: not (service / "contact").exists())
    assert sorted(file.name for file in service.iterdir()) == ["triplane"]


def states(view: dict[str, Any]) -> dict[str, str]:
    return {task["name"]: task["state"] for task in view["tasks"]}


@BOTH
def test_killed_late_retried_and_vacated_jobs_end_in_the_right_state(house: House):
    house.start("cases", CASES)
    killed = ("killed_here", "killed_there", "killed_silent")
    house.until("cases", "those to be killed run", lambda view: {states(view).get(name) for name in killed} == {"running"})
    done = house.cylc("kill", "cases//1/KILLED")
    assert done.returncode == 0, done.stderr
    house.until("cases", "the vacated one runs", lambda view: states(view).get("vacated") == "running")
    log = house.log("cases", "vacated/01")
    os.kill(int(house.jobs("cases")["vacated/01"]["job_id"]), signal.SIGUSR1)
    house.until("cases", "it waits for its runner again", lambda view: states(view).get("vacated") == "submitted")
    assert "CYLC_JOB_ID" not in (log / "job.status").read_text(), "what the lost try wrote is no news"
    # What its runner would do.
    (house.log("cases", "vacated/01").parents[4] / "share" / "go").touch()
    with (log / "job.out").open("ab") as out, (log / "job.err").open("ab") as errors:
        subprocess.Popen([str(log / "job")], stdout=out, stderr=errors, env=house.gateway.environment, start_new_session=True)
    view = house.until("cases", "the run is completed", is_completed)
    assert states(view) == dict.fromkeys([*killed, "late"], "failed") | dict.fromkeys(
        ["after_kill", "after_limit", "tried", "after_try", "vacated", "after_vacation"], "succeeded"
    )
    assert {name: job["state"] for name, job in house.jobs("cases").items() if name.startswith("tried")} == {
        "tried/01": "failed", "tried/02": "succeeded",
    }  # fmt: skip
    told = {event["data"]["task"]: event["data"].get("reason") for event in house.history("cases") if event["name"] == "JobFailed"}
    assert told["1/late"] == "XCPU" and {told[f"1/{name}"] for name in killed} <= {"TERM", "ERR"}, told


@BOTH
def test_messages_that_were_lost_are_found_by_polls(house: House):
    house.start("lost", LOST.format(say=house.message))
    house.until("lost", "the run is completed", is_completed)
    assert [event["data"]["output"] for event in house.history("lost") if event["name"] == "OutputCompleted"] == ["ready"]
    assert house.jobs("lost")["lost/01"]["state"] == "succeeded"


RESTARTED = """
[scheduling]
    cycling mode = integer
    initial cycle point = 1
    final cycle point = 1
    [[graph]]
        P1 = far & shelled => last
[runtime]
    [[root]]
        script = until test -e "$CYLC_WORKFLOW_SHARE_DIR/go"; do sleep 0.1; done
    [[far]]
        platform = far
    [[shelled]]
        platform = shelled
    [[last]]
        platform = near
        script = true
"""


@OURS
def test_a_gateway_that_was_killed_hears_the_jobs_on_a_job_host_again(house: House):
    house.start("again", RESTARTED)
    house.until("again", "both run", lambda view: [*states(view).values()].count("running") == 2)
    house.gateway.stop(signal.SIGKILL)
    house.gateway.start()
    service = house.log("again", "far/01", remote=True).parents[4] / ".service"
    contact = house.gateway.home / "cylc-run" / "again" / ".service" / "contact"
    house.until("again", "the job host knows the new process", lambda view: (service / "contact").read_text() == contact.read_text())
    (service.parent / "share" / "go").touch()
    house.until("again", "the run is completed", is_completed)
    done = {name: job["state"] for name, job in house.jobs("again").items()}
    assert done == dict.fromkeys(["far/01", "shelled/01", "last/01"], "succeeded")


@OURS
def test_polls_come_at_the_contracts_times(house: House):
    house.start("timed", TIMED)
    house.until("timed", "the job runs", lambda view: states(view).get("timed") == "running")
    first = len(house.polls.read_text().split())
    house.until("timed", "the run is completed", is_completed)
    polls = [float(word) for word in house.polls.read_text().split()][first - 1 :]
    gaps = [later - earlier for earlier, later in itertools.pairwise(polls)]
    # From when it was seen to run: 1, 3, 3, then every 2 seconds. One that comes late makes the next gap shorter, never another late.
    assert len(gaps) >= 5
    assert all(seen > due - 0.8 for seen, due in zip(gaps[:5], [1, 3, 3, 2, 2], strict=True)), gaps

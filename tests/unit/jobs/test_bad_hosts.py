"""Hosts that cannot be reached, hang, babble or have no room, jobs that detach, and a clock that jumps."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from triplane.commands import PollTasks
from triplane.jobs.background import BackgroundRunner
from triplane.jobs.hosts import HostCommands, Unreachable
from triplane.jobs.platforms import PlatformSettings
from triplane.jobs.program import BrokenAnswer, Placed, Program
from unit.graph.simulated import once
from unit.jobs.gateway_with_jobs import QUICK, GatewayWithJobs, until


def far(ssh: Path, **settings: object) -> PlatformSettings:
    """A platform whose ssh is a program of the test's own."""
    return QUICK.model_copy(update={"hosts": ("far",), "ssh_command": str(ssh), "command_timeout_s": 1.0, **settings})


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# An ssh that runs what it is given on this machine, with another home, as long as the file `up` is there.
LOCAL_SSH = 'test -e {up} || exit 255; shift; HOME={home} exec /bin/sh -c "$*"'


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Home of the job host that `tmp_path / "ssh"` leads to, while `tmp_path / "up"` is there."""
    home = tmp_path / "home" / "far"
    home.mkdir(parents=True)
    (tmp_path / "up").touch()
    program(tmp_path / "ssh", LOCAL_SSH.format(up=tmp_path / "up", home=home))
    return home


async def test_a_host_that_cannot_be_reached_is_a_failed_submission_and_nobody_else_waits(tmp_path: Path):
    gone = program(tmp_path / "gone", "echo 'ssh: connect to host far port 22: No route to host' >&2; exit 255")
    async with GatewayWithJobs(tmp_path, localhost=QUICK, far=far(gone)) as house:
        await house.run(once("a & b") + "[runtime]\n[[a]]\nplatform = far\n[[b]]\n")
        await until("both are settled", lambda: house.states() in ({"1/a": "submit-failed", "1/b": "succeeded"}, {"1/a": "submit-failed"}))
        reason = house.view().jobs[("1", "a", 1)].data["reason"]
        assert "far" in reason and "No route to host" in reason


async def test_an_ssh_that_hangs_holds_up_no_other_platform_and_is_cut_off(tmp_path: Path):
    hanging = program(tmp_path / "hanging", f"echo $$ >> {tmp_path}/pids; sleep 600")
    async with GatewayWithJobs(tmp_path, localhost=QUICK, far=far(hanging, commands_at_once=1)) as house:
        await house.run(once("a & b & c => d") + "[runtime]\n[[a, b]]\nplatform = far\n[[c, d]]\n")
        await until("others go on", lambda: house.states().get("1/c") == "succeeded")
        await until("the hanging ones are given up", lambda: [*house.states().values()].count("submit-failed") == 2)
        assert "no answer within 1 s" in house.view().jobs[("1", "a", 1)].data["reason"]
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    await until("nothing of it is left", lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids))


async def test_a_host_that_never_stops_talking_is_cut_off():
    commands = HostCommands(1)
    with pytest.raises(Unreachable, match="an answer of more than"):
        await commands.run(QUICK, "localhost", "cat /dev/zero")
    commands.close()


async def test_a_login_shell_that_babbles_is_no_answer_and_no_harm(tmp_path: Path, host: Path):
    program(tmp_path / "ssh", f'echo "Welcome to far! @ 0 id 666"; shift; HOME={host} exec /bin/sh -c "$*"')
    async with GatewayWithJobs(tmp_path, far=far(tmp_path / "ssh", command_timeout_s=20.0)) as house:
        await house.run(once("a") + "[runtime]\n[[a]]\nplatform = far\n")
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed" and house.view().jobs[("1", "a", 1)].job_id != "666"


def test_what_a_host_calls_a_job_or_itself_is_never_run_by_a_shell():
    program = Program(BackgroundRunner())
    jobs = [Placed("/x", "01", "$(touch /tmp/never)")]
    text = program.poll(jobs)
    assert "touch" not in text and "0 - /x" in text
    token = next(line.partition("=")[2] for line in text.splitlines() if line.startswith("TOKEN="))
    said = program.read(f"{token} 0 id $(touch /tmp/never)\n{token} whole\n".encode())[0]
    assert said.job_id is None and said.reason
    with pytest.raises(BrokenAnswer):
        program.read(f"{token} 0 id 7\n".encode())


async def test_a_host_that_is_away_for_a_while_loses_no_job(tmp_path: Path, host: Path):
    wait = 'script = while ! test -e "$CYLC_WORKFLOW_SHARE_DIR/go"; do sleep 0.1; done\n'
    async with GatewayWithJobs(tmp_path, far=far(tmp_path / "ssh", command_timeout_s=20.0)) as house:
        await house.run(once("a") + f"[runtime]\n[[a]]\nplatform = far\n{wait}")
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        (tmp_path / "up").unlink()
        await until("polls fail", lambda: "poll failed (polled)" in house.view().jobs[("1", "a", 1)].messages)
        assert house.states() == {"1/a": "running"}, "a poll that fails is no news of the job"
        (host / "cylc-run/demo/share/go").touch()
        (tmp_path / "up").touch()
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed"
        assert house.view().jobs[("1", "a", 1)].messages == ("poll failed (polled)",), "it is said once"


async def test_a_jobs_files_that_were_removed_are_a_failure_that_says_so(tmp_path: Path, host: Path):
    async with GatewayWithJobs(tmp_path, far=far(tmp_path / "ssh", command_timeout_s=20.0)) as house:
        await house.run(once("a") + "[runtime]\n[[a]]\nplatform = far\nscript = sleep 30\n")
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        shutil.rmtree(host / "cylc-run/demo/log/job")
        await until("the job has failed", lambda: house.states() == {"1/a": "failed"})
        assert house.view().jobs[("1", "a", 1)].data["run_signal"] == "ERR_JOB_FILES_REMOVED"


async def test_a_directory_on_a_host_that_is_not_ours_is_left_alone(tmp_path: Path, host: Path):
    (host / "cylc-run/demo").mkdir(parents=True)
    (host / "cylc-run/demo/flow.cylc").write_text("somebody's")
    async with GatewayWithJobs(tmp_path, far=far(tmp_path / "ssh", command_timeout_s=20.0)) as house:
        await house.run(once("a") + "[runtime]\n[[a]]\nplatform = far\n")
        await until("the submission has failed", lambda: house.states() == {"1/a": "submit-failed"})
        assert "belongs to something else" in house.view().jobs[("1", "a", 1)].data["reason"]
    assert [path.name for path in (host / "cylc-run/demo").iterdir()] == ["flow.cylc"]


@pytest.fixture
def full_disk(tmp_path: Path, host: Path) -> Iterator[Path]:
    """`~/cylc-run` of the job host, on a small file system with no room left once `full` is called for."""
    place = host / "cylc-run"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.fail(f"a small tmpfs is needed, and cannot be mounted: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def fill(place: Path) -> None:
    with contextlib.suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4_096)


async def test_a_job_host_with_a_full_disk_fails_the_submission_and_a_running_job_is_still_found(tmp_path: Path, full_disk: Path):
    wait = "script = while ! test -e /tmp/never; do sleep 0.1; done\n"
    async with GatewayWithJobs(tmp_path, far=far(tmp_path / "ssh", command_timeout_s=20.0)) as house:
        await house.run(once("a => b") + f"[runtime]\n[[a]]\nplatform = far\n{wait}[[b]]\nplatform = far\n")
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        fill(full_disk)
        house.define("second", once("a") + "[runtime]\n[[a]]\nplatform = far\n")
        await house.run(once("a") + "[runtime]\n[[a]]\nplatform = far\n", workflow_id="second")
        await until("the submission has failed", lambda: house.states("second") == {"1/a": "submit-failed"})
        reason = house.view("second").jobs[("1", "a", 1)].data["reason"]
        assert "No space left" in reason or "cannot be installed" in reason, reason
        assert house.states() == {"1/a": "running"}
        # It dies without room for a last word.
        os.killpg(int(house.view().jobs[("1", "a", 1)].job_id), 9)
        await until("its end is found", lambda: house.states() == {"1/a": "failed"})


async def test_a_job_that_forks_and_detaches_ends_when_its_script_does(tmp_path: Path):
    script = 'script = setsid sh -c "sleep 30" >/dev/null 2>&1 &\n'
    async with GatewayWithJobs(tmp_path) as house:
        await house.run(once("a") + f"[runtime]\n[[a]]\n{script}")
        begun = time.monotonic()
        await until("the run is closed", lambda: not house.view().run.is_open)
        assert house.view().run.status == "completed" and time.monotonic() - begun < 25


async def test_a_wall_clock_that_jumps_changes_no_poll_and_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with GatewayWithJobs(tmp_path) as house:
        share = house.run_dir / "demo" / "share"
        await house.run(once("a => b") + '[runtime]\n[[a]]\nscript = while ! test -e "$CYLC_WORKFLOW_SHARE_DIR/go"; do sleep 0.1; done\n')
        await until("the job runs", lambda: house.states() == {"1/a": "running"})
        clock = house.gateway.bus.clock
        for jump in (-86_400.0, 86_400.0):
            monkeypatch.setattr(type(clock), "now", lambda self, jump=jump: time.time() + jump)
            await house.gateway.bus.send(PollTasks(workflow_id="demo", task_globs=("1/a",)))
            await asyncio.sleep(0.5)
            assert house.states() == {"1/a": "running"}
        (share / "go").touch()
        await until("the run is closed", lambda: not house.view().run.is_open)
        jobs = house.view().jobs.values()
        assert all(job.submitted <= job.started <= job.finished for job in jobs)

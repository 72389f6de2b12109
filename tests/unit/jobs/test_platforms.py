"""`[platforms.NAME]`: what is wrong is named by its path; and job runners that a plug-in brings."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from triplane.config import ConfigError, load, model_for
from triplane.jobs.background import BackgroundRunner
from triplane.jobs.platforms import PlatformSettings
from triplane.jobs.program import Placed, Program
from triplane.jobs.runner import JobRequest
from triplane.jobs.service import JobService, UnknownPlatformParts
from triplane.jobs.slurm import SlurmRunner
from unit.graph.simulated import once
from unit.jobs.gateway_with_jobs import QUICK, GatewayWithJobs, until


@pytest.mark.parametrize(
    ("line", "path", "message"),
    [
        ('hosts = ["-oProxyCommand=touch x"]', "platforms.far.hosts", "pattern"),
        ("hosts = []", "platforms.far.hosts", "at least 1"),
        ('hosts = ["localhost", "other"]', "platforms.far", "shares no file system"),
        ("ssh_command = \"ssh 'open\"", "platforms.far.ssh_command", "not a command line"),
        ('ssh_command = " "', "platforms.far.ssh_command", "empty command"),
        ('communication_method = "Pigeon"', "platforms.far.communication_method", "pattern"),
        ('execution_polling_intervals = "10 minutes"', "platforms.far.execution_polling_intervals", "polling interval"),
        ('execution_time_limit_polling_intervals = "PT0S"', "platforms.far.execution_time_limit_polling_intervals", "shorter"),
        ('message_command = "curl"', "platforms.far.message_command", "cylc message"),
        ('job_access = ["admin"]', "platforms.far.job_access", "operator"),
        ('install_target = "elsewhere"', "platforms.far.install_target", "pattern"),
        ('vacation_signals = ["USR1; rm"]', "platforms.far.vacation_signals", "pattern"),
        ("command_timeout_s = 0", "platforms.far.command_timeout_s", "greater than 0"),
        ('job_host = "x"', "platforms.far.job_host", "[Uu]nknown|not permitted|no such"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path(line: str, path: str, message: str, tmp_path: Path):
    file = tmp_path / "triplane.toml"
    file.write_text(f"[platforms.far]\n{line}\n")
    with pytest.raises(ConfigError, match=message) as raised:
        load(model_for({}, {}, PlatformSettings), file, {})
    assert any(problem.path.startswith(path) for problem in raised.value.problems), raised.value


def test_the_platform_localhost_is_this_machine(tmp_path: Path):
    with pytest.raises(UnknownPlatformParts, match="platforms.localhost.hosts"):
        problems = JobService(tmp_path, {"localhost": PlatformSettings(communication_method="poll", hosts=("far",))})
        problems.begin({})


class Abacus:
    """A runner of somebody's own: a queue of one, in a file, worked off by nobody but the submission itself."""

    name: ClassVar[str] = "abacus"
    is_bound_to_host: ClassVar[bool] = False
    identity: ClassVar[str] = "${ABACUS_ID}"
    submit: ClassVar[str] = """
        [ "$JOB_NAME" = "refused.1.demo" ] && { echo "no beads left" >&2; return 1; }
        ABACUS_ID=bead-$$ setsid ./job >>job.out 2>>job.err </dev/null &
        echo "bead-$$"
    """
    find: ClassVar[str] = """
        while read -r index id directory; do grep -q CYLC_JOB_EXIT= "$directory/job.status" || echo "$index"; done
    """
    kill: ClassVar[str] = "cat >/dev/null"

    def head(self, request: JobRequest) -> Sequence[str]:
        return [f"#ABACUS {request.name} {request.time_limit_s}"]


async def test_a_runner_of_ones_own_is_three_pieces_of_shell(tmp_path: Path):
    house = GatewayWithJobs(tmp_path, localhost=QUICK.model_copy(update={"job_runner": "abacus"}))
    house.runners["abacus"] = Abacus()
    async with house:
        await house.run(once("a => b & refused?") + "[runtime]\n[[a, b, refused]]\n")
        settled = {"1/a": "succeeded", "1/b": "succeeded", "1/refused": "submit-failed"}
        await until("all are settled", lambda: {key: job.state for key, job in house.view().jobs.items()} == {
            (*key.split("/"), 1): state for key, state in settled.items()
        })  # fmt: skip
        jobs = house.view().jobs
        assert jobs[("1", "a", 1)].job_id.startswith("bead-")
        assert jobs[("1", "refused", 1)].data["reason"] == "abacus refused the job: no beads left"
        assert (house.job("1/a/01") / "job").read_text().splitlines()[1] == "#ABACUS a.1.demo None"
        assert f"CYLC_JOB_ID={jobs[('1', 'a', 1)].job_id}" in (house.job("1/a/01") / "job.status").read_text()


def test_slurm_gets_our_directives_first_and_a_tasks_own_after_them():
    request = JobRequest("a.1.demo", {"--nodes": "2", "--requeue": "", "--output": "mine"}, 90.0)
    assert list(SlurmRunner().head(request)) == [
        "#SBATCH --job-name=a.1.demo",
        "#SBATCH --output=mine",
        "#SBATCH --error=job.err",
        "#SBATCH --open-mode=append",
        "#SBATCH --time=1:30",
        "#SBATCH --nodes=2",
        "#SBATCH --requeue",
    ]


def test_every_piece_of_shell_parses_in_a_plain_sh(tmp_path: Path):
    for runner in (BackgroundRunner(), SlurmRunner()):
        jobs = [Placed("/x/y", "01", "7", script="echo 'hello'\n", name="a", time_limit_s=5.0)]
        for text in (Program(runner).submit(jobs, "far"), Program(runner).poll(jobs), Program(runner).kill(jobs, 1.0)):
            file = tmp_path / "program"
            file.write_text(text)
            assert os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-n", str(file)]) == 0

"""Job scripts, run by bash as a job host would."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triplane.jobs.places import JobPlace, write_job
from triplane.jobs.script import JobContext, job_script
from triplane.jobs.status import read_status

RECORDER = """#!/bin/sh
printf '%s\\n' "$*" >>"$CYLC_WORKFLOW_RUN_DIR/told"
exit "${RECORDER_STATUS:-0}"
"""


class Job:
    """A job in a directory of its own."""

    def __init__(self, directory: Path, scripts: dict[str, str], command: tuple[str, ...] = (), **spec: Any) -> None:
        self.place = JobPlace(directory / "run", "3", "model", 2)
        self.home = directory
        whole = {
            "scripts": scripts, "environment": {}, "families": ["FAM", "root"], "flow_nums": "[1]",
            "initial": "1", "final": "9", "utc_mode": True, **spec,
        }  # fmt: skip
        self._context = JobContext(self.place, "demo", "origin", "poll", command, {}, whole)
        write_job(self.place, job_script(self._context))

    def write_again(self, **settings: Any) -> None:
        """Write the script anew, with what the job's runner or platform says."""
        (self.place.directory / "job").unlink()
        write_job(self.place, job_script(replace(self._context, **settings)))

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.place.directory / "job")],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def status(self) -> dict[str, str]:
        return read_status(self.place.status).values

    @property
    def told(self) -> list[str]:
        return (self.place.run_directory / "told").read_text().splitlines()


def test_all_parts_run_in_order_in_the_works_directory(tmp_path: Path):
    parts = ("init-script", "env-script", "pre-script", "script", "post-script", "exit-script")
    outcome = Job(tmp_path, {part: f"echo {part}" for part in parts} | {"script": "echo script; basename $PWD; touch kept"}).run()
    assert outcome.stdout.split() == [*parts[:4], "model", *parts[4:]]
    assert outcome.returncode == 0 and (tmp_path / "run/work/3/model/kept").exists()


def test_a_job_knows_what_it_is(tmp_path: Path):
    names = "CYLC_WORKFLOW_ID CYLC_TASK_JOB CYLC_TASK_NAMESPACE_HIERARCHY CYLC_TASK_SUBMIT_NUMBER CYLC_TASK_FLOW_NUMBERS TZ"
    outcome = Job(tmp_path, {"script": f"for name in {names}; do echo ${{!name}}; done"}).run()
    assert outcome.stdout.splitlines() == ["demo", "3/model/02", "root FAM model", "2", "1", "UTC"]


def test_environment_values_are_expanded_and_never_end_early(tmp_path: Path):
    environment = {
        "A": "$CYLC_TASK_NAME and more", "B": 'say "hi"', "C": "~/x y", "D": "ends with \\", "E": "`echo run`", "F": "a\nb",
    }  # fmt: skip
    script = 'for name in A B C D E F; do echo "<${!name}>"; done'
    outcome = Job(tmp_path, {"script": script}, environment=environment).run()
    assert outcome.stdout.splitlines() == [
        "<model and more>", '<say "hi">', f"<{tmp_path}/x y>", "<ends with \\>", "<run>", "<a", "b>",
    ]  # fmt: skip


def test_a_polled_job_writes_its_life_into_job_status(tmp_path: Path):
    job = Job(tmp_path, {"script": "true"})
    job.run()
    assert {"CYLC_JOB_PID", "CYLC_JOB_INIT_TIME", "CYLC_JOB_EXIT_TIME"} <= set(job.status)
    assert job.status["CYLC_JOB_EXIT"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("scripts", "exit_word"),
    [
        ({"script": "false; echo never"}, "ERR"),
        ({"script": "echo $UNSET_VARIABLE"}, "ERR"),
        ({"script": "false | cat"}, "ERR"),
        ({"init-script": "false"}, "ERR"),
        ({"exit-script": "false"}, "ERR"),
        ({"script": "exit 3"}, "ERR"),
        ({"script": "kill -TERM $BASHPID; sleep 1"}, "ERR"),
        ({"script": "kill -XCPU $$; sleep 1"}, "XCPU"),
        ({"script": "kill -TERM $$; sleep 1"}, "TERM"),
        ({"init-script": "exit 0"}, "EXIT"),
    ],
)
def test_a_bad_end_is_told_with_its_signal(scripts: dict[str, str], exit_word: str, tmp_path: Path):
    job = Job(tmp_path, {**scripts, "err-script": 'echo "err-script: $1"'})
    outcome = job.run()
    assert outcome.returncode == 1
    assert job.status["CYLC_JOB_EXIT"] == exit_word
    assert outcome.stdout.splitlines()[-1] == f"err-script: {exit_word}"


def test_a_job_reports_by_its_message_command(tmp_path: Path):
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    Job(tmp_path, {"script": "true"}, (str(recorder), "message")).run()
    job = Job(tmp_path, {"script": "true"}, (str(recorder), "message"))
    assert job.told == ["message -- demo 3/model/02 started", "message -- demo 3/model/02 succeeded"]


def test_what_the_message_command_could_not_send_is_written_down(tmp_path: Path):
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    job = Job(tmp_path, {"script": "false"}, (str(recorder),))
    job.run(RECORDER_STATUS="1")
    assert job.told == ["-- demo 3/model/02 started", "-- demo 3/model/02 CRITICAL: failed/ERR"]
    assert job.status["CYLC_JOB_EXIT"] == "ERR" and "CYLC_JOB_INIT_TIME" in job.status


def test_a_message_command_that_is_not_there_loses_nothing(tmp_path: Path):
    job = Job(tmp_path, {"script": "true"}, ("/nowhere/triplane", "message"))
    assert job.run().returncode == 0
    assert job.status["CYLC_JOB_EXIT"] == "SUCCEEDED"


def test_a_script_that_its_runner_was_given_twice_runs_once_and_again_only_as_the_same_job(tmp_path: Path):
    job = Job(tmp_path, {"script": "echo ran"})
    job.write_again(identity="${QUEUE_ID}")
    assert "ran" in job.run(QUEUE_ID="7").stdout
    second = job.run(QUEUE_ID="8")
    assert second.stdout == "" and second.returncode == 0
    assert "ran" in job.run(QUEUE_ID="7").stdout, "its runner may start it again after taking it off its machine"


def test_a_vacated_job_drops_what_it_wrote_and_says_so(tmp_path: Path):
    job = Job(tmp_path, {"script": "kill -USR1 $$; sleep 5"})
    job.write_again(vacation_signals=("USR1",))
    assert job.run().returncode == 1
    text = job.place.status.read_text()
    assert "CYLC_JOB_" not in text and "|WARNING|vacated/USR1" in text


def test_an_environment_filter_a_work_directory_and_a_calendar_are_as_the_task_says(tmp_path: Path):
    outcome = Job(
        tmp_path,
        {"script": 'echo "${A-none} ${B-none} ${C-none}"; basename "$PWD"; echo "$ISODATETIMECALENDAR $CYLC_TASK_TRY_NUMBER"'},
        environment={"A": "1", "B": "2", "C": "3"},
        environment_include=("A", "B"),
        environment_exclude=("B",),
        work_sub_directory="shared/$CYLC_TASK_CYCLE_POINT",
        cycling_mode="360day",
        try_number=3,
    ).run()
    assert outcome.stdout.splitlines() == ["1 none none", "3", "360day 3"]

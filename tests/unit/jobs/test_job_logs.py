"""What jobs wrote is read in bounded pieces, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from triplane.commands.jobs import ReadJobLog
from triplane.entities import Job, Run, RunDetail, Task
from triplane.errors import TaskNotFound
from triplane.jobs.logs import job_of, read_log
from triplane.queries import RunView

JOB = Job("1", "model", 2, 1, "succeeded", "localhost")
RUN = Run("default", "w", "r", 1, "graph", "w", "", "running", 0.0, 0.0)
VIEW = RunView(RUN, RunDetail(), {("1", "model"): Task("1", "model", 1, "succeeded", 0.0, submit_num=2)}, {JOB.key: JOB})


def wanted(**fields: Any) -> ReadJobLog:
    return ReadJobLog(**{"workflow_id": "w", "cycle": "1", "task": "model", **fields})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "log" / "job" / "1" / "model" / "02"
    folder.mkdir(parents=True)
    (folder / "job.out").write_bytes(b"0123456789\xff")
    return tmp_path


def test_the_end_is_read_first_and_more_from_where_one_was(directory: Path) -> None:
    end = read_log(directory, JOB, wanted(limit=3))
    assert (end["text"], end["offset"], end["next"], end["size"]) == ("89\ufffd", 8, 11, 11)
    assert read_log(directory, JOB, wanted(offset=2, limit=3))["text"] == "234"
    assert read_log(directory, JOB, wanted(offset=999))["text"] == ""


def test_a_file_that_is_not_here_is_said_to_be_missing(directory: Path) -> None:
    with pytest.raises(TaskNotFound, match="job.err"):
        read_log(directory, JOB, wanted(file="job.err"))


def test_a_link_that_a_job_left_is_not_followed(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (directory / "log/job/1/model/02/job.err").symlink_to(tmp_path / "secret")
    with pytest.raises(TaskNotFound):
        read_log(directory, JOB, wanted(file="job.err"))


def test_only_jobs_that_the_run_has_are_looked_for() -> None:
    assert job_of(VIEW, wanted()) is JOB and job_of(VIEW, wanted(submit_num=2)) is JOB
    for fields in ({"submit_num": 1}, {"task": "../../etc"}, {"cycle": ".."}):
        with pytest.raises(TaskNotFound):
            job_of(VIEW, wanted(**fields))


@pytest.mark.parametrize("file", ["../job.out", "/etc/passwd", "job.out/..", ""])
def test_only_four_files_have_names(file: str) -> None:
    with pytest.raises(ValidationError):
        wanted(file=file)

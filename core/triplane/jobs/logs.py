"""What jobs wrote, read in bounded pieces. Only files with fixed names, of jobs that the run has."""

import os
from pathlib import Path
from typing import Any

from triplane.commands.jobs import ReadJobLog
from triplane.entities import Job
from triplane.errors import TaskNotFound
from triplane.jobs.places import JobPlace
from triplane.queries import RunView


def job_of(view: RunView, command: ReadJobLog) -> Job:
    """The job that a request names: of that submit number, or the task's newest.

    Raises:
        TaskNotFound: the run has no such job (any more).
    """
    number = command.submit_num
    if number is None:
        task = view.tasks.get((command.cycle, command.task))
        number = task.submit_num if task is not None else 0
    job = view.jobs.get((command.cycle, command.task, number))
    if job is None:
        raise TaskNotFound(f"the run has no job {command.cycle}/{command.task}/{number:02d}"[:300])
    return job


def read_log(run_directory: Path, job: Job, command: ReadJobLog) -> dict[str, Any]:
    """A piece of one of a job's files; blocks, so it belongs into a thread.

    Returns:
        `{"text", "offset", "size", "submit_num", "file"}`: bytes that are no UTF-8 are replaced; `size` is the whole file's.

    Raises:
        TaskNotFound: there is no such file on this machine.
    """
    place = JobPlace(run_directory, job.cycle, job.name, job.submit_num)
    path = place.directory / command.file
    try:
        # A job could put a link where its output is to be: it is not followed out of the run's directory.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise TaskNotFound(f"{place.job} has no {command.file} on the gateway's machine (on {job.platform}, or gone)") from error
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = max(size - command.limit, 0) if command.offset is None else min(command.offset, size)
        file.seek(offset)
        content = file.read(command.limit)
    return {
        "text": content.decode("utf-8", "replace"), "offset": offset, "next": offset + len(content), "size": size,
        "submit_num": job.submit_num, "file": command.file,
    }  # fmt: skip

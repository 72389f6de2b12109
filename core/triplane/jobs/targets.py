"""Where each job went: what must be known of it when it is looked for again, kept beside its script on the gateway's machine."""

import os

from pydantic import BaseModel, ConfigDict, ValidationError

from triplane.jobs.places import JobPlace

FILE = "job.target"


class JobTarget(BaseModel):
    """One job's host and settings.

    Attributes:
        host: where it was submitted, or is about to be.
        home: whether its directory there is below `$HOME/cylc-run`, not the one on this machine.
        job_id: the runner's id, empty while it is not known.
        submission, execution: the task's own polling intervals in seconds; the platform's where they are None.
        time_limit_s: the execution time limit, None for none.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    home: bool = False
    job_id: str = ""
    submission: tuple[float, ...] | None = None
    execution: tuple[float, ...] | None = None
    time_limit_s: float | None = None


def read_target(place: JobPlace) -> JobTarget | None:
    """What was kept of a job; None where nothing was, or it cannot be read."""
    try:
        return JobTarget.model_validate_json((place.directory / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def keep_target(place: JobPlace, target: JobTarget) -> None:
    """Keep it, whole or not at all."""
    file = place.directory / FILE
    new = file.with_name(f"{FILE}.new")
    new.write_text(target.model_dump_json())
    os.replace(new, file)

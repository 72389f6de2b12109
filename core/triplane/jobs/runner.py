"""What jobs are handed to: one small interface, found by entry point `triplane.job_runners`."""

from typing import ClassVar, Protocol

from triplane.jobs.places import JobPlace


class SubmissionFailed(Exception):
    """The runner did not take a job; the message says why."""


class JobRunner(Protocol):
    """A job runner; a class constructed without arguments."""

    name: ClassVar[str]

    async def submit(self, place: JobPlace) -> str:
        """Have the job script in `place.directory` run. Returns the runner's id of the job.

        The second call for the same place finds the job of the first, whatever has become of it, and starts nothing.

        Raises:
            SubmissionFailed
        """
        ...

    async def is_running(self, place: JobPlace) -> bool:
        """Whether the runner still has the job, waiting or running."""
        ...

    async def kill(self, place: JobPlace, grace_s: float) -> None:
        """End the job: gently first, by force after `grace_s` seconds. A job that is over is left alone."""
        ...

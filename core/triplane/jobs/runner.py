"""What jobs are handed to: one small interface, found by entry point `triplane.job_runners`.

A runner is three pieces of POSIX shell. They run on the job host, the gateway's own machine or one that is reached by
ssh, so that a job host needs nothing of ours. None may read standard input but where it says so, or go on for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol


class SubmissionFailed(Exception):
    """The runner did not take a job; the message says why."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a runner may want to know of a job for the head of its script.

    Attributes:
        name: what the runner may call it, `NAME.CYCLE.WORKFLOW`, without blanks.
        directives: of the task, in order; a value may be empty.
        time_limit_s: None for none.
    """

    name: str
    directives: Mapping[str, str] = field(default_factory=dict)
    time_limit_s: float | None = None


class JobRunner(Protocol):
    """A job runner; a class constructed without arguments.

    Attributes:
        is_bound_to_host: whether only the host that a job was submitted on knows of it.
        identity: shell words that give the runner's id of the job inside the job, such as `$SLURM_JOB_ID`. The script then
            sees to it that it runs once, however often it was submitted, unless the same job is started again. Empty where
            the runner sees to that itself.
        submit: run in the job's directory, where `job` is and `job.out` and `job.err` shall be; prints the runner's id of the
            job as its last line. Variables: `JOB_NAME`, `TIME_LIMIT` (whole seconds, or empty). Another exit code than 0:
            it was refused, and the last line on standard error says why. The second run for the same directory should
            find the job of the first.
        find: reads lines `INDEX ID DIRECTORY` (ID may be `-`) and prints the INDEX of each job that waits or runs. Another
            exit code than 0: it cannot tell.
        kill: reads such lines and ends those jobs, gently first; `KILL_TENTHS` is the grace in tenths of a second.
    """

    name: ClassVar[str]
    is_bound_to_host: ClassVar[bool]
    identity: ClassVar[str]
    submit: ClassVar[str]
    find: ClassVar[str]
    kill: ClassVar[str]

    def head(self, request: JobRequest) -> Sequence[str]:
        """Comment lines for the head of the job script."""
        ...

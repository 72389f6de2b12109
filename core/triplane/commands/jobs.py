"""What people ask of single jobs: to see what they wrote."""

from typing import ClassVar, Literal

from pydantic import Field

from triplane.commands.base import Access, Command, RunId, Scope, WorkflowId


class ReadJobLog(Command):
    """A piece of what a job wrote. Refused with `task_not_found` where the run has no such job, or the file is not here.

    Attributes:
        cycle, task: of a job that the run has now; submit_num: None for the newest.
        offset: of the first byte; None for the end of the file.
        limit: bytes at most.
    """

    name: ClassVar[str] = "read_job_log"
    access: ClassVar[Access] = Access.READ
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{text, offset, next, size, submit_num, file}"

    workflow_id: WorkflowId
    run_id: RunId | None = None
    cycle: str = Field(min_length=1, max_length=256)
    task: str = Field(min_length=1, max_length=512)
    submit_num: int | None = Field(default=None, ge=1, le=1_000_000)
    file: Literal["job.out", "job.err", "job", "job.status"] = "job.out"
    offset: int | None = Field(default=None, ge=0)
    limit: int = Field(default=1 << 16, ge=1, le=1 << 24)


JOB_COMMANDS: tuple[type[Command], ...] = (ReadJobLog,)

"""Sending something into a run."""

from typing import Annotated, ClassVar

from pydantic import Field

from triplane.commands.base import Access, Json, RunCommand, ShortName

STREAM_PATTERN = r"^[A-Za-z0-9._:-]{1,128}$"
"""Names of streams, as the SDK allows them for message streams."""

# A length limit also makes halves of surrogate pairs refused, which no wire but JSON could carry on.
Severity = Annotated[str, Field(max_length=256)]
MessageText = Annotated[str, Field(max_length=100_000)]


class SignalRun(RunCommand):
    """Tell a run something, without an answer."""

    name: ClassVar[str] = "signal_run"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, signal_id}"

    signal_name: ShortName
    arguments: Json = None


class AppendMessage(RunCommand):
    """Append to one of a run's message streams: what a workflow reads in order, each message once.

    Attributes:
        message_id: the sender's own; the same id on the same stream of the same workflow is appended once, and the
            second answer has the first one's position.
    """

    name: ClassVar[str] = "append_message"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, stream_name, message_id, position, outcome: accepted|duplicate}"

    stream_name: str = Field(pattern=STREAM_PATTERN)
    message_id: str = Field(min_length=1, max_length=255)
    arguments: Json = None


class UpdateRun(RunCommand):
    """Ask a run to change itself; the reply says it was accepted and is on disk.

    Completion is the run's `UpdateCompleted` event with the same `update_id`; `AwaitUpdate` waits for it.
    """

    name: ClassVar[str] = "update_run"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, update_id}"

    update_name: ShortName
    arguments: Json = None


class AwaitUpdate(RunCommand):
    """Wait until an accepted update is completed, at most `timeout_s`; changes nothing."""

    name: ClassVar[str] = "await_update"
    access: ClassVar[Access] = Access.READ
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{update_id, status: accepted|completed|failed, result?, failure?}"

    update_id: str = Field(max_length=128)
    timeout_s: float = Field(default=10.0, ge=0.0, le=60.0)


class QueryRun(RunCommand):
    """Ask a run's worker something; works on closed runs, changes nothing, waits at most `timeout_s`.

    Refused with `no_worker` (`details["reason"]` `query_worker_unavailable`), `timed_out` (`query_worker_timeout`), or with
    the worker's own reason: `not_found` for `rejected_unknown_query` and `query_not_found`, else a conflict.
    """

    name: ClassVar[str] = "query_run"
    access: ClassVar[Access] = Access.READ
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{workflow_id, run_id, result, result_envelope}"

    query_name: ShortName
    arguments: Json = None
    timeout_s: float = Field(default=30.0, gt=0.0, le=60.0)


class ReportJob(RunCommand):
    """What a job says about itself (contract cylc 5.2, 5.3).

    Attributes:
        submit_num: the job's own; a report from another than the task's current job is recorded and ignored.
        event_time: when it happened by the job's clock, ISO 8601, as sent.
        messages: (severity, text) pairs in order.
        polled: true when found by a poll instead of sent by the job.
    """

    name: ClassVar[str] = "report_job"
    access: ClassVar[Access] = Access.REPORT
    reply: ClassVar[str] = "{queued: int}"

    cycle: ShortName
    task: ShortName
    submit_num: int = Field(ge=0, le=100_000)
    event_time: str | None = Field(default=None, max_length=64)
    messages: tuple[tuple[Severity, MessageText], ...] = Field(min_length=1, max_length=100)
    polled: bool = False

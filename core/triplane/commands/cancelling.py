"""Cancelling with the workflow's own help: it is told where it waits, and may undo what it did."""

from typing import Any, ClassVar, Literal

from pydantic import Field, SkipValidation

from triplane.commands.base import Access, Command, RunCommand
from triplane.commands.workers import ActivityReport, TaskReport


class RequestCancellation(RunCommand):
    """Ask a durable run to cancel itself; asked again, the first request and its deadline stand.

    Refused with a conflict (reason `cooperative_cancellation_unavailable`) where no live worker of the run's queue and
    type understands it; `StopRun` closes any run at once.

    Attributes:
        cleanup_timeout_s: how long the workflow may clean up before it is closed as cancelled; None for as long as its own
            timeouts, or `engines.durable.cleanup_s` where it has none.
    """

    name: ClassVar[str] = "request_cancellation"
    access: ClassVar[Access] = Access.END
    reply: ClassVar[str] = "{workflow_id, run_id, duplicate, cancellation_request: {request_id, requested_at, cleanup_deadline_at, …}}"

    reason: str | None = Field(default=None, max_length=1_000)
    cleanup_timeout_s: int | None = Field(default=None, ge=1, le=3_600)


class BeginCancellation(RunCommand):
    """A request for cancellation, on its way to the run: matching has found that a worker understands it.

    Attributes:
        request: the `RequestCancellation`, validated when it came in.
    """

    name: ClassVar[str] = "begin_cancellation"
    access: ClassVar[Access] = Access.SYSTEM
    reply: ClassVar[str] = "the reply of the request"

    request: SkipValidation[Any]
    reason: str | None = None
    cleanup_timeout_s: int | None = None

    @property
    def asked(self) -> Command:
        request: Command = self.request
        return request


class DeliverCancellation(TaskReport):
    """A worker delivers a requested cancellation at one call of the workflow, whose task it holds and keeps.

    Attributes:
        cancellation_id: the request's id.
        sequence, sequence_span: the workflow steps of the call; counted even where it was not made yet.
        operation_sequence, operation_sequence_span: of a `selection_handle`, the earlier steps it waits for.
    """

    name: ClassVar[str] = "deliver_cancellation"
    reply: ClassVar[str] = "{task_id, delivered: true, request_id, sequence, call_kind, sequence_span, …}"

    cancellation_id: str = Field(min_length=1, max_length=255)
    sequence: int = Field(ge=1, le=10**9)
    call_kind: Literal[
        "activity", "local_activity", "timer", "condition", "signal", "child", "parallel", "selection_handle", "service_operation"
    ]
    sequence_span: int = Field(default=1, ge=1, le=1_000)
    operation_sequence: int | None = Field(default=None, ge=1, le=10**9)
    operation_sequence_span: int = Field(default=1, ge=1, le=1_000)


class ObserveActivity(ActivityReport):
    """How an activity attempt stands, for the worker that has it; renews nothing."""

    name: ClassVar[str] = "observe_activity"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "as `HeartbeatActivity`, with `deadlines`: name → seconds; heartbeat_recorded is false"


CANCELLING_COMMANDS: tuple[type[Command], ...] = (RequestCancellation, BeginCancellation, DeliverCancellation, ObserveActivity)

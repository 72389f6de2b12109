"""The worker plane: registering, leasing tasks, reporting on them. Meaning and fencing: contract durable section 4.

What a poll answers are plain dicts with the keys of contract durable 4.3 to 4.5, except that times are wall-clock seconds
(`lease_expires_at: float`), `history_events` holds the core's `Event` objects (a wire writes its own envelope around each;
`triplane.engines.durable.ids.event_id(run_id, seq)` is an event's id), and `next_after` (the last sequence in this page,
or None at the end) stands for the page token. Keys that have no value are left out.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, SkipValidation

from triplane.commands.base import Access, Command, Json, RunCommand, Scope, ShortName

WorkerId = ShortName


class RegisterWorker(Command):
    """Register (or re-register) a worker; survives a restart of the gateway.

    Attributes:
        info: the whole registration body as sent (types, contracts, capabilities, slots, build id, runtime, …).
    """

    name: ClassVar[str] = "register_worker"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{worker_id, registered: true}"

    worker_id: WorkerId
    task_queue: ShortName
    info: dict[str, Any] = Field(default_factory=dict)


class HeartbeatWorker(Command):
    """A worker is alive; not waited for."""

    name: ClassVar[str] = "heartbeat_worker"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{worker_id, acknowledged: true, stale_after_seconds}"

    worker_id: WorkerId
    info: dict[str, Any] = Field(default_factory=dict)


class DeregisterWorker(Command):
    """A worker leaves; its leases go back to their queues."""

    name: ClassVar[str] = "deregister_worker"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{worker_id, recovered_workflow_task_count}"

    worker_id: WorkerId


class RemoveWorker(Command):
    """An operator takes a stale or retired worker off the list; what it held goes back to its queues."""

    name: ClassVar[str] = "remove_worker"
    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{worker_id, recovered_workflow_task_count}"

    worker_id: WorkerId


class PollTask(Command):
    """Wait for a task of one kind on one queue, at most `timeout_s`.

    A repeat with the same `poll_id` gets the same lease again: a task handed to a dead connection goes to the retry.

    Refused with `worker_not_registered`, or with a conflict whose `details["reason"]` is `task_queue_mismatch`,
    `build_id_mismatch` or `worker_draining`, or with `limit_reached` where too many polls wait (reason `long_poll_capacity_exhausted`).

    The reply is None, or a dict:
    kind `workflow`: `task_kind` ("workflow"), `task_id, workflow_id, run_id, workflow_task_attempt, workflow_type,
    payload_codec, arguments` (may be None), `run_status, last_history_sequence, history_events, total_history_events,
    next_after, task_queue, lease_owner, lease_expires_at`, and `workflow_update_id` where it runs an update.
    kind `activity`: `task_id, workflow_id, run_id, activity_execution_id, activity_attempt_id, attempt_number,
    activity_type, payload_codec, arguments, retry_policy?, task_queue, lease_owner, lease_expires_at, deadlines` (name →
    seconds since 1970), `worker_session?`.
    kind `query`: `query_task_id, query_task_attempt, workflow_id, run_id, workflow_type, query_name, payload_codec,
    workflow_arguments, query_arguments, history_events, run_status, last_history_sequence, task_queue, lease_owner,
    lease_expires_at`.
    kind `update_validation`: `task_kind` ("update_validation"), `update_validation_task_id, update_validation_attempt,
    workflow_id, run_id, workflow_type, update_name, payload_codec, workflow_arguments, update_arguments, history_events,
    run_status, last_history_sequence, task_queue, lease_owner, lease_expires_at`.

    Attributes:
        validations: a poll of kind `workflow` may be answered with an update validation too.
    """

    name: ClassVar[str] = "poll_task"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "the task object of contract durable 4.3 to 4.6, or null"

    kind: Literal["workflow", "activity", "query", "update_validation"]
    worker_id: WorkerId
    task_queue: ShortName
    poll_id: str | None = Field(default=None, max_length=255)
    build_id: str | None = Field(default=None, max_length=256)
    timeout_s: float = Field(default=30.0, ge=0.0, le=60.0)
    history_page_size: int = Field(default=500, ge=1, le=1_000)
    validations: bool = False


class TaskReport(Command):
    """A worker's word on a task it holds; the core finds the run by the task.

    Refused with `task_not_found`, or with `lease_lost` whose `details["reason"]` is one of `task_not_leased
    lease_owner_mismatch workflow_task_attempt_mismatch lease_expired run_closed` (for queries
    `query_task_not_leased query_task_timed_out`, for validations `update_validation_task_not_leased
    stale_update_validation_completion duplicate_update_validation_completion update_validation_lease_expired`), checked in
    that order.
    """

    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE

    task_id: str = Field(min_length=1, max_length=128)
    lease_owner: WorkerId
    attempt: int = Field(default=1, ge=1)


class CompleteWorkflowTask(TaskReport):
    """The commands a workflow task produced, applied atomically in order.

    Attributes:
        message_cursors: message stream → position through which the workflow has read it.
    """

    name: ClassVar[str] = "complete_workflow_task"
    reply: ClassVar[str] = "{run_id, run_status}"

    commands: tuple[dict[str, Any], ...] = Field(min_length=1, max_length=5_000)
    message_cursors: dict[str, int] | None = None


class FailWorkflowTask(TaskReport):
    """A workflow task that could not be replayed, or (type `WorkflowTaskWaitingForHistory`) had nothing new to say."""

    name: ClassVar[str] = "fail_workflow_task"
    reply: ClassVar[str] = "{run_id, run_status}"

    failure: dict[str, Any]


class HeartbeatWorkflowTask(TaskReport):
    """Keep a workflow task's lease; the reply's `lease_expires_at` is wall-clock seconds."""

    name: ClassVar[str] = "heartbeat_workflow_task"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{lease_expires_at: seconds, run_status}"


class ReadTaskHistory(TaskReport):
    """The next page of the history frozen when the task was leased; changes nothing."""

    name: ClassVar[str] = "read_task_history"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{task_id, workflow_task_attempt, history_events, total_history_events, next_after: int|null}"

    after: int = Field(ge=0)
    page_size: int = Field(default=500, ge=1, le=1_000)


class ActivityReport(Command):
    """A worker's word on an activity attempt it holds.

    Refused with `task_not_found`, or with `lease_lost` whose `details["reason"]` is one of `task_mismatch stale_attempt
    task_not_leased lease_owner_mismatch lease_expired run_closed run_cancelled run_terminated`.
    """

    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE

    task_id: str = Field(min_length=1, max_length=128)
    activity_attempt_id: str = Field(min_length=1, max_length=128)
    lease_owner: WorkerId


class CompleteActivity(ActivityReport):
    """An activity attempt ended well."""

    name: ClassVar[str] = "complete_activity"
    reply: ClassVar[str] = "{recorded: true, run_id}"

    result: Json = None


class FailActivity(ActivityReport):
    """An activity attempt failed; the server decides whether it is retried."""

    name: ClassVar[str] = "fail_activity"
    reply: ClassVar[str] = "{recorded: true, run_id, next_task_id: str|null}"

    failure: dict[str, Any]


class HeartbeatActivity(ActivityReport):
    """An activity attempt is alive; the answer tells it whether to go on. Dead attempts get an answer too, not an error."""

    name: ClassVar[str] = "heartbeat_activity"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = (
        "{cancel_requested, can_continue, reason: str|null, heartbeat_recorded, lease_expires_at, last_heartbeat_at: seconds|null}"
    )

    details: Json = None


class CompleteQuery(TaskReport):
    """A worker's answer to a query task; `result` is plain JSON, `result_envelope` the payload."""

    name: ClassVar[str] = "complete_query"
    durable: ClassVar[bool] = False

    result: Json = None
    result_envelope: Json = None


class FailQuery(TaskReport):
    """A query task that failed."""

    name: ClassVar[str] = "fail_query"
    durable: ClassVar[bool] = False

    failure: dict[str, Any]


class ApproveUpdate(TaskReport):
    """A worker's validator has nothing against an update."""

    name: ClassVar[str] = "approve_update"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{update_validation_task_id, outcome: approved}"


class RejectUpdate(TaskReport):
    """A worker's validator rejects an update (`failure["reason"]` `update_validator_rejected`), or could not be run.

    Attributes:
        failure: `message, reason, type?, stack_trace?, validation_errors?` as sent.
    """

    name: ClassVar[str] = "reject_update"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{update_validation_task_id, outcome: rejected}"

    failure: dict[str, Any]


class LeaseTask(RunCommand):
    """Matching found a worker for a task: the run records the lease and builds what the worker gets.

    `durable` decides by kind: an activity attempt is on disk before the task leaves, a workflow lease is not waited for.
    """

    name: ClassVar[str] = "lease_task"
    access: ClassVar[Access] = Access.SYSTEM
    reply: ClassVar[str] = "the task object, or null where it is not ready any more"

    kind: Literal["workflow", "activity"]
    task_id: str
    worker_id: str
    history_page_size: int = 500


class ReleaseLease(RunCommand):
    """A lease ends early (its worker left): the task goes back to its queue, attempt + 1."""

    name: ClassVar[str] = "release_lease"
    access: ClassVar[Access] = Access.SYSTEM

    task_id: str
    worker_id: str


class ReportOnTask(RunCommand):
    """A worker's report, on its way to the run it is about: matching wraps it once it knows the run.

    Attributes:
        report: the `TaskReport` or `ActivityReport`, validated when it came in.
    """

    name: ClassVar[str] = "report_on_task"
    access: ClassVar[Access] = Access.SYSTEM
    reply: ClassVar[str] = "the reply of the report"

    report: SkipValidation[Any]

    @property
    def asked(self) -> Command:
        report: Command = self.report
        return report

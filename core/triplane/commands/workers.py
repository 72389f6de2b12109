"""The worker plane: registering, leasing tasks, reporting on them. Meaning and fencing: contract durable section 4."""

from typing import Any, ClassVar, Literal

from pydantic import Field

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
    reply: ClassVar[str] = "{worker_id, acknowledged: true}"

    worker_id: WorkerId
    info: dict[str, Any] = Field(default_factory=dict)


class DeregisterWorker(Command):
    """A worker leaves; its leases go back to their queues."""

    name: ClassVar[str] = "deregister_worker"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    reply: ClassVar[str] = "{worker_id, recovered_workflow_task_count}"

    worker_id: WorkerId


class PollTask(Command):
    """Wait for a task of one kind on one queue, at most `timeout_s`.

    A repeat with the same `poll_id` gets the same lease again: a task handed to a dead connection goes to the retry.
    """

    name: ClassVar[str] = "poll_task"
    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "the task object of contract durable 4.3 to 4.5, or null"

    kind: Literal["workflow", "activity", "query"]
    worker_id: WorkerId
    task_queue: ShortName
    poll_id: str | None = Field(default=None, max_length=255)
    build_id: str | None = Field(default=None, max_length=256)
    timeout_s: float = Field(default=30.0, ge=0.0, le=60.0)
    history_page_size: int = Field(default=500, ge=1, le=1_000)


class TaskReport(Command):
    """A worker's word on a task it holds; the core finds the run by the task."""

    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE

    task_id: str = Field(min_length=1, max_length=128)
    lease_owner: WorkerId
    attempt: int = Field(default=1, ge=1)


class CompleteWorkflowTask(TaskReport):
    """The commands a workflow task produced, applied atomically in order."""

    name: ClassVar[str] = "complete_workflow_task"
    reply: ClassVar[str] = "{run_id, run_status}"

    commands: tuple[dict[str, Any], ...] = Field(min_length=1, max_length=5_000)


class FailWorkflowTask(TaskReport):
    """A workflow task that could not be replayed, or (type `WorkflowTaskWaitingForHistory`) had nothing new to say."""

    name: ClassVar[str] = "fail_workflow_task"
    reply: ClassVar[str] = "{run_id, run_status}"

    failure: dict[str, Any]


class HeartbeatWorkflowTask(TaskReport):
    """Keep a workflow task's lease."""

    name: ClassVar[str] = "heartbeat_workflow_task"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{lease_expires_at: seconds, run_status}"


class ReadTaskHistory(TaskReport):
    """The next page of the history frozen when the task was leased; changes nothing."""

    name: ClassVar[str] = "read_task_history"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{events, total, next: int|null}"

    after: int = Field(ge=0)
    page_size: int = Field(default=500, ge=1, le=1_000)


class ActivityReport(Command):
    """A worker's word on an activity attempt it holds."""

    access: ClassVar[Access] = Access.WORK
    scope: ClassVar[Scope] = Scope.NAMESPACE

    task_id: str = Field(min_length=1, max_length=128)
    activity_attempt_id: str = Field(min_length=1, max_length=128)
    lease_owner: WorkerId


class CompleteActivity(ActivityReport):
    """An activity attempt ended well."""

    name: ClassVar[str] = "complete_activity"
    reply: ClassVar[str] = "{recorded: true}"

    result: Json = None


class FailActivity(ActivityReport):
    """An activity attempt failed; the server decides whether it is retried."""

    name: ClassVar[str] = "fail_activity"
    reply: ClassVar[str] = "{recorded: true, next_task_id?}"

    failure: dict[str, Any]


class HeartbeatActivity(ActivityReport):
    """An activity attempt is alive; the answer tells it whether to go on."""

    name: ClassVar[str] = "heartbeat_activity"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{cancel_requested, can_continue, reason, lease_expires_at, last_heartbeat_at}"

    details: Json = None


class CompleteQuery(TaskReport):
    """A worker's answer to a query task."""

    name: ClassVar[str] = "complete_query"
    durable: ClassVar[bool] = False

    result: Json = None
    result_envelope: Json = None


class FailQuery(TaskReport):
    """A query task that failed."""

    name: ClassVar[str] = "fail_query"
    durable: ClassVar[bool] = False

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

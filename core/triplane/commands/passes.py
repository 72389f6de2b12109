"""What administrators have the core look through: runs that cannot go on by themselves, activities past their time, figures."""

from typing import ClassVar

from pydantic import Field

from triplane.commands.base import Access, Command, RunCommand, Scope, WorkflowId
from triplane.commands.system import SystemCommand

Ids = tuple[str, ...]


class RepairRun(RunCommand):
    """Have a run go on if it cannot by itself: a task of it is in no queue, an alarm did not come, or nothing is under way."""

    name: ClassVar[str] = "repair_run"
    access: ClassVar[Access] = Access.WRITE
    reply: ClassVar[str] = "{workflow_id, run_id, repaired: bool}"


class SystemPass(Command):
    """Root of what an administrator has the core look through in a namespace."""

    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.NAMESPACE


class FindStuckRuns(SystemPass):
    """Look for runs that cannot go on by themselves, among `limit` open ones at most; the next look goes on from there."""

    name: ClassVar[str] = "find_stuck_runs"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "{scanned, open_runs, limit, tasks: int, runs: int, scopes: [{run_id, workflow_id, kind: task|alarm|run}]}"

    limit: int = Field(default=1_000, ge=1, le=10_000)


class RepairPass(SystemPass):
    """Repair what `FindStuckRuns` would find, or what is found among the named runs or in the named workflow."""

    name: ClassVar[str] = "repair_pass"
    reply: ClassVar[str] = "{tasks: int, runs: int, repaired_tasks: int, repaired_runs: int, failures: [{run_id, reason}]}"

    run_ids: Ids = Field(default=(), max_length=100)
    workflow_id: WorkflowId | None = None
    limit: int = Field(default=1_000, ge=1, le=10_000)


class FindExpiredActivities(SystemPass):
    """Look for activities that are past a deadline and not timed out yet."""

    name: ClassVar[str] = "find_expired_activities"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = "list[str]: activity execution ids"

    limit: int = Field(default=100, ge=1, le=100)


class ActivityTimeoutPass(SystemPass):
    """Time out the activities that `FindExpiredActivities` would find, or those of the named that are past a deadline."""

    name: ClassVar[str] = "activity_timeout_pass"
    reply: ClassVar[str] = "{processed, enforced, skipped, failed, results: [{execution_id, outcome, has_retry?, reason?}]}"

    execution_ids: Ids = Field(default=(), max_length=100)
    limit: int = Field(default=100, ge=1, le=100)


class ReadFigures(SystemPass):
    """Count what is in memory of a namespace, and of the process."""

    name: ClassVar[str] = "read_figures"
    durable: ClassVar[bool] = False
    reply: ClassVar[str] = (
        "{time, namespace, runs: {open, by_status, by_engine, paused}, queues: [{task_queue, workflow_ready, activity_ready}],"
        " workers: {registered, live}, process: {name: number}}"
    )


class RedispatchRun(SystemCommand):
    """Offer again whatever of the run waits for a worker; open a workflow task if nothing is under way."""

    name: ClassVar[str] = "redispatch_run"
    reply: ClassVar[str] = "{woken: bool}"


class CheckActivity(SystemCommand):
    """Time out an activity if it is past a deadline."""

    name: ClassVar[str] = "check_activity"
    reply: ClassVar[str] = "{enforced: bool, has_retry: bool}"

    sequence: int = Field(ge=1)


PASS_COMMANDS: tuple[type[Command], ...] = (
    RepairRun, FindStuckRuns, RepairPass, FindExpiredActivities, ActivityTimeoutPass, ReadFigures, RedispatchRun, CheckActivity,
)  # fmt: skip

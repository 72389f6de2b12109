"""One table of errors: what went wrong, whether trying again can help, and the family a wire spells it by.

Five families. Anything that is not a `GatewayError` is a bug: it is logged with its trace and told to the asker as
`internal`, never as success.
"""

import re
from enum import StrEnum
from typing import Any, ClassVar

_SETTING = re.compile(r"\b((?:limits|adapters|engines|schedules|gateway)(?:\.[a-z_]+)+)")


class Family(StrEnum):
    """What a wire needs to know to choose its own spelling."""

    REFUSED_INPUT = "refused_input"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    CANNOT_NOW = "cannot_now"


class GatewayError(Exception):
    """Root of every error that is told to a client.

    Attributes:
        code: short, fixed, snake_case; part of the public interface.
        family: one of the five families.
        retryable: whether the same request may succeed later unchanged.
        details: plain JSON values beside the message (ids, limits), never secrets.
    """

    code: ClassVar[str] = "internal"
    family: ClassVar[Family] = Family.CANNOT_NOW
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.details))


def _rebuild(kind: type[GatewayError], message: str, details: dict[str, Any]) -> GatewayError:
    error = kind.__new__(kind)
    GatewayError.__init__(error, message, **details)
    return error


# ---- refused input -------------------------------------------------------------------------------------------------


class RefusedInput(GatewayError):
    """The request is wrong in itself; sending it again changes nothing."""

    code = "refused_input"
    family = Family.REFUSED_INPUT


class InvalidFields(RefusedInput):
    """Some fields of a command do not validate; `details["errors"]` maps field path to sentences."""

    code = "invalid_fields"

    def __init__(self, errors: dict[str, list[str]]) -> None:
        text = "; ".join(f"{path}: {', '.join(texts)}" for path, texts in errors.items())
        super().__init__(f"invalid fields: {text}", errors=errors)


class UnknownCommand(RefusedInput):
    """No command or query goes by that name."""

    code = "unknown_command"


class NotSupported(RefusedInput):
    """That run's engine has no such thing, and says so."""

    code = "not_supported"


class InvalidDefinition(RefusedInput):
    """A workflow definition cannot be read; `details` may hold `line` (1-based) and `file`."""

    code = "invalid_definition"


class InvalidTimeRange(RefusedInput):
    """A window in time ends before it begins, or where it begins."""

    code = "invalid_time_range"


class NothingMatched(RefusedInput):
    """No task of the run matches the globs."""

    code = "nothing_matched"


class TooLarge(RefusedInput):
    """A payload, name or list is over its limit; the message names the limit and its setting."""

    code = "too_large"


class UpdateRejected(RefusedInput):
    """A worker's validator rejected an update: nothing was recorded. `details["validation_errors"]` is what it says of fields."""

    code = "update_rejected"


# ---- not allowed ---------------------------------------------------------------------------------------------------


class Unauthenticated(GatewayError):
    """The credential is missing, wrong, expired or revoked."""

    code = "unauthenticated"
    family = Family.NOT_ALLOWED


class NotAllowed(GatewayError):
    """The principal is known, and may not do that."""

    code = "not_allowed"
    family = Family.NOT_ALLOWED


# ---- not found -----------------------------------------------------------------------------------------------------


class NotFound(GatewayError):
    """The thing named does not exist (for this principal)."""

    code = "not_found"
    family = Family.NOT_FOUND


class NamespaceNotFound(NotFound):
    """No namespace has that name."""

    code = "namespace_not_found"

    def __init__(self, namespace: str) -> None:
        super().__init__(f"no namespace {namespace!r}", namespace=namespace)


class TokenNotFound(NotFound):
    """No token has that name."""

    code = "token_not_found"


class WorkflowNotFound(NotFound):
    """No workflow has that id in that namespace."""

    code = "workflow_not_found"

    def __init__(self, workflow_id: str, namespace: str) -> None:
        super().__init__(
            f"no workflow {workflow_id!r} in namespace {namespace!r}", workflow_id=workflow_id, namespace=namespace
        )


class RunNotFound(NotFound):
    """The workflow exists, and has no such run."""

    code = "run_not_found"

    def __init__(self, workflow_id: str, run_id: str) -> None:
        super().__init__(f"workflow {workflow_id!r} has no run {run_id!r}", workflow_id=workflow_id, run_id=run_id)


class ScheduleNotFound(NotFound):
    """No schedule has that id in that namespace."""

    code = "schedule_not_found"

    def __init__(self, schedule_id: str, namespace: str) -> None:
        super().__init__(
            f"no schedule {schedule_id!r} in namespace {namespace!r}", schedule_id=schedule_id, namespace=namespace
        )


class TaskNotFound(NotFound):
    """A worker's task, or a task of a run, does not exist."""

    code = "task_not_found"


class StreamNotFound(NotFound):
    """The run has no output stream of that name."""

    code = "stream_not_found"


class WorkerNotRegistered(NotFound):
    """No worker of that id is registered in that namespace."""

    code = "worker_not_registered"


class KeyNotFound(NotFound):
    """The run has issued no key to that target."""

    code = "key_not_found"


class DefinitionNotFound(NotFound):
    """No graph or simulation of that name is in `[definitions] directories`."""

    code = "definition_not_found"


class SearchAttributeNotFound(NotFound):
    """The namespace has defined no search attribute of that name."""

    code = "attribute_not_found"


# ---- conflict ------------------------------------------------------------------------------------------------------


class Conflict(GatewayError):
    """The request is sound and contradicts what has happened already."""

    code = "conflict"
    family = Family.CONFLICT


class WorkflowExists(Conflict):
    """A workflow of that id exists, and the duplicate policy refuses another run."""

    code = "workflow_exists"


class ScheduleExists(Conflict):
    """A schedule of that id exists."""

    code = "schedule_already_exists"


class TokenExists(Conflict):
    """A token of that name, or of that secret, exists."""

    code = "token_exists"


class NamespaceExists(Conflict):
    """A namespace has that name, or had it and is still being removed (then `details["reason"]` says so)."""

    code = "namespace_exists"


class NamespaceProtected(Conflict):
    """The namespace `default` is always there, and so are those that a wire serves by the config."""

    code = "namespace_protected"


class RunClosed(Conflict):
    """The run is closed: nothing more can happen to it. `details["status"]` is its final status."""

    code = "run_closed"

    def __init__(self, workflow_id: str, run_id: str, status: str) -> None:
        super().__init__(
            f"workflow {workflow_id!r} is closed ({status})", workflow_id=workflow_id, run_id=run_id, status=status
        )


class SearchAttributeExists(Conflict):
    """That name of a search attribute is taken, or the system's.

    `details["reason"]` is `name_reserved`, `system_attribute` or `attribute_already_exists`.
    """

    code = "attribute_already_exists"


class RunNotClosed(Conflict):
    """That needs a closed run."""

    code = "run_not_closed"


class NotCurrentRun(Conflict):
    """A command named a run that is no longer the workflow's current one."""

    code = "not_current_run"


class RequestIdReused(Conflict):
    """The same request id came with other content; `details` name the command it was first used for."""

    code = "request_id_reused"


class StreamClosed(Conflict):
    """The output stream has ended: it takes nothing more."""

    code = "stream_closed"


class LeaseLost(Conflict):
    """A worker reports on a task it does not hold (any more).

    `reason` is one of `lease_expired lease_owner_mismatch run_closed task_not_leased attempt_mismatch stale_attempt`.
    """

    code = "lease_lost"

    def __init__(self, message: str, reason: str, **details: Any) -> None:
        super().__init__(message, reason=reason, **details)
        self.reason = reason


class AlreadyOwned(Conflict):
    """Another process owns the data directory; `details["pid"]` is its pid."""

    code = "already_owned"


# ---- cannot now ----------------------------------------------------------------------------------------------------


class CannotNow(GatewayError):
    """The gateway cannot do it at the moment; trying again later may work."""

    code = "cannot_now"
    retryable = True


class LimitReached(CannotNow):
    """A rate, size or queue limit is reached; the message names it and its setting."""

    code = "limit_reached"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        # Messages name the key in brackets; alarms show it by itself.
        named = _SETTING.search(message)
        self.setting = named[1] if named is not None else ""


class SlowConsumer(CannotNow):
    """A subscription's bounded queue overflowed and was cut; resume from the cursor in `details`."""

    code = "slow_consumer"


class StorageFull(CannotNow):
    """The disk is full: nothing is accepted until there is room; reads go on."""

    code = "storage_full"


class CommitFailed(CannotNow):
    """The group this command was in could not be committed; nothing of it took effect."""

    code = "commit_failed"


class ShuttingDown(CannotNow):
    """The gateway is draining and takes no new commands."""

    code = "shutting_down"


class TimedOut(CannotNow):
    """Nobody answered in time (a worker's query, an update's completion)."""

    code = "timed_out"


class NoWorker(CannotNow):
    """No live worker of that queue can answer."""

    code = "no_worker"


ALL_ERRORS: tuple[type[GatewayError], ...] = (
    RefusedInput, InvalidFields, UnknownCommand, NotSupported, InvalidDefinition, InvalidTimeRange, NothingMatched, TooLarge,
    UpdateRejected,
    Unauthenticated, NotAllowed,
    NotFound, NamespaceNotFound, TokenNotFound, WorkflowNotFound, RunNotFound, ScheduleNotFound, TaskNotFound, StreamNotFound,
    WorkerNotRegistered, KeyNotFound, DefinitionNotFound,
    Conflict, WorkflowExists, ScheduleExists,
    NamespaceExists, NamespaceProtected, TokenExists,
    RunClosed, RunNotClosed, NotCurrentRun, RequestIdReused, StreamClosed, LeaseLost, AlreadyOwned,
    SearchAttributeNotFound, SearchAttributeExists,
    CannotNow, LimitReached, SlowConsumer, StorageFull, CommitFailed, ShuttingDown, TimedOut, NoWorker,
)  # fmt: skip
"""Every error a client can be told, for documents and for each wire's own table."""

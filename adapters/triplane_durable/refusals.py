"""The core's errors in this wire's spelling (contract section 1.3)."""

from typing import Any

from triplane.errors import (
    CannotNow,
    CommitFailed,
    DefinitionNotFound,
    Family,
    GatewayError,
    InvalidFields,
    LimitReached,
    NamespaceExists,
    NamespaceNotFound,
    NamespaceProtected,
    NotAllowed,
    NotCurrentRun,
    NotSupported,
    NoWorker,
    RequestIdReused,
    RunClosed,
    RunNotClosed,
    RunNotFound,
    SearchAttributeExists,
    SearchAttributeNotFound,
    ShuttingDown,
    StorageFull,
    TaskNotFound,
    TimedOut,
    TooLarge,
    Unauthenticated,
    UpdateRejected,
    WorkerNotRegistered,
    WorkflowExists,
    WorkflowNotFound,
)

_TABLE: tuple[tuple[type[GatewayError], int, str], ...] = (
    (InvalidFields, 422, "validation_failed"),
    (TooLarge, 413, "payload_too_large"),
    (NotSupported, 422, "not_supported"),
    (UpdateRejected, 422, "update_validator_rejected"),
    (Unauthenticated, 401, "unauthorized"),
    (NotAllowed, 403, "forbidden"),
    (NamespaceNotFound, 404, "namespace_not_found"),
    (WorkflowNotFound, 404, "instance_not_found"),
    (RunNotFound, 404, "run_not_found"),
    (TaskNotFound, 404, "task_not_found"),
    (WorkerNotRegistered, 404, "worker_not_registered"),
    (DefinitionNotFound, 404, "definition_not_found"),
    (SearchAttributeNotFound, 404, "attribute_not_found"),
    (SearchAttributeExists, 409, "attribute_already_exists"),
    (WorkflowExists, 409, "duplicate_not_allowed"),
    (NamespaceExists, 409, "namespace_already_exists"),
    (NamespaceProtected, 409, "namespace_protected"),
    (RunClosed, 409, "run_not_active"),
    (RunNotClosed, 409, "run_not_closed"),
    (NotCurrentRun, 409, "historical_run_command_rejected"),
    (RequestIdReused, 409, "request_id_conflict"),
    (LimitReached, 429, "limit_reached"),
    (StorageFull, 507, "storage_full"),
    (CommitFailed, 503, "commit_failed"),
    (ShuttingDown, 503, "shutting_down"),
    (TimedOut, 504, "timed_out"),
    (NoWorker, 409, "query_worker_unavailable"),
    (CannotNow, 503, "cannot_now"),
)

_BY_FAMILY = {
    Family.REFUSED_INPUT: 422,
    Family.NOT_ALLOWED: 403,
    Family.NOT_FOUND: 404,
    Family.CONFLICT: 409,
    Family.CANNOT_NOW: 503,
}


def refusal(error: GatewayError, plane: str) -> tuple[int, dict[str, Any]]:
    """Status and body of an error.

    Args:
        plane: `control` (its text goes in `message`) or `worker` (in `error`).
    """
    status, reason = _BY_FAMILY[error.family], error.code
    for kind, known_status, known_reason in _TABLE:
        if isinstance(error, kind):
            status, reason = known_status, known_reason
            break
    # Matching and engines name the contract's own reasons where one error has several of them.
    reason = error.details.get("reason", reason)
    body: dict[str, Any] = {"message" if plane == "control" else "error": error.message, "reason": reason}
    if plane == "worker":
        body["message"] = error.message
    if isinstance(error, InvalidFields):
        body["errors"] = body["validation_errors"] = error.details["errors"]
    elif isinstance(error, UpdateRejected):
        body["validation_errors"] = error.details.get("validation_errors")
    elif status == 422:
        body["errors"] = body["validation_errors"] = {"request": [error.message]}
    for key in ("workflow_id", "run_id", "namespace", "line", "file", "status", "update_name"):
        if error.details.get(key) is not None:
            body[key] = error.details[key]
    if isinstance(error, NamespaceNotFound):
        body["remediation"] = "Create the namespace, or name an existing one in X-Namespace."
    if isinstance(error, NotCurrentRun):
        body["target_scope"] = "run"
    if isinstance(error, RequestIdReused):
        first = error.details.get("first_command", "")
        body["request_id"] = error.details.get("request_id")
        body["retained_command_type"] = {"signal_run": "signal", "update_run": "update"}.get(first, first)
        body["conflict"] = True
    if isinstance(error, NotAllowed):
        body["role"] = error.details.get("role", "")
        body["allowed_roles"] = error.details.get("allowed_roles", ["operator", "admin"])
    if status == 429:
        body["retryable"] = True
        body["retry_after_seconds"] = 1
    return status, body

"""The audit log is the command log: one line for each command that a client was answered for."""

from typing import Any

from triplane.commands.base import Command
from triplane.service import Caller
from triplane.store.interface import AuditRecord


def audit_record(
    command: Command, caller: Caller, now: float, workflow_id: str, run_id: str, outcome: str
) -> AuditRecord:
    """One line of the audit log; payloads stay out of it, short plain fields go in."""
    summary: dict[str, Any] = {
        name: value
        for name, value in command.__dict__.items()
        if name not in _NOT_IN_SUMMARY and value and (isinstance(value, int) or (isinstance(value, str) and len(value) <= 200))
    }
    globs = getattr(command, "task_globs", None)
    if globs:
        summary["task_globs"] = list(globs[:10])
    return AuditRecord(
        now, caller.wire, caller.peer, caller.principal, command.namespace, command.name,
        workflow_id or getattr(command, "workflow_id", None) or "", run_id, command.request_id or "", outcome, summary,
    )  # fmt: skip


_NOT_IN_SUMMARY = frozenset({"namespace", "workflow_id", "run_id", "request_id"})

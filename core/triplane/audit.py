"""The audit log is the command log: one line for each command that a client was answered for."""

from functools import cache
from typing import Any

from triplane.commands.base import Command
from triplane.queries import ReadAudit
from triplane.service import Caller
from triplane.store.filters import AuditFilter
from triplane.store.interface import AuditRecord


def audit_record(
    command: Command, caller: Caller, now: float, workflow_id: str, run_id: str, outcome: str
) -> AuditRecord:
    """One line of the audit log; payloads stay out of it, short plain fields go in."""
    fields = command.__dict__
    summary: dict[str, Any] = {}
    for name in _summary_fields(type(command)):
        value = fields[name]
        if value and (isinstance(value, int) or (isinstance(value, str) and len(value) <= 200)):
            summary[name] = value
    globs = fields.get("task_globs")
    if globs:
        summary["task_globs"] = list(globs[:10])
    return AuditRecord(
        now, caller.wire, caller.peer, caller.principal, command.namespace, command.name,
        workflow_id or fields.get("workflow_id") or "", run_id, command.request_id or "", outcome, summary,
    )  # fmt: skip


_NOT_IN_SUMMARY = frozenset({"namespace", "workflow_id", "run_id", "request_id", "sha256"})


@cache
def _summary_fields(kind: type[Command]) -> tuple[str, ...]:
    return tuple(name for name in kind.model_fields if name not in _NOT_IN_SUMMARY)


def audit_filter(query: ReadAudit) -> AuditFilter:
    """Which records a query is about."""
    return AuditFilter(**query.model_dump(exclude={"limit"}))

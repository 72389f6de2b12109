"""The audit log: one row for each command, in the order they were decided."""

from collections.abc import Mapping
from typing import Any

from triplane.store.interface import AuditRecord
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

INSERT_AUDIT = (
    "INSERT INTO audit (time, namespace, workflow_id, command, outcome, principal, body) VALUES (?,?,?,?,?,?,?)"
)


def audit_row(record: AuditRecord) -> tuple[Any, ...]:
    """Parameters of `INSERT_AUDIT`."""
    return (
        record.time, record.namespace, record.workflow_id, record.command, record.outcome, record.principal,
        pack((record.wire, record.peer, record.run_id, record.request_id, record.summary)),
    )  # fmt: skip


class SqliteAuditStore:
    """Reads the audit log."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def read(self, namespace: str | None, workflow_id: str | None, limit: int) -> list[Mapping[str, Any]]:
        """Newest first, as dicts with the fields of `AuditRecord`."""
        where, parameters = ["1"], []
        if namespace is not None:
            where.append("namespace = ?")
            parameters.append(namespace)
        if workflow_id is not None:
            where.append("workflow_id = ?")
            parameters.append(workflow_id)
        rows = self._readers.get().execute(
            "SELECT time, namespace, workflow_id, command, outcome, principal, body FROM audit"
            f" WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",
            (*parameters, limit),
        )
        return [_record_from(row) for row in rows]


def _record_from(row: tuple[Any, ...]) -> Mapping[str, Any]:
    time, namespace, workflow_id, command, outcome, principal, body = row
    wire, peer, run_id, request_id, summary = unpack(body)
    return {
        "time": time, "wire": wire, "peer": peer, "principal": principal, "namespace": namespace, "command": command,
        "workflow_id": workflow_id, "run_id": run_id, "request_id": request_id, "outcome": outcome, "summary": summary,
    }  # fmt: skip

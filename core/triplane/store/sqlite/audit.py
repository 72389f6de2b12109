"""The audit log: one row for each command, in the order they were decided."""

from collections.abc import Iterator, Mapping
from typing import Any

from triplane.store.filters import AuditFilter
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

    def read(self, wanted: AuditFilter, limit: int) -> list[Mapping[str, Any]]:
        """Newest first, as dicts with the fields of `AuditRecord` and `id`.

        Where `wanted.scan` records were looked at without finding enough, the last is `{"id": …, "more": True}`.
        """
        connection = self._readers.get()
        newest = connection.execute("SELECT coalesce(max(id), 0) FROM audit").get
        last = newest if wanted.before is None else min(newest, wanted.before - 1)
        first = max(1, last - wanted.scan + 1)
        where, parameters = ["id BETWEEN ? AND ?"], [first, last]
        for condition, value in _conditions(wanted):
            where.append(condition)
            parameters.append(value)
        rows = connection.execute(
            "SELECT id, time, namespace, workflow_id, command, outcome, principal, body FROM audit"
            f" WHERE {' AND '.join(where)} ORDER BY id DESC",
            parameters,
        )
        found: list[Mapping[str, Any]] = []
        for row in rows:
            record = _record_from(row)
            if wanted.wire in (None, record["wire"]):
                found.append(record)
                if len(found) == limit:
                    return found
        oldest = connection.execute("SELECT min(id) FROM audit").get
        if oldest is not None and first > oldest:
            found.append({"id": first, "more": True})
        return found


def _conditions(wanted: AuditFilter) -> Iterator[tuple[str, Any]]:
    columns = ("namespace", "workflow_id", "principal", "command")
    yield from ((f"{column} = ?", getattr(wanted, column)) for column in columns if getattr(wanted, column) is not None)
    if wanted.outcome == "refused":
        yield "outcome != ?", "accepted"
    elif wanted.outcome is not None:
        yield "outcome = ?", wanted.outcome
    if wanted.since is not None:
        yield "time >= ?", wanted.since
    if wanted.until is not None:
        yield "time < ?", wanted.until


def _record_from(row: tuple[Any, ...]) -> Mapping[str, Any]:
    number, time, namespace, workflow_id, command, outcome, principal, body = row
    wire, peer, run_id, request_id, summary = unpack(body)
    return {
        "id": number, "time": time, "wire": wire, "peer": peer, "principal": principal, "namespace": namespace, "command": command,
        "workflow_id": workflow_id, "run_id": run_id, "request_id": request_id, "outcome": outcome, "summary": summary,
    }  # fmt: skip

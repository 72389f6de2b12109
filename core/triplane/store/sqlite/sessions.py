"""Worker sessions."""

from dataclasses import asdict
from typing import Any

from triplane.entities import WorkerSession
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

UPSERT_SESSION = "INSERT INTO worker_sessions VALUES (?,?,?) ON CONFLICT DO UPDATE SET body = excluded.body"
DELETE_SESSION = "DELETE FROM worker_sessions WHERE namespace = ? AND session_id = ?"


def session_row(session: WorkerSession) -> tuple[Any, ...]:
    """Parameters of `UPSERT_SESSION`."""
    return (session.namespace, session.session_id, pack(asdict(session)))


class SqliteSessionStore:
    """Reads worker sessions."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[WorkerSession]:
        """Every session, by namespace and id."""
        rows = self._readers.get().execute("SELECT body FROM worker_sessions ORDER BY namespace, session_id")
        return [_session_from(row[0]) for row in rows]


def _session_from(body: bytes) -> WorkerSession:
    fields: dict[str, Any] = unpack(body)
    return WorkerSession(**{**fields, "requirements": tuple(fields["requirements"])})

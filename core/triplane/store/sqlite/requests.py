"""Answered request ids."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from triplane.store.interface import RequestRecord
from triplane.store.sqlite.connection import Readers

if TYPE_CHECKING:
    from triplane.store.sqlite.writer import SqliteWriter

# A record that is older than the core remembers may still lie here when its id is used anew.
UPSERT_REQUEST = (
    "INSERT INTO requests (key, principal, namespace, request_id, digest, command, reply, time) VALUES (?,?,?,?,?,?,?,?)"
    " ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, command = excluded.command, reply = excluded.reply,"
    " time = excluded.time"
)


def _key(principal: str, namespace: str, request_id: str) -> bytes:
    # Lengths first, so that no two triples run together to the same bytes.
    text = f"{len(principal)}:{len(namespace)}:{principal}{namespace}{request_id}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def request_row(record: RequestRecord) -> tuple[Any, ...]:
    """Parameters of `UPSERT_REQUEST`."""
    return (
        _key(record.principal, record.namespace, record.request_id), record.principal, record.namespace, record.request_id,
        record.digest, record.command, record.reply, record.time,
    )  # fmt: skip


class SqliteRequestStore:
    """Finds and forgets answered request ids."""

    def __init__(self, readers: Readers, writer: "SqliteWriter | None") -> None:
        self._readers, self._writer = readers, writer

    def find(self, principal: str, namespace: str, request_id: str) -> RequestRecord | None:
        row = (
            self._readers.get()
            .execute(
                "SELECT principal, namespace, request_id, digest, command, reply, time FROM requests WHERE key = ?",
                (_key(principal, namespace, request_id),),
            )
            .fetchone()
        )
        return None if row is None else RequestRecord(*row)

    def expire(self, before: float, limit: int) -> int:
        """Forget at most `limit` of the oldest records, those older than `before`; waits for a commit that is under way."""
        if self._writer is None:
            return 0
        with self._writer.beside() as connection:
            # Ids grow with time, so the oldest records are the first ones and need no index by time.
            connection.execute(
                "DELETE FROM requests WHERE time < ? AND id IN (SELECT id FROM requests ORDER BY id LIMIT ?)", (before, limit)
            )
            changed: int = connection.changes()
        return changed

"""Output streams of runs: a head for each, and their items."""

from typing import Any

import apsw

from triplane.entities import Stream, StreamItem
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

UPSERT_STREAM = (
    "INSERT INTO streams VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET expires = excluded.expires, body = excluded.body"
)
INSERT_ITEM = "INSERT INTO stream_items VALUES (?,?,?,?,?)"
EMPTY_STREAM = "DELETE FROM stream_items WHERE run = ? AND name = ?"


def stream_row(key: int, stream: Stream) -> tuple[Any, ...]:
    """Parameters of `UPSERT_STREAM`."""
    body = (
        stream.status, stream.total, stream.first, stream.consumed, stream.appended, stream.closed, stream.error_reason,
        stream.retention_s,
    )  # fmt: skip
    return key, stream.name, stream.opened, stream.expires, pack(body)


def item_row(key: int, item: StreamItem) -> tuple[Any, ...]:
    """Parameters of `INSERT_ITEM`."""
    return key, item.stream, item.offset, item.key, pack((item.emitted, item.body))


def _stream_from(run_id: str, row: tuple[Any, ...]) -> Stream:
    name, opened, expires, body = row
    status, total, first, consumed, appended, closed, error_reason, retention_s = unpack(body)
    return Stream(
        run_id, name, status, opened, total=total, first=first, consumed=consumed, appended=appended, closed=closed,
        error_reason=error_reason, retention_s=retention_s, expires=expires,
    )  # fmt: skip


class SqliteStreamStore:
    """Reads output streams."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def _key(self, connection: apsw.Connection, run_id: str) -> int | None:
        key: int | None = connection.execute("SELECT key FROM runs WHERE run_id = ?", (run_id,)).get
        return key

    def of_run(self, run_id: str) -> list[Stream]:
        rows = self._readers.get().execute(
            "SELECT s.name, s.opened, s.expires, s.body FROM runs r JOIN streams s ON s.run = r.key WHERE r.run_id = ?"
            " ORDER BY s.opened, s.name",
            (run_id,),
        )
        return [_stream_from(run_id, row) for row in rows]

    def find(self, run_id: str, name: str) -> Stream | None:
        row = (
            self._readers.get()
            .execute(
                "SELECT s.name, s.opened, s.expires, s.body FROM runs r JOIN streams s ON s.run = r.key"
                " WHERE r.run_id = ? AND s.name = ?",
                (run_id, name),
            )
            .fetchone()
        )
        return None if row is None else _stream_from(run_id, row)

    def keys(self, run_id: str, name: str) -> dict[str, int]:
        """Idempotency key → offset of the items still stored."""
        connection = self._readers.get()
        key = self._key(connection, run_id)
        rows: Any = connection.execute(
            "SELECT key, item FROM stream_items WHERE run = ? AND name = ? AND key IS NOT NULL", (key, name)
        )
        return dict(rows.fetchall())

    def read(self, run_id: str, name: str, first: int, limit: int) -> list[StreamItem]:
        """Items from offset `first` on, at most `limit`."""
        connection = self._readers.get()
        key = self._key(connection, run_id)
        rows = connection.execute(
            "SELECT item, key, body FROM stream_items WHERE run = ? AND name = ? AND item >= ? ORDER BY item LIMIT ?",
            (key, name, first, limit),
        )
        return [StreamItem(run_id, name, offset, idempotency_key, *unpack(body)) for offset, idempotency_key, body in rows]

    def expired(self, now: float, limit: int) -> list[tuple[str, str, str, str]]:
        """(namespace, workflow id, run id, name) of streams whose items are to go, those first that are due longest."""
        rows: Any = (
            self._readers.get()
            .execute(
                "SELECT r.namespace, r.workflow_id, r.run_id, s.name FROM streams s JOIN runs r ON r.key = s.run"
                " WHERE s.expires <= ? ORDER BY s.expires LIMIT ?",
                (now, limit),
            )
            .fetchall()
        )
        return [*rows]

"""Histories: append-only rows, each with a checksum over itself and the row before.

The run's own row holds the length and the last checksum (its head), so a missing tail is noticed like a changed row.
"""

from hashlib import blake2b
from typing import Any

import apsw

from triplane.events import Event
from triplane.store.interface import HistoryDamaged
from triplane.store.sqlite.codec import UnknownFormat, pack, unpack
from triplane.store.sqlite.connection import Readers

INSERT_EVENT = "INSERT INTO histories VALUES (?,?,?,?)"

_CHECKSUM_BYTES = 16
_VERIFY_PAGE = 1_000


def first_head(run_id: str) -> bytes:
    """What the first event's checksum is chained to: a history cannot pass for another run's."""
    return blake2b(run_id.encode(), digest_size=_CHECKSUM_BYTES).digest()


def chained(head: bytes, body: bytes) -> bytes:
    """The checksum of a row whose predecessor has `head`."""
    return blake2b(head + body, digest_size=_CHECKSUM_BYTES).digest()


def event_body(event: Event) -> bytes:
    """The stored form of an event; its sequence is inside, so that rows cannot change places."""
    return pack((event.seq, event.time, event.name, event.wire, event.principal, event.data))


class SqliteHistoryStore:
    """Reads histories, checking every row it hands out."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        """Events with sequence > `after`, oldest first, at most `limit`; none of an unknown run."""
        try:
            return self._read(run_id, after, limit)
        except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError) as error:
            raise HistoryDamaged(f"history of run {run_id} after event {after} cannot be read: {error}") from error

    def verify(self, run_id: str) -> int:
        """The number of events checked, all of them sound."""
        count = 0
        while events := self.read(run_id, count, _VERIFY_PAGE):
            count += len(events)
        return count

    def _read(self, run_id: str, after: int, limit: int) -> list[Event]:
        connection = self._readers.get()
        run = connection.execute("SELECT key, history_length, history_head FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if run is None:
            return []
        key, length, head = run
        if not isinstance(length, int) or length < 0 or (length == 0 and head != first_head(run_id)):
            raise HistoryDamaged(f"history of run {run_id}: its length cannot be trusted")
        expected = min(limit, length - after)
        if expected <= 0:
            return []
        # The row before the first one wanted is read for its checksum. Rows beyond `length` are of a later commit.
        rows: list[Any] = connection.execute(
            "SELECT seq, body, checksum FROM histories WHERE run = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (key, after, after + expected),
        ).fetchall()
        previous = first_head(run_id)
        if after > 0:
            if not rows or rows[0][0] != after:
                raise HistoryDamaged(f"history of run {run_id}: event {after} is missing")
            previous = rows.pop(0)[2]
        events = []
        for seq, (stored_seq, body, checksum) in enumerate(rows, after + 1):
            if stored_seq != seq:
                raise HistoryDamaged(f"history of run {run_id}: event {seq} is missing")
            # A damaged page may give any type in place of a blob.
            if not isinstance(body, bytes) or chained(previous, body) != checksum:
                raise HistoryDamaged(f"history of run {run_id}: event {seq} does not match its checksum")
            previous = checksum
            events.append(_event_from(run_id, seq, body))
        if len(events) != expected:
            raise HistoryDamaged(f"history of run {run_id}: event {after + len(events) + 1} is missing")
        if after + expected == length and previous != head:
            raise HistoryDamaged(f"history of run {run_id}: event {length} is not the last one the run has recorded")
        return events


def _event_from(run_id: str, seq: int, body: bytes) -> Event:
    try:
        event = Event(*unpack(body))
    except (UnknownFormat, ValueError, TypeError) as error:
        raise HistoryDamaged(f"history of run {run_id}: event {seq} cannot be read: {error}") from error
    if event.seq != seq:
        raise HistoryDamaged(f"history of run {run_id}: event {event.seq} is stored as event {seq}")
    return event

"""Opening a data directory: lock, connect, migrate."""

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import apsw

from triplane.store.interface import Slice, StoreBroken
from triplane.store.sqlite import integrity
from triplane.store.sqlite.attributes import SqliteAttributeStore
from triplane.store.sqlite.audit import SqliteAuditStore
from triplane.store.sqlite.connection import DATABASE_NAME, Readers, open_writer
from triplane.store.sqlite.contracts import SqliteContractStore
from triplane.store.sqlite.histories import SqliteHistoryStore
from triplane.store.sqlite.known_ids import KnownIds
from triplane.store.sqlite.lock import DirectoryLock
from triplane.store.sqlite.migrations import check_version, known_migrations, migrate
from triplane.store.sqlite.namespaces import SqliteNamespaceStore
from triplane.store.sqlite.removals import SqliteRemovalStore
from triplane.store.sqlite.requests import SqliteRequestStore
from triplane.store.sqlite.rollouts import SqliteRolloutStore
from triplane.store.sqlite.runs import SqliteRunStore
from triplane.store.sqlite.schedules import SqliteScheduleStore
from triplane.store.sqlite.sessions import SqliteSessionStore
from triplane.store.sqlite.streams import SqliteStreamStore
from triplane.store.sqlite.tables import SqliteTableStore
from triplane.store.sqlite.tokens import SqliteTokenStore
from triplane.store.sqlite.workers import SqliteWorkerStore
from triplane.store.sqlite.writer import SqliteWriter

_LAST_CURSOR = (
    "SELECT max(p.cursor, coalesce((SELECT max(r.cursor) FROM runs r WHERE r.key IN (SELECT value FROM json_each(p.ahead))), 0))"
    " FROM position p"
)

WARM_AT_ONCE = 1_000
"""Workflow ids that are read in before the store is open; what is more is for `RunStore.warm`, later."""


def last_cursor_of(connection: apsw.Connection) -> int:
    """The greatest cursor ever committed: the position's, or that of a run that is known to be ahead of it."""
    # A store that is only looked at may be of an earlier schema.
    sql = _LAST_CURSOR if connection.table_exists("main", "run_tails") else "SELECT cursor FROM position"
    cursor: int = connection.execute(sql).get
    return cursor


class ReadOnlyWriter:
    """Stands where a store opened for reading has its writer."""

    def commit(self, group: Sequence[Slice]) -> None:
        """Raises StoreBroken: nothing can be made durable here."""
        raise StoreBroken("this store was opened for reading only")


class SqliteStore:
    """A store, opened: it owns its data directory until closed."""

    def __init__(self, path: Path, vfs: str | None, lock: DirectoryLock | None, writing: apsw.Connection | None) -> None:
        self._lock, self._writing, self._closed = lock, writing, False
        self._readers = Readers(path, vfs)
        guard, known = threading.Lock(), KnownIds()
        self.writer: SqliteWriter | ReadOnlyWriter = ReadOnlyWriter() if writing is None else SqliteWriter(writing, guard, known)
        writer = self.writer if isinstance(self.writer, SqliteWriter) else None
        self.runs = SqliteRunStore(self._readers, known)
        self.histories = SqliteHistoryStore(self._readers)
        self.tables = SqliteTableStore(self._readers)
        self.requests = SqliteRequestStore(self._readers, writer)
        self.workers = SqliteWorkerStore(self._readers)
        self.rollouts = SqliteRolloutStore(self._readers)
        self.contracts = SqliteContractStore(self._readers)
        self.sessions = SqliteSessionStore(self._readers)
        self.namespaces = SqliteNamespaceStore(self._readers)
        self.tokens = SqliteTokenStore(self._readers)
        self.streams = SqliteStreamStore(self._readers)
        self.schedules = SqliteScheduleStore(self._readers, writer)
        self.removals = SqliteRemovalStore(self._readers, writer)
        self.attributes = SqliteAttributeStore(self._readers)
        self.audit = SqliteAuditStore(self._readers)

    def last_cursor(self) -> int:
        """The greatest cursor ever committed; 0 in a new store."""
        return last_cursor_of(self._readers.get())

    def check(self) -> list[str]:
        """Findings of a quick integrity check; empty when all is well. Reads the whole file."""
        return integrity.findings(self._readers.get())

    def count_runs(self) -> int:
        """How many runs there are, open and closed."""
        count: int = self._readers.get().execute("SELECT count(*) FROM runs").get
        return count

    def run_ids_after(self, key: int, limit: int) -> list[tuple[int, str]]:
        """(key, run id) of runs with a greater key, in the order in which they were opened."""
        return list(self._readers.get().execute("SELECT key, run_id FROM runs WHERE key > ? ORDER BY key LIMIT ?", (key, limit)))

    def close(self) -> None:
        """Copy the log into the file, close every connection and give the directory up; a second call does nothing."""
        self._readers.close()
        if self._closed:
            return
        self._closed = True
        writer = self.writer
        if isinstance(writer, SqliteWriter):
            # What cannot be copied now is in the log, and is replayed at the next start.
            with contextlib.suppress(StoreBroken, apsw.Error):
                writer.checkpoint()
        if self._writing is not None:
            self._writing.close(True)
        if self._lock is not None:
            self._lock.release()


def open_store(directory: str | os.PathLike[str], vfs: str | None = None, readonly: bool = False) -> SqliteStore:
    """Open the store in a data directory, making both where they do not exist.

    Args:
        directory: the gateway's data directory; made with mode 0700.
        vfs: name of a registered SQLite VFS, for tests of disk faults.
        readonly: only read, beside a process that may own the directory; nothing is made, locked or migrated.

    Raises:
        AlreadyOwned: another process owns the directory; names its pid.
        SchemaTooNew: it was written by a newer release.
        StoreBroken: it cannot be opened with durable settings, or is damaged.
        FileNotFoundError: `readonly`, and there is no store.
    """
    path = Path(directory).expanduser()
    if readonly:
        return _open_for_reading(path / DATABASE_NAME, vfs)
    _make_directory(path)
    lock = DirectoryLock(path)
    connection: apsw.Connection | None = None
    try:
        connection = open_writer(path / DATABASE_NAME, vfs)
        migrate(connection, known_migrations())
        store = SqliteStore(path / DATABASE_NAME, vfs, lock, connection)
        store.runs.warm(WARM_AT_ONCE)
        return store
    except BaseException as error:
        if connection is not None:
            connection.close(True)
        lock.release()
        if isinstance(error, apsw.Error):
            raise _broken(path / DATABASE_NAME, error) from error
        raise


def _open_for_reading(database: Path, vfs: str | None) -> SqliteStore:
    if not database.exists():
        raise FileNotFoundError(f"{database} does not exist")
    store = SqliteStore(database, vfs, None, None)
    try:
        check_version(store._readers.get(), known_migrations())
    except BaseException as error:
        store.close()
        if isinstance(error, apsw.Error):
            raise _broken(database, error) from error
        raise
    return store


def _broken(database: Path, error: apsw.Error) -> StoreBroken:
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StoreBroken(f"{database} is damaged: {error}; restore a backup")
    return StoreBroken(f"{database} cannot be opened: {error}")


def _make_directory(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The entry of a new directory is itself only durable once its parent is synced.
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)

"""Connections to the file: how they are set up, and what their failures mean."""

import threading
import time
from pathlib import Path

import apsw

from triplane.errors import CommitFailed, StorageFull
from triplane.store.interface import StoreBroken

DATABASE_NAME = "triplane.sqlite"
OLDEST_SQLITE = (3, 51, 3)
"""The first release without the rare WAL-reset corruption; the wheel of apsw brings its own SQLite."""

_BUSY_TIMEOUT_MS = 5_000
_CLOSE_S = 5.0
"""How long a reader may take to notice that its connection is being closed."""
_WRITER_CACHE_KIB = 64 * 1024
_READER_CACHE_KIB = 16 * 1024


def open_writer(path: Path, vfs: str | None) -> apsw.Connection:
    """The one connection that writes. Its settings for durability are read back, not believed.

    Raises:
        StoreBroken: the library or file system does not give us WAL with full synchronisation.
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < OLDEST_SQLITE:
        raise StoreBroken(f"SQLite {apsw.sqlite_lib_version()} is too old, {'.'.join(map(str, OLDEST_SQLITE))} is needed")
    connection = apsw.Connection(str(path), vfs=vfs, statementcachesize=200)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    journal_mode = connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("cache_size", -_WRITER_CACHE_KIB)
    connection.pragma("temp_store", "memory")
    connection.pragma("trusted_schema", False)
    # SQLite's own checkpoints swallow a failed sync, and one on close would try it again: the writer makes them itself.
    connection.pragma("wal_autocheckpoint", 0)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    synchronous = connection.pragma("synchronous")
    if journal_mode != "wal" or synchronous != 2:
        connection.close()
        raise StoreBroken(f"{path} has journal mode {journal_mode} and synchronous {synchronous}; wal and 2 (full) are needed")
    return connection


class Readers:
    """One read-only connection for each thread that reads; each read sees the last commit."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path, self._vfs = path, vfs
        self._local = threading.local()
        self._all: list[apsw.Connection] = []
        self._guard = threading.Lock()

    def get(self) -> apsw.Connection:
        """This thread's connection."""
        try:
            connection: apsw.Connection = self._local.connection
        except AttributeError:
            connection = self._local.connection = self._open()
        return connection

    def _open(self) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READONLY
        connection = apsw.Connection(str(self._path), flags=flags, vfs=self._vfs, statementcachesize=200)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("cache_size", -_READER_CACHE_KIB)
        connection.pragma("trusted_schema", False)
        with self._guard:
            self._all.append(connection)
        return connection

    def close(self) -> None:
        """Close every thread's connection; what some thread is still reading is interrupted."""
        with self._guard:
            for connection in self._all:
                _close(connection)
            self._all.clear()
            self._local = threading.local()


def _close(connection: apsw.Connection) -> None:
    until = time.monotonic() + _CLOSE_S
    while True:
        try:
            return connection.close(True)
        except apsw.ThreadingViolationError:
            if time.monotonic() > until:
                raise
            connection.interrupt()
            time.sleep(0.002)


def meaning_of(error: BaseException) -> BaseException:
    """What a failed write means for the process: `StorageFull`, `CommitFailed`, `StoreBroken`, or the error as it is."""
    if isinstance(error, apsw.FullError):
        return StorageFull("the disk that holds the data directory is full; make room, reads go on meanwhile")
    if isinstance(error, apsw.IOError):
        # The shared-memory index beside the log could not grow, which is how SQLite says "full" for that file.
        if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE:
            return StorageFull("the disk that holds the data directory is full; make room, reads go on meanwhile")
        return StoreBroken(f"the data directory cannot be written durably any more: {error}")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return StoreBroken(f"the store's file is damaged: {error}; run `triplane verify`")
    if isinstance(error, (ValueError, TypeError, OverflowError, apsw.ConstraintError)):
        # A value that cannot be stored, such as one nested beyond every limit: the group's fault, not the disk's.
        return CommitFailed(f"a change could not be stored: {error}")
    return error

"""The embedded store: one SQLite file in WAL mode, written by one process."""

from triplane.store.sqlite.opening import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]

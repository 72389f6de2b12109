"""Namespaces."""

from typing import Any

from triplane.entities import Namespace
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

UPSERT_NAMESPACE = (
    "INSERT INTO namespaces (name, description, retention_days, created, updated, external_storage, is_going)"
    " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET description = excluded.description,"
    " retention_days = excluded.retention_days, created = excluded.created, updated = excluded.updated,"
    " external_storage = excluded.external_storage, is_going = excluded.is_going"
)


def namespace_row(namespace: Namespace) -> tuple[Any, ...]:
    """Parameters of `UPSERT_NAMESPACE`."""
    storage = namespace.external_storage
    return (
        namespace.name, namespace.description, namespace.retention_days, namespace.created, namespace.updated,
        None if storage is None else pack(storage), int(namespace.is_going),
    )  # fmt: skip


class SqliteNamespaceStore:
    """Reads namespaces; `default` is always there."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[Namespace]:
        """Every namespace, by name; those that are going too."""
        rows = self._readers.get().execute(
            "SELECT name, description, retention_days, created, updated, external_storage, is_going FROM namespaces ORDER BY name"
        )
        return [_namespace_from(row) for row in rows]


def _namespace_from(row: tuple[Any, ...]) -> Namespace:
    name, description, retention_days, created, updated, storage, is_going = row
    storage = None if storage is None else unpack(storage)
    return Namespace(name, description, retention_days, created, updated, storage, bool(is_going))

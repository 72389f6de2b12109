"""Namespaces."""

from typing import Any

from triplane.entities import Namespace
from triplane.store.sqlite.connection import Readers

UPSERT_NAMESPACE = (
    "INSERT INTO namespaces VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET description = excluded.description,"
    " retention_days = excluded.retention_days, created = excluded.created, updated = excluded.updated"
)


def namespace_row(namespace: Namespace) -> tuple[Any, ...]:
    """Parameters of `UPSERT_NAMESPACE`."""
    return namespace.name, namespace.description, namespace.retention_days, namespace.created, namespace.updated


class SqliteNamespaceStore:
    """Reads namespaces; `default` is always there."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[Namespace]:
        """Every namespace, by name."""
        rows = self._readers.get().execute(
            "SELECT name, description, retention_days, created, updated FROM namespaces ORDER BY name"
        )
        return [Namespace(*row) for row in rows]

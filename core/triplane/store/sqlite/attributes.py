"""Search attributes: their definitions, and the index of the values that runs have."""

from typing import Any

from triplane.entities import RunDetail, SearchAttribute
from triplane.store.sqlite.connection import Readers
from triplane.visibility.attributes import index_rows

UPSERT_ATTRIBUTE = (
    "INSERT INTO search_attributes VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET kind = excluded.kind, created = excluded.created"
)
DELETE_ATTRIBUTE = "DELETE FROM search_attributes WHERE namespace = ? AND name = ?"
DELETE_SUPERSEDED = (
    "DELETE FROM run_attributes WHERE run = (SELECT key FROM runs WHERE namespace = ? AND workflow_id = ? AND run_number = ?)"
)
"""Only workflows' newest runs are ever searched."""
DELETE_ROWS = "DELETE FROM run_attributes WHERE run = ?"
INSERT_ROW = "INSERT INTO run_attributes VALUES (?,?,?,?,?)"


def attribute_row(attribute: SearchAttribute) -> tuple[Any, ...]:
    """Parameters of `UPSERT_ATTRIBUTE`."""
    return attribute.namespace, attribute.name, attribute.kind, attribute.created


def rows_of(key: int, namespace: str, detail: RunDetail) -> list[tuple[Any, ...]]:
    """Parameters of `INSERT_ROW`, once for each value of a run."""
    return [(namespace, name, form, value, key) for name, form, value in index_rows(detail)]


class SqliteAttributeStore:
    """Reads definitions."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[SearchAttribute]:
        """Every definition, by namespace and name."""
        rows = self._readers.get().execute("SELECT namespace, name, kind, created FROM search_attributes ORDER BY namespace, name")
        return [SearchAttribute(*row) for row in rows]

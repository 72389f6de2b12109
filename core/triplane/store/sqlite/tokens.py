"""Bearer tokens that were made by a command."""

from typing import Any

from triplane.entities import StoredToken
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers

MOST_REVOKED = 1_000

UPSERT_TOKEN = "INSERT OR REPLACE INTO tokens (name, sha256, created, expires, revoked, body) VALUES (?,?,?,?,?,?)"
FORGET_REVOKED = (
    "DELETE FROM tokens WHERE revoked IS NOT NULL AND name NOT IN"
    f" (SELECT name FROM tokens WHERE revoked IS NOT NULL ORDER BY revoked DESC LIMIT {MOST_REVOKED})"
)


def token_row(token: StoredToken) -> tuple[Any, ...]:
    """Parameters of `UPSERT_TOKEN`."""
    namespaces = None if token.namespaces is None else list(token.namespaces)
    body = pack((list(token.roles), namespaces, token.created_by))
    return token.name, token.sha256, token.created, token.expires, token.revoked, body


class SqliteTokenStore:
    """Reads tokens."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def all(self) -> list[StoredToken]:
        """Every token by name, revoked ones too; none in a store of an earlier schema."""
        connection = self._readers.get()
        if not connection.table_exists("main", "tokens"):
            return []
        rows = connection.execute("SELECT name, sha256, created, expires, revoked, body FROM tokens ORDER BY name")
        return [_token_from(row) for row in rows]


def _token_from(row: tuple[Any, ...]) -> StoredToken:
    name, sha256, created, expires, revoked, body = row
    roles, namespaces, created_by = unpack(body)
    return StoredToken(name, sha256, tuple(roles), None if namespaces is None else tuple(namespaces), created, created_by, expires, revoked)

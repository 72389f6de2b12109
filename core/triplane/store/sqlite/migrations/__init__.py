"""The schema's history: numbered scripts `NNNN_pre_name.sql` and `NNNN_post_name.sql` beside this module.

A `pre` script may run while the release before still reads the data; a `post` script takes away what only that release
needed. An embedded store has one reader, so both run when it is opened, in order of their numbers, each in a
transaction of its own.
"""

import re
from dataclasses import dataclass
from importlib import resources

import apsw

from triplane.store.interface import SchemaTooNew, StoreBroken

_FILE_NAME = re.compile(r"(\d{4})_(pre|post)_([a-z0-9_]+)\.sql")
_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_versions (
    version INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    applied REAL NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered script; numbers are dense from 1."""

    version: int
    name: str
    sql: str


def known_migrations() -> list[Migration]:
    """All scripts of this release, in order.

    Raises:
        StoreBroken: a file is misnamed or a number is missing, so this installation is not whole.
    """
    found = []
    for entry in resources.files(__package__).iterdir():
        if entry.name.endswith(".sql"):
            match = _FILE_NAME.fullmatch(entry.name)
            if match is None:
                raise StoreBroken(f"migration {entry.name} is not named NNNN_pre_name.sql or NNNN_post_name.sql")
            found.append(Migration(int(match[1]), entry.name[: -len(".sql")], entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise StoreBroken("the numbers of the store's migrations are not 1, 2, 3, …")
    return found


def stored_version(connection: apsw.Connection) -> int:
    """The number of the last migration applied to the file; 0 for an empty one."""
    if not connection.table_exists("main", "schema_versions"):
        return 0
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM schema_versions").get
    return version


def check_version(connection: apsw.Connection, migrations: list[Migration]) -> int:
    """The stored version, if this release can read it.

    Raises:
        SchemaTooNew: the file was written by a newer release.
    """
    version = stored_version(connection)
    if version > len(migrations):
        raise SchemaTooNew(
            f"the data directory has schema {version}, this release knows up to {len(migrations)}; install the newer release"
        )
    return version


def migrate(connection: apsw.Connection, migrations: list[Migration]) -> int:
    """Apply what is missing; returns the number of scripts applied."""
    version = check_version(connection, migrations)
    pending = migrations[version:]
    for migration in pending:
        with connection:
            connection.execute(_VERSION_TABLE)
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO schema_versions VALUES (?, ?, unixepoch('subsec'))", (migration.version, migration.name)
            )
    return len(pending)

"""The tail of a run: what its latest small steps added to its tables, and their checkpoints, one row a step.

A step of a simulation adds a few rows to several tables. Each of these is a page of the file to itself, and what a commit
costs is the pages it changes. So the rows of small steps wait in one place, and are moved to their tables many steps at a
time, in the transaction of a later step. Rows in a tail are always later than those of the same run that are not, and so
is a checkpoint; a larger step, and the last one, therefore have the tail moved in their own transaction.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from triplane.entities import Rows
from triplane.store.sqlite.codec import pack, unpack

INSERT_TAIL = "INSERT INTO run_tails VALUES (?,?,?)"
DELETE_TAIL = "DELETE FROM run_tails WHERE run = ?"

MAX_STEP_ROWS = 32
MAX_STEP_BYTES = 900
"""Of a step's body: a longer one would have pages to itself here too."""
MAX_STEPS = 200
"""After so many steps a tail is moved: few enough that reading it costs a reader next to nothing."""

Part = tuple[str, int, list[list[Any]]]
"""A table's name, the number of the first row, and rows."""


def body_of(rows: Sequence[Rows], checkpoint: bytes | None) -> bytes | None:
    """What a step adds, as it is stored in a tail; None where it is too much for that."""
    if len(rows) > MAX_STEP_ROWS or sum(len(some.rows) for some in rows) > MAX_STEP_ROWS:
        return None
    if checkpoint is not None and len(checkpoint) > MAX_STEP_BYTES:
        return None
    body = pack(([(some.table, some.first_row, some.rows) for some in rows if some.rows], checkpoint))
    return body if len(body) <= MAX_STEP_BYTES else None


def extent(connection: apsw.Connection, key: int) -> tuple[int, int]:
    """How many steps a run's tail has, and the number of the next one."""
    row: Any = connection.execute("SELECT count(*), coalesce(max(number), 0) + 1 FROM run_tails WHERE run = ?", (key,)).fetchone()
    count, following = row
    return count, following


def parts_of(connection: apsw.Connection, key: int | None) -> Iterator[tuple[Part, int]]:
    """What a run's tail holds of tables, in order, each with its stored size, about."""
    for parts, _, size in _steps(connection, key):
        for part in parts:
            yield part, size // len(parts)


def checkpoint_of(connection: apsw.Connection, key: int) -> bytes | None:
    """The newest checkpoint in a run's tail."""
    newest = None
    for _, checkpoint, _ in _steps(connection, key):
        newest = checkpoint if checkpoint is not None else newest
    return newest


def ends_of(connection: apsw.Connection, key: int) -> dict[str, int]:
    """Row counts of the tables that a run's tail goes on."""
    return {name: first + len(rows) for (name, first, rows), _ in parts_of(connection, key)}


def gathered(connection: apsw.Connection, key: int) -> tuple[list[Rows], bytes | None]:
    """A run's whole tail: the rows of each table together, and the newest checkpoint."""
    firsts: dict[str, int] = {}
    rows: dict[str, list[Any]] = {}
    newest = None
    for parts, checkpoint, _ in _steps(connection, key):
        newest = checkpoint if checkpoint is not None else newest
        for name, first, some in parts:
            firsts.setdefault(name, first)
            rows.setdefault(name, []).extend(some)
    return [Rows(name, (), firsts[name], tuple(found)) for name, found in rows.items()], newest


def _steps(connection: apsw.Connection, key: int | None) -> Iterator[tuple[list[Part], bytes | None, int]]:
    # A store that is only looked at may be of an earlier schema.
    if connection.table_exists("main", "run_tails"):
        stored: list[Any] = connection.execute("SELECT body FROM run_tails WHERE run = ? ORDER BY number", (key,)).fetchall()
        for (body,) in stored:
            parts, checkpoint = unpack(body)
            yield parts, checkpoint, len(body)

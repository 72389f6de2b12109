"""Rows of runs and their details, and what is asked about runs."""

from typing import Any

import apsw

from triplane.entities import HOST_TYPE, Run, RunDetail, Task
from triplane.queries import RunCount, RunPage
from triplane.store.interface import RunFilter, StoredRun
from triplane.store.sqlite import tables, tails, tasks
from triplane.store.sqlite.codec import pack, unpack
from triplane.store.sqlite.connection import Readers
from triplane.store.sqlite.known_ids import KnownIds
from triplane.store.sqlite.searches import Statement, statement

INSERT_RUN = (
    "INSERT INTO runs (key, run_id, namespace, workflow_id, run_number, engine, workflow_type, task_queue, is_newest, status,"
    " created, updated, closed, cursor, history_length, history_head, body) VALUES (?,?,?,?,?,?,?,?,1,?,?,?,?,?,?,?,?)"
)
UPDATE_RUN = "UPDATE runs SET status = ?, updated = ?, cursor = ?, history_length = ?, history_head = ?, body = ? WHERE key = ?"
CLOSE_RUN = "UPDATE runs SET closed = ? WHERE key = ?"
"""Apart from `UPDATE_RUN`, because an update that names `closed` also writes the index of open runs."""
SUPERSEDE = "UPDATE runs SET is_newest = 0 WHERE namespace = ? AND workflow_id = ? AND run_number = ?"
UPSERT_DETAIL = "INSERT INTO run_details VALUES (?,?) ON CONFLICT DO UPDATE SET body = excluded.body"
UPSERT_CHECKPOINT = "INSERT INTO checkpoints VALUES (?,?) ON CONFLICT DO UPDATE SET body = excluded.body"

MAX_CHAIN = 10_000
"""Runs of one workflow that `chain` gives at most: the newest ones."""

_RUN_COLUMNS = (
    "r.key, r.namespace, r.workflow_id, r.run_id, r.run_number, r.engine, r.workflow_type, r.task_queue, r.status,"
    " r.created, r.updated, r.closed, r.history_length, r.cursor, r.body"
)
_SELECT_IDS = (
    "SELECT DISTINCT namespace, workflow_id FROM runs WHERE (namespace, workflow_id) > (?, ?) ORDER BY namespace, workflow_id LIMIT ?"
)
_SELECT_RUN = f"SELECT {_RUN_COLUMNS}, d.body FROM runs r LEFT JOIN run_details d ON d.run = r.key"


def _hot_body(run: Run) -> bytes:
    return pack((run.status_message, run.closed_reason, run.paused, run.stopping, run.started, run.data))


def insert_row(key: int, run: Run, cursor: int, head: bytes) -> tuple[Any, ...]:
    """Parameters of `INSERT_RUN`."""
    return (
        key, run.run_id, run.namespace, run.workflow_id, run.run_number, run.engine, run.workflow_type, run.task_queue,
        run.status, run.created, run.updated, run.closed, cursor, run.history_length, head, _hot_body(run),
    )  # fmt: skip


def update_row(key: int, run: Run, cursor: int, head: bytes) -> tuple[Any, ...]:
    """Parameters of `UPDATE_RUN`: what names the run never changes."""
    return (run.status, run.updated, cursor, run.history_length, head, _hot_body(run), key)


def detail_row(key: int, detail: RunDetail) -> tuple[Any, ...]:
    """Parameters of `UPSERT_DETAIL`."""
    return key, pack(
        (
            detail.input, detail.output, detail.memo, detail.search_attributes, detail.options, detail.definition,
            detail.parent,
        )
    )  # fmt: skip


def run_from(row: tuple[Any, ...]) -> Run:
    """The run in the columns of `_RUN_COLUMNS`."""
    (
        _, namespace, workflow_id, run_id, run_number, engine, workflow_type, task_queue, status,
        created, updated, closed, history_length, cursor, body,
    ) = row[:15]  # fmt: skip
    status_message, closed_reason, paused, stopping, started, data = unpack(body)
    return Run(
        namespace=namespace, workflow_id=workflow_id, run_id=run_id, run_number=run_number, engine=engine,
        workflow_type=workflow_type, task_queue=task_queue, status=status, created=created, updated=updated,
        status_message=status_message, closed_reason=closed_reason, paused=paused, stopping=stopping, started=started,
        closed=closed, history_length=history_length, cursor=cursor, data=data,
    )  # fmt: skip


def detail_from(body: bytes | None) -> RunDetail:
    """The detail in a row's body; an empty one where the run has none."""
    if body is None:
        return RunDetail()
    return RunDetail(*unpack(body))


def key_of(connection: apsw.Connection, run_id: str) -> int | None:
    """The integer that a run's rows name it by."""
    key: int | None = connection.execute("SELECT key FROM runs WHERE run_id = ?", (run_id,)).get
    return key


class SqliteRunStore:
    """Runs and what belongs to them."""

    def __init__(self, readers: Readers, known: KnownIds) -> None:
        self._readers, self._known = readers, known
        self._known_to = ("", "")

    def current_run_id(self, namespace: str, workflow_id: str) -> str | None:
        if self._known.surely_new(namespace, workflow_id):
            return None
        found: str | None = (
            self._readers.get()
            .execute(
                "SELECT run_id FROM runs WHERE namespace = ? AND workflow_id = ? ORDER BY run_number DESC LIMIT 1",
                (namespace, workflow_id),
            )
            .get
        )
        return found

    def warm(self, limit: int) -> bool:
        if not self._known.complete:
            rows: list[Any] = self._readers.get().execute(_SELECT_IDS, (*self._known_to, limit)).fetchall()
            self._known.add_all(rows)
            self._known.complete = len(rows) < limit
            self._known_to = rows[-1] if rows else self._known_to
        return not self._known.complete

    def load(self, run_id: str) -> StoredRun | None:
        connection = self._readers.get()
        # One transaction, so that all parts are of the same commit.
        connection.execute("BEGIN")
        try:
            row = connection.execute(f"{_SELECT_RUN} WHERE r.run_id = ?", (run_id,)).fetchone()
            if row is None:
                return None
            key = row[0]
            task_list = tasks.tasks_of(connection, key)
            return StoredRun(
                run=run_from(row),
                detail=detail_from(row[15]),
                tasks=task_list,
                jobs=tasks.jobs_of(connection, key) if task_list else [],
                timers=tasks.timers_of(connection, key),
                tables=tables.tables_of(connection, key),
            )
        finally:
            connection.execute("COMMIT")

    def open_run_ids(self) -> list[str]:
        rows = self._readers.get().execute("SELECT run_id FROM runs WHERE closed IS NULL ORDER BY key")
        return [run_id for (run_id,) in rows]

    def checkpoint(self, run_id: str) -> bytes | None:
        connection = self._readers.get()
        # One transaction, so that a checkpoint that is moved meanwhile is seen either where it was or where it is.
        connection.execute("BEGIN")
        try:
            key = key_of(connection, run_id)
            body = tails.checkpoint_of(connection, key) if key is not None else None
            if body is None:
                body = connection.execute("SELECT body FROM checkpoints WHERE run = ?", (key,)).get
            return body
        finally:
            connection.execute("COMMIT")

    def page(
        self,
        namespace: str,
        *,
        engine: str | None,
        workflow_type: str | None,
        statuses: tuple[str, ...],
        open: bool | None,
        hidden_type: str | None = None,
        text: str,
        limit: int,
        after: str | None,
    ) -> RunPage:
        """Newest runs of workflows, newest start first.

        Args:
            text: a part of the workflow id, run id or type, in any case.
            after: `next` of the page before; anything else gives an empty page.
        """
        where = ["r.namespace = ?", "r.is_newest"]
        parameters: list[Any] = [namespace]
        if after is not None:
            if not after.isdecimal() or len(after) > 18:
                return RunPage((), None)
            where.append("r.key < ?")
            parameters.append(int(after))
        if engine is not None:
            where.append("r.engine = ?")
            parameters.append(engine)
        if workflow_type == HOST_TYPE:
            # As a literal, for only then the index of just these runs can be used.
            where.append(f"r.workflow_type = '{HOST_TYPE}'")
        elif workflow_type is not None:
            where.append("r.workflow_type = ?")
            parameters.append(workflow_type)
        if statuses:
            where.append(f"r.status IN ({','.join('?' * len(statuses))})")
            parameters.extend(statuses)
        if open is not None:
            where.append("r.closed IS NULL" if open else "r.closed IS NOT NULL")
        if hidden_type is not None:
            where.append("r.workflow_type <> ?")
            parameters.append(hidden_type)
        if text:
            where.append("instr(lower(r.workflow_id || char(10) || r.run_id || char(10) || r.workflow_type), lower(?))")
            parameters.append(text)
        # Open runs are few among many closed ones, and have an index of their own; both give rows in order of their keys.
        index = "runs_open" if open else "runs_hosting" if workflow_type == HOST_TYPE else "runs_listed"
        sql = (
            f"SELECT {_RUN_COLUMNS}, d.body FROM runs r INDEXED BY {index} LEFT JOIN run_details d ON d.run = r.key"
            f" WHERE {' AND '.join(where)} ORDER BY r.key DESC LIMIT ?"
        )
        rows: list[Any] = self._readers.get().execute(sql, (*parameters, limit + 1)).fetchall()
        following = str(rows[limit - 1][0]) if len(rows) > limit else None
        return RunPage(tuple((run_from(row), detail_from(row[15])) for row in rows[:limit]), following)

    def find(self, wanted: RunFilter, limit: int) -> RunPage:
        """Newest runs of workflows that `wanted` describes, in its order: at most `limit` of those looked at.

        `next` is None only where there is nothing left to look at; until then a page may hold fewer than `limit`, even none.
        """
        sql = statement(wanted)
        rows: list[Any] = (
            self._readers.get()
            .execute(
                f"SELECT {_RUN_COLUMNS}, d.body FROM ({sql.keys}) s CROSS JOIN runs r ON r.key = s.key"
                f" LEFT JOIN run_details d ON d.run = r.key WHERE {sql.where} ORDER BY s.key {sql.order} LIMIT ?",
                (*sql.keys_with, *sql.where_with, limit + 1),
            )
            .fetchall()
        )
        following = str(rows[limit - 1][0]) if len(rows) > limit else self._following(wanted, sql)
        return RunPage(tuple((run_from(row), detail_from(row[15])) for row in rows[:limit]), following)

    def count(self, wanted: RunFilter) -> RunCount:
        """How many there are among those looked at."""
        sql = statement(wanted)
        count: int = (
            self._readers.get()
            .execute(
                f"SELECT count(*) FROM ({sql.keys}) s CROSS JOIN runs r ON r.key = s.key WHERE {sql.where}",
                (*sql.keys_with, *sql.where_with),
            )
            .get
        )
        return RunCount(count, self._following(wanted, sql))

    def _following(self, wanted: RunFilter, sql: Statement) -> str | None:
        """Where to go on after all candidates of a statement; None if there are no more."""
        last = "max" if sql.order == "ASC" else "min"
        row = self._readers.get().execute(f"SELECT count(*), {last}(key) FROM ({sql.keys})", sql.keys_with).fetchone()
        return str(row[1]) if row is not None and row[0] >= wanted.scan else None

    def chain(self, namespace: str, workflow_id: str) -> RunPage:
        """All runs of a workflow, oldest first; of a very long chain the newest `MAX_CHAIN`."""
        rows: list[Any] = (
            self._readers.get()
            .execute(
                f"{_SELECT_RUN} WHERE r.namespace = ? AND r.workflow_id = ? ORDER BY r.run_number DESC LIMIT ?",
                (namespace, workflow_id, MAX_CHAIN),
            )
            .fetchall()
        )
        return RunPage(tuple((run_from(row), detail_from(row[15])) for row in reversed(rows)), None)

    def find_task(self, run_id: str, cycle: str, name: str) -> Task | None:
        connection = self._readers.get()
        key = key_of(connection, run_id)
        return None if key is None else tasks.task_of(connection, key, cycle, name)

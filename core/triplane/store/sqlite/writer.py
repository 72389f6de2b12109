"""The one way to change the store: a group of slices in one transaction, each table once for the whole group."""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any

import apsw

from triplane.entities import BuildRollout, CommandContract, Job, JobKey, Rows, Run, Task, TaskKey, Timer, Worker, WorkerSession
from triplane.store.interface import Slice, StoreBroken
from triplane.store.sqlite import (
    attributes,
    audit,
    contracts,
    histories,
    namespaces,
    requests,
    rollouts,
    runs,
    schedules,
    sessions,
    streams,
    tables,
    tails,
    tasks,
    tokens,
    workers,
)
from triplane.store.sqlite.connection import meaning_of
from triplane.store.sqlite.known_ids import KnownIds

CHECKPOINT_PAGES = 4_000
"""Pages in the log (4 KiB each) after which a commit also copies it into the file."""

MAX_REMEMBERED_RUNS = 200_000
"""Runs whose key and history head are kept in memory, so that most commits read nothing."""

ROWS_TOGETHER = (64, 16, 4)
"""How many rows one statement inserts, largest first: few enough sizes that all their statements stay prepared."""

MAX_AHEAD = 16
"""Runs that may change without the position being written: the few that step again and again."""

_SAVE_CURSOR = "UPDATE position SET cursor = ?, ahead = ?"
_LOAD_AHEAD = "SELECT value FROM position, json_each(position.ahead)"


class _Known:
    """What the writer remembers of a run: its key, the checksum its next event is chained to, and its tail's extent.

    Attributes:
        tail_steps: how many steps wait in its tail, or somewhat more; None until it is asked for.
        tail_next: the number of the next one.
    """

    __slots__ = ("head", "key", "length", "tail_next", "tail_steps")

    def __init__(self, key: int, length: int, head: bytes) -> None:
        self.key, self.length, self.head = key, length, head
        self.tail_steps: int | None = None
        self.tail_next = 1


class _Batch:
    """A group's changes by table, each row once and as it is at the end of the group."""

    def __init__(self) -> None:
        self.opened: dict[int, Run] = {}
        self.runs: dict[int, tuple[_Known, Run, int]] = {}
        self.details: dict[int, tuple[Any, ...]] = {}
        self.unindexed: set[int] = set()
        self.indexed: dict[int, list[tuple[Any, ...]]] = {}
        self.events: list[tuple[Any, ...]] = []
        self.pruned: dict[tuple[int, str, str], None] = {}
        self.tasks: dict[tuple[int, TaskKey], Task] = {}
        self.jobs: dict[tuple[int, TaskKey], dict[JobKey, Job]] = {}
        self.timers: dict[tuple[int, str], Timer | None] = {}
        self.closed: set[int] = set()
        self.tables: list[tuple[Any, ...]] = []
        self.rows: list[tuple[Any, ...]] = []
        self.completed_pages: list[tables.PageOfTable] = []
        self.tails: list[tuple[int, int, bytes]] = []
        self.ended_tails: dict[int, None] = {}
        self.replaced: dict[int, None] = {}
        self.checkpoints: dict[int, tuple[int, bytes]] = {}
        self.streams: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.stream_items: list[tuple[Any, ...]] = []
        self.emptied_streams: list[tuple[int, str]] = []
        self.cursor = 0

    def add_rows(self, key: int, appended: Sequence[Rows]) -> None:
        """Have rows stored with their tables."""
        for rows in appended:
            self.rows.extend(tables.chunk_rows(key, rows))
            self.completed_pages.extend(tables.completed_pages(key, rows))


class SqliteWriter:
    """Commits groups. May be called from any thread, one call at a time; a second caller waits."""

    def __init__(self, connection: apsw.Connection, guard: threading.Lock, known_ids: KnownIds) -> None:
        self._connection, self._guard, self._known_ids = connection, guard, known_ids
        self._known: dict[str, _Known] = {}
        self._next_key: int = connection.execute(
            # The key of a removed run is not used again while rows of it are left.
            "SELECT max((SELECT coalesce(max(key), 0) FROM runs), (SELECT coalesce(max(run), 0) FROM gone_runs)) + 1"
        ).get
        self._log_pages = 0
        self._ahead: frozenset[int] | None = None
        self._broken: StoreBroken | None = None
        connection.set_wal_hook(self._count_log)

    def commit(self, group: Sequence[Slice]) -> None:
        """Make the group durable, all of it or nothing, and return once it is on disk.

        Raises:
            StorageFull: nothing was written; a later commit may succeed.
            CommitFailed: a slice holds what cannot be stored, or contradicts what is stored; nothing was written.
            StoreBroken: a sync failed or the file is damaged; every later commit raises it too, without another try.
        """
        with self._guard:
            if self._broken is not None:
                raise self._broken
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._write(group)
                self._connection.execute("COMMIT")
            except BaseException as error:
                # What is remembered may be of the failed group.
                self._known.clear()
                self._ahead = None
                meaning = meaning_of(error)
                if isinstance(meaning, StoreBroken):
                    self._broken = meaning
                self._roll_back()
                if meaning is error:
                    raise
                raise meaning from error
            if self._log_pages >= CHECKPOINT_PAGES:
                self._copy_log()

    @contextmanager
    def beside(self) -> Iterator[apsw.Connection]:
        """A short transaction of its own beside the groups; what it raises means the same as of a commit."""
        with self._guard:
            if self._broken is not None:
                raise self._broken
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                meaning = meaning_of(error)
                if isinstance(meaning, StoreBroken):
                    self._broken = meaning
                self._roll_back()
                if meaning is error:
                    raise
                raise meaning from error
            if self._log_pages >= CHECKPOINT_PAGES:
                self._copy_log()

    def forget(self, run_ids: Collection[str]) -> None:
        """Drop what is remembered of runs that have been removed; the caller holds the guard."""
        for run_id in run_ids:
            self._known.pop(run_id, None)

    def checkpoint(self) -> None:
        """Copy the whole log into the file and empty it, so that the file alone is the store and the next start is quick."""
        with self._guard:
            if self._broken is None:
                self._copy_log(apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _count_log(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _copy_log(self, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE) -> None:
        try:
            self._connection.wal_checkpoint(mode=mode)
            self._log_pages = 0
        except (apsw.BusyError, apsw.LockedError, apsw.FullError):
            # The group is in the log and safe; the log grows on until there is room.
            self._log_pages = CHECKPOINT_PAGES // 2
        except apsw.Error as error:
            meaning = meaning_of(error)
            if isinstance(meaning, StoreBroken):
                self._broken = meaning
                raise meaning from error
            raise

    def _roll_back(self) -> None:
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            self._broken = self._broken or StoreBroken(f"a failed commit could not be rolled back: {error}")

    # ---- gathering ---------------------------------------------------------------------------------------------------

    def _write(self, group: Sequence[Slice]) -> None:
        batch = _Batch()
        for change in group:
            if change.run is not None:
                self._gather(batch, change, change.run)
            elif change.events or change.tasks or change.jobs or change.pruned or change.timers or change.rows or change.detail:
                raise ValueError("a slice that changes something of a run must hold the run")
            if change.streams:
                self._gather_streams(batch, change)
            batch.cursor = max(batch.cursor, change.cursor)
        self._execute(batch)
        self._write_workers(group)
        self._many(namespaces.UPSERT_NAMESPACE, [namespaces.namespace_row(n) for change in group for n in change.namespaces])
        changed_tokens = [tokens.token_row(token) for change in group for token in change.tokens]
        if changed_tokens:
            self._many(tokens.UPSERT_TOKEN, changed_tokens)
            self._connection.execute(tokens.FORGET_REVOKED)
        self._many(attributes.UPSERT_ATTRIBUTE, [attributes.attribute_row(a) for change in group for a in change.attributes])
        self._many(attributes.DELETE_ATTRIBUTE, [key for change in group for key in change.removed_attributes])
        self._many(requests.UPSERT_REQUEST, [requests.request_row(c.request) for c in group if c.request is not None])
        scheduling = [change for change in group if change.schedules]
        if scheduling:
            self._write_schedules(scheduling)
        self._many(audit.INSERT_AUDIT, [audit.audit_row(record) for change in group for record in change.audit])

    def _write_schedules(self, group: Sequence[Slice]) -> None:
        self._many(schedules.UPSERT_SCHEDULE, [schedules.schedule_row(s) for change in group for s in change.schedules])
        self._many(schedules.INSERT_SCHEDULE_EVENT, [schedules.event_row(e) for change in group for e in change.schedule_events])
        self._many(schedules.FORGET_SCHEDULE_EVENTS, [key for change in group for key in change.forgotten_schedule_events])

    def _write_workers(self, group: Sequence[Slice]) -> None:
        last: dict[tuple[str, str], Worker | None] = {}
        said: list[BuildRollout] = []
        known: list[CommandContract] = []
        held: dict[tuple[str, str], WorkerSession | None] = {}
        for change in group:
            said.extend(change.rollouts)
            known.extend(change.contracts)
            for key in change.removed_sessions:
                held[key] = None
            for session in change.sessions:
                held[session.namespace, session.session_id] = session
            for key in change.removed_workers:
                last[key] = None
            for worker in change.workers:
                last[worker.namespace, worker.worker_id] = worker
        if last:
            self._many(workers.UPSERT_WORKER, [workers.worker_row(worker) for worker in last.values() if worker is not None])
            self._many(workers.DELETE_WORKER, [key for key, worker in last.items() if worker is None])
        self._many(rollouts.UPSERT_ROLLOUT, [rollouts.rollout_row(rollout) for rollout in said])
        self._many(contracts.UPSERT_CONTRACT, [contracts.contract_row(contract) for contract in known])
        if held:
            self._many(sessions.UPSERT_SESSION, [sessions.session_row(session) for session in held.values() if session is not None])
            self._many(sessions.DELETE_SESSION, [key for key, session in held.items() if session is None])

    def _gather(self, batch: _Batch, change: Slice, run: Run) -> None:
        known = self._open(batch, run) if change.opened else self._find(run)
        key = known.key
        batch.runs[key] = (known, run, change.cursor or run.cursor)
        for event in change.events:
            if event.seq != known.length + 1:
                raise ValueError(f"run {run.run_id}: event {event.seq} does not follow event {known.length}")
            body = histories.event_body(event)
            known.head = histories.chained(known.head, body)
            known.length = event.seq
            batch.events.append((key, event.seq, body, known.head))
        if change.detail is not None:
            batch.details[key] = runs.detail_row(key, change.detail)
            if change.indexed:
                batch.indexed[key] = attributes.rows_of(key, run.namespace, change.detail)
                if not change.opened:
                    batch.unindexed.add(key)
        if change.replaces_tasks:
            batch.replaced[key] = None
        for task_key in change.pruned:
            batch.pruned[(key, *task_key)] = None
            batch.tasks.pop((key, task_key), None)
            batch.jobs.pop((key, task_key), None)
        for task in change.tasks:
            batch.tasks[key, task.key] = task
        for job in change.jobs:
            batch.jobs.setdefault((key, (job.cycle, job.name)), {})[job.key] = job
        for timer_id, timer in change.timers.items():
            batch.timers[key, timer_id] = timer
        if change.closed:
            batch.closed.add(key)
        for rows in change.rows:
            if rows.first_row == 0:
                batch.tables.append(tables.table_row(key, rows))
        if change.rows or change.checkpoint is not None:
            self._gather_rows(batch, known, change)
        if change.closed and known.tail_steps != 0:
            batch.ended_tails[key] = None

    def _gather_rows(self, batch: _Batch, known: _Known, change: Slice) -> None:
        key = known.key
        # Behind a step that had the tail moved, others of the same group go the same way: what waits is always the latest.
        goes_on = change.closed or key in batch.ended_tails
        body = None if goes_on else tails.body_of(change.rows, change.checkpoint)
        if known.tail_steps is None:
            known.tail_steps, known.tail_next = tails.extent(self._connection, key)
        if body is not None:
            batch.tails.append((key, known.tail_next, body))
            known.tail_next += 1
            known.tail_steps += 1
        else:
            batch.add_rows(key, change.rows)
            if change.checkpoint is not None:
                batch.checkpoints[key] = (key, change.checkpoint)
        if known.tail_steps and (body is None or known.tail_steps >= tails.MAX_STEPS):
            batch.ended_tails[key] = None
            known.tail_steps = 0

    def _gather_streams(self, batch: _Batch, change: Slice) -> None:
        for outcome in change.streams:
            stream = outcome.stream
            known = self._known.get(stream.run_id)
            key = known.key if known is not None else runs.key_of(self._connection, stream.run_id)
            if key is None:
                raise ValueError(f"run {stream.run_id} is not in the store, and has no streams")
            batch.streams[key, stream.name] = streams.stream_row(key, stream)
            batch.stream_items.extend(streams.item_row(key, item) for item in outcome.items)
            if outcome.emptied:
                batch.emptied_streams.append((key, stream.name))

    def _open(self, batch: _Batch, run: Run) -> _Known:
        known = _Known(self._next_key, 0, histories.first_head(run.run_id))
        known.tail_steps = 0
        self._next_key += 1
        batch.opened[known.key] = run
        self._known_ids.add(run.namespace, run.workflow_id)
        self._remember(run.run_id, known)
        return known

    def _find(self, run: Run) -> _Known:
        known = self._known.get(run.run_id)
        if known is None:
            row = self._connection.execute(
                "SELECT key, history_length, history_head FROM runs WHERE run_id = ?", (run.run_id,)
            ).fetchone()
            if row is None:
                raise ValueError(f"run {run.run_id} is not in the store and its slice does not open it")
            known = _Known(*row)
            self._remember(run.run_id, known)
        return known

    def _remember(self, run_id: str, known: _Known) -> None:
        if len(self._known) >= MAX_REMEMBERED_RUNS:
            # Those remembered first; one that is still busy costs one read when it comes again.
            for old in list(self._known)[: MAX_REMEMBERED_RUNS // 10]:
                del self._known[old]
        self._known[run_id] = known

    # ---- writing -----------------------------------------------------------------------------------------------------

    def _execute(self, batch: _Batch) -> None:
        supersede = [(run.namespace, run.workflow_id, run.run_number - 1) for run in batch.opened.values() if run.run_number > 1]
        inserts, updates, closings = [], [], []
        for key, (known, run, cursor) in batch.runs.items():
            if run.history_length != known.length:
                raise ValueError(f"run {run.run_id} says it has {run.history_length} events, and has {known.length}")
            if key in batch.opened:
                inserts.append(runs.insert_row(key, run, cursor, known.head))
            else:
                updates.append(runs.update_row(key, run, cursor, known.head))
                if run.closed is not None:
                    closings.append((run.closed, key))
        self._many(runs.INSERT_RUN, inserts)
        self._many(runs.UPDATE_RUN, updates)
        self._many(runs.CLOSE_RUN, closings)
        self._many(runs.SUPERSEDE, supersede)
        self._many(runs.UPSERT_DETAIL, batch.details.values())
        self._many(histories.INSERT_EVENT, batch.events)
        self._many(attributes.DELETE_ROWS, [(key,) for key in batch.unindexed])
        self._many(attributes.INSERT_ROW, [row for rows in batch.indexed.values() for row in rows])
        self._many(attributes.DELETE_SUPERSEDED, supersede)
        self._many(tasks.DELETE_ALL_TASKS, [(key,) for key in batch.replaced])
        self._many(tasks.DELETE_ALL_JOBS, [(key,) for key in batch.replaced])
        self._many(tasks.DELETE_TASK, batch.pruned)
        self._many(tasks.DELETE_JOBS, batch.pruned)
        self._many(tasks.UPSERT_TASK, [tasks.task_row(key, task) for (key, _), task in batch.tasks.items()])
        self._many(tasks.UPSERT_JOB, [tasks.job_row(key, job) for (key, _), jobs in batch.jobs.items() for job in jobs.values()])
        lasting = {at: timer for at, timer in batch.timers.items() if at[0] not in batch.closed}
        self._many(tasks.DELETE_TIMER, [at for at, timer in lasting.items() if timer is None])
        self._many(tasks.UPSERT_TIMER, [tasks.timer_row(at[0], timer) for at, timer in lasting.items() if timer is not None])
        self._many(tasks.DELETE_TIMERS, [(key,) for key in batch.closed])
        self._many(tables.INSERT_TABLE, batch.tables)
        self._many(tails.INSERT_TAIL, batch.tails)
        for key in batch.ended_tails:
            self._end_tail(batch, key)
        self._many(tables.INSERT_ROWS, batch.rows)
        for page in batch.completed_pages:
            tables.join_page(self._connection, page)
        self._many(runs.UPSERT_CHECKPOINT, batch.checkpoints.values())
        self._many(streams.UPSERT_STREAM, batch.streams.values())
        self._many(streams.INSERT_ITEM, batch.stream_items)
        self._many(streams.EMPTY_STREAM, batch.emptied_streams)
        if batch.cursor:
            self._save_cursor(batch)

    def _end_tail(self, batch: _Batch, key: int) -> None:
        """Move what waits in a run's tail to where it stays."""
        rows, checkpoint = tails.gathered(self._connection, key)
        batch.add_rows(key, rows)
        if checkpoint is not None:
            # One that comes with the step that ends the tail is newer.
            batch.checkpoints.setdefault(key, (key, checkpoint))
        self._connection.execute(tails.DELETE_TAIL, (key,))

    def _save_cursor(self, batch: _Batch) -> None:
        """Write the position, unless it can be told from the runs' own rows: of those that are known to be ahead of it."""
        if self._ahead is None:
            self._ahead = frozenset(key for (key,) in self._connection.execute(_LOAD_AHEAD))
        keys = batch.runs.keys()
        if keys and not batch.closed and keys <= self._ahead and any(cursor == batch.cursor for _, _, cursor in batch.runs.values()):
            return
        if keys and len(keys) <= MAX_AHEAD // 2:
            together = self._ahead | keys
            self._ahead = frozenset(keys) if len(together) > MAX_AHEAD else together
        self._connection.execute(_SAVE_CURSOR, (batch.cursor, f"[{','.join(map(str, self._ahead))}]"))

    def _many(self, sql: str, rows: Collection[Any]) -> None:
        """Run a statement once for each row; inserts of many rows go several to a statement.

        The interpreter's lock is given up and taken again around every statement. While the event loop is busy each
        time costs the writer thread a wait for it, so fewer, longer statements let the two threads really run together.
        """
        if not rows:
            return
        left = rows
        if len(rows) >= ROWS_TOGETHER[-1] and " VALUES (" in sql:
            ordered = list(rows)
            at = 0
            for count in ROWS_TOGETHER:
                while len(ordered) - at >= count:
                    values = list(chain.from_iterable(ordered[at : at + count]))
                    self._connection.execute(_for_rows(sql, count), values)
                    at += count
            left = ordered[at:]
        if left:
            self._connection.executemany(sql, left)


@cache
def _for_rows(sql: str, count: int) -> str:
    """An insert of one row, made to take `count`."""
    row = sql[sql.index(" VALUES (") + 8 : sql.index(")", sql.index(" VALUES (")) + 1]
    return sql.replace(row, ",".join([row] * count), 1)

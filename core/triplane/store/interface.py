"""What the core asks of a store, cut by aggregate. Nothing here assumes one process or one machine.

Writing happens in one place: `Writer.commit` takes a group of slices and makes them durable together. Reading is by
aggregate, from the last committed state, from any thread that asked for its own `Reader`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from triplane.entities import (
    BuildRollout,
    CommandContract,
    Job,
    Namespace,
    Rows,
    Run,
    RunDetail,
    SearchAttribute,
    StoredToken,
    Stream,
    StreamItem,
    Task,
    TaskKey,
    Timer,
    Worker,
    WorkerSession,
)
from triplane.events import Event
from triplane.queries import RunCount, RunPage
from triplane.schedules.entities import Schedule, ScheduleEvent, SchedulePage
from triplane.store.filters import AuditFilter
from triplane.streams.log import Outcome as StreamOutcome
from triplane.values import value
from triplane.visibility.expressions import Search

TABLE_PAGE_ROWS = 1_000
"""Rows of a page of a table: what is kept, decoded and looked through at a time."""


@value()
class AuditRecord:
    """One line of the audit log: who asked for what, from where, and what came of it.

    Attributes:
        outcome: `accepted`, or the code of the error it was refused with.
        summary: the command's own fields that are short and not payloads, plain JSON.
    """

    time: float
    wire: str
    peer: str
    principal: str
    namespace: str
    command: str
    workflow_id: str
    run_id: str
    request_id: str
    outcome: str
    summary: Mapping[str, Any]


@value()
class RequestRecord:
    """An answered request id: principal, namespace and id are the key.

    Attributes:
        digest: 16 bytes over command name and content.
        reply: msgpack of the answer's value.
    """

    principal: str
    namespace: str
    request_id: str
    digest: bytes
    command: str
    reply: bytes
    time: float


@dataclass(slots=True)
class Slice:
    """What one command changed; written whole or not at all, with the rest of its group.

    Attributes:
        cursor: position in the global order, greater than that of any slice before; 0 where nothing visible changed.
        run: upserted if given. opened: this slice creates the run (insert).
        detail: upserted if given.
        timers: timer id → Timer to set, None to clear; of `run`.
        checkpoint: replaces the run's stored checkpoint if given.
        streams: changes of output streams in order, of any runs.
        workers: upserted; removed_workers: (namespace, worker_id).
        rollouts, contracts, sessions: upserted; removed_sessions: (namespace, session_id).
        schedules: upserted; schedule_events: appended; forgotten_schedule_events: (namespace, schedule_id, last sequence to go).
        closed: all its timers go. replaces_tasks: `tasks` and `jobs` are all that there are; what was stored before goes.
        indexed: what `detail` says for searches (attributes, business key, …) is new: the run's index rows are replaced.
        attributes: definitions upserted; removed_attributes: (namespace, name).
    """

    cursor: int = 0
    run: Run | None = None
    opened: bool = False
    closed: bool = False
    detail: RunDetail | None = None
    events: Sequence[Event] = ()
    tasks: Collection[Task] = ()
    pruned: Collection[TaskKey] = ()
    jobs: Iterable[Job] = ()
    timers: Mapping[str, Timer | None] = field(default_factory=dict)
    rows: Sequence[Rows] = ()
    checkpoint: bytes | None = None
    streams: Sequence[StreamOutcome] = ()
    workers: Sequence[Worker] = ()
    removed_workers: Sequence[tuple[str, str]] = ()
    rollouts: Sequence[BuildRollout] = ()
    contracts: Sequence[CommandContract] = ()
    sessions: Sequence[WorkerSession] = ()
    removed_sessions: Sequence[tuple[str, str]] = ()
    namespaces: Sequence[Namespace] = ()
    tokens: Sequence[StoredToken] = ()
    schedules: Sequence[Schedule] = ()
    schedule_events: Sequence[ScheduleEvent] = ()
    forgotten_schedule_events: Sequence[tuple[str, str, int]] = ()
    replaces_tasks: bool = False
    indexed: bool = False
    attributes: Sequence[SearchAttribute] = ()
    removed_attributes: Sequence[tuple[str, str]] = ()
    request: RequestRecord | None = None
    audit: Sequence[AuditRecord] = ()


@dataclass(slots=True)
class StoredRun:
    """All of a run that an engine needs to go on; tasks, jobs and history in creation order."""

    run: Run
    detail: RunDetail
    tasks: list[Task]
    jobs: list[Job]
    timers: list[Timer]
    tables: list[tuple[str, tuple[tuple[str, str], ...], int]]
    """(name, columns, row count)"""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a search is for, and how far it looks; as `queries.RunSearch`, with the query read.

    Attributes:
        statuses: any of these, where there are any; hidden_types: none of these.
        after: look behind this position; scan: at so many runs at most.
    """

    namespace: str
    search: Search
    workflow_type: str | None = None
    statuses: tuple[str, ...] = ()
    hidden_types: tuple[str, ...] = ()
    after: str | None = None
    scan: int = 2_000


class Writer(Protocol):
    """The one way to change the store; used from one thread at a time."""

    def commit(self, group: Sequence[Slice]) -> None:
        """Make the group durable, all of it or nothing, and return once it is on disk.

        Raises:
            StorageFull: the disk is full; nothing was written; a later commit may succeed.
            StoreBroken: a sync failed or the file is damaged; the process must stop acknowledging and exit.
        """
        ...


class RunStore(Protocol):
    """Runs and what belongs to them."""

    def warm(self, limit: int) -> bool:
        """Read ahead, at most `limit` rows of it, what makes look-ups quick. Returns whether there is more to read."""
        ...

    def current_run_id(self, namespace: str, workflow_id: str) -> str | None:
        """The newest run of a workflow, or None."""
        ...

    def load(self, run_id: str) -> StoredRun | None: ...

    def open_run_ids(self) -> list[str]:
        """All open runs, oldest first."""
        ...

    def checkpoint(self, run_id: str) -> bytes | None: ...

    def page(
        self,
        namespace: str,
        *,
        engine: str | None,
        workflow_type: str | None,
        statuses: tuple[str, ...],
        open: bool | None,
        hidden_type: str | None,
        text: str,
        limit: int,
        after: str | None,
    ) -> RunPage:
        """Newest runs of workflows, newest start first, as `ListRuns` asks."""
        ...

    def find(self, wanted: "RunFilter", limit: int) -> RunPage:
        """Newest runs of workflows that `wanted` describes, in its order: at most `limit` of those looked at."""
        ...

    def count(self, wanted: "RunFilter") -> RunCount:
        """How many there are among those looked at."""
        ...

    def chain(self, namespace: str, workflow_id: str) -> RunPage: ...

    def find_task(self, run_id: str, cycle: str, name: str) -> Task | None: ...


class HistoryStore(Protocol):
    """Append-only, each row's checksum chained to the one before."""

    def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        """Events with sequence > after, oldest first.

        Raises:
            HistoryDamaged: a row does not match its checksum.
        """
        ...

    def verify(self, run_id: str) -> int:
        """Number of events checked; raises `HistoryDamaged` naming the first bad one."""
        ...


class TableChunk(Protocol):
    """Consecutive rows of a table, as they were stored together.

    Attributes:
        by_column: single columns can be decoded without the others; so it is with a complete page.
        size_bytes: as it is stored.
    """

    first_row: int
    row_count: int
    size_bytes: int

    @property
    def by_column(self) -> bool: ...

    def column(self, position: int) -> list[Any]:
        """A column's cells."""
        ...

    def rows(self) -> Sequence[Sequence[Any]]:
        """All rows, cells in column order."""
        ...


class TableStore(Protocol):
    """Rows of runs' tables."""

    def names(self, run_id: str) -> list[str]: ...

    def columns(self, run_id: str, table: str) -> tuple[tuple[str, str], ...] | None: ...

    def chunks(self, run_id: str, table: str, first_row: int, until: int, max_bytes: int) -> Sequence[TableChunk]:
        """Chunks with rows from `first_row` (≥ 0) to before `until`, in order; after `max_bytes` no further one.

        A chunk may begin before `first_row` and end behind `until`. None of a table that does not exist.
        """
        ...


class StreamStore(Protocol):
    """Output streams of runs."""

    def of_run(self, run_id: str) -> list[Stream]:
        """All of a run's, oldest first."""
        ...

    def find(self, run_id: str, name: str) -> Stream | None: ...

    def keys(self, run_id: str, name: str) -> dict[str, int]:
        """Idempotency key → offset of the items still stored."""
        ...

    def read(self, run_id: str, name: str, first: int, limit: int) -> list[StreamItem]:
        """Items from offset `first` on, at most `limit`."""
        ...

    def expired(self, now: float, limit: int) -> list[tuple[str, str, str, str]]:
        """(namespace, workflow id, run id, name) of streams whose items are to go, those first that are due longest."""
        ...


class RequestStore(Protocol):
    """Answered request ids, kept at least 24 hours."""

    def find(self, principal: str, namespace: str, request_id: str) -> RequestRecord | None: ...

    def expire(self, before: float, limit: int) -> int:
        """Forget at most `limit` records older than `before`; returns how many. Its own transaction."""
        ...


class WorkerStore(Protocol):
    """Registered workers."""

    def all(self) -> list[Worker]: ...


class RolloutStore(Protocol):
    """What operators have said of builds."""

    def all(self) -> list[BuildRollout]: ...


class ContractStore(Protocol):
    """What workers last said of their workflows."""

    def all(self) -> list[CommandContract]: ...


class SessionStore(Protocol):
    """Worker sessions."""

    def all(self) -> list[WorkerSession]: ...


class NamespaceStore(Protocol):
    def all(self) -> list[Namespace]: ...


class TokenStore(Protocol):
    def all(self) -> list[StoredToken]:
        """Every token by name, revoked ones too."""
        ...


class ScheduleStore(Protocol):
    """Schedules and their histories."""

    def all(self) -> list[Schedule]:
        """Every schedule that was not deleted."""
        ...

    def find(self, namespace: str, schedule_id: str) -> Schedule | None:
        """A schedule, deleted or not."""
        ...

    def page(
        self,
        namespace: str,
        *,
        status: str | None,
        engine: str | None,
        workflow_type: str | None,
        text: str,
        limit: int,
        after: str | None,
    ) -> SchedulePage:
        """Schedules that were not deleted, by id, as `ListSchedules` asks."""
        ...

    def events(self, namespace: str, schedule_id: str, after: int, limit: int) -> list[ScheduleEvent]:
        """History events with a sequence beyond `after`, oldest first."""
        ...

    def forget(self, before: float, limit: int) -> int:
        """Remove at most `limit` schedules that were deleted before a moment, and their histories; returns how many.

        Its own transaction.
        """
        ...


class RemovalStore(Protocol):
    """Takes runs and namespaces out for good. Each call is a transaction of its own, short enough for commits to wait for."""

    def expired(self, namespace: str, before: float, limit: int) -> list[str]:
        """Runs that closed before a moment and were not archived, oldest start first."""
        ...

    def run_ids(self, namespace: str, limit: int) -> list[str]:
        """Some runs of a namespace, open or closed."""
        ...

    def hide(self, run_ids: Sequence[str]) -> int:
        """Make at most 100 runs vanish, whatever they are; returns how many there were."""
        ...

    def sweep(self, limit: int) -> int:
        """Remove at most `limit` rows that hidden runs have left; 0 when none are left."""
        ...

    def counts(self, namespace: str) -> Mapping[str, int]:
        """How many rows each table has of a namespace, by table."""
        ...

    def forget_requests(self, namespace: str, after: int) -> int | None:
        """Forget request ids of a namespace, a portion at a time; None at the end."""
        ...

    def forget_namespace(self, namespace: str, limit: int) -> int:
        """Remove at most `limit` rows of a namespace whose runs are hidden; 0 when it is gone."""
        ...


class AttributeStore(Protocol):
    """Definitions of search attributes."""

    def all(self) -> list[SearchAttribute]: ...


class AuditStore(Protocol):
    def read(self, wanted: AuditFilter, limit: int) -> list[Mapping[str, Any]]:
        """Newest first, as dicts with the fields of `AuditRecord` and `id`.

        Where `wanted.scan` records were looked at without finding enough, the last is `{"id": …, "more": True}`.
        """
        ...


class Store(Protocol):
    """A store, opened: it owns its data directory until closed."""

    @property
    def writer(self) -> Writer: ...

    @property
    def runs(self) -> RunStore: ...

    @property
    def histories(self) -> HistoryStore: ...

    @property
    def tables(self) -> TableStore: ...

    @property
    def streams(self) -> StreamStore: ...

    @property
    def requests(self) -> RequestStore: ...

    @property
    def workers(self) -> WorkerStore: ...

    @property
    def rollouts(self) -> RolloutStore: ...

    @property
    def contracts(self) -> ContractStore: ...

    @property
    def sessions(self) -> SessionStore: ...

    @property
    def namespaces(self) -> NamespaceStore: ...

    @property
    def tokens(self) -> TokenStore: ...

    @property
    def schedules(self) -> ScheduleStore: ...

    @property
    def removals(self) -> RemovalStore: ...

    @property
    def attributes(self) -> AttributeStore: ...

    @property
    def audit(self) -> AuditStore: ...

    def last_cursor(self) -> int:
        """The greatest cursor ever committed."""
        ...

    def check(self) -> list[str]:
        """Findings of a quick integrity check; empty when all is well."""
        ...

    def close(self) -> None: ...


class StoreBroken(Exception):
    """The store cannot be trusted to be durable any more: stop acknowledging, exit non-zero, never retry the sync."""


class HistoryDamaged(Exception):
    """A stored history does not match its checksums; the message names run and sequence."""


class SchemaTooNew(Exception):
    """The data directory was written by a newer release."""

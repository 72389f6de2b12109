"""What can be read. Answers come from the last committed state, without waiting."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from triplane.commands.base import Access, Query, RunId, Scope, WorkflowId
from triplane.commands.schedules import ScheduleId
from triplane.entities import Job, JobKey, Run, RunDetail, Task, TaskKey


@dataclass(slots=True)
class RunView:
    """The last committed state of one run. Read it; never change it.

    Attributes:
        tasks, jobs: in creation order.
        cursor: the last commit in it; a subscription after this cursor misses nothing.
    """

    run: Run
    detail: RunDetail
    tasks: dict[TaskKey, Task]
    jobs: dict[JobKey, Job]
    cursor: int = 0


class RunQuery(Query):
    """A query of one run: the workflow's newest unless `run_id` names it."""

    workflow_id: WorkflowId
    run_id: RunId | None = None


class DescribeRun(RunQuery):
    """→ `RunView`."""

    name: ClassVar[str] = "describe_run"


class ChartRun(RunQuery):
    """→ `TaskGraph` of the run's definition as it is now; None where its engine has no graphs."""

    name: ClassVar[str] = "chart_run"


class ListRuns(Query):
    """→ `RunPage`, newest start first, only each workflow's newest run.

    Attributes:
        open: only open (True) or closed (False) ones.
        hidden_type: runs of this workflow type are left out.
        after: the `next` of the page before.
    """

    name: ClassVar[str] = "list_runs"

    engine: str | None = None
    workflow_type: str | None = None
    statuses: tuple[str, ...] = ()
    open: bool | None = None
    hidden_type: str | None = None
    text: str = Field(default="", max_length=512)
    limit: int = Field(default=50, ge=1, le=1_000)
    after: str | None = Field(default=None, max_length=256)


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs with their details; `next` is None at the end."""

    runs: tuple[tuple[Run, RunDetail], ...]
    next: str | None


class ListActivities(Query):
    """→ `ViewPage` of standalone activities, newest start first.

    Attributes:
        after: the `next` of the page before.
    """

    name: ClassVar[str] = "list_activities"

    statuses: tuple[str, ...] = ()
    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(default=None, max_length=256)


@dataclass(frozen=True, slots=True)
class ViewPage:
    """A page of runs with all of their tasks; `next` is None at the end."""

    views: tuple[RunView, ...]
    next: str | None


class RunSearch(Query):
    """What `FindRuns` and `CountRuns` share: which of the workflows' newest runs are meant, and how far to look.

    Attributes:
        query: a query as `triplane.visibility.language` has it, or a text to look for; empty for all.
        workflow_type: as it is listed, so `graph:NAME` and `simulation:NAME` for other engines than `durable`.
        statuses: any of these; hidden_types: none of these.
        after: the `next` of the page before.
        scan: look at so many runs at most, then say where to go on; so that a search through many runs can be done in
            portions while others get their turn.
    """

    query: str = Field(default="", max_length=8_192)
    workflow_type: str | None = Field(default=None, max_length=512)
    statuses: tuple[str, ...] = Field(default=(), max_length=10)
    hidden_types: tuple[str, ...] = Field(default=(), max_length=10)
    after: str | None = Field(default=None, pattern=r"^[0-9]{1,18}$")
    scan: int = Field(default=2_000, ge=1, le=100_000)


class FindRuns(RunSearch):
    """→ `RunPage`, newest start first unless the query orders otherwise; with `next` it may hold fewer than `limit` runs."""

    name: ClassVar[str] = "find_runs"

    limit: int = Field(default=50, ge=1, le=1_000)


class CountRuns(RunSearch):
    """→ `RunCount` of those looked at."""

    name: ClassVar[str] = "count_runs"


@dataclass(frozen=True, slots=True)
class RunCount:
    """How many runs were found among those looked at; `next` is None where there are no more."""

    count: int
    next: str | None


class ListSearchAttributes(Query):
    """→ dict of the namespace's own search attributes, name → kind."""

    name: ClassVar[str] = "list_search_attributes"


class ListChain(RunQuery):
    """→ `RunPage` of all runs of the workflow, oldest first."""

    name: ClassVar[str] = "list_chain"


class ReadHistory(RunQuery):
    """→ `HistoryPage` of events with sequence > `after`, oldest first."""

    name: ClassVar[str] = "read_history"

    after: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=1_000)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Events and whether more follow them; `total` is the committed history length."""

    run: Run
    events: tuple[Any, ...]
    total: int


class ListStreams(RunQuery):
    """→ list of the run's output `Stream`s, oldest first; of that name only if one is given."""

    name: ClassVar[str] = "list_streams"

    stream_name: str | None = Field(default=None, max_length=255)


class TableNames(RunQuery):
    """→ list[str], sorted: the model's own tables; with `all`, the ones every run has too."""

    name: ClassVar[str] = "table_names"

    all: bool = False


class ReadTable(RunQuery):
    """→ `TableData`; None where the run has no such table.

    Attributes:
        table: a model's own table first; else `Tasks`, `Jobs`, `History` of any run; `triplane.<name>` always the latter.
        conditions: (column, operator, value) triples, all of which must hold; operators `== != < <= > >=`.
        offset, limit: of the rows that pass.
        from_row, scan: look only at rows of this number and higher, and at so many at most, fewer where rows are large;
            `TableData.next_row` says where to go on. For reading a large table in portions while others get their turn.
    """

    name: ClassVar[str] = "read_table"

    table: str = Field(max_length=256)
    conditions: tuple[tuple[str, str, Any], ...] = Field(default=(), max_length=100)
    offset: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, ge=1)
    from_row: int = Field(default=0, ge=0)
    scan: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, slots=True)
class TableData:
    """Columns as (name, type) pairs; `index` the original row numbers; rows in column order.

    Attributes:
        next_row: the first row that was not looked at: where a further query goes on.
        at_end: there was no such row. Never said when `limit` rows were found.
        append_only: rows that were read stay as they are, new ones come behind them.
    """

    table: str
    columns: tuple[tuple[str, str], ...]
    index: list[int]
    rows: list[tuple[Any, ...]]
    next_row: int = 0
    at_end: bool = True
    append_only: bool = False


class ListWorkers(Query):
    """→ list of `Worker`, of one queue if named."""

    name: ClassVar[str] = "list_workers"

    task_queue: str | None = None


class DescribeSchedule(Query):
    """→ `schedules.entities.Schedule`."""

    name: ClassVar[str] = "describe_schedule"

    schedule_id: ScheduleId


class ListSchedules(Query):
    """→ `schedules.entities.SchedulePage`, by id; deleted ones are left out.

    Attributes:
        status: `active` or `paused`.
        text: a query (`triplane.schedules.searching`), or a part of the id or the workflow type, in any case.
        after: the `next` of the page before.
    """

    name: ClassVar[str] = "list_schedules"

    status: Literal["active", "paused"] | None = None
    engine: str | None = None
    workflow_type: str | None = None
    text: str = Field(default="", max_length=4_096)
    limit: int = Field(default=50, ge=1, le=1_000)
    after: str | None = Field(default=None, max_length=256)


class ReadScheduleHistory(Query):
    """→ `schedules.entities.ScheduleHistoryPage` of events with sequence > `after`, oldest first; of deleted schedules too."""

    name: ClassVar[str] = "read_schedule_history"

    schedule_id: ScheduleId
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=1_000)


class ListNamespaces(Query):
    """→ list of `Namespace` that the principal may see, by name."""

    name: ClassVar[str] = "list_namespaces"
    scope: ClassVar[Scope] = Scope.CLUSTER


class DescribeNamespace(Query):
    """→ `Namespace`."""

    name: ClassVar[str] = "describe_namespace"


class ExpiredRuns(Query):
    """→ `Expiry`: closed runs that are past the namespace's retention, oldest start first."""

    name: ClassVar[str] = "expired_runs"
    access: ClassVar[Access] = Access.ADMIN

    limit: int = Field(default=100, ge=1, le=1_000)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Runs that closed before `cutoff` (wall-clock seconds), which is `retention_days` ago."""

    retention_days: int
    cutoff: float
    run_ids: tuple[str, ...]


class BridgeTargets(Query):
    """→ tuple of globs that events of a bridge adapter may name; `*` for one that the config does not name.

    Refused as unauthenticated where the adapter has a secret and the signature is not made with it.

    Attributes:
        body: the event as it came; signature: `sha256=` and 64 hexadecimal digits.
    """

    name: ClassVar[str] = "bridge_targets"
    access: ClassVar[Access] = Access.WRITE

    adapter: str = Field(max_length=128)
    body: bytes = b""
    signature: str | None = Field(default=None, max_length=256)


class ReadAudit(Query):
    """→ list of audit records (dicts), newest first.

    Attributes:
        principal, command, outcome, wire: only those; outcome is `accepted`, `refused` for any refusal, or the code of one.
        since, until: wall-clock seconds, the first inside, the last outside.
        before: only records with a smaller `id`: the last one of the page before, or what it ended with.
        scan: so many records are looked at; a page that ends early ends with `{"id", "more": True}` to go on before.
    """

    name: ClassVar[str] = "read_audit"

    workflow_id: WorkflowId | None = None
    principal: str | None = Field(default=None, max_length=256)
    command: str | None = Field(default=None, max_length=128)
    outcome: str | None = Field(default=None, max_length=128)
    wire: str | None = Field(default=None, max_length=128)
    since: float | None = Field(default=None, ge=0)
    until: float | None = Field(default=None, ge=0)
    before: int | None = Field(default=None, ge=1)
    scan: int = Field(default=20_000, ge=1, le=100_000)
    limit: int = Field(default=100, ge=1, le=1_000)


class ListTokens(Query):
    """→ list of {name, roles, namespaces, created, created_by, expires, revoked, source: config or command}, by name."""

    name: ClassVar[str] = "list_tokens"
    access: ClassVar[Access] = Access.ADMIN
    scope: ClassVar[Scope] = Scope.CLUSTER
    everywhere: ClassVar[bool] = True


class ReadMetrics(Query):
    """→ the metrics of the whole gateway as text, in the format that Prometheus reads; no ids and no names of clients are in it."""

    name: ClassVar[str] = "read_metrics"
    scope: ClassVar[Scope] = Scope.CLUSTER


ALL_QUERIES: tuple[type[Query], ...] = (
    DescribeRun, ChartRun, ListRuns, ListActivities, ListChain, ReadHistory, ListStreams, TableNames, ReadTable, ListWorkers,
    DescribeSchedule, ListSchedules, ReadScheduleHistory, ListNamespaces, DescribeNamespace,
    ExpiredRuns, BridgeTargets, ReadAudit, ReadMetrics, ListTokens,
    FindRuns, CountRuns, ListSearchAttributes,
)  # fmt: skip

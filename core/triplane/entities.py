"""What a run is made of, as immutable values.

Engines replace an entity, never change it, so the same object can be in the working state, in a delta on its way to a
subscriber, and in the committed view, without copies and without surprises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from triplane.values import value

TaskKey = tuple[str, str]
"""(cycle, name) of a task within its run."""

JobKey = tuple[str, str, int]
"""(cycle, name, submit number) of a job within its run."""

EMPTY: Mapping[str, Any] = {}

OPEN_STATUSES = frozenset({"pending", "running", "waiting"})
CLOSED_STATUSES = frozenset({"completed", "failed", "cancelled", "terminated"})
TASK_STATES = ("waiting", "expired", "preparing", "submit-failed", "submitted", "running", "failed", "succeeded")
FINAL_TASK_STATES = frozenset({"expired", "submit-failed", "failed", "succeeded"})

HOST_TYPE = "dw.standalone_activity"
"""Workflow type of a run that hosts a standalone activity and has no workflow code. Source: contract durable 2.7."""

E = TypeVar("E", "Run", "RunDetail", "Task", "Job")


def evolve(entity: E, **changes: Any) -> E:
    """A copy of a frozen entity with some fields replaced; cheaper than `dataclasses.replace`, and unchecked."""
    new = object.__new__(type(entity))
    # The whole dictionary at once: these classes have no slots, and this runs several times in every step.
    new.__dict__ = {**entity.__dict__, **changes}
    return new


@value(slots=False)
class Run:
    """One execution of a workflow: the small row that changes with nearly every step.

    Attributes:
        run_id: unique over all namespaces and time; sorts by creation.
        run_number: 1 for the first run of the workflow, then one more for each next run of the chain.
        engine: entry-point name of the engine that decides its steps.
        status: `pending` (nothing done yet), `running`, `waiting`, or closed: `completed failed cancelled terminated`.
        status_message: a phrase for people, such as `stalled` or `stopping: waiting for active jobs to complete`.
        closed_reason: why it closed, where that says more than the status (`stopped`, `timed_out`, `continued`).
        stopping: the stop mode asked for and not finished yet: `graceful`, `kill` or `leave`.
        created, started, closed, updated: wall-clock seconds.
        history_length: number of events in its history; the next event has sequence `history_length + 1`.
        cursor: the commit that last changed it (0 while uncommitted).
        data: the engine's private state, small, msgpack-able; bulk belongs in tasks, jobs and history.
    """

    namespace: str
    workflow_id: str
    run_id: str
    run_number: int
    engine: str
    workflow_type: str
    task_queue: str
    status: str
    created: float
    updated: float
    status_message: str = ""
    closed_reason: str | None = None
    paused: bool = False
    stopping: str | None = None
    started: float | None = None
    closed: float | None = None
    history_length: int = 0
    cursor: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to it."""
        return self.closed is None


@value(slots=False)
class RunDetail:
    """The larger, seldom changed part of a run: written at the start, at the end, and when it changes.

    Attributes:
        input, output: plain JSON values or payload envelopes, as the starter or engine gave them.
        memo, search_attributes: plain JSON objects.
        options: what the starter asked for (timeouts, business_key, priority, run mode, …), plain JSON.
        definition: for wires that draw runs: `{"title", "description", "families": {name: {"parents": [...],
            "title"}}, "tasks": {name: {"families": [...], "title"}}, "edges": [[source, target], …]}`; all optional.
        parent: `{"namespace", "workflow_id", "run_id", "policy", …}` where another run started this one.
    """

    input: Any = None
    output: Any = None
    memo: Mapping[str, Any] = field(default_factory=dict)
    search_attributes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    definition: Mapping[str, Any] = field(default_factory=dict)
    parent: Mapping[str, Any] | None = None


@value(slots=False)
class Task:
    """A unit of work in a run, as every wire shows it.

    Attributes:
        seq: creation order within the run, from 1; the row number of the `Tasks` table.
        state: one of `TASK_STATES`.
        submit_num: how many jobs it has had.
        flow_nums: sorted JSON list as text, `"[1]"`.
        detail: public, for wires: `title`, `families` (nearest first), `prerequisites` (list of `{"task", "output",
            "satisfied"}`), `outputs` (list of `{"label", "message", "satisfied", "time"}`), `platform`, `kind`
            (`task activity timer child step`). All optional.
        data: the engine's private state of the task.
    """

    cycle: str
    name: str
    seq: int
    state: str
    updated: float
    is_held: bool = False
    is_queued: bool = False
    is_runahead: bool = False
    submit_num: int = 0
    flow_nums: str = "[1]"
    detail: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> TaskKey:
        return (self.cycle, self.name)


@value(slots=False)
class Job:
    """One attempt at a task.

    Attributes:
        seq: creation order within the run, from 1.
        state: `submitted submit-failed running succeeded failed`; never moves backward in that order.
        platform: platform name, or `queue:<task queue>` for a worker's lease.
        job_id: what the job runner or worker calls it; empty until known.
        messages: what the job said that was not a state change, oldest first, at most 100.
        data: private to the engine (lease, deadlines).
    """

    cycle: str
    name: str
    submit_num: int
    seq: int
    state: str
    platform: str = ""
    job_id: str = ""
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None
    messages: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> JobKey:
        return (self.cycle, self.name, self.submit_num)


@value()
class Timer:
    """A durable alarm of a run: at `fire_at` (wall-clock seconds) the run is sent `FireTimer(timer_id)`."""

    timer_id: str
    fire_at: float
    data: Mapping[str, Any] = field(default_factory=dict)


@value()
class Rows:
    """Rows appended to one of a run's tables.

    Attributes:
        columns: (name, type) pairs, type one of `bool int float str blob uuid list map`; the same at every append.
        first_row: row number of the first of these, counted from 0 over the whole table.
        rows: tuples in column order.
    """

    table: str
    columns: tuple[tuple[str, str], ...]
    first_row: int
    rows: tuple[tuple[Any, ...], ...]


@value()
class Stream:
    """A run's output stream: items that its workflow or others append and anybody reads, in order of their offsets.

    Attributes:
        status: `open`, `closed` or `errored`; only an open one grows.
        total: items ever appended; the next one has this offset.
        first: lowest offset still stored.
        consumed: a reader has asked for items from this offset on, so it is done with those before.
        opened, appended, closed, expires: wall-clock seconds; once it expires its items go.
    """

    run_id: str
    name: str
    status: str
    opened: float
    total: int = 0
    first: int = 0
    consumed: int = 0
    appended: float | None = None
    closed: float | None = None
    error_reason: str | None = None
    retention_s: int | None = None
    expires: float | None = None


@value()
class StreamItem:
    """One item of an output stream.

    Attributes:
        key: idempotency key, unique in its stream; None where the sender gave none.
        body: `payload` (an envelope) or `payload_reference`, `item_type`, `content_type`, `origin`, `origin_reference`,
            as far as they are known.
        emitted: wall-clock seconds.
    """

    run_id: str
    stream: str
    offset: int
    key: str | None
    emitted: float
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Worker:
    """A registered worker process, which outlives its connections and our restarts.

    Attributes:
        info: everything it told at registration (types, contracts, capabilities, slots), plain JSON.
    """

    namespace: str
    worker_id: str
    task_queue: str
    registered: float
    heartbeat: float
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BuildRollout:
    """What an operator has said of a build of workers on a task queue.

    Attributes:
        build_id: empty for workers that name no build.
        drained_at: since when it drains, in wall-clock seconds; None while it does not.
        promoted_at: when new starts were last pointed at it; selected: they still are.
    """

    namespace: str
    task_queue: str
    build_id: str
    drained_at: float | None = None
    promoted_at: float | None = None
    selected: bool = False


@dataclass(frozen=True, slots=True)
class CommandContract:
    """What a worker last said of a workflow type on a queue; outlives the worker, so that a gap between two changes nothing.

    Attributes:
        signals, updates: the names there are, sorted; None where the worker did not say.
        validators: updates that a worker must validate before they are accepted, sorted.
    """

    namespace: str
    task_queue: str
    workflow_type: str
    signals: tuple[str, ...] | None
    updates: tuple[str, ...] | None
    validators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerSession:
    """A session that a worker holds by a lease, so that activities which belong together find what the one before left.

    Attributes:
        task_queue: the queue of its holder, and of its activities.
        worker_id: the holder; empty where the holder was lost and nobody has taken over.
        lease_s: how long the holder keeps it without a word; lease_expires: until when, now.
        ttl_expires: when it is over, whoever holds it. All times are wall-clock seconds.
        max_activities: how many of its activities the holder is given at a time.
        may_reacquire: another worker may take it over when its holder is lost.
        requirements: capabilities that its holder must have registered, sorted.
    """

    namespace: str
    session_id: str
    task_queue: str
    worker_id: str
    created: float
    lease_s: float
    lease_expires: float
    ttl_expires: float
    max_activities: int = 1
    may_reacquire: bool = True
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A bearer token that a command made; only the SHA-256 of its secret is known.

    Attributes:
        sha256: 32 bytes; namespaces: None for all.
        created, expires, revoked: wall-clock seconds, None for never.
    """

    name: str
    sha256: bytes
    roles: tuple[str, ...]
    namespaces: tuple[str, ...] | None
    created: float
    created_by: str
    expires: float | None = None
    revoked: float | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """Isolation and permission scope.

    Attributes:
        name: lower case, 1 to 128 of `a-z 0-9 . _ -`.
        retention_days: closed runs are removed so many days after they closed.
        external_storage: where clients keep large payloads, as they set it: `{"driver", "enabled", "threshold_bytes",
            "config"}`; None until set.
        is_going: it was deleted, and what belongs to it is being removed; nobody sees it any more.
        cancel: what a cancel request does to a durable run: `close` it at once, or `cooperative`: tell the workflow, which
            may roll back first. From the config, not stored.
    """

    name: str
    description: str = ""
    retention_days: int = 30
    created: float = 0.0
    updated: float = 0.0
    external_storage: Mapping[str, Any] | None = None
    is_going: bool = False
    cancel: str = "close"

    def expired_before(self, now: float) -> float:
        """The moment before which a run must have closed to be past the retention now."""
        return now - self.retention_days * 86_400.0


@dataclass(frozen=True, slots=True)
class SearchAttribute:
    """A custom search attribute that a namespace has defined.

    Attributes:
        kind: `keyword text int double bool datetime keyword_list`.
    """

    namespace: str
    name: str
    kind: str
    created: float = 0.0

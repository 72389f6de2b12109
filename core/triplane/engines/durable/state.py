"""What the durable engine remembers of a run beside its history, tasks and jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triplane.engines.durable.alarms import iso
from triplane.engines.durable.messages import Inbox

FROM_THE_BEGINNING = "0"
"""The page token of a history's first event."""

NORMAL = ""
"""On the agenda: a workflow task that advances the workflow; any other entry is the id of an update to run."""


@dataclass(slots=True)
class WorkflowTask:
    """The one workflow task a run may have open.

    Attributes:
        number: counts the run's workflow tasks; with the run's id it is the task's id.
        attempt: deliveries so far; what the present (or last) lease must be reported with.
        phase: `ready` (offered), `leased`, or `backoff` (failed, will be offered again).
        owner: who holds (held) the lease; empty where that is not known.
        expires: wall-clock seconds at which the lease ends.
        snapshot: number of history events the lease was given.
        update_id: the update it runs, or empty.
        failures: how often it failed, for the backoff.
        grace: recovered after a restart: a report on the lease from before is taken as long as nobody has it anew.
    """

    number: int
    attempt: int = 0
    phase: str = "ready"
    owner: str = ""
    expires: float = 0.0
    snapshot: int = 0
    update_id: str = NORMAL
    failures: int = 0
    grace: bool = False

    @property
    def guarded(self) -> bool:
        """Whether somebody may be at it, so that what happens meanwhile must wait behind the task's own events."""
        return self.phase == "leased" or self.grace


@dataclass(slots=True)
class Condition:
    """A condition a workflow waits for; `deadline` None without timeout; `group` where it is a member of a selection."""

    sequence: int
    key: str | None
    fingerprint: str | None
    timeout_s: int | None
    deadline: float | None
    timed_out: bool = False
    group: Mapping[str, Any] = field(default_factory=dict)

    def to_data(self) -> list[Any]:
        """A list in field order."""
        return [self.sequence, self.key, self.fingerprint, self.timeout_s, self.deadline, self.timed_out, dict(self.group)]


@dataclass(slots=True)
class Activity:
    """An activity that is not over.

    Attributes:
        sequence: workflow step; the task is named by it.
        event_seq: position of its `ActivityScheduled` in the history, which holds the arguments.
        phase: `queued`, `leased`, or `backoff` until `due`.
        attempt: the attempt offered, leased or due next, from 1.
        lost: leases that ended without a word; they do not count against the retry policy.
        options: retry policy and timeouts as scheduled.
        group: the parallel-group keys of the command, verbatim.
        forced: triggered by hand: a worker gets it even while the run is paused.
    """

    sequence: int
    name: str
    activity_type: str
    queue: str
    event_seq: int
    scheduled: float
    phase: str = "queued"
    attempt: int = 1
    lost: int = 0
    owner: str = ""
    started: float = 0.0
    heartbeat: float = 0.0
    expires: float = 0.0
    due: float = 0.0
    held: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    group: Mapping[str, Any] = field(default_factory=dict)
    forced: bool = False

    def to_data(self) -> list[Any]:
        """For `Task.data`, as a list in field order; the last field only where it is set."""
        data = [
            self.sequence, self.name, self.activity_type, self.queue, self.event_seq, self.scheduled, self.phase,
            self.attempt, self.lost, self.owner, self.started, self.heartbeat, self.expires, self.due, self.held,
            dict(self.options), dict(self.group),
        ]  # fmt: skip
        if self.forced:
            data.append(True)
        return data


@dataclass(slots=True)
class TimerWait:
    """A timer that has not fired; one that is held does not, whatever the time."""

    sequence: int
    fire_at: float
    delay_s: int
    group: Mapping[str, Any] = field(default_factory=dict)
    held: bool = False


@dataclass(slots=True)
class Child:
    """A child (or the run behind a service operation) that is not over.

    Attributes:
        run_id: first run of the first attempt; its identity, whatever runs follow.
        event_seq: position of the event in the history that holds its arguments.
        phase: `running`, or `backoff` until `due`; `due` of a running one is when a call's patience ends, 0 for never.
        ending: `request_cancel`, `request_cancellation` or `terminate` where that was asked for, else empty.
        silent: the workflow does not wait for it (any more).
        namespace: where it runs, empty for the parent's own.
        kind: `child` or `call`.
        options: policies and timeouts as authored; of a call, what its events repeat.
        group: the parallel-group keys of the command, verbatim.
        held: no further attempt is begun.
    """

    sequence: int
    workflow_id: str
    run_id: str
    workflow_type: str
    queue: str
    event_seq: int
    scheduled: float
    attempt: int = 1
    phase: str = "running"
    due: float = 0.0
    ending: str = ""
    silent: bool = False
    namespace: str = ""
    kind: str = "child"
    options: Mapping[str, Any] = field(default_factory=dict)
    group: Mapping[str, Any] = field(default_factory=dict)
    held: bool = False

    @property
    def is_call(self) -> bool:
        return self.kind == "call"

    @property
    def name(self) -> str:
        """How it is called as a task."""
        return f"{'operation' if self.is_call else 'child'}-{self.sequence}"

    @property
    def policy(self) -> str:
        """What becomes of it when its parent closes."""
        return str(self.options.get("parent_close_policy", "abandon"))

    def to_data(self) -> list[Any]:
        """For `Task.data`, as a list in field order."""
        return [
            self.sequence, self.workflow_id, self.run_id, self.workflow_type, self.queue, self.event_seq, self.scheduled,
            self.attempt, self.phase, self.due, self.ending, self.silent, self.namespace, self.kind, dict(self.options),
            dict(self.group), self.held,
        ]  # fmt: skip


@dataclass(slots=True)
class Cancellation:
    """A cancellation that was asked for, with the workflow's own help.

    Attributes:
        requested, deadline: wall-clock seconds.
        is_recorded: it is in the history, not waiting behind a workflow task.
        waits: it cannot be delivered before a child that is being cancelled has closed.
        delivered: where it was delivered: sequence, kind and span of the call, sequence and span of what a handle waits for.
    """

    request_id: str
    requested: float
    deadline: float
    reason: str = ""
    is_recorded: bool = False
    delivered: list[Any] | None = None
    waits: bool = False

    def observed(self) -> dict[str, str]:
        """The request as workers and clients are told of it; the token makes a worker read the history anew."""
        return {
            "request_id": self.request_id, "requested_at": iso(self.requested), "cleanup_deadline_at": iso(self.deadline),
            "history_refresh_page_token": FROM_THE_BEGINNING,
        }  # fmt: skip

    def to_data(self) -> list[Any]:
        """A list in field order."""
        return [self.request_id, self.requested, self.deadline, self.reason, self.is_recorded, self.delivered, self.waits]


@dataclass(slots=True)
class Buffered:
    """Something from outside that waits until the workflow task in hand is over.

    Attributes:
        wake: whether it calls for a workflow task.
        update_id: the update it accepted, or empty.
        group: outermost parallel group of which a member ended, or empty.
        number: order of arrival; its row is named by it.
    """

    name: str
    data: dict[str, Any]
    wire: str
    principal: str
    wake: bool = True
    update_id: str = ""
    group: str = ""
    number: int = 0

    def to_data(self) -> dict[str, Any]:
        """For its row."""
        return {"waiting": [self.name, self.data, self.wire, self.principal, self.wake, self.update_id, self.group, self.number]}


@dataclass(slots=True)
class DurableState:
    """The private state of a durable run.

    Attributes:
        counter: workflow steps so far: dense, whatever order results come in.
        task: the open workflow task.
        task_number: number of the last workflow task.
        agenda: workflow tasks still to be issued: `NORMAL` or an update's id, in order.
        parked: updates whose task had nothing to say; tried again with the next thing that happens.
        updates: accepted and not completed, id → name.
        groups: open members of each outermost parallel group; the run is woken at 0.
        selections: those without a winner yet; of their members that are groups, the leaves still open.
        selected: open conditions that are members of selections, by workflow step.
        memo_blob: the whole memo as last upserted, encoded.
        inboxes: message streams, by name; read back from the history, not stored.
        cursors: how far the workflow has read each of them.
        activities, timers, children: those open, by workflow step.
        cancellation: asked for with the workflow's own help, if it was.
        inherited: children that runs before this one in its chain left open, by workflow id: what becomes of each when
            the chain ends, and the run, step and attempt that started it.
        buffer: what waits behind the workflow task in hand; each has a row of its own, so that a thousand signals to a
            busy run cost a thousand small rows and not a thousand times all of them.
    """

    counter: int = 0
    task: WorkflowTask | None = None
    task_number: int = 0
    agenda: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    buffer: list[Buffered] = field(default_factory=list)
    condition: Condition | None = None
    updates: dict[str, str] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    selections: dict[str, dict[str, int]] = field(default_factory=dict)
    selected: dict[int, Condition] = field(default_factory=dict)
    memo_blob: str | None = None
    inboxes: dict[str, Inbox] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    activities: dict[int, Activity] = field(default_factory=dict)
    timers: dict[int, TimerWait] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    inherited: dict[str, tuple[str, str, int, int]] = field(default_factory=dict)
    cancellation: Cancellation | None = None

    def dump(self) -> dict[str, Any]:
        """What of it belongs in `Run.data`; activities, timers and children are kept by their tasks, what waits by its rows."""
        data: dict[str, Any] = {"counter": self.counter, "task_number": self.task_number}
        task = self.task
        if task is not None:
            data["task"] = [
                task.number, task.attempt, task.phase, task.owner, task.expires, task.snapshot, task.update_id,
                task.failures, task.grace,
            ]  # fmt: skip
        if self.agenda:
            data["agenda"] = list(self.agenda)
        if self.parked:
            data["parked"] = list(self.parked)
        if self.condition is not None:
            data["condition"] = self.condition.to_data()
        if self.updates:
            data["updates"] = dict(self.updates)
        if self.groups:
            data["groups"] = dict(self.groups)
        if self.selections:
            data["selections"] = {group: dict(leaves) for group, leaves in self.selections.items()}
        if self.selected:
            data["selected"] = [condition.to_data() for condition in self.selected.values()]
        if self.memo_blob is not None:
            data["memo"] = self.memo_blob
        if self.cursors:
            data["cursors"] = dict(self.cursors)
        if self.cancellation is not None:
            data["cancellation"] = self.cancellation.to_data()
        if self.inherited:
            data["inherited"] = {workflow_id: list(link) for workflow_id, link in self.inherited.items()}
        return data

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "DurableState":
        """The state from what `dump` gave, without activities, timers, children and what waits."""
        state = cls(
            counter=data.get("counter", 0),
            task_number=data.get("task_number", 0),
            agenda=list(data.get("agenda", ())),
            parked=list(data.get("parked", ())),
            updates=dict(data.get("updates", {})),
            groups=dict(data.get("groups", {})),
            selections={group: dict(leaves) for group, leaves in data.get("selections", {}).items()},
            selected={item[0]: Condition(*item) for item in data.get("selected", ())},
            memo_blob=data.get("memo"),
            cursors=dict(data.get("cursors", {})),
            inherited={workflow_id: tuple(link) for workflow_id, link in data.get("inherited", {}).items()},
        )
        if "task" in data:
            state.task = WorkflowTask(*data["task"])
        if "cancellation" in data:
            state.cancellation = Cancellation(*data["cancellation"])
        if "condition" in data:
            state.condition = Condition(*data["condition"])
        return state

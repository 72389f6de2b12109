"""The one interface of all engines, and the step in which they work.

An engine is a state machine. It is given the run's state, a command and a `Step`; it changes the state through the
step's methods only, and says there what happened, what must be stored, and what must be done in the world afterwards.
It does no I/O, reads no clock but `step.now`, and makes ids with `step.new_id`. The same commands with the same clock
give the same state.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

from triplane.commands.base import Command, RunCommand
from triplane.commands.runs import StartRun
from triplane.effects import Effect
from triplane.entities import (
    CLOSED_STATUSES,
    Job,
    JobKey,
    Rows,
    Run,
    RunDetail,
    Task,
    TaskKey,
    Timer,
    evolve,
)
from triplane.events import Event, EventType
from triplane.streams.log import Outcome as StreamOutcome
from triplane.streams.log import StreamLog
from triplane.streams.log import take as take_stream

MAX_TASKS_PER_STEP = 500

END_EVENTS: Mapping[str, str] = {
    "completed": "WorkflowCompleted",
    "failed": "WorkflowFailed",
    "cancelled": "WorkflowCancelled",
    "terminated": "WorkflowTerminated",
}
"""Final status → the event that ends the history (contract durable 5.1)."""


@dataclass(slots=True)
class TableState:
    """How far one of a run's tables has grown."""

    columns: tuple[tuple[str, str], ...]
    row_count: int = 0


@dataclass(slots=True)
class RunState:
    """A run's newest state in memory, which may be ahead of the last commit. Engines read it; only `Step` writes it.

    Attributes:
        tasks, jobs: in creation order.
        timers: those set and not fired or cleared.
        history: the whole history for engines with `keeps_history`, else empty.
        private: whatever object the engine likes; `Engine.dump` makes it `Run.data`.
    """

    run: Run
    detail: RunDetail
    tasks: dict[TaskKey, Task] = field(default_factory=dict)
    jobs: dict[JobKey, Job] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    volatile_timers: set[str] = field(default_factory=set)
    tables: dict[str, TableState] = field(default_factory=dict)
    streams: dict[str, StreamLog] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    next_task_seq: int = 1
    next_job_seq: int = 1
    private: Any = None


@dataclass(slots=True)
class StepChanges:
    """All that one step changed; becomes one slice of a transaction and one delta."""

    events: list[Event] = field(default_factory=list)
    tasks: dict[TaskKey, Task] = field(default_factory=dict)
    pruned: dict[TaskKey, None] = field(default_factory=dict)
    jobs: dict[JobKey, Job] = field(default_factory=dict)
    timers: dict[str, Timer | None] = field(default_factory=dict)
    volatile_cleared: set[str] = field(default_factory=set)
    rows: list[Rows] = field(default_factory=list)
    streams: list[StreamOutcome] = field(default_factory=list)
    detail_changed: bool = False
    attributes_changed: bool = False
    run_changed: bool = False
    checkpoint: bytes | None = None
    effects: list[Effect] = field(default_factory=list)
    followups: list[RunCommand] = field(default_factory=list)
    successor: StartRun | None = None


class Step:
    """One step of one run: the only way to change a `RunState`.

    Raise a `GatewayError` before the first change to refuse a command; after the first change a step must not fail.

    Attributes:
        now: wall-clock seconds of this step.
        wire, principal: where the command came from and who asked.
        changes: what has been changed so far.
    """

    __slots__ = ("_ids", "_run", "changes", "now", "principal", "state", "wire")

    def __init__(self, state: RunState, now: float, wire: str, principal: str) -> None:
        self.state, self.now, self.wire, self.principal = state, now, wire, principal
        self.changes = StepChanges()
        self._ids = 0
        self._run: Run | None = None

    def own_run(self) -> dict[str, Any]:
        """The fields of the run, to be changed: those of a copy that nobody but this step has seen, made once."""
        run = self.state.run
        if run is not self._run:
            run = self._run = self.state.run = evolve(run)
            self.changes.run_changed = True
        return run.__dict__

    # ---- history -------------------------------------------------------------------------------------------------

    def emit(self, event_name: str, /, data: Mapping[str, Any] | None = None, keep: bool = False) -> Event:
        """Append an event to the history and return it.

        Args:
            data: plain JSON values; pass a fresh dict, it is not copied. Keys with None are the caller's to leave out.
            keep: also append it to `state.history` (engines with `keeps_history` pass True).
        """
        run = self.own_run()
        seq = run["history_length"] = run["history_length"] + 1
        event = Event(seq, self.now, event_name, self.wire, self.principal, data if data is not None else {})
        self.changes.events.append(event)
        if keep:
            self.state.history.append(event)
        return event

    # ---- the run ---------------------------------------------------------------------------------------------------

    def set_run(self, **changes: Any) -> None:
        """Replace fields of the run (`status`, `status_message`, `paused`, `stopping`, `started`, …)."""
        self.own_run().update(changes)

    def set_detail(self, **changes: Any) -> None:
        """Replace fields of the run's detail (`output`, `memo`, `definition`, …)."""
        self.state.detail = evolve(self.state.detail, **changes)
        self.changes.detail_changed = True
        if "search_attributes" in changes:
            self.changes.attributes_changed = True

    def close(self, status: str, reason: str | None = None, output: Any = None) -> None:
        """End the run: every timer is cleared; `status` is one of `completed failed cancelled terminated`."""
        if status not in CLOSED_STATUSES:
            raise ValueError(f"{status!r} does not close a run")
        for timer_id in list(self.state.timers):
            self.clear_timer(timer_id)
        self.set_run(status=status, closed_reason=reason, closed=self.now, stopping=None, status_message=status)
        if output is not None:
            self.set_detail(output=output)

    def end(self, status: str, reason: str | None = None, output: Any = None) -> None:
        """Close the run with the last event of its history, spelled so that every wire knows it for the end."""
        data: dict[str, Any] = {}
        if output is not None:
            data["output"] = output
        if reason is not None:
            data["reason"] = reason
        if status == "failed":
            data["message"] = reason or "the run failed"
        self.emit(END_EVENTS[status], data)
        self.close(status, reason, output)

    # ---- tasks, jobs, timers ---------------------------------------------------------------------------------------

    def put_task(self, task: Task) -> None:
        """Add or replace a task; a new one takes `state.next_task_seq` as its `seq`."""
        if task.key not in self.state.tasks:
            self.state.next_task_seq = max(self.state.next_task_seq, task.seq + 1)
        task = evolve(task, updated=self.now)
        self.state.tasks[task.key] = task
        self.changes.tasks[task.key] = task
        self.changes.pruned.pop(task.key, None)

    def new_task(self, cycle: str, name: str, state: str, **fields: Any) -> Task:
        """Add a task with the next sequence number and return it."""
        task = Task(cycle=cycle, name=name, seq=self.state.next_task_seq, state=state, updated=self.now, **fields)
        self.put_task(task)
        return task

    def prune_task(self, key: TaskKey) -> None:
        """Take a task, and its jobs, out of the present view; histories keep what happened."""
        task = self.state.tasks.pop(key, None)
        if task is None:
            return
        self.changes.tasks.pop(key, None)
        for submit_num in range(task.submit_num + 1):
            self.state.jobs.pop((*key, submit_num), None)
            self.changes.jobs.pop((*key, submit_num), None)
        self.changes.pruned[key] = None

    def put_job(self, job: Job) -> None:
        """Add or replace a job."""
        if job.key not in self.state.jobs:
            self.state.next_job_seq = max(self.state.next_job_seq, job.seq + 1)
        self.state.jobs[job.key] = job
        self.changes.jobs[job.key] = job

    def new_job(self, cycle: str, name: str, submit_num: int, state: str, **fields: Any) -> Job:
        """Add a job with the next sequence number and return it."""
        job = Job(cycle=cycle, name=name, submit_num=submit_num, seq=self.state.next_job_seq, state=state, **fields)
        self.put_job(job)
        return job

    def set_timer(
        self, timer_id: str, fire_at: float, data: Mapping[str, Any] | None = None, durable: bool = True
    ) -> None:
        """Set (or move) an alarm: `FireTimer(timer_id)` reaches the run at `fire_at` wall-clock seconds or soon after.

        Args:
            durable: False keeps it in memory only, for what `Engine.recover` sets again anyway (a worker's lease).
        """
        timer = Timer(timer_id, fire_at, data if data is not None else {})
        self.state.timers[timer_id] = timer
        self.changes.timers[timer_id] = timer
        if durable:
            self.state.volatile_timers.discard(timer_id)
        else:
            self.state.volatile_timers.add(timer_id)

    def clear_timer(self, timer_id: str) -> None:
        """Clear an alarm; one that is not set is ignored."""
        if self.state.timers.pop(timer_id, None) is not None:
            self.changes.timers[timer_id] = None
            if timer_id in self.state.volatile_timers:
                self.state.volatile_timers.discard(timer_id)
                self.changes.volatile_cleared.add(timer_id)

    # ---- tables ----------------------------------------------------------------------------------------------------

    def append_rows(
        self, table: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Append rows to one of the run's tables, making it at the first append; later appends repeat the columns."""
        state = self.state.tables.get(table)
        if state is None:
            state = self.state.tables[table] = TableState(tuple((n, t) for n, t in columns))
        first = state.row_count
        state.row_count += len(rows)
        self.changes.rows.append(Rows(table, state.columns, first, tuple(tuple(row) for row in rows)))

    def put_stream(self, outcome: StreamOutcome) -> None:
        """Let what was decided of one of the run's output streams have happened."""
        take_stream(self.state.streams, outcome)
        self.changes.streams.append(outcome)
        self.changes.run_changed = True

    def set_checkpoint(self, checkpoint: bytes) -> None:
        """Replace the run's stored checkpoint."""
        self.changes.checkpoint = checkpoint

    # ---- the world -------------------------------------------------------------------------------------------------

    def effect(self, effect: Effect) -> None:
        """Have something done after the commit."""
        self.changes.effects.append(effect)

    def follow_with(self, command: RunCommand) -> None:
        """Send this run a command right after this step, as a step (and transaction slice) of its own."""
        self.changes.followups.append(command)

    def succeed_with(self, start: StartRun) -> None:
        """Have the workflow go on as its next run, begun in the same commit that closes this one; call after `close`.

        The engine must have checked what the next run's `start` would refuse, and must not need `prepare` for it.
        """
        self.changes.successor = start

    def new_id(self, prefix: str = "") -> str:
        """An id unique in the store, the same whenever the same step is taken again: 32 hexadecimal digits."""
        self._ids += 1
        run = self.state.run
        text = f"{run.run_id}:{run.history_length}:{self.now!r}:{self.state.next_job_seq}:{self._ids}"
        return prefix + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def dirty(self) -> bool:
        """Whether this step changed anything that is stored."""
        c = self.changes
        return bool(
            c.run_changed or c.detail_changed or c.tasks or c.pruned or c.jobs or c.rows or c.checkpoint
            or (c.timers and self.durable_timers())
        )  # fmt: skip

    def durable_timers(self) -> dict[str, Timer | None]:
        """Those of the changed timers that are stored: not the ones set (or cleared) in memory only."""
        changes, volatile = self.changes, self.state.volatile_timers
        return {
            timer_id: timer
            for timer_id, timer in changes.timers.items()
            if timer_id not in (changes.volatile_cleared if timer is None else volatile)
        }


class Preparation(Protocol):
    """What an engine's `prepare` may use; it is the one place of an engine that touches the world."""

    @property
    def definition_directories(self) -> Sequence[str]:
        """Where `graph:NAME` and `simulation:NAME` are looked up."""
        ...

    @property
    def run_id(self) -> str:
        """The id the new run will have."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The engine's own section of the config, and `jobs`, `platforms`."""
        ...


class Engine(Protocol):
    """Decides the steps of runs of one kind. One object serves all runs; it holds no state of any.

    A class found by entry point `triplane.engines`, constructed without arguments.
    """

    name: ClassVar[str]
    events: ClassVar[tuple[EventType, ...]]
    """The events it emits beyond `CORE_EVENTS`."""
    commands: ClassVar[tuple[type[Command], ...]]
    """Commands of its own, beyond the core's."""
    keeps_history: ClassVar[bool]
    """Whether `RunState.history` must hold the whole history of an open run."""
    prepares: ClassVar[bool]
    """Whether `prepare` has anything to do; starts of engines that do not are quicker."""

    async def prepare(self, start: StartRun, preparation: Preparation) -> Mapping[str, Any]:
        """Read and parse what the start names, in a child process with limits; the result is passed to `start`.

        Raises:
            InvalidDefinition, DefinitionNotFound, TooLarge.
        """
        ...

    def start(self, state: RunState, start: StartRun, prepared: Mapping[str, Any], step: Step) -> None:
        """The first step of a new run. `state` is empty but for `run` (status `pending`) and `detail` (from `start`)."""
        ...

    def play(self, previous: RunState, state: RunState, step: Step) -> None:
        """The first step of a run that continues `previous`, which is closed.

        Raises:
            NotSupported: this engine's runs cannot be continued.
        """
        ...

    def handle(self, state: RunState, command: RunCommand, step: Step) -> Any:
        """Apply a command to an open run; the result is the reply's value (plain JSON).

        Raises:
            NotSupported: the engine has no such command; RunClosed is raised by the core before this is called.
        """
        ...

    def dump(self, state: RunState) -> Mapping[str, Any]:
        """The private state as `Run.data`: msgpack-able, small. Called once at the end of every step that changed anything."""
        ...

    def load(self, state: RunState) -> None:
        """Rebuild `state.private` from `state.run.data` and the entities, after a restart."""
        ...

    def recover(self, state: RunState, step: Step) -> None:
        """Say again, after a restart, the effects of all that is still open (ready tasks, unsubmitted jobs, models)."""
        ...


class RebuildsTasks(Protocol):
    """An engine that has all that tasks and jobs of an open run are in `Run.data`: they are stored only when it closes."""

    def rebuild_tasks(self, run: Run) -> "tuple[list[Task], list[Job]] | None":
        """Tasks and jobs in creation order; None where `Run.data` is of a release that stored them."""
        ...


@cache
def rebuilds_tasks(kind: type[Engine]) -> bool:
    """Whether engines of this class are `RebuildsTasks`."""
    return hasattr(kind, "rebuild_tasks")


@runtime_checkable
class Redrivable(Protocol):
    """An engine whose failed runs can be tried again with what they achieved."""

    def salvage(self, history: Sequence[Event]) -> Mapping[str, Any]:
        """What `Engine.start` of the next run is given as `prepared`. Called in another thread.

        Raises:
            NotSupported: there is too much of it.
        """
        ...

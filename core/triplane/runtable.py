"""Runs in memory: the newest state of open ones, the committed view of those and of lately closed ones."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from triplane.commands.base import RunCommand
from triplane.engines.base import Engine, RebuildsTasks, RunState, Step, TableState, rebuilds_tasks
from triplane.entities import Run
from triplane.errors import CannotNow, GatewayError, NotCurrentRun, RunNotFound, WorkflowNotFound
from triplane.events import Event
from triplane.queries import RunView
from triplane.store.interface import Store, StoredRun
from triplane.streams.log import StreamLog
from triplane.taskgraph import Charted, TaskGraph

log = logging.getLogger(__name__)

HISTORY_PAGE = 10_000


class LiveRun:
    """An open run in memory (or one whose closing is on its way to disk).

    Attributes:
        state: newest, possibly ahead of the disk.
        view: last committed; None until the run's first commit.
        pending: slices on their way to disk.
        poisoned: a step failed half-way, so the state cannot be trusted: reload once nothing is pending.
    """

    __slots__ = ("engine", "pending", "poisoned", "state", "view")

    def __init__(self, engine: Engine, state: RunState, view: RunView | None) -> None:
        self.engine, self.state, self.view = engine, state, view
        self.pending = 0
        self.poisoned = False

    def guard(self, step: Step) -> "StepGuard":
        """What an engine's work on this run goes on inside of."""
        return StepGuard(self, step)


class StepGuard:
    """Around an engine's work: a failure after the first change makes the run reload, and is told as what it is, a bug."""

    __slots__ = ("_live", "_step")

    def __init__(self, live: LiveRun, step: Step) -> None:
        self._live, self._step = live, step

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and (self._step.dirty or not isinstance(error, GatewayError)):
            self._live.poisoned = True
            log.error("engine_failed_in_step: %s", self._live.state.run.run_id, exc_info=error)
            if isinstance(error, GatewayError):
                raise RuntimeError(f"an engine refused a command after changing its run: {error}") from error


class RunTable:
    """Finds runs by id and workflows' newest runs by name, in memory first, then in the store.

    Args:
        recover: takes up again what an open run was about that has just been loaded; nothing is done to the run before.

    Attributes:
        live: runs in memory. unloaded: ids of open runs that nobody has asked for since the start.
    """

    def __init__(
        self, store: Store, engines: Mapping[str, Engine], recover: Callable[[LiveRun], None], closed_views: int = 1_000
    ) -> None:
        self._store, self._engines, self._recover, self._closed_views = store, engines, recover, closed_views
        self.live: dict[str, LiveRun] = {}
        self.unloaded: dict[str, None] = {}
        self._current: dict[tuple[str, str], str] = {}
        self._closed: OrderedDict[str, RunView] = OrderedDict()

    def add(self, live: LiveRun) -> None:
        """Take in a run that was just started or loaded."""
        run = live.state.run
        self.live[run.run_id] = live
        self._current[(run.namespace, run.workflow_id)] = run.run_id

    def drop(self, run_id: str) -> None:
        """Forget what is in memory of a run; the store knows better."""
        live = self.live.pop(run_id, None)
        if live is not None:
            run = live.state.run
            if self._current.get((run.namespace, run.workflow_id)) == run_id:
                del self._current[(run.namespace, run.workflow_id)]
        self._forget_closed(run_id)

    def retire(self, run_id: str) -> None:
        """A run's closing is on disk: keep its view for a while, not its working state."""
        live = self.live.get(run_id)
        if live is not None and live.view is not None:
            key = (live.view.run.namespace, live.view.run.workflow_id)
            is_newest = self._current.get(key) == run_id
            self.drop(run_id)
            self._remember(run_id, live.view)
            if is_newest:
                # Its result is usually asked for next; the entry leaves with the view.
                self._current[key] = run_id

    def _remember(self, run_id: str, view: RunView) -> None:
        self._closed[run_id] = view
        self._closed.move_to_end(run_id)
        while len(self._closed) > self._closed_views:
            self._forget_closed(next(iter(self._closed)))

    def _forget_closed(self, run_id: str) -> None:
        view = self._closed.pop(run_id, None)
        if view is not None:
            key = (view.run.namespace, view.run.workflow_id)
            if self._current.get(key) == run_id:
                del self._current[key]

    def current_run_id(self, namespace: str, workflow_id: str) -> str | None:
        """The workflow's newest run, committed or on its way."""
        run_id = self._current.get((namespace, workflow_id))
        return run_id if run_id is not None else self._store.runs.current_run_id(namespace, workflow_id)

    def committed_run_id(self, namespace: str, workflow_id: str) -> str | None:
        """The workflow's newest run that is on disk."""
        run_id = self._current.get((namespace, workflow_id))
        if run_id is not None and (live := self.live.get(run_id)) is not None and live.view is not None:
            return run_id
        if run_id is not None and run_id in self._closed:
            return run_id
        return self._store.runs.current_run_id(namespace, workflow_id)

    def view(self, run_id: str) -> RunView | None:
        """The committed view of a run, open or closed."""
        live = self.live.get(run_id)
        if live is not None and live.view is not None:
            return live.view
        view = self._closed.get(run_id)
        if view is None:
            # A new run may be on disk a moment before its commit is announced here, and the store names it by then.
            stored = self._load(run_id)
            if stored is None:
                return None
            view = _view_of(stored)
            if not view.run.is_open and live is None:
                self._remember(run_id, view)
        return view

    def chart(self, view: RunView) -> TaskGraph | None:
        """The task graph of a run; None where its engine has none.

        Raises:
            CannotNow: the engine is not there, or cannot read the definition.
        """
        engine = self._engine(view.run)
        if not isinstance(engine, Charted):
            return None
        live = self.live.get(view.run.run_id)
        return engine.chart(view.detail, None if live is None or live.poisoned else live.state)

    def open(self, run_id: str) -> LiveRun | None:
        """The run with its working state, loaded and recovered if need be; None if there is no such run or it is closed.

        Raises:
            CannotNow: its state is being reloaded after a failure, or its engine is not there.
        """
        live = self.live.get(run_id)
        if live is not None:
            if live.poisoned:
                if live.pending:
                    raise CannotNow("the run is being reloaded after a failure; try again")
                self.drop(run_id)
            else:
                return live if live.state.run.is_open else None
        if run_id in self._closed:
            return None
        stored = self._load(run_id)
        self.unloaded.pop(run_id, None)
        if stored is None or not stored.run.is_open:
            return None
        live = self.load(stored)
        self.add(live)
        try:
            self._recover(live)
        except BaseException:
            # Whoever asks for it next finds it as it is on disk, and has it recovered.
            self.drop(run_id)
            raise
        return live

    def _load(self, run_id: str) -> StoredRun | None:
        """What is stored of a run, with the tasks and jobs that its engine knows without their being stored."""
        stored = self._store.runs.load(run_id)
        if stored is not None and stored.run.is_open:
            engine = self._engines.get(stored.run.engine)
            if engine is not None and rebuilds_tasks(type(engine)):
                rebuilt = cast(RebuildsTasks, engine).rebuild_tasks(stored.run)
                if rebuilt is not None:
                    stored.tasks, stored.jobs = rebuilt
        return stored

    def state_of(self, stored: StoredRun) -> RunState:
        """A working state from what is stored, without its engine's private part."""
        history: list[Event] = []
        engine = self._engine(stored.run)
        if engine.keeps_history:
            while True:
                page = self._store.histories.read(stored.run.run_id, len(history), HISTORY_PAGE)
                history.extend(page)
                if len(page) < HISTORY_PAGE:
                    break
        run_id = stored.run.run_id
        streams = self._store.streams.of_run(run_id)
        return RunState(
            run=stored.run,
            detail=stored.detail,
            tasks={task.key: task for task in stored.tasks},
            jobs={job.key: job for job in stored.jobs},
            timers={timer.timer_id: timer for timer in stored.timers},
            tables={name: TableState(columns, count) for name, columns, count in stored.tables},
            streams={stream.name: StreamLog(stream, self._store.streams.keys(run_id, stream.name)) for stream in streams},
            history=history,
            next_task_seq=max((task.seq for task in stored.tasks), default=0) + 1,
            next_job_seq=max((job.seq for job in stored.jobs), default=0) + 1,
        )

    def load(self, stored: StoredRun) -> LiveRun:
        """A live run from what is stored."""
        engine = self._engine(stored.run)
        state = self.state_of(stored)
        engine.load(state)
        return LiveRun(engine, state, _view_of(stored))

    def _engine(self, run: Run) -> Engine:
        engine = self._engines.get(run.engine)
        if engine is None:
            raise CannotNow(f"no engine {run.engine!r} is installed; runs of it wait until it is")
        return engine


class FindsRuns(Protocol):
    """Who can say which run of a workflow is the newest, and show runs."""

    def current_run_id(self, namespace: str, workflow_id: str) -> str | None: ...

    def view(self, run_id: str) -> RunView | None: ...


def current_run_of(runs: FindsRuns, command: RunCommand) -> str:
    """The run that a command is for: its workflow's newest, which must be the one it names if it names one.

    Raises:
        WorkflowNotFound, RunNotFound, NotCurrentRun.
    """
    current = runs.current_run_id(command.namespace, command.workflow_id)
    if current is None:
        raise WorkflowNotFound(command.workflow_id, command.namespace)
    if command.run_id is not None and command.run_id != current:
        view = runs.view(command.run_id)
        if view is None or (view.run.namespace, view.run.workflow_id) != (command.namespace, command.workflow_id):
            raise RunNotFound(command.workflow_id, command.run_id)
        raise NotCurrentRun(
            f"run {command.run_id} of {command.workflow_id!r} is not its current run", run_id=command.run_id
        )
    return current


def _view_of(stored: StoredRun) -> RunView:
    return RunView(
        stored.run,
        stored.detail,
        {task.key: task for task in stored.tasks},
        {job.key: job for job in stored.jobs},
        stored.run.cursor,
    )

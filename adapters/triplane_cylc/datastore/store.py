"""`FaceStore`: the data store of one face, and the batches that keep its consumers up to date.

Times: every batch has its own `time`, later than everything before. `last_updated` in a full state is a hair later than
the batch it includes, so that a consumer which buffered that batch while it fetched the full state skips it (it would
append the batch's links a second time).

Source: cylc.md sections 4.2 and 4.3.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from triplane.deltas import Delta
from triplane.entities import FINAL_TASK_STATES, Job, Run, RunDetail, Task, TaskKey
from triplane.taskgraph import TaskGraph
from triplane_cylc.datastore import elements
from triplane_cylc.datastore.changes import Changes, changes_of, everything
from triplane_cylc.datastore.encode import embedded, whole
from triplane_cylc.datastore.identity import FaceIdentity
from triplane_cylc.datastore.projection import Projection
from triplane_cylc.datastore.table import Table
from triplane_cylc.datastore.window import DEFAULT_LIMITS, GraphWindow, RecentWindow, Window, WindowLimits

Message = tuple[bytes, bytes]
"""Topic and payload of one message on the publish socket."""

ALL_FIELDS = {
    "families": 1, "family_proxies": 2, "jobs": 3, "tasks": 4, "task_proxies": 5, "edges": 6, "workflow": 7,
}  # fmt: skip
"""Field numbers of the message on topic `all`."""

ENTIRE_FIELDS = {"tasks": 2, "task_proxies": 3, "jobs": 4, "families": 5, "family_proxies": 6, "edges": 7}
"""Field numbers of the full state; the workflow is 1."""


FIRST_EXTENT = 1
"""Edges from an active task up to which tasks are in view until somebody asks for another number (as in the real scheduler)."""


class FaceStore:
    """A run as the clients of one face see it. Not thread-safe; every call returns without waiting.

    Attributes:
        watchers: called with what every batch changes, and with a last `shutdown`; they must not raise.
    """

    def __init__(
        self,
        identity: FaceIdentity,
        run: Run,
        detail: RunDetail,
        tasks: Iterable[Task],
        jobs: Iterable[Job],
        clock: Callable[[], float],
        graph: TaskGraph | None = None,
        chart: Callable[[], TaskGraph | None] | None = None,
        limits: WindowLimits = DEFAULT_LIMITS,
    ) -> None:
        """Build from a committed view of the run, whose later deltas go to `apply`.

        Args:
            tasks, jobs: all of the view, in creation order.
            clock: gives Unix seconds.
            graph: of the run's definition; None where it has none. chart: gives it anew when the definition has changed.
        """
        self._clock = clock
        self._time = 0.0
        self._identity = identity
        self._graph = graph
        self._chart = chart
        self._limits = limits
        self._extent = FIRST_EXTENT
        self._ready: list[Message] = []
        self.watchers: set[Callable[[Changes], None]] = set()
        self._build(identity, run, detail, tasks, jobs)
        self._stamp()
        for table in self._tables:
            table.forget_changes()
        self._projection.workflow.forget_changes()

    def _build(self, identity: FaceIdentity, run: Run, detail: RunDetail, tasks: Iterable[Task], jobs: Iterable[Job]) -> None:
        self._detail = detail
        self._tasks: dict[TaskKey, Task] = {}
        self._jobs: dict[TaskKey, dict[int, Job]] = {}
        self._leaving: dict[TaskKey, None] = {}
        graph = self._graph
        self._window: Window = (
            RecentWindow(self._limits.ended_tasks)
            if graph is None
            else GraphWindow(lambda key: chain(*graph.neighbours(key)), self._extent, self._limits.tasks)
        )
        self._has_edges = graph is not None and self._extent > 0
        self._projection = view = Projection(identity, run, detail)
        # In the order in which they have to be published.
        self._tables: tuple[Table[Any], ...] = (
            view.edges, view.families, view.family_proxies, view.jobs, view.tasks, view.task_proxies,
        )  # fmt: skip
        self._put(tasks, jobs)
        self._settle()

    # ---- what GraphQL reads --------------------------------------------------------------------------------------

    @property
    def identity(self) -> FaceIdentity:
        """Whose face it is."""
        return self._identity

    @property
    def workflow(self) -> elements.Workflow:
        return self._projection.workflow.element

    @property
    def tasks(self) -> Mapping[str, elements.Task]:
        return self._projection.tasks.rows

    @property
    def families(self) -> Mapping[str, elements.Family]:
        return self._projection.families.rows

    @property
    def task_proxies(self) -> Mapping[str, elements.TaskProxy]:
        return self._projection.task_proxies.rows

    @property
    def family_proxies(self) -> Mapping[str, elements.FamilyProxy]:
        return self._projection.family_proxies.rows

    @property
    def jobs(self) -> Mapping[str, elements.Job]:
        return self._projection.jobs.rows

    @property
    def edges(self) -> Mapping[str, elements.Edge]:
        return self._projection.edges.rows

    # ---- the endpoints -------------------------------------------------------------------------------------------

    def entire(self) -> bytes:
        """`PbEntireWorkflow` of everything."""
        parts = [embedded(1, whole(self.workflow))]
        for table in self._tables:
            parts += table.embedded_rows(ENTIRE_FIELDS[table.topic])
        return b"".join(parts)

    def elements(self, element_type: str) -> bytes:
        """The deltas message of one type with every element in `added`; empty for an unknown type.

        Args:
            element_type: `edges families family_proxies jobs tasks task_proxies workflow`.
        """
        if element_type == "workflow":
            return self._projection.workflow.everything()
        for table in self._tables:
            if table.topic == element_type:
                return table.everything(self.workflow.last_updated)
        return b""

    def everything(self) -> Changes:
        """All of it, for a watcher that begins."""
        return everything(self.workflow, self._tables)

    # ---- changes -------------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Tell watchers that the run is not shown any more."""
        watchers, self.watchers = self.watchers, set()
        for watch in watchers:
            watch(Changes(self.workflow.id, shutdown=True))

    def apply(self, delta: Delta) -> list[Message]:
        """Take in one commit and say what has to be published, in order; nothing if nothing visible changed."""
        self.absorb(delta)
        return self.flush()

    def absorb(self, delta: Delta) -> None:
        """Take in one commit; `flush` publishes it together with others."""
        if delta.detail is not None:
            if delta.detail.definition != self._detail.definition:
                self._redefine(delta)
                return
            self._projection.put_broadcasts(delta.detail)
        self._projection.put_run(delta.run)
        self._forget(delta)
        self._put(delta.tasks, delta.jobs)
        # Queries may come before the next flush, and should find families that agree with their tasks.
        self._settle()

    def flush(self) -> list[Message]:
        """What has to be published for everything absorbed since the last flush."""
        self._close_batch(reloaded=False)
        messages, self._ready = self._ready, []
        return messages

    def reload(self, run: Run, detail: RunDetail, tasks: Iterable[Task], jobs: Iterable[Job]) -> list[Message]:
        """Start again from a newer view, as after a gap in the deltas; tells consumers to forget what they have."""
        self._draw_anew()
        self._build(self._identity, run, detail, tasks, jobs)
        self._close_batch(reloaded=True)
        return self.flush()

    def _draw_anew(self) -> None:
        if self._chart is not None:
            self._graph = self._chart()

    def _redefine(self, delta: Delta) -> None:
        assert delta.detail is not None
        self._close_batch(reloaded=False)
        self._draw_anew()
        gone = set(delta.pruned)
        tasks = {key: task for key, task in self._tasks.items() if key not in gone}
        jobs = {job.key: job for key, of_task in self._jobs.items() if key not in gone for job in of_task.values()}
        tasks.update((task.key, task) for task in delta.tasks)
        jobs.update((job.key, job) for job in delta.jobs)
        self._build(self._identity, delta.run, delta.detail, tasks.values(), jobs.values())
        self._close_batch(reloaded=True)

    def look_as_far_as(self, extent: int) -> list[Message]:
        """Show tasks up to `extent` edges from an active one, and say what has to be published.

        A run without a graph goes on as before; one with too many tasks so near its active ones shows only these.
        """
        self._close_batch(reloaded=False)
        self._extent = extent
        self._window.resize(extent)
        self._follow_window({})
        self._settle()
        return self.flush()

    # ---- what is in view -----------------------------------------------------------------------------------------

    def _put(self, tasks: Iterable[Task], jobs: Iterable[Job]) -> None:
        changed: dict[TaskKey, Task] = {task.key: task for task in tasks}
        self._tasks.update(changed)
        succeeded: list[Job] = []
        for job in jobs:
            key = job.key[:2]
            if key in self._tasks:
                of_task = self._jobs.setdefault(key, {})
                known = of_task.get(job.submit_num)
                if job.state == "succeeded" and (known is None or known.state != "succeeded"):
                    succeeded.append(job)
                of_task[job.submit_num] = job
        over = [key for key, task in changed.items() if self._is_over(task)]
        ended = set(over)
        self._window.move((key for key in changed if key not in ended), over, ())
        self._follow_window(changed)
        for job in jobs:
            owner = self._tasks.get(job.key[:2])
            if owner is not None:
                self._projection.put_job(job, owner)
        for job in succeeded:
            self._projection.note_elapsed(job)

    def _is_over(self, task: Task) -> bool:
        if task.state not in FINAL_TASK_STATES:
            return False
        return self._graph is None or self._graph.is_over(task)

    def _follow_window(self, changed: Mapping[TaskKey, Task]) -> None:
        """Show what came into view or moved there, and what changed in view."""
        moved = self._window.take()
        for key in chain(changed, (key for key in moved if key not in changed)):
            if key in self._window.depth:
                self._leaving.pop(key, None)
                self._show(key)
            elif key in moved:
                self._leaving[key] = None
        self._follow_extent()

    def _follow_extent(self) -> None:
        """Draw the edges between active tasks where neighbours are shown, and none where they are not, as the real scheduler does."""
        has_edges = self._graph is not None and self._window.extent > 0
        if has_edges == self._has_edges:
            return
        self._has_edges = has_edges
        for key in self._window.depth:
            if has_edges:
                self._connect(key)
            else:
                self._projection.disconnect(key)

    def _connect(self, key: TaskKey) -> None:
        if self._graph is not None and self._has_edges:
            self._projection.connect(key, self._graph.neighbours(key))

    def _show(self, key: TaskKey) -> None:
        """A task that is in view, as it is, or as it will be."""
        depth = self._window.depth[key]
        is_new = not self._projection.has_task(key)
        task = self._tasks.get(key)
        if task is not None:
            is_active = depth == 0 and (self._graph is not None or task.state not in FINAL_TASK_STATES)
            self._projection.put_task(task, depth, is_active)
        elif is_new and self._graph is not None:
            task = self._graph.planned(key)
            if task is None:
                return
            self._projection.put_task(task, depth, is_active=False)
        else:
            self._projection.put_depth(key, depth)
        if is_new:
            for job in self._jobs.get(key, {}).values():
                self._projection.put_job(job, self._tasks[key])
            self._connect(key)

    def _forget(self, delta: Delta) -> None:
        """Let go of tasks that are not known any more; those that stay in view, or are there anew, are shown again from nothing."""
        gone = [key for key in delta.pruned if self._tasks.pop(key, None) is not None]
        if not gone:
            return
        for key in gone:
            self._jobs.pop(key, None)
        self._window.move((), (), gone)
        again = {task.key for task in delta.tasks}
        # In a graph they may still be near an active task, or come to be again before the batch is closed.
        stale = [key for key in gone if key in again or (self._graph is not None and self._projection.has_task(key))]
        self._follow_window({})
        for key in stale:
            self._leaving[key] = None
        if stale:
            # A consumer prunes last, so nothing may leave and come back within one batch.
            self._close_batch(reloaded=False)
        for key in stale:
            if key in self._window.depth and key not in again:
                self._show(key)

    def _let_go(self) -> None:
        """Take out of view what has left it; done once in a batch, so that what comes back before it never left."""
        for key in self._leaving:
            self._projection.drop_task(key)
        self._leaving = {}

    def _settle(self) -> None:
        """Bring totals up to date."""
        self._projection.workflow.set(n_edge_distance=self._window.extent)
        self._projection.settle()

    def _close_batch(self, reloaded: bool) -> None:
        self._let_go()
        self._settle()
        changed = [table for table in self._tables if reloaded or table.is_changed]
        workflow = self._projection.workflow
        if not changed and not workflow.is_changed:
            return
        time = self._stamp()
        if self.watchers:
            changes = everything(self.workflow, self._tables) if reloaded else changes_of(self.workflow, changed)
            for watch in tuple(self.watchers):
                watch(changes)
        parts = [(table.topic, table.batch(time, reloaded)) for table in changed]
        parts.append(("workflow", workflow.batch(time, reloaded)))
        self._ready += [(topic.encode(), payload) for topic, payload in parts]
        self._ready.append((b"all", b"".join(embedded(ALL_FIELDS[topic], payload) for topic, payload in parts)))

    def _stamp(self) -> float:
        """Begin a batch: its time, put on everything that changed."""
        time = max(self._clock(), math.nextafter(self._time, math.inf))
        self._time = math.nextafter(time, math.inf)
        for table in self._tables:
            table.restamp(time)
        self._projection.workflow.restamp(self._time)
        return time

"""`FaceStore`: the data store of one face, and the batches that keep its consumers up to date.

Times: every batch has its own `time`, later than everything before. `last_updated` in a full state is a hair later than
the batch it includes, so that a consumer which buffered that batch while it fetched the full state skips it (it would
append the batch's links a second time).

Source: cylc.md sections 4.2 and 4.3.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from triplane.deltas import Delta
from triplane.entities import Job, Run, RunDetail, Task, TaskKey
from triplane_cylc.datastore import elements
from triplane_cylc.datastore.changes import Changes, changes_of, everything
from triplane_cylc.datastore.encode import embedded, whole
from triplane_cylc.datastore.identity import FaceIdentity
from triplane_cylc.datastore.projection import Projection
from triplane_cylc.datastore.table import Table

Message = tuple[bytes, bytes]
"""Topic and payload of one message on the publish socket."""

ALL_FIELDS = {
    "families": 1, "family_proxies": 2, "jobs": 3, "tasks": 4, "task_proxies": 5, "edges": 6, "workflow": 7,
}  # fmt: skip
"""Field numbers of the message on topic `all`."""

ENTIRE_FIELDS = {"tasks": 2, "task_proxies": 3, "jobs": 4, "families": 5, "family_proxies": 6, "edges": 7}
"""Field numbers of the full state; the workflow is 1."""


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
    ) -> None:
        """Build from a committed view of the run, whose later deltas go to `apply`.

        Args:
            tasks, jobs: all of the view, in creation order.
            clock: gives Unix seconds.
        """
        self._clock = clock
        self._time = 0.0
        self._identity = identity
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
        self._pruned_cycles: set[str] = set()
        self._projection = view = Projection(identity, run, detail)
        # In the order in which they have to be published.
        self._tables: tuple[Table[Any], ...] = (
            view.edges, view.families, view.family_proxies, view.jobs, view.tasks, view.task_proxies,
        )  # fmt: skip
        self._put(tasks, jobs)
        view.settle()

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
        again = {task.key for task in delta.tasks}
        # A consumer prunes last, so nothing may leave and come back within one batch.
        if self._pruned_cycles and any(task.cycle in self._pruned_cycles for task in delta.tasks):
            self._close_batch(reloaded=False)
        returning = [key for key in delta.pruned if key in again]
        if returning:
            self._drop(returning)
            self._projection.settle()
            self._close_batch(reloaded=False)
        self._projection.put_run(delta.run)
        self._put(delta.tasks, delta.jobs)
        self._drop(key for key in delta.pruned if key not in again)
        # Queries may come before the next flush, and should find families that agree with their tasks.
        self._projection.settle()

    def flush(self) -> list[Message]:
        """What has to be published for everything absorbed since the last flush."""
        self._close_batch(reloaded=False)
        messages, self._ready = self._ready, []
        return messages

    def reload(self, run: Run, detail: RunDetail, tasks: Iterable[Task], jobs: Iterable[Job]) -> list[Message]:
        """Start again from a newer view, as after a gap in the deltas; tells consumers to forget what they have."""
        self._build(self._identity, run, detail, tasks, jobs)
        self._close_batch(reloaded=True)
        return self.flush()

    def _redefine(self, delta: Delta) -> None:
        assert delta.detail is not None
        self._close_batch(reloaded=False)
        gone = set(delta.pruned)
        tasks = {key: task for key, task in self._tasks.items() if key not in gone}
        jobs = {job.key: job for key, of_task in self._jobs.items() if key not in gone for job in of_task.values()}
        tasks.update((task.key, task) for task in delta.tasks)
        jobs.update((job.key, job) for job in delta.jobs)
        self._build(self._identity, delta.run, delta.detail, tasks.values(), jobs.values())
        self._close_batch(reloaded=True)

    def _put(self, tasks: Iterable[Task], jobs: Iterable[Job]) -> None:
        for task in tasks:
            self._tasks[task.key] = task
            self._projection.put_task(task)
        for job in jobs:
            owner = self._tasks.get(job.key[:2])
            if owner is not None:
                self._jobs.setdefault(owner.key, {})[job.submit_num] = job
                self._projection.put_job(job, owner)

    def _drop(self, keys: Iterable[TaskKey]) -> None:
        for key in keys:
            task = self._tasks.pop(key, None)
            if task is not None:
                self._pruned_cycles.add(key[0])
                self._jobs.pop(key, None)
                self._projection.drop_task(key)

    def _close_batch(self, reloaded: bool) -> None:
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
        self._pruned_cycles = set()

    def _stamp(self) -> float:
        """Begin a batch: its time, put on everything that changed."""
        time = max(self._clock(), math.nextafter(self._time, math.inf))
        self._time = math.nextafter(time, math.inf)
        for table in self._tables:
            table.restamp(time)
        self._projection.workflow.restamp(self._time)
        return time

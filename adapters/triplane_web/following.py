"""What a page is told of a list of runs or of one run: a snapshot, then changes put together. No I/O.

Changes that were not sent yet wait in the core's subscription, which is bounded: a page that reads slowly gets fewer,
larger messages, and one that does not read at all is told of a gap and gets the present anew.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol

from triplane.connection import Connection
from triplane.deltas import Delta, DeltaFilter, Gap
from triplane.errors import SlowConsumer
from triplane.queries import DescribeRun, RunView
from triplane.subscriptions import Subscription
from triplane_web.shapes import JOB_COLUMNS, TASK_COLUMNS, detail_map, job_row, run_map, task_row

PORTION: Final = 500
"""Tasks or jobs in one message of a snapshot: others get their turn in between."""

Message = dict[str, Any]


class Following(Protocol):
    """A stream of messages about something."""

    subscription: Subscription

    def begin(self) -> Iterator[Message]:
        """What is said first; others get their turn after each message."""
        ...

    def changes(self) -> Iterator[Message]:
        """What is new since the last time."""
        ...

    def close(self) -> None: ...


class FollowRuns:
    """All runs of a namespace, as a list shows them: each as it is now, and whether the list itself changed."""

    def __init__(self, connection: Connection, namespace: str, after: int | None) -> None:
        self._connection, self._wanted = connection, DeltaFilter(frozenset({namespace}))
        self.subscription = connection.subscribe(self._wanted, after)

    def begin(self) -> Iterator[Message]:
        yield {"cursor": self.subscription.cursor, "ready": True}

    def changes(self) -> Iterator[Message]:
        try:
            items = self.subscription.drain()
        except SlowConsumer:
            ready = self.subscription.on_ready
            self.subscription = self._connection.subscribe(self._wanted)
            self.subscription.on_ready = ready
            yield {"gap": True, "cursor": self.subscription.cursor}
            return
        runs: dict[str, Message] = {}
        moved = gap = False
        for item in items:
            if isinstance(item, Gap):
                gap = True
            else:
                moved = moved or item.opened or item.closed
                runs[item.run.run_id] = run_map(item.run)
        if gap:
            yield {"gap": True, "cursor": self.subscription.cursor}
        elif runs:
            yield {"runs": list(runs.values()), "moved": moved, "cursor": self.subscription.cursor}

    def close(self) -> None:
        self.subscription.close()


class FollowRun:
    """One run: itself, its tasks and jobs, how long its history and tables are.

    Args:
        run_id: None for the workflow's newest.
        after: the cursor of what the page has already.

    Raises:
        GatewayError: there is no such run, or it is not this principal's to see.
    """

    def __init__(self, connection: Connection, query: DescribeRun, after: int | None) -> None:
        self._connection = connection
        view: RunView = connection.query(query)
        self._query = query.model_copy(update={"run_id": view.run.run_id})
        self._wanted = DeltaFilter(frozenset({query.namespace}), query.workflow_id)
        # Without a wait in between, so that the view is as of the subscription's cursor or later.
        self.subscription = connection.subscribe(self._wanted, after)
        self._view: RunView | None = view if after is None else None
        self._known = view.cursor if after is None else after

    def begin(self) -> Iterator[Message]:
        if self._view is None:
            yield {"resumed": True, "cursor": self.subscription.cursor, "ready": True}
        else:
            yield from self._snapshot()

    def _snapshot(self) -> Iterator[Message]:
        view = self._view
        assert view is not None
        self._view = None
        # Of the same moment: the view's dictionaries change with every commit, what is in them does not.
        tasks, jobs, cursor = list(view.tasks.values()), list(view.jobs.values()), self._known
        yield {
            "snapshot": {
                "run": run_map(view.run), "detail": detail_map(view.detail), "tasks": len(tasks), "jobs": len(jobs),
                "task_columns": TASK_COLUMNS, "job_columns": JOB_COLUMNS,
            },
            "cursor": cursor,
        }  # fmt: skip
        for start in range(0, len(tasks), PORTION):
            yield {"tasks": [task_row(task) for task in tasks[start : start + PORTION]], "cursor": cursor}
        for start in range(0, len(jobs), PORTION):
            yield {"jobs": [job_row(job) for job in jobs[start : start + PORTION]], "cursor": cursor}
        yield {"ready": True, "cursor": cursor}

    def changes(self) -> Iterator[Message]:
        try:
            items = self.subscription.drain()
        except SlowConsumer:
            yield from self._anew()
            return
        if any(isinstance(item, Gap) for item in items):
            yield from self._anew()
            return
        deltas = [item for item in items if isinstance(item, Delta) and item.cursor > self._known]
        own = [delta for delta in deltas if delta.run.run_id == self._query.run_id]
        later = [delta for delta in deltas if delta.opened and delta.run.run_id != self._query.run_id]
        if own:
            yield from _merged(own)
        if later:
            yield {"next_run": run_map(later[-1].run), "cursor": later[-1].cursor}

    def _anew(self) -> Iterator[Message]:
        self.subscription.close()
        ready = self.subscription.on_ready
        self.subscription = self._connection.subscribe(self._wanted)
        self.subscription.on_ready = ready
        self._view = self._connection.query(self._query)
        self._known = self._view.cursor
        yield {"gap": True, "cursor": self._known}
        yield from self._snapshot()

    def close(self) -> None:
        self.subscription.close()


def _merged(deltas: list[Delta]) -> Iterator[Message]:
    """Several changes of one run as one, in portions where they are of many tasks."""
    tasks: dict[tuple[str, str], list[Any]] = {}
    jobs: dict[tuple[str, str, int], list[Any]] = {}
    pruned: dict[tuple[str, str], None] = {}
    tables: dict[str, int] = {}
    detail = None
    for delta in deltas:
        for key in delta.pruned:
            tasks.pop(key, None)
            pruned[key] = None
        for task in delta.tasks:
            pruned.pop(task.key, None)
            tasks[task.key] = task_row(task)
        for job in delta.jobs:
            jobs[job.key] = job_row(job)
        for rows in delta.rows:
            tables[rows.table] = rows.first_row + len(rows.rows)
        detail = delta.detail or detail
    last = deltas[-1]
    message: Message = {"run": run_map(last.run), "cursor": last.cursor}
    if detail is not None:
        message["detail"] = detail_map(detail)
    if pruned:
        message["pruned"] = [list(key) for key in pruned]
    if tables:
        message["tables"] = tables
    changed, attempts = list(tasks.values()), list(jobs.values())
    message["tasks"], message["jobs"] = changed[:PORTION], attempts[:PORTION]
    yield message
    for start in range(PORTION, max(len(changed), len(attempts)), PORTION):
        yield {"tasks": changed[start : start + PORTION], "jobs": attempts[start : start + PORTION], "cursor": last.cursor}

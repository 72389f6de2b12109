"""From a finished step to what is stored, what subscribers get, and what the committed view becomes."""

from triplane.deltas import Delta
from triplane.engines.base import Engine, Step, rebuilds_tasks
from triplane.queries import RunView
from triplane.store.interface import Slice
from triplane.visibility.attributes import has_index_rows


def finish_step(engine: Engine, step: Step, cursor: int, opened: bool) -> tuple[Slice, Delta]:
    """Close a step: stamp the run with its cursor and private data, and cut the slice and the delta from the changes."""
    state, changes = step.state, step.changes
    fields = step.own_run()
    fields["updated"], fields["cursor"], fields["data"] = step.now, cursor, engine.dump(state)
    run = state.run
    closed = not run.is_open
    detail = state.detail if changes.detail_changed or opened else None
    events, tasks, jobs = tuple(changes.events), tuple(changes.tasks.values()), tuple(changes.jobs.values())
    pruned, rows = tuple(changes.pruned), tuple(changes.rows)
    stored = Slice(
        cursor=cursor,
        run=run,
        opened=opened,
        closed=closed,
        detail=detail,
        events=events,
        tasks=tasks,
        pruned=pruned,
        jobs=jobs,
        timers=step.durable_timers() if changes.timers else {},
        rows=rows,
        streams=changes.streams,
        checkpoint=changes.checkpoint,
        indexed=changes.attributes_changed or (opened and has_index_rows(state.detail)),
    )
    if rebuilds_tasks(type(engine)):
        stored.tasks = stored.jobs = stored.pruned = ()
        if closed:
            stored.tasks, stored.jobs, stored.replaces_tasks = state.tasks.values(), state.jobs.values(), True
    delta = Delta(cursor, step.now, run, detail, events, tasks, pruned, jobs, rows, opened, closed)
    return stored, delta


def advance_view(view: RunView | None, delta: Delta) -> RunView:
    """The committed view after one more commit; changes `view` in place where there is one."""
    if view is None:
        assert delta.detail is not None
        view = RunView(delta.run, delta.detail, {}, {})
    view.run = delta.run
    if delta.detail is not None:
        view.detail = delta.detail
    for key in delta.pruned:
        task = view.tasks.pop(key, None)
        for submit_num in range(task.submit_num + 1 if task is not None else 0):
            view.jobs.pop((*key, submit_num), None)
    for task in delta.tasks:
        view.tasks[task.key] = task
    for job in delta.jobs:
        view.jobs[job.key] = job
    view.cursor = delta.cursor
    return view

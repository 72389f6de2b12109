"""`Tasks`, `Jobs` and `History`: what every run has, whichever engine it is of. Source: architecture, "tables every run has"."""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import islice
from typing import Any

from triplane.entities import Job, Task
from triplane.queries import RunView
from triplane.store.interface import Store
from triplane.tables.conditions import Columns

PREFIX = "triplane."

TABLES: Mapping[str, Columns] = {
    "History": (("seq", "int"), ("time", "float"), ("event", "str"), ("wire", "str"), ("principal", "str"), ("data", "map")),
    "Jobs": (
        ("cycle", "str"), ("name", "str"), ("submit_num", "int"), ("state", "str"), ("platform", "str"),
        ("job_id", "str"), ("submitted", "float"), ("started", "float"), ("finished", "float"),
    ),
    "Tasks": (
        ("cycle", "str"), ("name", "str"), ("state", "str"), ("is_held", "bool"), ("is_queued", "bool"),
        ("is_runahead", "bool"), ("submit_num", "int"), ("flow_nums", "str"), ("updated", "float"),
    ),
}  # fmt: skip
"""Reached as `triplane.<name>` always, and by the bare name where the model has no such table."""

Row = tuple[Any, ...]
Found = tuple[list[int], list[Row], int, bool]
"""Row numbers, rows, the first row that was not looked at, and whether there is none."""


def rows_of(name: str, view: RunView, store: Store, from_row: int, limit: int) -> Found:
    """At most `limit` rows from row `from_row` on; a row's number is its order of creation, from 0."""
    if name == "History":
        return _events(view, store, from_row, limit)
    return _present(view.tasks if name == "Tasks" else view.jobs, from_row, limit)


def _events(view: RunView, store: Store, from_row: int, limit: int) -> Found:
    # What is committed after the view is not shown yet, as it is with tasks and jobs.
    until = min(view.run.history_length, from_row + limit)
    events = store.histories.read(view.run.run_id, from_row, until - from_row) if until > from_row else []
    rows: list[Row] = [(e.seq, e.time, e.name, e.wire, e.principal, e.data) for e in events]
    end = events[-1].seq if events else from_row
    return [e.seq - 1 for e in events], rows, end, not events or end >= view.run.history_length


def _present(entities: "Mapping[Any, Task] | Mapping[Any, Job]", from_row: int, limit: int) -> Found:
    # In creation order; some that were before are gone, and leave gaps in the numbers.
    every: list[Task | Job] = list(entities.values())
    start = bisect_left(every, from_row + 1, key=lambda entity: entity.seq)
    chosen = list(islice(every, start, start + limit))
    end = chosen[-1].seq if chosen else from_row
    return [entity.seq - 1 for entity in chosen], [_row(entity) for entity in chosen], end, start + limit >= len(every)


def _row(entity: Task | Job) -> Row:
    if isinstance(entity, Task):
        return (
            entity.cycle, entity.name, entity.state, entity.is_held, entity.is_queued, entity.is_runahead, entity.submit_num,
            entity.flow_nums, entity.updated,
        )  # fmt: skip
    return (
        entity.cycle, entity.name, entity.submit_num, entity.state, entity.platform, entity.job_id, entity.submitted,
        entity.started, entity.finished,
    )  # fmt: skip

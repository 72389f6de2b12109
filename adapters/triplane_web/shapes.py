"""Runs, tasks and jobs as the page gets them: only what it shows, and tasks as short rows, for there may be many. No I/O."""

import base64
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from triplane.entities import Job, Run, RunDetail, Task
from triplane.errors import GatewayError
from triplane.jsontext import to_json
from triplane.plain import plain
from triplane.queries import RunPage

TASK_COLUMNS: Final = ("seq", "cycle", "name", "state", "flags", "submits", "flows", "updated", "kind", "title", "needs")
"""`flags`: 1 held, 2 queued, 4 runahead, added up; `needs`: [task, output, satisfied] of each prerequisite."""

JOB_COLUMNS: Final = ("seq", "cycle", "name", "submit", "state", "platform", "job_id", "submitted", "started", "finished")

MAX_NEEDS: Final = 50
"""Prerequisites of one task that are told; the rest the page does not draw."""

SHOWN_OF_DEFINITION: Final = ("title", "description", "families", "tasks", "edges", "cycling_mode")
MAX_VALUE_BYTES: Final = 1 << 16
"""An input or output beyond it is not sent, only its size."""


def run_map(run: Run) -> dict[str, Any]:
    """A run without its engine's private state."""
    shown: dict[str, Any] = plain(run)
    return shown


def detail_map(detail: RunDetail) -> dict[str, Any]:
    """What is said of a run once: of its definition only what is drawn, and no scripts or environments."""
    definition = {key: plain(detail.definition[key]) for key in SHOWN_OF_DEFINITION if key in detail.definition}
    return {
        "input": _bounded(detail.input),
        "output": _bounded(detail.output),
        "memo": _bounded(detail.memo),
        "search_attributes": plain(detail.search_attributes),
        "options": {key: plain(value) for key, value in detail.options.items() if key in ("mode", "priority", "business_key", "faces")},
        "definition": definition,
        "parent": plain(detail.parent),
    }


def _bounded(value: Any) -> Any:
    text = to_json(plain(value), foreign)
    return plain(value) if len(text) <= MAX_VALUE_BYTES else {"too_large_to_show": len(text)}


def runs_page(page: RunPage) -> dict[str, Any]:
    """A list of runs, each with the little of its detail that lists show."""
    rows = []
    for run, detail in page.runs:
        row = run_map(run)
        row["search_attributes"] = plain(detail.search_attributes)
        row["parent"] = plain(detail.parent)
        rows.append(row)
    return {"runs": rows, "next": page.next}


def task_row(task: Task) -> list[Any]:
    """A task in the order of `TASK_COLUMNS`."""
    detail = task.detail
    flags = task.is_held + 2 * task.is_queued + 4 * task.is_runahead
    needs = [
        [need.get("task"), need.get("output"), bool(need.get("satisfied"))] for need in (detail.get("prerequisites") or ())[:MAX_NEEDS]
    ]
    return [
        task.seq, task.cycle, task.name, task.state, flags, task.submit_num, task.flow_nums, task.updated,
        detail.get("kind", "task"), detail.get("title", ""), needs,
    ]  # fmt: skip


def job_row(job: Job) -> list[Any]:
    """A job in the order of `JOB_COLUMNS`."""
    return [
        job.seq, job.cycle, job.name, job.submit_num, job.state, job.platform, job.job_id, job.submitted, job.started, job.finished,
    ]  # fmt: skip


def error_map(error: GatewayError) -> dict[str, Any]:
    """An error in this wire's spelling."""
    return {"code": error.code, "message": error.message, "retryable": error.retryable, "details": plain(error.details)}


def value_map(value: Any) -> Any:
    """The answer of a query or command."""
    return runs_page(value) if isinstance(value, RunPage) else plain(value)


def rows_of(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Table rows for JSON."""
    return [[plain_cell(cell) for cell in row] for row in rows]


def plain_cell(cell: Any) -> Any:
    """A cell's value as JSON has it; bytes as base64."""
    if isinstance(cell, bytes):
        return foreign(cell)
    if isinstance(cell, UUID):
        return str(cell)
    return cell


def foreign(value: Any) -> Any:
    """What JSON has no form for.

    Raises:
        TypeError
    """
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")

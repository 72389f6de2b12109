"""Tasks, jobs and facts of a run as rows of the database that clients read. Pure.

Source: contract section 8 (`workflow-state`, `cat-log`); column order and spelling of values as Cylc 8.5.4 writes them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from triplane.entities import Job, Run, RunDetail, Task
from triplane_cylc.datastore import derive
from triplane_cylc.faces.contact import CYLC_VERSION

LOCALHOST: Final = "localhost"
_FIELD: Final = re.compile(r"\{(\w):[^}]*\}")
_CODES: Final = {"Y": "CCYY", "M": "MM", "D": "DD", "j": "DDD", "h": "hh", "m": "mm", "s": "ss"}


def state_row(task: Task) -> tuple[Any, ...]:
    """(name, cycle, flow_nums, time_created, time_updated, submit_num, status, flow_wait, is_manual_submit)."""
    now = derive.iso(task.updated)
    return (
        task.name, task.cycle, task.flow_nums, now, now, task.submit_num, task.state, int(bool(task.detail.get("flow_wait"))), 0,
    )  # fmt: skip


def outputs_row(task: Task) -> tuple[Any, ...]:
    """(cycle, name, flow_nums, outputs): a JSON object from label to message, of those that came."""
    done = {label: output.message for label, output in derive.outputs(task).items() if output.satisfied}
    return (task.cycle, task.name, task.flow_nums, json.dumps(done))


def job_row(job: Job, task: Task | None) -> tuple[Any, ...]:
    """A row of `task_jobs`; `task` is the one that it is an attempt at, where it is known."""
    is_over = job.finished is not None
    was_refused = job.state == "submit-failed"
    return (
        job.cycle,
        job.name,
        job.submit_num,
        task.flow_nums if task is not None else "[1]",
        0,
        job.submit_num,
        derive.iso(job.submitted) or None,
        derive.iso(job.submitted) or None,
        int(was_refused),
        derive.iso(job.started) or None,
        (derive.iso(job.finished) or None) if not was_refused else None,
        None,
        None if not is_over or was_refused else int(job.state != "succeeded"),
        # Clients look a platform up in their own configuration, and a worker's queue is in nobody's.
        LOCALHOST if job.platform.startswith("queue:") or not job.platform else job.platform,
        derive.job_runner(task, job) if task is not None else "background",
        job.job_id or None,
    )


def parameters(run: Run, detail: RunDetail) -> dict[str, str | None]:
    """The facts of a run by the names that clients look for; `cycle_point_format` is missing where cycles are numbers."""
    graph = detail.definition.get("graph")
    graph = graph if isinstance(graph, Mapping) else {}
    found: dict[str, str | None] = {
        "uuid_str": run.run_id,
        "cylc_version": CYLC_VERSION,
        "run_mode": derive.text(detail.options.get("mode")) or "live",
        "n_restart": str(run.run_number - 1),
    }
    if graph:
        found["UTC_mode"] = str(int(bool(graph.get("utc_mode"))))
    calendar = graph.get("calendar")
    template = calendar.get("template") if isinstance(calendar, Mapping) else None
    if template:
        found["cycle_point_format"] = point_format(template)
    return found


def point_format(template: str) -> str:
    """How points of a calendar are written (`{Y:04d}{M:02d}…`), in Cylc's letters (`CCYYMM…`)."""
    return _FIELD.sub(lambda field: ("+X" if "+" in field[0] else "") + _CODES[field[1]], template)

"""Pushed changes of any run, for clients that asked with `?after=<cursor>` or `?deltas=1`."""

from typing import Any

from triplane.deltas import Delta
from triplane.entities import Job, Run, Task
from triplane_cyclus.frames import encode, encode_with
from triplane_cyclus.orients import dump


def delta_frame(delta: Delta) -> str:
    """`delta`: what one commit changed. `params.cursor` is what `?after=` takes."""
    run = delta.run
    data: dict[str, Any] = {
        "time": delta.time,
        "run": run_fields(run),
        "opened": delta.opened,
        "closed": delta.closed,
        "events": [
            {"seq": e.seq, "time": e.time, "event": e.name, "wire": e.wire, "principal": e.principal, "data": e.data}
            for e in delta.events
        ],
        "tasks": [_task_fields(task) for task in delta.tasks],
        "jobs": [_job_fields(job) for job in delta.jobs],
        "pruned": [f"{cycle}/{name}" for cycle, name in delta.pruned],
        "rows": {
            rows.table: {
                "columns": [name for name, _ in rows.columns],
                "index": list(range(rows.first_row, rows.first_row + len(rows.rows))),
                "data": rows.rows,
            }
            for rows in delta.rows
        },
    }
    params = {"cursor": delta.cursor, "workflow_id": run.workflow_id, "run_id": run.run_id}
    return encode_with("delta", params, dump(data))


def gap_frame(after: int, until: int) -> str:
    """`gap`: changes, or messages, that are not to be had any more; read the tables anew."""
    return encode("gap", {"after": after, "until": until}, None)


def session_frame(name: str, seq: int, resumed: bool) -> str:
    """`session`: by what the connection can be resumed. What follows has numbers greater than `seq`."""
    return encode("session", {"session": name, "seq": seq, "resumed": resumed}, None)


def status_frame(run: Run) -> str:
    """`status`: how the run stands, for clients that asked with `?status=1`."""
    return encode("status", {"workflow_id": run.workflow_id, "run_id": run.run_id}, run_fields(run))


def finished_frame(run: Run) -> str:
    """`run_finished`: the run is closed, for clients that asked with `?status=1`."""
    params = {"workflow_id": run.workflow_id, "run_id": run.run_id}
    return encode("run_finished", params, {"status": run.status, "reason": run.closed_reason})


def run_fields(run: Run) -> dict[str, Any]:
    """What is shown of a run."""
    return {
        "engine": run.engine, "workflow_type": run.workflow_type, "run_number": run.run_number, "status": run.status,
        "status_message": run.status_message, "paused": run.paused, "closed_reason": run.closed_reason,
        "history_length": run.history_length,
    }  # fmt: skip


def _task_fields(task: Task) -> dict[str, Any]:
    return {
        "cycle": task.cycle, "name": task.name, "state": task.state, "is_held": task.is_held, "is_queued": task.is_queued,
        "is_runahead": task.is_runahead, "submit_num": task.submit_num, "flow_nums": task.flow_nums, "updated": task.updated,
    }  # fmt: skip


def _job_fields(job: Job) -> dict[str, Any]:
    return {
        "cycle": job.cycle, "name": job.name, "submit_num": job.submit_num, "state": job.state, "platform": job.platform,
        "job_id": job.job_id, "submitted": job.submitted, "started": job.started, "finished": job.finished,
    }  # fmt: skip

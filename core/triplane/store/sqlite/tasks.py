"""Rows of tasks, jobs and timers."""

from typing import Any

import apsw

from triplane.entities import Job, Task, Timer
from triplane.store.sqlite.codec import pack, unpack

UPSERT_TASK = (
    "INSERT INTO tasks VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET seq = excluded.seq, state = excluded.state,"
    " updated = excluded.updated, is_held = excluded.is_held, is_queued = excluded.is_queued,"
    " is_runahead = excluded.is_runahead, submit_num = excluded.submit_num, flow_nums = excluded.flow_nums, body = excluded.body"
)
DELETE_TASK = "DELETE FROM tasks WHERE run = ? AND cycle = ? AND name = ?"
UPSERT_JOB = (
    "INSERT INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET seq = excluded.seq, state = excluded.state,"
    " platform = excluded.platform, job_id = excluded.job_id, submitted = excluded.submitted, started = excluded.started,"
    " finished = excluded.finished, body = excluded.body"
)
DELETE_ALL_TASKS = "DELETE FROM tasks WHERE run = ?"
DELETE_ALL_JOBS = "DELETE FROM jobs WHERE run = ?"
DELETE_JOBS = "DELETE FROM jobs WHERE run = ? AND cycle = ? AND name = ?"
UPSERT_TIMER = "INSERT INTO timers VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET fire_at = excluded.fire_at, body = excluded.body"
DELETE_TIMER = "DELETE FROM timers WHERE run = ? AND timer_id = ?"
DELETE_TIMERS = "DELETE FROM timers WHERE run = ?"

_TASK_COLUMNS = "cycle, name, seq, state, updated, is_held, is_queued, is_runahead, submit_num, flow_nums, body"


def task_row(key: int, task: Task) -> tuple[Any, ...]:
    """Parameters of `UPSERT_TASK`."""
    return (
        key, task.cycle, task.name, task.seq, task.state, task.updated, task.is_held, task.is_queued, task.is_runahead,
        task.submit_num, task.flow_nums, pack((task.detail, task.data)),
    )  # fmt: skip


def job_row(key: int, job: Job) -> tuple[Any, ...]:
    """Parameters of `UPSERT_JOB`."""
    return (
        key, job.cycle, job.name, job.submit_num, job.seq, job.state, job.platform, job.job_id, job.submitted, job.started,
        job.finished, pack((job.messages, job.data)),
    )  # fmt: skip


def timer_row(key: int, timer: Timer) -> tuple[Any, ...]:
    """Parameters of `UPSERT_TIMER`."""
    return key, timer.timer_id, timer.fire_at, pack(timer.data)


def _task_from(row: tuple[Any, ...]) -> Task:
    cycle, name, seq, state, updated, is_held, is_queued, is_runahead, submit_num, flow_nums, body = row
    detail, data = unpack(body)
    return Task(
        cycle=cycle, name=name, seq=seq, state=state, updated=updated, is_held=bool(is_held), is_queued=bool(is_queued),
        is_runahead=bool(is_runahead), submit_num=submit_num, flow_nums=flow_nums, detail=detail, data=data,
    )  # fmt: skip


def tasks_of(connection: apsw.Connection, key: int) -> list[Task]:
    """A run's tasks in creation order."""
    rows = connection.execute(f"SELECT {_TASK_COLUMNS} FROM tasks WHERE run = ?", (key,))
    return sorted((_task_from(row) for row in rows), key=lambda task: task.seq)


def task_of(connection: apsw.Connection, key: int, cycle: str, name: str) -> Task | None:
    """One task of a run, if it is in the present view."""
    row = connection.execute(
        f"SELECT {_TASK_COLUMNS} FROM tasks WHERE run = ? AND cycle = ? AND name = ?", (key, cycle, name)
    ).fetchone()
    return None if row is None else _task_from(row)


def jobs_of(connection: apsw.Connection, key: int) -> list[Job]:
    """A run's jobs in creation order."""
    rows = connection.execute(
        "SELECT cycle, name, submit_num, seq, state, platform, job_id, submitted, started, finished, body"
        " FROM jobs WHERE run = ?",
        (key,),
    )
    return sorted((_job_from(row) for row in rows), key=lambda job: job.seq)


def _job_from(row: tuple[Any, ...]) -> Job:
    cycle, name, submit_num, seq, state, platform, job_id, submitted, started, finished, body = row
    messages, data = unpack(body)
    return Job(
        cycle=cycle, name=name, submit_num=submit_num, seq=seq, state=state, platform=platform, job_id=job_id,
        submitted=submitted, started=started, finished=finished, messages=tuple(messages), data=data,
    )  # fmt: skip


def timers_of(connection: apsw.Connection, key: int) -> list[Timer]:
    """A run's timers, the first to fire first."""
    rows = connection.execute("SELECT timer_id, fire_at, body FROM timers WHERE run = ?", (key,))
    return sorted((Timer(timer_id, fire_at, unpack(body)) for timer_id, fire_at, body in rows), key=_when)


def _when(timer: Timer) -> tuple[float, str]:
    return timer.fire_at, timer.timer_id

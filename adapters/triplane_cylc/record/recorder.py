"""Keeps the files of one run's directory up to date, behind what happens and off the event loop.

What comes is gathered as the state that it leads to, and written by a thread every half second or, where much comes, as
seldom as keeps its share of the time small. So the cost is that of what changed, and no commit waits for it.
"""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from triplane.aside import aside
from triplane.deltas import Delta
from triplane.entities import Job, JobKey, Run, RunDetail, Task, TaskKey
from triplane.events import Event
from triplane.queries import RunView
from triplane_cylc.datastore import derive
from triplane_cylc.record.database import RunDatabase
from triplane_cylc.record.rows import job_row, outputs_row, parameters, state_row
from triplane_cylc.record.runlog import RunLog, line, line_of

LEAST_S: Final = 0.5
MOST_S: Final = 5.0
SHARE: Final = 0.05
"""Of the time that writing for one run may take, about."""
MOST_TASKS: Final = 50_000
MOST_EVENTS: Final = 5_000
MOST_STEPS: Final = 10_000
STEP: Final = "StepCompleted"

log = structlog.get_logger(__name__)


class Recorder:
    """The files of one open run. Lives on the event loop's thread; `begin` comes first, `close` last.

    Args:
        path: the run's directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tasks: dict[TaskKey, Task] = {}
        self._jobs: dict[JobKey, Job] = {}
        self._events: list[Event] = []
        self._left_out = 0
        self._run: Run | None = None
        self._detail: RunDetail | None = None
        self._is_detail_new = False
        self._task: asyncio.Task[None] | None = None
        self._is_closing = asyncio.Event()
        # Only the writing thread touches these, and there is one at a time.
        self._database: RunDatabase | None = None
        self._log: RunLog | None = None
        self._last_step = 0
        self._is_failing = False

    def begin(self, view: RunView, about: Iterable[str]) -> None:
        """Take the run's state, and open a log that begins with the lines `about`."""
        self._run, self._detail, self._is_detail_new = view.run, view.detail, True
        self._tasks.update(view.tasks)
        self._jobs.update(view.jobs)
        self._task = asyncio.get_running_loop().create_task(self._write_on(tuple(about)), name="cylc run files")

    def refresh(self, view: RunView) -> None:
        """Take the run's state anew after deltas were missed."""
        self._run, self._detail, self._is_detail_new = view.run, view.detail, True
        self._tasks.update(view.tasks)
        self._jobs.update(view.jobs)

    def take(self, delta: Delta) -> None:
        """Take in a commit."""
        self._run = delta.run
        if delta.detail is not None:
            self._detail, self._is_detail_new = delta.detail, True
        is_simulation = delta.run.engine == "simulation"
        for task in delta.tasks:
            self._tasks[task.key] = task
        for job in delta.jobs:
            self._jobs[job.key] = job
        if is_simulation:
            # Thousands a second come and go: those that went are written without having been looked at.
            for key in delta.pruned:
                went = self._tasks.pop(key, None)
                if went is not None:
                    for number in range(went.submit_num + 1):
                        self._jobs.pop((*key, number), None)
        elif len(self._tasks) > MOST_TASKS:
            self._forget_some()
        events = [event for event in delta.events if event.name != STEP] if is_simulation else delta.events
        if len(self._events) < MOST_EVENTS:
            self._events.extend(events)
        else:
            self._left_out += len(events)

    def _forget_some(self) -> None:
        for key in list(self._tasks)[: MOST_TASKS // 2]:
            del self._tasks[key]
        self._jobs.clear()
        log.warning("cylc_run_files_behind", path=str(self._path), advice="the disk of jobs.run_dir is too slow for this run")

    async def close(self) -> None:
        """Write the rest and let go of the files."""
        if self._task is not None:
            self._is_closing.set()
            await self._task
            self._task = None

    async def _write_on(self, about: tuple[str, ...]) -> None:
        wait_s = 0.0
        while not self._is_closing.is_set():
            took_s = await self._write(about)
            about = ()
            wait_s = min(max(took_s / SHARE, LEAST_S), MOST_S)
            try:
                await asyncio.wait_for(self._is_closing.wait(), wait_s)
            except TimeoutError:
                continue
        await self._write(about)
        await asyncio.to_thread(self._let_go)

    async def _write(self, about: tuple[str, ...]) -> float:
        """Write what has come; returns the seconds of work that it took."""
        if not (self._tasks or self._jobs or self._events or self._is_detail_new):
            return 0.0
        tasks, self._tasks = self._tasks, {}
        jobs, self._jobs = self._jobs, {}
        events, self._events = self._events, []
        left_out, self._left_out = self._left_out, 0
        run, detail = self._run, self._detail if self._is_detail_new else None
        self._is_detail_new = False
        assert run is not None
        try:
            return await aside(self._put, run, detail, tasks, jobs, events, left_out, about)
        except OSError as error:
            if not self._is_failing:
                log.warning("cylc_run_files_not_written", path=str(self._path), reason=str(error))
            self._is_failing = True
            if len(tasks) <= MOST_TASKS:
                # Another time; what came meanwhile is newer.
                self._tasks, self._jobs = {**tasks, **self._tasks}, {**jobs, **self._jobs}
            self._is_detail_new = self._is_detail_new or detail is not None
            return MOST_S * SHARE

    # ---- in the thread ---------------------------------------------------------------------------------------------

    def _put(
        self,
        run: Run,
        detail: RunDetail | None,
        tasks: dict[TaskKey, Task],
        jobs: dict[JobKey, Job],
        events: list[Event],
        left_out: int,
        about: tuple[str, ...],
    ) -> float:
        began = time.thread_time()
        if self._database is None:
            self._database = RunDatabase(self._path / "log" / "db", str(run.data.get("origin", run.run_id)))
        self._database.put(
            parameters(run, detail) if detail is not None else {},
            [state_row(task) for task in tasks.values()],
            [outputs_row(task) for task in tasks.values()],
            [job_row(job, tasks.get((job.cycle, job.name))) for job in jobs.values()],
            self._steps_before(run, tasks),
        )
        if self._log is None:
            self._log = RunLog(self._path / "log" / "scheduler")
            restart = f"Run: (re)start number={self._log.start}, log rollover=1"
            self._log.write(line(run.updated, "INFO", text) for text in (*about, restart))
        self._log.write(line_of(event) for event in events)
        if left_out:
            self._log.write([line(run.updated, "WARNING", f"{left_out} events more than there is room for; `triplane show --history`")])
        self._is_failing = False
        return time.thread_time() - began

    def _steps_before(self, run: Run, tasks: dict[TaskKey, Task]) -> tuple[int, int, str] | None:
        """The steps of a simulation between those whose end was written and those that are there now."""
        if run.engine != "simulation":
            return None
        states = {int(cycle): task.state for (cycle, name), task in tasks.items() if name == "step" and cycle.isdecimal()}
        if not states:
            return None
        first, last = self._last_step + 1, min(states) - 1
        self._last_step = min((number for number, state in states.items() if state != "succeeded"), default=max(states) + 1) - 1
        first = max(first, last - MOST_STEPS + 1)
        return (first, last, derive.iso(run.updated)) if first <= last else None

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._log is not None:
            self._log.close()
            self._log = None

"""Commands to a run and its tasks: pause, hold, trigger, kill, stop."""

from collections.abc import Callable
from typing import Any

from triplane.commands import StopMode
from triplane.effects import KillJob, PollJob
from triplane.engines.graph.matching import match_active, match_inactive, nothing_matched, parse_pattern
from triplane.engines.graph.pool import BUSY_STATES
from triplane.engines.graph.progress import Progress
from triplane.entities import Task, TaskKey
from triplane.errors import LimitReached

KILL_TIMER = "kill-deadline"
KILL_TIMEOUT_S = 60.0
"""How long a killed run waits for its jobs to be gone before it closes without their word."""

MAX_FUTURE_HOLDS = 10_000


class Steering:
    """One step's command from outside."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step, self._state, self._pool = progress.step, progress.state, progress.pool

    def pause(self, paused: bool) -> None:
        """Pause or resume; a run that is so already stays as it is."""
        if self._state.run.paused != paused:
            self._step.set_run(paused=paused)
            self._step.emit("RunPaused" if paused else "RunResumed")

    def hold(self, globs: tuple[str, ...]) -> list[str]:
        """Hold active tasks, and remember those still to come that are named exactly."""
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        future = [key for key, task in match_inactive(self._state, self._pool, patterns).items() if task is None]
        if not active and not future:
            raise nothing_matched(globs)
        if len(self._pool.future_holds) + len(future) > MAX_FUTURE_HOLDS:
            raise LimitReached(f"more than {MAX_FUTURE_HOLDS} tasks still to come would be held")
        self._pool.future_holds.update(dict.fromkeys(future))
        self._progress.hold(list(active), is_held=True)
        return self._told("TasksHeld", [*active, *future])

    def release(self, globs: tuple[str, ...]) -> list[str]:
        """Release held tasks, and forget holds of tasks still to come."""
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        # Globs reach remembered holds too: `*` means everything that is held.
        future = [
            key
            for key in self._pool.future_holds
            if any(one.exact == key or (one.cycle == "*" and one.name in (None, "*")) for one in patterns)
        ]
        if not active and not future:
            raise nothing_matched(globs)
        for key in future:
            del self._pool.future_holds[key]
        self._progress.hold(list(active), is_held=False)
        return self._told("TasksReleased", [*active, *future])

    def trigger(self, globs: tuple[str, ...]) -> list[str]:
        """Run tasks now, whatever they wait for, though the run be paused; those with a job already are left alone."""
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        keys: list[TaskKey] = [key for key, task in active.items() if task.state not in BUSY_STATES]
        keys.extend(match_inactive(self._state, self._pool, patterns))
        if not keys:
            raise nothing_matched(globs)
        told = self._told("TasksTriggered", keys)
        for key in keys:
            self._pool.pending.append(["trigger", *key])
        return told

    def kill(self, globs: tuple[str, ...]) -> list[str]:
        """Kill jobs of matching tasks that are submitted or running."""
        return self._jobs(globs, self._kill)

    def poll(self, globs: tuple[str, ...]) -> list[str]:
        """Poll jobs of matching tasks that are submitted or running."""
        return self._jobs(globs, self._poll)

    def stop(self, mode: StopMode, reason: str | None) -> None:
        """Begin to end the run; a gentler stop that is under way gives place to a harder one."""
        data: dict[str, Any] = {"mode": str(mode)}
        if reason:
            data["reason"] = reason
        self._step.emit("StopRequested", data)
        self._pool.stop_reason = reason
        match mode:
            case StopMode.LEAVE:
                self._step.end("cancelled", "stopped")
            case StopMode.KILL:
                self._step.set_run(stopping="kill")
                self._step.set_timer(KILL_TIMER, self._step.now + KILL_TIMEOUT_S)
                self.kill_all()
            case StopMode.GRACEFUL if self._state.run.stopping != "kill":
                self._step.set_run(stopping="graceful")

    def kill_all(self) -> None:
        """Kill every job of the run."""
        for key in self._pool.busy:
            self._kill(self._state.tasks[key])

    def _jobs(self, globs: tuple[str, ...], act: Callable[[Task], None]) -> list[str]:
        patterns = [parse_pattern(glob) for glob in globs]
        active = match_active(self._state, self._pool, patterns)
        tasks = [task for task in active.values() if task.state in ("submitted", "running")]
        if not tasks:
            raise nothing_matched(globs)
        for task in tasks:
            act(task)
        return [f"{task.cycle}/{task.name}" for task in tasks]

    def _kill(self, task: Task) -> None:
        self._step.effect(KillJob(*self._job_address(task)))

    def _poll(self, task: Task) -> None:
        self._step.effect(PollJob(*self._job_address(task)))

    def _job_address(self, task: Task) -> tuple[str, str, str, int, str, str]:
        job = self._state.jobs.get((*task.key, task.submit_num))
        platform = self._pool.plan.task(task.name).platform
        return (self._state.run.run_id, task.cycle, task.name, task.submit_num, platform, job.job_id if job else "")

    def _told(self, event_name: str, keys: list[TaskKey]) -> list[str]:
        names = [f"{cycle}/{name}" for cycle, name in keys]
        # An event is one row: a hold of ten thousand tasks names the first of them and their number.
        data: dict[str, Any] = {"tasks": names[:500]}
        if len(names) > 500:
            data["count"] = len(names)
        self._step.emit(event_name, data)
        return names

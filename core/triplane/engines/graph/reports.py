"""What a job says, or a poll finds, as changes of its task (contract cylc 5.3)."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from triplane.commands import JobSubmitFailed, JobSubmitted, ReportJob
from triplane.engines.graph import lives
from triplane.engines.graph.handlers import task_event
from triplane.engines.graph.progress import Progress
from triplane.engines.graph.spawning import complete_outputs
from triplane.engines.graph.work import task_id
from triplane.entities import Task, evolve

MAX_JOB_MESSAGES = 100
MAX_MESSAGE = 2_000

# How far each state is along a task's life; a message that would go back is checked by a poll instead.
_RANK = {"waiting": 0, "preparing": 1, "submitted": 2, "running": 3, "submit-failed": 4, "failed": 4, "succeeded": 5, "expired": 5}
_LIFE = {"submitted": 2, "started": 3, "succeeded": 5, "failed": 4, "aborted": 4, "submission failed": 4, "vacated": 2}


class Reports:
    """One step's reports about jobs."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step, self._state = progress.step, progress.state

    def submitted(self, command: JobSubmitted) -> None:
        """A job was handed to its runner."""
        task = self._current(command.cycle, command.task, command.submit_num)
        if task is None:
            return
        if task.state == "preparing":
            task = lives.submitted(self._progress, task, command.job_id, self._step.now)
        lives.name_job(self._progress, task, command.job_id)

    def submit_failed(self, command: JobSubmitFailed) -> None:
        """A job could not be handed over. Ignored once the job has reported: then it evidently could."""
        task = self._current(command.cycle, command.task, command.submit_num)
        if task is not None and task.state in ("preparing", "submitted"):
            lives.submission_failed(self._progress, task, command.reason, self._step.now)

    def report(self, command: ReportJob) -> None:
        """Messages of a job, in order; those of another than the task's current job are only written down."""
        task = self._current(command.cycle, command.task, command.submit_num)
        if task is None:
            self._write_down(command, command.messages, ignored=True)
            return
        when = _seconds(command.event_time, self._step.now)
        others = []
        for severity, text in command.messages:
            if not self._apply(task, text.strip(), when, command.polled):
                others.append((severity, text[:MAX_MESSAGE]))
            task = self._state.tasks[task.key]
        if others:
            self._write_down(command, others, ignored=False)
            for severity, text in others:
                event = severity.lower() if severity.lower() in ("warning", "critical") else "custom"
                if event != "custom" or severity.upper() == "CUSTOM":
                    task_event(self._progress, task, event, text)

    def _current(self, cycle: str, name: str, submit_num: int) -> Task | None:
        task = self._state.tasks.get((cycle, name))
        if task is None or task.submit_num != submit_num or submit_num == 0 or task.state in ("waiting", "expired"):
            return None
        return task

    def _write_down(self, command: ReportJob, messages: Sequence[tuple[str, str]], ignored: bool) -> None:
        job = self._state.jobs.get((command.cycle, command.task, command.submit_num))
        suffix = " (polled)" if command.polled else ""
        if command.polled and job is not None:
            # Every poll reads the whole file: what was heard before is no news.
            known = set(job.messages)
            messages = [one for one in messages if one[1] not in known and one[1] + suffix not in known]
            if not messages:
                return
        texts = [f"{text}{suffix}" for _, text in messages]
        if job is not None:
            self._step.put_job(evolve(job, messages=(*job.messages, *texts)[-MAX_JOB_MESSAGES:]))
        data: dict[str, object] = {
            "task": f"{command.cycle}/{command.task}",
            "submit_num": command.submit_num,
            "messages": [[severity, text[:MAX_MESSAGE]] for severity, text in messages],
        }
        if ignored:
            data["ignored"] = True
        self._step.emit("MessageReceived", data)

    def _apply(self, task: Task, text: str, when: float, polled: bool) -> bool:
        """Whether the message was one that the engine acts on."""
        word, _, rest = text.partition("/")
        if word in _LIFE and (word in ("failed", "aborted", "vacated") or not rest):
            if self._would_go_back(task, word, polled):
                if not polled:
                    lives.poll(self._progress, task)
                return True
            self._live(task, word, rest, when)
            return True
        definition = self._progress.plan.task(task.name)
        label = next((one for one, message in definition.outputs.items() if message == text), None)
        if label is None:
            return False
        is_done = any(one["label"] == label and one["satisfied"] for one in task.detail["outputs"])
        complete_outputs(self._progress, task, [label])
        # Every poll reads the whole file: what was heard before is no news.
        if not is_done:
            self._step.emit("OutputCompleted", {"task": task_id(task), "output": label})
        return True

    @staticmethod
    def _would_go_back(task: Task, word: str, polled: bool) -> bool:
        if word == "vacated":
            return task.state not in ("submitted", "running")
        if polled and task.state in ("failed", "submit-failed") and word in ("started", "succeeded"):
            # The job itself proves a verdict wrong that was passed without it.
            return False
        return _RANK[task.state] >= _LIFE[word]

    def _live(self, task: Task, word: str, rest: str, when: float) -> None:
        progress = self._progress
        match word:
            case "submitted":
                lives.submitted(progress, task, "", when)
            case "started":
                lives.started(progress, task, when)
            case "succeeded":
                lives.succeeded(progress, task, when)
            case "failed" | "aborted":
                lives.failed(progress, task, rest if word == "failed" else f"aborted/{rest}", when)
            case "submission failed":
                lives.submission_failed(progress, task, "not found by its runner", when)
            case "vacated":
                lives.vacated(progress, task)


def _seconds(event_time: str | None, now: float) -> float:
    """When the job says that it happened; now where it does not say, or says what cannot be."""
    if event_time is None:
        return now
    try:
        moment = datetime.fromisoformat(event_time)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return now
    return seconds if math.isfinite(seconds) and 0 <= seconds <= now + 60.0 else now

"""What a job says, or a poll finds, as changes of its task (contract cylc 5.3)."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from triplane.commands import JobSubmitFailed, JobSubmitted, ReportJob
from triplane.effects import PollJob
from triplane.engines.graph.progress import Progress
from triplane.entities import Job, Task, evolve

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
            task = self._submit(task, command.job_id, self._step.now)
        self._name_job(task, command.job_id)

    def submit_failed(self, command: JobSubmitFailed) -> None:
        """A job could not be handed over. Ignored once the job has reported: then it evidently could."""
        task = self._current(command.cycle, command.task, command.submit_num)
        if task is not None and task.state in ("preparing", "submitted"):
            self._submission_failed(task, command.reason, self._step.now)

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
                    self._poll(task)
                return True
            self._live(task, word, rest, when)
            return True
        definition = self._progress.plan.task(task.name)
        label = next((one for one, message in definition.outputs.items() if message == text), None)
        if label is None:
            return False
        self._progress.complete_outputs(task, [label])
        self._step.emit("OutputCompleted", {"task": f"{task.cycle}/{task.name}", "output": label})
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
        match word:
            case "submitted":
                self._submit(task, "", when)
            case "started":
                self._start(task, when)
            case "succeeded":
                self._succeed(task, when)
            case "failed" | "aborted":
                self._fail(task, rest if word == "failed" else f"aborted/{rest}", when)
            case "submission failed":
                self._submission_failed(task, "not found by its runner", when)
            case "vacated":
                self._progress.put(task, state="submitted")

    def _poll(self, task: Task) -> None:
        job = self._state.jobs.get((*task.key, task.submit_num))
        platform = self._progress.plan.task(task.name).platform
        self._step.effect(
            PollJob(self._state.run.run_id, task.cycle, task.name, task.submit_num, platform, job.job_id if job else "")
        )

    # ---- a job's life ----------------------------------------------------------------------------------------------

    def _job(self, task: Task, when: float) -> Job:
        job = self._state.jobs.get((*task.key, task.submit_num))
        if job is not None:
            return job
        platform = self._progress.plan.task(task.name).platform
        return self._step.new_job(*task.key, task.submit_num, "submitted", platform=platform, submitted=when)

    def _name_job(self, task: Task, job_id: str) -> None:
        job = self._job(task, self._step.now)
        if job_id and job.job_id != job_id:
            self._step.put_job(evolve(job, job_id=job_id))

    def _submit(self, task: Task, job_id: str, when: float) -> Task:
        self._job(task, when)
        self._emit("JobSubmitted", task, job_id=job_id)
        return self._progress.complete_outputs(task, ["submitted"], state="submitted")

    def _submitted_first(self, task: Task, when: float) -> Task:
        return self._submit(task, "", when) if task.state == "preparing" else task

    def _start(self, task: Task, when: float) -> Task:
        task = self._submitted_first(task, when)
        job = self._job(task, when)
        # Jobs' clocks tell whole seconds, and may be wrong: nothing starts before it was submitted.
        started = max(when, job.submitted or when)
        self._step.put_job(evolve(job, state="running", started=started, finished=None))
        self._emit("JobStarted", task)
        return self._progress.complete_outputs(task, ["submitted", "started"], state="running")

    def _started_first(self, task: Task, when: float) -> Task:
        return task if task.state in ("running", "failed") else self._start(task, when)

    def _succeed(self, task: Task, when: float) -> None:
        task = self._started_first(task, when)
        job = self._job(task, when)
        self._step.put_job(evolve(job, state="succeeded", finished=max(when, job.started or when)))
        self._emit("JobSucceeded", task)
        self._progress.complete_outputs(task, ["submitted", "started", "succeeded"], state="succeeded")

    def _fail(self, task: Task, reason: str, when: float) -> None:
        task = self._started_first(task, when)
        job = self._job(task, when)
        finished = max(when, job.started or when)
        self._step.put_job(evolve(job, state="failed", finished=finished, data={**job.data, "run_signal": reason}))
        self._emit("JobFailed", task, reason=reason or "failed")
        self._progress.complete_outputs(task, ["failed"], state="failed")

    def _submission_failed(self, task: Task, reason: str, when: float) -> None:
        job = self._job(task, when)
        self._step.put_job(evolve(job, state="submit-failed", finished=when, data={**job.data, "reason": reason}))
        self._emit("JobFailed", task, reason=f"submission failed: {reason}")
        self._progress.complete_outputs(task, ["submit-failed"], state="submit-failed")

    def _emit(self, event_name: str, task: Task, **data: str) -> None:
        kept = {key: value for key, value in data.items() if value}
        self._step.emit(event_name, {"task": f"{task.cycle}/{task.name}", "submit_num": task.submit_num, **kept})


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

"""A job's life as changes of its task: submitted, started, ended well or badly, tried again."""

from triplane.effects import PollJob
from triplane.engines.graph.handlers import task_event
from triplane.engines.graph.spawning import complete_outputs
from triplane.engines.graph.submission import platform_of, run_mode
from triplane.engines.graph.triggers import SKIP
from triplane.engines.graph.work import Work, merged
from triplane.entities import Job, Task, evolve


def job_of(work: Work, task: Task, when: float) -> Job:
    """The task's current job, made if nothing was heard of it yet."""
    job = work.state.jobs.get((*task.key, task.submit_num))
    if job is not None:
        return job
    mode = run_mode(work, task)
    platform = mode if mode in ("skip", "simulation") else platform_of(work, task)
    return work.step.new_job(*task.key, task.submit_num, "submitted", platform=platform, submitted=when)


def submitted(work: Work, task: Task, job_id: str, when: float) -> Task:
    """Its runner has the job."""
    job_of(work, task, when)
    work.emit("JobSubmitted", task, job_id=job_id)
    task = complete_outputs(work, task, ["submitted"], state="submitted")
    task_event(work, task, "submitted")
    return _watch(work, task, "submission")


def name_job(work: Work, task: Task, job_id: str) -> None:
    """Write down what its runner calls the job."""
    job = job_of(work, task, work.now)
    if job_id and job.job_id != job_id:
        work.step.put_job(evolve(job, job_id=job_id))


def started(work: Work, task: Task, when: float) -> Task:
    """The job runs."""
    if task.state == "preparing":
        task = submitted(work, task, "", when)
    job = job_of(work, task, when)
    # Jobs' clocks tell whole seconds, and may be wrong: nothing starts before it was submitted.
    began = max(when, job.submitted or when)
    work.step.put_job(evolve(job, state="running", started=began, finished=None))
    work.emit("JobStarted", task)
    task = complete_outputs(work, task, ["submitted", "started"], state="running")
    task_event(work, task, "started")
    return _watch(work, task, "execution")


def _watch(work: Work, task: Task, what: str) -> Task:
    """Have it told if the job takes longer than `[events]` expects."""
    events = work.plan.settings(task.name).events
    timeout = events.execution_timeout_s if what == "execution" else events.submission_timeout_s
    return task if timeout is None else work.set_due(task, f"timeout:{what}", work.now + timeout)


def _started_first(work: Work, task: Task, when: float) -> Task:
    return task if task.state in ("running", "failed") else started(work, task, when)


def succeeded(work: Work, task: Task, when: float) -> Task:
    """The job ended well."""
    task = _started_first(work, task, when)
    job = job_of(work, task, when)
    work.step.put_job(evolve(job, state="succeeded", finished=max(when, job.started or when)))
    work.emit("JobSucceeded", task)
    task = complete_outputs(work, task, ["submitted", "started", "succeeded"], state="succeeded")
    task_event(work, task, "succeeded")
    return task


def failed(work: Work, task: Task, reason: str, when: float) -> Task:
    """The job ended badly: the task is tried again after the delay its definition gives for that, as often as it gives any."""
    task = _started_first(work, task, when)
    job = job_of(work, task, when)
    finished = max(when, job.started or when)
    work.step.put_job(evolve(job, state="failed", finished=finished, data={**job.data, "run_signal": reason}))
    work.emit("JobFailed", task, reason=reason or "failed")
    again = _retried(work, task, "execution")
    task_event(work, task, "retry" if again else "failed", f"failed/{reason}" if reason else "failed")
    return again or complete_outputs(work, task, ["failed"], state="failed")


def submission_failed(work: Work, task: Task, reason: str, when: float) -> Task:
    """The job could not be handed over, or its runner does not know it: tried again as after a failure."""
    job = job_of(work, task, when)
    work.step.put_job(evolve(job, state="submit-failed", finished=when, data={**job.data, "reason": reason}))
    work.emit("JobFailed", task, reason=f"submission failed: {reason}")
    again = _retried(work, task, "submission")
    task_event(work, task, "submission retry" if again else "submission failed", reason)
    return again or complete_outputs(work, task, ["submit-failed"], state="submit-failed")


def vacated(work: Work, task: Task) -> Task:
    """The job was thrown out, and waits to be run again."""
    return work.put(task, state="submitted")


def _retried(work: Work, task: Task, kind: str) -> Task | None:
    """The task as it waits for its next try; None where there is none left."""
    delays = work.plan.retry_delays(task.name, kind)
    tries = task.data.get("tries", {})
    done = tries.get(kind, 0)
    if done >= len(delays) or work.state.run.stopping == "kill":
        return None
    dates = merged(task.data.get("due") or {}, {"retry": work.now + delays[done]})
    data = merged(task.data, {"tries": {**tries, kind: done + 1}, "due": dates, "by_hand": None})
    work.emit("RetryScheduled", task, delay_s=delays[done], kind=kind)
    return work.put(task, state="waiting", data=data, detail={**task.detail, "is_retry": True})


# ---- jobs that are only imagined -----------------------------------------------------------------------------------


def imagined(work: Work, task: Task) -> None:
    """Have a job that no runner sees: skipped at once, or running for as long as its definition says."""
    if run_mode(work, task) == SKIP:
        for message in work.plan.skip_outputs(task.name):
            task = _imagine(work, task, message)
        return
    task = started(work, task, work.now)
    settings = work.plan.simulation(task.name, work.plan.point(task.cycle))
    work.set_due(task, "simulated", work.now + settings.length_s)


def simulated(work: Work, task: Task) -> None:
    """An imagined job has had its time: its own outputs are given, and it ends."""
    task = work.set_due(task, "simulated", None)
    if task.state != "running":
        return
    task = complete_outputs(work, task, work.plan.own_outputs(task.name))
    settings = work.plan.simulation(task.name, work.plan.point(task.cycle))
    tries = task.data.get("tries", {}).get("execution", 0)
    if settings.fails(tries + 1):
        failed(work, task, "", work.now)
    else:
        succeeded(work, task, work.now)


def _imagine(work: Work, task: Task, label: str) -> Task:
    match label:
        case "submitted":
            return submitted(work, task, "", work.now)
        case "started":
            return started(work, task, work.now)
        case "succeeded":
            return succeeded(work, task, work.now)
        case "failed":
            return failed(work, task, "", work.now)
        case "expired":
            return complete_outputs(work, task, ["expired"], state="expired")
    work.step.emit("OutputCompleted", {"task": f"{task.cycle}/{task.name}", "output": label})
    return complete_outputs(work, task, [label])


def poll(work: Work, task: Task) -> None:
    """Have it found out how a task's current job stands."""
    job = work.state.jobs.get((*task.key, task.submit_num))
    if job is not None and job.platform in ("skip", "simulation"):
        return
    address = (*task.key, task.submit_num, platform_of(work, task), job.job_id if job else "")
    work.step.effect(PollJob(work.state.run.run_id, *address))

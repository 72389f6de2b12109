"""Tasks become jobs: queues, run modes, and what a job is told."""

from collections.abc import Mapping
from typing import Any

from triplane.effects import SubmitJob
from triplane.engines.graph.broadcasts import overrides
from triplane.engines.graph.flows import flows_of
from triplane.engines.graph.job_settings import job_settings
from triplane.engines.graph.triggers import DUMMY, LIVE, SIMULATION, SKIP
from triplane.engines.graph.work import Work, merged, task_id
from triplane.entities import Task


def submit_queued(work: Work) -> None:
    """Begin jobs of tasks whose turn has come, as far as their queues and this step allow."""
    run, pool = work.state.run, work.pool
    if run.paused or run.stopping or pool.facts.is_reloading:
        return
    for queue in list(pool.queues):
        while queue in pool.queues and not pool.is_full(queue) and not work.is_full:
            task = work.find(next(iter(pool.queues[queue])))
            assert task is not None
            submit(work, task)


def submit(work: Work, task: Task) -> Task:
    """Begin a task's next job."""
    by_hand = bool(task.data.get("by_hand"))
    needs = work.pool.needs.get(task.key)
    triggers = [] if by_hand or needs is None else needs.satisfied()
    dates = merged(task.data.get("due") or {}, {"retry": None, "expire": None})
    task = work.put(
        task,
        state="preparing",
        is_queued=False,
        is_runahead=False,
        submit_num=task.submit_num + 1,
        detail={**task.detail, "is_retry": False} if task.detail.get("is_retry") else task.detail,
        data=merged(task.data, {"due": dates or None}),
    )
    work.step.emit(
        "JobPrepared",
        {
            "task": task_id(task),
            "submit_num": task.submit_num,
            "triggered_off": triggers,
            "flows": sorted(flows_of(task)),
        },
    )
    if run_mode(work, task) in (SKIP, SIMULATION):
        work.pool.pending.append(["imagined", task.cycle, task.name, task.submit_num])
    else:
        work.step.effect(submission(work, task))
    return task


def run_mode(work: Work, task: Task) -> str:
    """How a task's job is run: as the run is, unless that is live and the task, or a broadcast, says otherwise."""
    mode = work.pool.facts.mode
    if mode != LIVE:
        return mode
    return str(overrides(work, task).get("run mode") or work.plan.run_mode(task.name))


def submission(work: Work, task: Task) -> SubmitJob:
    """The effect that submits a task's current job; the same again after a restart."""
    changed = overrides(work, task)
    definition, one = work.plan.definition, work.plan.task(task.name)
    spec: dict[str, Any] = {
        "origin": work.pool.origin,
        "scripts": {**one.scripts, **{key: value for key, value in changed.items() if key in _SCRIPTS}},
        "environment": {**one.environment, **task.data.get("environment", {}), **changed.get("environment", {})},
        "families": list(one.families),
        "flow_nums": task.flow_nums,
        "initial": work.plan.cycle(work.plan.initial),
        "final": work.plan.cycle(work.plan.final) if work.plan.final is not None else "",
        "utc_mode": definition.utc_mode,
        "source": work.state.detail.definition.get("source", {}),
        "try_number": int(task.data.get("tries", {}).get("execution", 0)) + 1,
        "cycling_mode": definition.calendar.mode,
        **job_settings(one.settings, changed),
    }
    if work.pool.facts.mode == DUMMY:
        spec["scripts"] = _dummy(work, task)
    return SubmitJob(work.state.run.run_id, task.cycle, task.name, task.submit_num, platform_of(work, task), spec)


_SCRIPTS = frozenset({"init-script", "env-script", "pre-script", "script", "post-script", "err-script", "exit-script"})


def platform_of(work: Work, task: Task) -> str:
    """Where a task's current job is, or its next one will run: a broadcast moves no job that was submitted."""
    job = work.state.jobs.get((*task.key, task.submit_num))
    if job is not None:
        return job.platform
    if work.pool.facts.mode == DUMMY:
        return "localhost"
    return str(overrides(work, task).get("platform") or work.plan.task(task.name).platform)


def _dummy(work: Work, task: Task) -> Mapping[str, str]:
    """A script that only takes its time, and fails where it is told to."""
    settings = work.plan.simulation(task.name, work.plan.point(task.cycle))
    fails = settings.fails(int(task.data.get("tries", {}).get("execution", 0)) + 1)
    script = f"sleep {settings.length_s:g}"
    return {"script": f"{script}\nfalse" if fails else script}

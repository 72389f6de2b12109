"""What the clock does to a run: one timer of the run, set to whatever comes first.

A task keeps in `data["due"]` what is to happen to it when; the pool has all of them in order.
"""

from triplane.engines.graph.handlers import task_event
from triplane.engines.graph.lives import simulated
from triplane.engines.graph.spawning import complete_outputs, follow, queue_if_ready
from triplane.engines.graph.work import Work, merged, task_id
from triplane.entities import Task

CLOCK_TIMER = "clock"


def wind(work: Work) -> None:
    """Set the run's timer to the first thing that is due, or clear it."""
    first = work.pool.due[0][0] if work.pool.due else None
    timer = work.state.timers.get(CLOCK_TIMER)
    if not work.state.run.is_open or (timer.fire_at if timer else None) == first:
        return
    if first is None:
        work.step.clear_timer(CLOCK_TIMER)
    else:
        work.step.set_timer(CLOCK_TIMER, first)


def strike(work: Work) -> bool:
    """Do what is due now; False where this step is full before all is done."""
    while work.pool.due and work.pool.due[0][0] <= work.now:
        if work.is_full:
            return False
        _, key, what = work.pool.due[0]
        task = work.find(key)
        assert task is not None
        _act(work, task, what)
    return True


def _act(work: Work, task: Task, what: str) -> None:
    if what == "simulated":
        simulated(work, task)
        return
    task = work.set_due(task, what, None)
    if what == "retry":
        task = work.put(task, detail={**task.detail, "is_retry": False})
        queue_if_ready(work, task)
    elif what == "expire":
        if task.state == "waiting" and not task.data.get("by_hand"):
            expire(work, task)
    elif what == "timeout:execution" and task.state == "running":
        task_event(work, task, "execution timeout")
    elif what == "timeout:submission" and task.state == "submitted":
        task_event(work, task, "submission timeout")
    elif what == "late" and task.state in ("waiting", "preparing", "submitted"):
        task_event(work, task, "late")
    elif what.startswith("xtrigger:"):
        met(work, task, what.removeprefix("xtrigger:"))


def expire(work: Work, task: Task) -> None:
    """The task is too late to be run."""
    if task.is_runahead:
        follow(work, task)
    data = merged(task.data, {"due": None})
    work.step.emit("TaskExpired", {"task": task_id(task)})
    task = complete_outputs(work, task, ["expired"], state="expired", is_queued=False, is_runahead=False, data=data)
    task_event(work, task, "expired")


def met(work: Work, task: Task, label: str) -> Task:
    """One of a task's xtriggers holds now."""
    triggers = [
        {**one, "satisfied": True, "time": work.now} if one["label"] == label else one
        for one in task.detail.get("xtriggers", ())
    ]
    flags = {"xtriggers": triggers, "is_xtriggered": any(not one["satisfied"] for one in triggers)}
    if flags["is_xtriggered"] is False:
        flags["is_wallclock"] = False
    task = work.put(task, detail={**task.detail, **flags})
    sequential = not flags["is_xtriggered"] and work.plan.spawns_next_on_trigger(task.name, work.plan.point(task.cycle))
    if sequential and not task.is_runahead:
        follow(work, task)
    return queue_if_ready(work, task)

"""Whether a run is at its end, or stalled, or how it stands; and what happens when it stands so for too long."""

from itertools import islice

from triplane.engines.graph.handlers import run_event
from triplane.engines.graph.work import Work

STALL_TIMER, INACTIVITY_TIMER, WORKFLOW_TIMER = "stall-timeout", "inactivity-timeout", "workflow-timeout"
MAX_NAMED = 100


def settle(work: Work) -> None:
    """Close the run if it is at its end, else say how it stands."""
    run, pool = work.state.run, work.pool
    if not run.is_open or pool.pending:
        return
    if run.stopping and not pool.busy:
        work.step.end("terminated" if run.stopping == "kill" else "cancelled", pool.facts.stop_reason)
        return
    if not pool.active:
        work.step.end("completed", output={"tasks": _final_states(work)})
        return
    is_idle = not pool.busy and not pool.hopeful and not pool.facts.is_reloading
    if is_idle and not run.paused and sum(map(len, pool.runahead.values())) == len(pool.active):
        # All that is left lies beyond the stop point.
        stop = pool.facts.stop_point
        pool.facts.stop_point = None
        at = work.plan.cycle(stop) if stop is not None else "its end"
        work.step.end("completed", f"stopped at {at}", output={"tasks": _final_states(work)})
        return
    message = _standing(work, is_idle)
    _note_stall(work, is_stalled=message == "stalled")
    if message != run.status_message:
        if message.startswith("stalled") and not run.status_message.startswith("stalled"):
            work.step.emit("RunStalled", {"tasks": [f"{cycle}/{name}" for cycle, name in islice(pool.active, MAX_NAMED)]})
            run_event(work, "stall")
        work.step.set_run(status_message=message)


def _final_states(work: Work) -> dict[str, str]:
    return {f"{cycle}/{name}": task.state for (cycle, name), task in work.state.tasks.items()}


def _standing(work: Work, is_idle: bool) -> str:
    run, facts = work.state.run, work.pool.facts
    if run.stopping == "kill":
        return "stopping: killing active jobs"
    if run.stopping:
        return "stopping: waiting for active jobs to complete"
    if facts.is_reloading:
        return "reloading"
    if is_idle:
        return "stalled and paused" if run.paused else "stalled"
    if run.paused:
        return "paused"
    if facts.hold_point is not None:
        return f"running to hold at {work.plan.cycle(facts.hold_point)}"
    if facts.stop_point is not None and facts.stop_point != work.plan.final:
        return f"running to stop at {work.plan.cycle(facts.stop_point)}"
    return "running"


# ---- timeouts ------------------------------------------------------------------------------------------------------


def _note_stall(work: Work, is_stalled: bool) -> None:
    facts, timeout = work.pool.facts, work.plan.timeouts.get("stall")
    if is_stalled == (facts.stalled_since is not None):
        return
    facts.stalled_since = work.now if is_stalled else None
    if not is_stalled:
        work.step.clear_timer(STALL_TIMER)
    elif timeout is not None:
        work.step.set_timer(STALL_TIMER, work.now + timeout)


def set_timeouts(work: Work) -> None:
    """Start the timers that run from a run's start."""
    for kind, timer_id in (("workflow", WORKFLOW_TIMER), ("inactivity", INACTIVITY_TIMER)):
        timeout = work.plan.timeouts.get(kind)
        if timeout is not None:
            work.step.set_timer(timer_id, work.now + timeout)


def timed_out(work: Work, timer_id: str) -> None:
    """A timeout of the run has passed: it is told, and ends the run where the definition says so."""
    kind = timer_id.removesuffix("-timeout")
    timeout = work.plan.timeouts.get(kind)
    if kind == "inactivity" and timeout is not None:
        last = max((task.updated for task in work.state.tasks.values()), default=work.now)
        if last + timeout > work.now:
            work.step.set_timer(timer_id, last + timeout)
            return
    work.step.emit("RunTimedOut", {"timeout": kind, "seconds": timeout})
    run_event(work, f"{kind} timeout")
    if work.plan.aborts_on(kind):
        run_event(work, "abort", f"{kind} timeout")
        work.step.end("failed", f"{kind} timeout")



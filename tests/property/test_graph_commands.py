"""Whatever people do to a graph run, and whenever the gateway restarts: what is on disk is what is in memory, and it ends."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from property.test_graph_runs import graphs
from triplane.commands import (
    HoldTasks,
    PauseRun,
    ReleaseTasks,
    RemoveTasks,
    ResumeRun,
    ScheduleStop,
    SetHoldPoint,
    SetTasks,
    TriggerTasks,
)
from triplane.engines.graph.pool import Pool, loaded
from triplane.errors import Conflict, NothingMatched
from unit.graph.simulated import SimulatedRun

RUNTIME = "[runtime]\n[[root]]\nexecution retry delays = PT1M\n"


def indices(pool: Pool) -> dict[str, object]:
    """All that the pool knows of its tasks, without the order in which it came to know it."""
    return {
        "active": pool.active,
        "met": {key: (one.dump(), one.is_met) for key, one in pool.needs.items()},
        "runahead": {point: set(keys) for point, keys in pool.runahead.items()},
        "queued": {name: set(keys) for name, keys in pool.queues.items()},
        "busy": set(pool.busy),
        "counts": {name: count for name, count in pool.busy_in.items() if count},
        "hopeful": set(pool.hopeful),
        "incomplete": set(pool.incomplete),
        "due": list(pool.due),
        "finished": set(pool.finished),
        "flows": pool.active_flows(),
        "rest": pool.dump(),
    }


def check(run: SimulatedRun) -> None:
    """A pool made of what is stored must be the one in memory."""
    if run.state.run.is_open:
        live = run.state.private
        assert indices(loaded(run.state)) == indices(live)


def do_anything(run: SimulatedRun, choice: random.Random) -> None:
    """One random thing that people, jobs or the clock may do."""
    task = f"{choice.randrange(1, 5)}/t{choice.randrange(8)}"
    flow = choice.choice([(), (), ("new",), ("none",), ("1",), ("2",)])
    match choice.randrange(14):
        case 0:
            run.do(TriggerTasks, task_globs=(task,), flow=flow)
        case 1:
            run.do(TriggerTasks, task_globs=(task, f"{choice.randrange(1, 5)}/t{choice.randrange(8)}"), flow=flow)
        case 2:
            run.do(SetTasks, task_globs=(task,), flow=flow, outputs=choice.choice([(), ("failed",), ("started",), ("expired",)]))
        case 3:
            run.do(SetTasks, task_globs=(task,), prerequisites=("all",), flow=flow)
        case 4:
            run.do(RemoveTasks, task_globs=(choice.choice([task, "*/t1"]),))
        case 5:
            run.do(HoldTasks, task_globs=(task,))
        case 6:
            run.do(SetHoldPoint, point="2")
        case 7:
            run.do(ReleaseTasks, task_globs=("*",), forget_hold_point=True)
        case 8:
            run.do(choice.choice([PauseRun, ResumeRun]))
        case 9:
            run.do(ScheduleStop, point="3")
        case 10:
            run.wait()
        case _ if run.submissions:
            run.submissions.rotate(choice.randrange(len(run.submissions)))
            submission = run.submissions.popleft()
            run.run_job(submission, "started", choice.choice(["succeeded", "succeeded", "failed"]))


@settings(max_examples=200, deadline=None)
@given(source=graphs(), seed=st.integers(0, 2**32))
def test_memory_and_disk_agree_whatever_happens_and_every_run_can_be_brought_to_its_end(source: str, seed: int):
    run = SimulatedRun(source + RUNTIME)
    choice = random.Random(seed)
    for _ in range(30):
        if not run.state.run.is_open:
            return
        try:
            do_anything(run, choice)
        except (NothingMatched, Conflict):
            pass
        check(run)
        if choice.randrange(4) == 0 and run.state.run.is_open:
            run.restart()
            check(run)
    if run.state.run.is_open:
        run.do(ReleaseTasks, task_globs=("*",), forget_hold_point=True)
        run.do(ResumeRun)
    for _ in range(100):
        run.succeed_all()
        if not run.state.run.is_open:
            return
        try:
            run.do(SetTasks, task_globs=("*/*:failed", "*/*:expired", "*/*:waiting", "*/*:submit-failed"))
        except NothingMatched:
            run.wait()
    raise AssertionError(f"still open: {run.states()}")

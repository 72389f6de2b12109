"""What people force upon tasks: run now, done already, never mind.

Each begins as pending work, in portions, because a glob may reach ten thousand tasks.

Source: contract cylc sections 3.4, 6 and 7; measured against cylc-flow 8.5.4.
"""

from collections.abc import Iterable
from typing import Any

from triplane.effects import KillJob
from triplane.engines.graph import flows as flow
from triplane.engines.graph.flows import Flows, flows_of
from triplane.engines.graph.pool import BUSY_STATES
from triplane.engines.graph.spawning import complete_outputs, follow, make, merge, new_flow, queue_if_ready, remove, spawn
from triplane.engines.graph.submission import platform_of, submit
from triplane.engines.graph.work import Work, merged, task_id
from triplane.entities import Task, TaskKey

_IMPLIED = {"started": ["submitted"], "succeeded": ["submitted", "started"], "failed": ["submitted", "started"]}
ENDS = frozenset({"expired", "submit-failed", "succeeded", "failed"})
MAX_GIVEN = 10_000


def portion(work: Work, item: list[Any]) -> list[Any] | None:
    """Do one piece of pending work of this module; what is left of it, or None."""
    match item:
        case ["trigger", cycle, name, flows, wait, in_group, *on_resume]:
            _trigger(work, (cycle, name), frozenset(flows), wait, in_group, bool(on_resume))
        case ["set_outputs", cycle, name, outputs, flows, wait]:
            _set_outputs(work, (cycle, name), outputs, frozenset(flows), wait)
        case ["set_prerequisites", cycle, name, wanted, flows, wait]:
            _set_prerequisites(work, (cycle, name), wanted, frozenset(flows), wait)
        case ["remove", cycle, name, flows]:
            _remove(work, (cycle, name), frozenset(flows))
        case ["stop_flow", number, keys]:
            _stop_flow(work, keys.pop(), number)
            return item if keys else None
        case _:
            raise ValueError(f"unknown pending work {item!r}")
    return None


def flows_wanted(work: Work, values: tuple[str, ...], description: str = "") -> Flows:
    """The flows that `--flow` values mean; none given means all active ones."""
    if values == (flow.NONE,):
        return flow.NO_FLOW
    if values == (flow.NEW,):
        return frozenset({new_flow(work, description)})
    if values in ((), ("all",)):
        return work.pool.active_flows()
    numbers = frozenset(int(value) for value in values)
    work.pool.facts.last_flow = max(work.pool.facts.last_flow, *numbers)
    return numbers


# ---- trigger -------------------------------------------------------------------------------------------------------


def trigger(work: Work, keys: Iterable[TaskKey], flows: Flows, wait: bool, on_resume: bool = False) -> None:
    """Run tasks now, or when a paused run goes on.

    What they wait for outside the group counts as done; inside it, they wait for each other.
    """
    group = set(keys)
    ids = {f"{cycle}/{name}" for cycle, name in group}
    for cycle, name in group if len(group) == 1 else sorted(group, key=lambda key: (work.plan.point(key[0]), key[1])):
        needs, _ = work.plan.needs(name, work.plan.point(cycle)) if len(group) > 1 else (None, None)
        inside = sorted({one for one in needs.tasks() if one in ids}) if needs is not None else []
        work.pool.pending.append(["trigger", cycle, name, sorted(flows), wait, inside, *([True] if on_resume else [])])


def _trigger(work: Work, key: TaskKey, flows: Flows, wait: bool, in_group: list[str], on_resume: bool) -> None:
    task, is_active = work.find(key), key in work.pool.active
    if task is not None and is_active and task.state in BUSY_STATES:
        merge(work, task, flows)
        return
    if task is not None and is_active and not in_group:
        if not flows and flows_of(task):
            return
        task = merge(work, task, flows)
    else:
        earlier = flows_of(task) if task is not None else flow.NO_FLOW
        if task is not None and is_active and task.is_runahead:
            follow(work, task)
        if task is not None:
            _unset_children(work, task)
            work.pool.leave(key)
        work.pool.removed.pop(key, None)
        task = make(work, key, work.plan.point(key[0]), flows or (earlier if not flows and is_active else flows))
        if wait:
            task = work.put_data(task, flow_wait=True)
            task = work.put(task, detail={**task.detail, "flow_wait": True})
    task = _satisfy_outside(work, task, in_group)
    if not in_group:
        run_now(work, task, on_resume)
    else:
        work.put_data(task, by_group=True)
        _queue_released(work, work.state.tasks[key])


def _queue_released(work: Work, task: Task) -> None:
    if task.is_runahead and work.plan.point(task.cycle) <= work.pool.limit_point():
        task = work.put(task, is_runahead=False)
    queue_if_ready(work, task)


def _satisfy_outside(work: Work, task: Task, in_group: list[str]) -> Task:
    """Let hold all that a task waits for, but for tasks of its own group."""
    needs = work.pool.needs.get(task.key)
    if needs is not None:
        for wanted in needs.conditions:
            if wanted[0] not in in_group:
                needs.satisfy(wanted)
        task = work.put_needs(task, needs)
    return _satisfy_triggers(work, task)


def _satisfy_triggers(work: Work, task: Task, labels: Iterable[str] | None = None) -> Task:
    """Let external triggers and xtriggers hold: those with these labels, or all."""
    wanted = None if labels is None else set(labels)
    detail, dates = dict(task.detail), dict(task.data.get("due") or {})
    for kind in ("xtriggers", "external_triggers"):
        if detail.get(kind):
            detail[kind] = [
                {**one, "satisfied": True} if wanted is None or one["label"] in wanted else one for one in detail[kind]
            ]
    if detail.get("is_xtriggered"):
        detail["is_xtriggered"] = any(not one["satisfied"] for one in detail.get("xtriggers", ()))
    for what in list(dates):
        if what.startswith("xtrigger:") and (wanted is None or what.removeprefix("xtrigger:") in wanted):
            del dates[what]
    return work.put(task, detail=detail, data=merged(task.data, {"due": dates or None}))


def run_now(work: Work, task: Task, on_resume: bool = False) -> None:
    """Run a task by hand: at once, or when its queue has room; a second time, at once whatever the queue."""
    if task.is_runahead:
        follow(work, task)
    dates = merged(task.data.get("due") or {}, {"retry": None})
    data = merged(task.data, {"by_hand": True, "tries": None, "due": dates or None})
    detail = {**task.detail, "is_retry": False} if task.detail.get("is_retry") else task.detail
    was_queued = task.is_queued
    task = work.put(task, state="waiting", is_runahead=False, data=data, detail=detail)
    is_full = work.pool.is_full(work.plan.queue(task.name))
    waits = on_resume and work.state.run.paused
    if work.state.run.stopping or waits or (is_full and not was_queued):
        if not task.is_held:
            work.put(task, is_queued=True)
    else:
        submit(work, task)


# ---- set -----------------------------------------------------------------------------------------------------------


def _set_outputs(work: Work, key: TaskKey, outputs: list[str], flows: Flows, wait: bool) -> None:
    task, is_active = work.find(key), key in work.pool.active
    if task is not None and is_active:
        if not flows and flows_of(task):
            return
        task = merge(work, task, flows)
    elif task is None or not flows_of(task) & flows:
        task = make(work, key, work.plan.point(key[0]), flows)
        if wait:
            task = work.put(
                task, data={**task.data, "flow_wait": True}, detail={**task.detail, "flow_wait": True}
            )
    labels = list(outputs) or list(work.plan.default_outputs(task.name))
    if "skip" in labels:
        labels = list(dict.fromkeys([*(one for one in labels if one != "skip"), *work.plan.skip_outputs(task.name)]))
    for label in work.plan.in_order(task.name, labels):
        task = _give(work, task, label)
    if not is_active and task.state == "waiting" and key in work.pool.active:
        # Only what it gave is remembered: it is not to run because of that.
        given = [one["label"] for one in task.detail["outputs"] if one["satisfied"]]
        facts = work.pool.facts
        if len(facts.given) < MAX_GIVEN:
            facts.given = {**facts.given, task_id(task): [sorted(flows_of(task)), given]}
        work.drop(task)


def _give(work: Work, task: Task, label: str) -> Task:
    """One output is done by decree. It makes no job run, but it can end a task so that none needs to."""
    labels = [*_IMPLIED.get(label, []), label]
    if label not in ENDS:
        return complete_outputs(work, task, labels)
    if task.is_runahead:
        follow(work, task)
    data = merged(task.data, {"due": None})
    detail = {**task.detail, "is_retry": False, "is_xtriggered": False}
    task = work.put(task, is_queued=False, is_runahead=False, data=data, detail=detail)
    return complete_outputs(work, task, labels, state=label)


def _set_prerequisites(work: Work, key: TaskKey, wanted: list[list[str]], flows: Flows, wait: bool) -> None:
    task = work.find(key)
    if task is not None and key in work.pool.active:
        if not flows and flows_of(task):
            return
        task = merge(work, task, flows)
    else:
        task = spawn(work, key[1], work.plan.point(key[0]), flows)
        if task is None:
            return
        if wait:
            task = work.put(task, data={**task.data, "flow_wait": True}, detail={**task.detail, "flow_wait": True})
    if wanted == [["all"]]:
        task = _satisfy_outside(work, task, [])
    else:
        needs = work.pool.needs.get(task.key)
        if needs is not None:
            for one in wanted:
                if len(one) == 2:
                    needs.satisfy((one[0], one[1]))
            task = work.put_needs(task, needs)
        labels = [one[0] for one in wanted if len(one) == 1]
        if labels:
            task = _satisfy_triggers(work, task, None if "all" in labels else labels)
    _queue_released(work, task)


# ---- remove --------------------------------------------------------------------------------------------------------


def _remove(work: Work, key: TaskKey, flows: Flows) -> None:
    """Forget that a task ran, or is to run, in these flows (none: in any)."""
    task = work.find(key)
    if task is None:
        return
    own = flows_of(task)
    gone = own & flows if flows else own
    if own and not gone:
        return
    _unset_children(work, task, gone, and_remove=True)
    left = own - gone
    if left:
        work.put(task, flow_nums=flow.text_of(left))
        return
    if key not in work.pool.active:
        work.step.emit("TaskRemoved", {"task": task_id(task), "flows": sorted(gone), "reason": "request"})
        work.drop(task)
        return
    if task.state in BUSY_STATES:
        job = work.state.jobs.get((*key, task.submit_num))
        if job is None or job.platform not in ("skip", "simulation"):
            address = (*key, task.submit_num, platform_of(work, task), job.job_id if job else "")
            work.step.effect(KillJob(work.state.run.run_id, *address))
    remove(work, task, gone, "request")


def _unset_children(work: Work, task: Task, flows: Flows | None = None, and_remove: bool = False) -> None:
    """What a task did before does not count any more for those that still wait."""
    gone = flows_of(task) if flows is None else flows
    point = work.plan.point(task.cycle)
    for label in [one["label"] for one in task.detail["outputs"] if one["satisfied"]]:
        for name, at in work.plan.children(task.name, label, point):
            key = (work.plan.cycle(at), name)
            child, needs = work.find(key), work.pool.needs.get(key)
            if child is None or child.state != "waiting" or needs is None or not flows_of(child) & gone:
                continue
            if not needs.unsatisfy((task_id(task), label)):
                continue
            child = work.put_needs(child, needs)
            if child.is_queued:
                child = work.put(child, is_queued=False)
            if and_remove and needs.is_untouched and not child.data.get("by_hand"):
                remove(work, child, flows_of(child), "prerequisite task(s) removed")


def _stop_flow(work: Work, key: list[str], number: int) -> None:
    task = work.find((key[0], key[1]))
    if task is None:
        return
    left = flows_of(task) - {number}
    if left or task.state in BUSY_STATES:
        work.put(task, flow_nums=flow.text_of(left))
    elif task.key in work.pool.active:
        # Without `follow`: the next instance belongs to the flow that stops.
        work.step.emit("TaskRemoved", {"task": task_id(task), "flows": [number], "reason": "flow stopped"})
        work.drop(task)



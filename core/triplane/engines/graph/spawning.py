"""How tasks come to be: by the passing of cycles, by outputs of others, in one flow or several.

Source: contract cylc sections 6 and 7; measured against cylc-flow 8.5.4.
"""

from collections.abc import Iterable
from typing import Any

from triplane.engines.graph import flows as flow
from triplane.engines.graph.flows import Flows, flows_of
from triplane.engines.graph.pool import BUSY_STATES
from triplane.engines.graph.work import Work, task_id
from triplane.entities import FINAL_TASK_STATES, Task, TaskKey, evolve

# ---- spawning ------------------------------------------------------------------------------------------------------


def spawn(work: Work, name: str, point: int, flows: Flows) -> Task | None:
    """The active task at that point, made or merged into these flows if need be.

    None where the graph has none there, or where it has already run, or was removed, in one of these flows.
    """
    key = (work.plan.cycle(point), name)
    existing = work.find(key)
    if existing is not None and key in work.pool.active:
        return merge(work, existing, flows)
    if existing is not None and flows_of(existing) & flows:
        if existing.data.get("flow_wait"):
            _end_flow_wait(work, existing)
        return None
    if not work.plan.has(name, point) or flows & work.pool.removed.get(key, flow.NO_FLOW):
        return None
    if existing is None and work.pool.is_past(point, flows):
        return None
    if _needs_what_stop_prevents(work, name, point):
        return None
    return make(work, key, point, flows)


def make(work: Work, key: TaskKey, point: int, flows: Flows) -> Task:
    """A new waiting task, or a complete one made new for other flows.

    It waits for older cycles at first: only when all spawning is done is it known which cycle is the oldest.
    """
    pool, plan, name = work.pool, work.plan, key[1]
    existing = work.find(key)
    needs, suicide = plan.needs(name, point)
    if pool.absolute:
        for wanted in needs.conditions:
            cycle, _, upstream = wanted[0].partition("/")
            if (cycle, upstream, wanted[1]) in pool.absolute:
                needs.satisfy(wanted)
    data: dict[str, object] = {}
    if needs.conditions:
        pool.needs[key] = needs
        data["done"] = needs.dump()
    if suicide.conditions:
        pool.suicides[key] = suicide
        data["suicide"] = suicide.dump()
    due = plan.dates(name, point)
    if due:
        data["due"] = due
    hold_point = pool.facts.hold_point
    is_held = key in pool.future_holds or (hold_point is not None and point > hold_point)
    pool.future_holds.pop(key, None)
    detail = plan.public_detail(name, point, needs.public())
    given = pool.facts.given.get(f"{key[0]}/{name}")
    if given and flows & set(given[0]):
        detail["outputs"] = [{**one, "satisfied": one["label"] in given[1]} for one in detail["outputs"]]
        pool.facts.given = {task: value for task, value in pool.facts.given.items() if task != f"{key[0]}/{name}"}
    if "xtriggers" in detail or "external_triggers" in detail:
        pool.pending.append(["greet", *key])
    fields: dict[str, Any] = {
        "is_held": is_held,
        "is_runahead": True,
        "flow_nums": flow.text_of(flows),
        "detail": detail,
        "data": data,
    }
    if existing is not None:
        pool.finished.pop(key, None)
        return work.put(existing, state="waiting", is_queued=False, **fields)
    lost = pool.facts.lost_submits if pool.is_past(point, frozenset({1})) or key in pool.removed else 0
    task = work.step.new_task(*key, "waiting", submit_num=lost, **fields)
    pool.note(task)
    return task


def _needs_what_stop_prevents(work: Work, name: str, point: int) -> bool:
    """Whether the task waits for one beyond the stop point, so that it would be in the way of the end."""
    stop = work.pool.facts.stop_point
    if stop is None or point > stop:
        return False
    return any(upstream > stop for upstream in work.plan.upstream_points(name, point))


def let_in(work: Work, task: Task) -> Task:
    """End a task's waiting for older cycles; its next instance takes its place there."""
    if not work.plan.spawns_next_on_trigger(task.name, work.plan.point(task.cycle)):
        follow(work, task)
    task = work.put(task, is_runahead=False)
    return queue_if_ready(work, task)


def follow(work: Work, task: Task) -> None:
    """Have the next parentless instance of a task spawned, if the passing of cycles is what spawned this one."""
    flows = flows_of(task)
    point = work.plan.point(task.cycle)
    if flows and work.plan.is_parentless(task.name, point):
        work.pool.pending.append(["next", task.name, point, sorted(flows)])


def queue_if_ready(work: Work, task: Task) -> Task:
    """Put a task in its queue if nothing but its turn is missing."""
    if not task.is_queued and is_ready(work, task):
        return work.put(task, is_queued=True)
    return task


def is_ready(work: Work, task: Task) -> bool:
    """Whether a task waits for nothing but its turn."""
    if task.state != "waiting" or task.is_held or task.is_runahead:
        return False
    needs = work.pool.needs.get(task.key)
    return (needs is None or needs.is_met) and not waits_outside(task)


def waits_outside(task: Task) -> bool:
    """Whether a task waits for a retry's time or for a trigger from outside."""
    if "retry" in task.data.get("due", ()):
        return True
    return any(
        not one["satisfied"] for kind in ("xtriggers", "external_triggers") for one in task.detail.get(kind, ())
    )


# ---- flows ---------------------------------------------------------------------------------------------------------


def merge(work: Work, task: Task, flows: Flows) -> Task:
    """Let an active task belong to these flows too."""
    own = flows_of(task)
    if not flows or flows <= own:
        return task
    task = work.put(task, flow_nums=flow.text_of(own | flows))
    if task.state in FINAL_TASK_STATES and not work.plan.is_complete(task):
        # It ended without all that the graph wants; the new flow runs it again.
        return queue_if_ready(work, work.put(task, state="waiting"))
    if not own or task.data.get("flow_wait"):
        task = _end_flow_wait(work, task)
        if not task.is_runahead:
            follow(work, task)
    return task


def _end_flow_wait(work: Work, task: Task) -> Task:
    """Let what waits for outputs given so far be spawned, which the flow had been told not to do."""
    if task.data.get("flow_wait"):
        task = work.put_data(evolve(task, detail={**task.detail, "flow_wait": False}), flow_wait=None)
    tell(work, task, [one["label"] for one in task.detail["outputs"] if one["satisfied"]])
    return task


def new_flow(work: Work, description: str = "") -> int:
    """A flow number that was never used."""
    facts = work.pool.facts
    facts.last_flow += 1
    facts.flows = {**facts.flows, str(facts.last_flow): description[:200]}
    return facts.last_flow


# ---- outputs -------------------------------------------------------------------------------------------------------


def complete_outputs(work: Work, task: Task, labels: Iterable[str], **changes: object) -> Task:
    """Mark outputs as done, with other changes of the task; what waits for them is spawned or told.

    An output that was done before has no second effect.
    """
    wanted = set(labels)
    fresh = [one["label"] for one in task.detail["outputs"] if one["label"] in wanted and not one["satisfied"]]
    if not fresh and not changes:
        return task
    outputs = [
        {**one, "satisfied": True, "time": work.now} if one["label"] in fresh else one for one in task.detail["outputs"]
    ]
    task = work.put(task, detail={**task.detail, "outputs": outputs}, **changes)
    tell(work, task, fresh)
    if task_id(task) == work.pool.facts.stop_task and task.state in FINAL_TASK_STATES:
        work.pool.facts.stop_task = None
        work.step.set_run(stopping=work.state.run.stopping or "graceful")
    return task


def tell(work: Work, task: Task, labels: Iterable[str]) -> None:
    """Have those told that wait for outputs of a task."""
    if task.data.get("flow_wait") or not flows_of(task):
        return
    flows = sorted(flows_of(task))
    work.pool.pending.extend(["output", task.cycle, task.name, label, 0, flows] for label in labels)


def tell_children(work: Work, item: list[object]) -> list[object] | None:
    """Do one piece of telling; what is left of it, or None."""
    _, cycle, name, label, index, numbers = item
    assert isinstance(cycle, str) and isinstance(name, str) and isinstance(label, str) and isinstance(index, int)
    flows = frozenset(numbers)  # type: ignore[call-overload]
    point = work.plan.point(cycle)
    if index == 0:
        _tell_absolute(work, (cycle, name, label), point, flows)
    children = work.plan.children(name, label, point)
    for at in range(index, len(children)):
        if work.is_full:
            return ["output", cycle, name, label, at, numbers]
        child = spawn(work, *children[at], flows)
        if child is not None:
            satisfy(work, child, (f"{cycle}/{name}", label))
    return None


def _tell_absolute(work: Work, output: tuple[str, str, str], point: int, flows: Flows) -> None:
    cycle, name, label = output
    waiting = work.plan.waiting_for_point(name, label, point)
    if not waiting:
        return
    work.pool.absolute[output] = work.pool.absolute.get(output, flow.NO_FLOW) | flows
    for child, first in waiting.items():
        spawn(work, child, first, flows)
    for key in [key for key in work.pool.active if key[1] in waiting]:
        task = work.find(key)
        assert task is not None
        satisfy(work, task, (f"{cycle}/{name}", label))


def satisfy(work: Work, task: Task, wanted: tuple[str, str]) -> None:
    """Let one condition of a task hold; it may be ready then, or be removed by it (a suicide trigger)."""
    needs, suicide = work.pool.needs.get(task.key), work.pool.suicides.get(task.key)
    is_nearer = needs is not None and needs.satisfy(wanted)
    is_doomed = suicide is not None and suicide.satisfy(wanted)
    if is_nearer or is_doomed:
        task = work.put_needs(task, needs if is_nearer else None, suicide if is_doomed else None)
    if is_doomed and suicide is not None and suicide.is_met:
        flows = flows_of(task)
        remove(work, task, flows, "suicide trigger")
        work.pool.removed[task.key] = work.pool.removed.get(task.key, flow.NO_FLOW) | flows
        return
    queue_if_ready(work, task)


def remove(work: Work, task: Task, flows: Flows, reason: str) -> None:
    """Take an active task out of the run, though it may never have run; its next instance takes its place."""
    if task.is_runahead:
        follow(work, task)
    work.step.emit("TaskRemoved", {"task": task_id(task), "flows": sorted(flows), "reason": reason})
    if task.state in BUSY_STATES:
        work.step.emit("JobOrphaned", {"task": task_id(task), "submit_num": task.submit_num})
    work.drop(task)

"""A changed definition in the middle of a run.

What runs goes on as it is; what waits is made anew by the new definition and keeps what it got. While the definition is
read nothing new is submitted. Source: contract cylc section 7 (`reloading`), cylc-flow 8.5.4 `cylc reload`.
"""

from typing import Any

from triplane.commands.system import DefinitionRead
from triplane.effects import ReadDefinition
from triplane.engines.graph.definition.plain import from_plain
from triplane.engines.graph.plan import Plan
from triplane.engines.graph.pool import BUSY_STATES, Pool
from triplane.engines.graph.work import Work, merged, task_id
from triplane.entities import FINAL_TASK_STATES, evolve
from triplane.errors import Conflict, RefusedInput


def ask(work: Work, source: dict[str, Any] | None) -> None:
    """Have the definition read again.

    Raises:
        Conflict: that is under way.
        RefusedInput: it is not known where from.
    """
    facts = work.pool.facts
    if facts.is_reloading:
        raise Conflict("the definition is being read again already")
    if source is None and not _name(work):
        raise RefusedInput("the run's definition came from no place that can be read again: send the new one with the reload")
    facts.is_reloading = True
    work.step.set_run(status_message="reloading")
    work.step.effect(_effect(work, source))


def go_on(work: Work) -> None:
    """After a restart: read again what was being read. One that was sent along is lost, and told to be."""
    if not work.pool.facts.is_reloading:
        return
    if _name(work):
        work.step.effect(_effect(work, None))
    else:
        work.pool.facts.is_reloading = False
        work.step.emit("ReloadFailed", {"reason": "the gateway was restarted before the definition was read"})


def _name(work: Work) -> str:
    """What the definition is called in the definition directories; empty where it was sent."""
    return str(work.state.detail.definition.get("source", {}).get("name", ""))


def _effect(work: Work, source: dict[str, Any] | None) -> ReadDefinition:
    own = work.state.detail.definition.get("source", {})
    wanted = source if source is not None else {"definition": _name(work)}
    return ReadDefinition(work.state.run.run_id, wanted, own.get("settings", {}))


def take_in(work: Work, command: DefinitionRead) -> None:
    """Go on with what was read, or as before where it could not be."""
    old = work.pool
    if not old.facts.is_reloading:
        return
    old.facts.is_reloading = False
    if command.definition is None:
        work.step.emit("ReloadFailed", {"reason": command.problem or "unknown"})
        return
    plan = Plan(from_plain(command.definition))
    work.pool = _moved(work, plan)
    detail = work.state.detail.definition
    source = {**detail.get("source", {}), **command.source}
    work.step.set_detail(definition={**detail, **plan.view(), "graph": command.definition, "source": source})
    known, before = set(plan.names), set(old.plan.names)
    work.step.emit("RunReloaded", {"removed": sorted(before - known)[:500], "added": sorted(known - before)[:500]})
    for name in [name for name in plan.names if name not in before]:
        point = plan.next_parentless(name, (work.pool.base_point or plan.initial) - 1)
        if point is not None:
            work.pool.pending.append(["next", name, point - 1, sorted(work.pool.active_flows())])


_KEPT = ("xtriggers", "external_triggers", "is_retry", "is_xtriggered", "is_wallclock", "flow_wait")


def _moved(work: Work, plan: Plan) -> Pool:
    """The pool under another definition, with what its tasks had got."""
    old = work.pool
    pool = Pool(plan, old.origin)
    pool.facts, pool.pending, pool.asked = old.facts, old.pending, old.asked
    pool.absolute, pool.future_holds, pool.removed = old.absolute, old.future_holds, old.removed
    work.state.private = pool
    for key in list(old.active):
        task = work.state.tasks[key]
        point = old.active[key]
        if not plan.has(task.name, point):
            if task.state in BUSY_STATES:
                work.step.emit("JobOrphaned", {"task": task_id(task), "submit_num": task.submit_num})
            work.step.emit("TaskRemoved", {"task": task_id(task), "flows": [], "reason": "not in the reloaded definition"})
            old.leave(key)
            work.step.prune_task(key)
            continue
        done = {one["label"]: one["time"] for one in task.detail["outputs"] if one["satisfied"]}
        needs, suicide = plan.needs(task.name, point)
        for fresh, earlier in ((needs, old.needs.get(key)), (suicide, old.suicides.get(key))):
            if earlier is not None:
                fresh.take_over(earlier)
        kept = {name: task.detail[name] for name in _KEPT if name in task.detail}
        detail = {**plan.public_detail(task.name, point, needs.public()), **kept}
        detail["outputs"] = [
            {**one, "satisfied": True, "time": done[one["label"]]} if one["label"] in done else one
            for one in detail["outputs"]
        ]
        bits = {"done": needs.dump() if needs.conditions else None, "suicide": suicide.dump() if suicide.conditions else None}
        work.step.put_task(evolve(task, detail=detail, data=merged(task.data, bits)))
        task = work.state.tasks[key]
        if task.state not in FINAL_TASK_STATES or not plan.is_complete(task):
            pool.restore_needs(task)
        pool.note(task)
    pool.finished = {**old.finished, **pool.finished}
    return pool


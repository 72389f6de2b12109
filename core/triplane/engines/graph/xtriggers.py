"""Triggers from outside: calls that are repeated until they say yes, and messages with an id that are used up once.

A wall clock is no call: it is a date, see `clock`. Calls are made by a service, in child processes; equal calls of many
tasks are one call, named by its signature.
"""

from typing import Any

from triplane.effects import CallXtrigger, ForgetXtrigger
from triplane.engines.graph import clock
from triplane.engines.graph.spawning import queue_if_ready
from triplane.engines.graph.work import Work
from triplane.entities import Task

MAX_REMEMBERED = 10_000
"""Calls that succeeded and external triggers that came, remembered for tasks that will ask."""


def ask(work: Work) -> None:
    """Have calls made that tasks wait for, and those forgotten that nobody waits for any more."""
    pool, run_id = work.pool, work.state.run.run_id
    if not pool.calls and not pool.asked:
        return
    if work.state.run.is_open:
        for signature in [one for one in pool.calls if one not in pool.asked]:
            key = next(iter(pool.calls[signature]))
            task = work.find(key)
            assert task is not None
            label = next(one["label"] for one in task.detail["xtriggers"] if one["id"] == signature)
            call = work.plan.call(label, task.name, work.plan.point(task.cycle))
            source = work.state.detail.definition.get("source", {})
            pool.asked.add(signature)
            work.step.effect(CallXtrigger(run_id, signature, {**call, "directory": source.get("directory", "")}))
        gone = [one for one in pool.asked if one not in pool.calls]
    else:
        gone = list(pool.asked)
    for signature in gone:
        pool.asked.discard(signature)
        work.step.effect(ForgetXtrigger(run_id, signature))


def answered(work: Work, signature: str, results: dict[str, Any]) -> None:
    """A call has said yes."""
    facts = work.pool.facts
    kept = dict(list(facts.xtriggers.items())[-MAX_REMEMBERED:])
    facts.xtriggers = {**kept, signature: results}
    work.step.emit("XtriggerSatisfied", {"xtrigger": signature})
    if signature in work.pool.calls:
        work.pool.pending.append(["met", signature])


def meet_next(work: Work, signature: str) -> bool:
    """Let one of the tasks that wait for a call have its answer; whether there are more."""
    waiting = work.pool.calls.get(signature)
    if not waiting:
        return False
    task = work.find(next(iter(waiting)))
    assert task is not None
    meet(work, task, signature)
    return signature in work.pool.calls


def meet(work: Work, task: Task, signature: str) -> Task:
    """Let a task have the answer to a call that succeeded; its job will find the results in its environment."""
    results = work.pool.facts.xtriggers[signature]
    for label in [one["label"] for one in task.detail["xtriggers"] if one["id"] == signature]:
        values = {f"{label}_{key}": str(value) for key, value in results.items()}
        if values:
            task = work.put_data(task, environment={**task.data.get("environment", {}), **values})
        task = clock.met(work, task, label)
    return task


# ---- external triggers ---------------------------------------------------------------------------------------------


def external(work: Work, message: str, trigger_id: str) -> None:
    """A message with an id has come: one task that waits for it goes on, or the next one that will."""
    facts = work.pool.facts
    waiting = [
        task
        for key in work.pool.active
        if (task := work.find(key)) is not None and task.state == "waiting" and _waits_for(task, message)
    ]
    work.step.emit("ExternalTrigger", {"message": message, "id": trigger_id})
    if waiting:
        first = min(waiting, key=lambda task: (work.plan.point(task.cycle), task.seq))
        consume(work, first, message, trigger_id)
        return
    known = facts.ext_triggers.get(message, [])
    facts.ext_triggers = {**facts.ext_triggers, message: [*known, trigger_id][-MAX_REMEMBERED:]}


def _waits_for(task: Task, message: str) -> bool:
    return any(one["message"] == message and not one["satisfied"] for one in task.detail.get("external_triggers", ()))


def consume(work: Work, task: Task, message: str, trigger_id: str) -> Task:
    """Let a task have an external trigger; its cycle's jobs find the id in `CYLC_EXT_TRIGGER_ID`."""
    triggers = [
        {**one, "satisfied": True, "id": trigger_id, "time": work.now} if one["message"] == message else one
        for one in task.detail["external_triggers"]
    ]
    task = work.put(task, detail={**task.detail, "external_triggers": triggers})
    facts = work.pool.facts
    entry = [task.cycle, "root", {"environment": {"CYLC_EXT_TRIGGER_ID": trigger_id}}]
    facts.broadcasts = [*facts.broadcasts, entry]
    return queue_if_ready(work, task)


def greet(work: Work, task: Task | None) -> None:
    """Let a new task have what came before it: external triggers, and answers to calls that it would make."""
    if task is None or task.state != "waiting":
        return
    facts = work.pool.facts
    for one in task.detail.get("xtriggers", ()):
        if one["id"] in facts.xtriggers and not one["satisfied"]:
            task = meet(work, task, one["id"])
    for one in task.detail.get("external_triggers", ()):
        ids = facts.ext_triggers.get(one["message"])
        if ids and not one["satisfied"]:
            facts.ext_triggers = {**facts.ext_triggers, one["message"]: ids[1:]}
            task = consume(work, task, one["message"], ids[0])

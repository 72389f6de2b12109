"""One call of an xtrigger: our own functions here, users' in a child process with limits."""

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from typing import Any

from triplane.queries import RunView

CALL_TIMEOUT_S = 60.0
MAX_ANSWER_BYTES = 1_000_000

Answer = dict[str, Any]
"""`{"satisfied": bool, "results": {…}}` or `{"problem": str}`"""


def echo(arguments: list[Any], named: Mapping[str, Any]) -> Answer:
    """Says yes if told to with `succeed`, and gives back what it was called with. Source: cylc-flow 8.5.4, echo."""
    results = {**{f"arg{place}": one for place, one in enumerate(arguments)}, **named}
    return {"satisfied": named.get("succeed") in (True, "True", "true"), "results": results}


def xrandom(arguments: list[Any], named: Mapping[str, Any]) -> Answer:
    """Says yes that often, in percent. Source: cylc-flow 8.5.4, xrandom."""
    percent = float(named.get("percent", arguments[0] if arguments else 0))
    # Not for secrets: it plays an event that happens now and then.
    satisfied = random.random() * 100 < percent
    return {"satisfied": satisfied, "results": {"COLOR": random.choice(("red", "green", "blue"))} if satisfied else {}}


def workflow_of(arguments: list[Any], named: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """(workflow, cycle, task, state or output) of a call of `workflow_state`.

    Raises:
        ValueError: it names no task.
    """
    text = str(named.get("workflow_task_id", arguments[0] if arguments else ""))
    workflow, _, rest = text.partition("//")
    cycle, _, task = rest.partition("/")
    task, _, wanted = task.partition(":")
    if not (workflow and cycle and task):
        raise ValueError(f"{text[:200]!r} is not a task of a workflow: workflow//cycle/task is")
    return workflow, cycle, task, wanted or "succeeded"


def workflow_state(view: RunView | None, cycle: str, task: str, wanted: str) -> Answer:
    """Whether a task of another run in this namespace is, or was, in a state, or has given an output."""
    found = view.tasks.get((cycle, task)) if view is not None else None
    if found is None:
        return {"satisfied": False, "results": {}}
    done = {one[key] for one in found.detail.get("outputs", ()) if one["satisfied"] for key in ("label", "message")}
    states = {found.state, *done}
    if states & {"succeeded", "failed"}:
        states.add("finished")
    is_so = wanted in states or {"start": "started", "running": "started"}.get(wanted, "") in states
    return {"satisfied": is_so, "results": {"workflow": view.run.workflow_id, "task": task, "point": cycle} if view and is_so else {}}


async def call_user_function(request: Mapping[str, Any]) -> Answer:
    """Call a function of the source directory in a child process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "triplane.graphs.xtrigger_child",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, complaint = await asyncio.wait_for(child.communicate(json.dumps(dict(request)).encode()), CALL_TIMEOUT_S)
    except TimeoutError:
        return {"problem": f"no answer within {CALL_TIMEOUT_S:g} s"}
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0 or len(output) > MAX_ANSWER_BYTES:
        reason = complaint.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {child.returncode}"]
        return {"problem": reason[0][:1_000]}
    answer: Answer = json.loads(output)
    return answer

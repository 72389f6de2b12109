"""Children: workflows that a workflow starts and waits for, on this engine or another. Source: contract durable 4.3, 5.4, 5.5, 7.

A child is a run like any other, with a link to its parent. Its workflow id and run ids follow from the parent's run and
the workflow step, so starting it twice is starting it once. The parent knows its open children from their tasks; that one
has closed it is told by `ChildClosed`, and after a restart it asks again.
"""

from typing import Any

from triplane.commands.runs import DuplicatePolicy, StartChildRun
from triplane.commands.system import ChildClosed
from triplane.effects import ChildRef, EndChild, StartChild
from triplane.engines.durable import ids, service_calls
from triplane.engines.durable.alarms import CHILD_TIMER
from triplane.engines.durable.payloads import as_envelope
from triplane.engines.durable.retries import wait_before_next
from triplane.engines.durable.state import Child
from triplane.engines.durable.turn import Turn, barrier_of
from triplane.entities import FINAL_TASK_STATES, evolve
from triplane.errors import GatewayError
from triplane.workflow_types import engine_of

POLICY_KEYS = ("parent_close_policy", "cancellation_policy")
OPTION_KEYS = (*POLICY_KEYS, "retry_policy", "execution_timeout_seconds", "run_timeout_seconds")
ABANDON, CANCEL, ASK, TERMINATE = "abandon", "request_cancel", "request_cancellation", "terminate"
FAILURE_KEYS = ("exception_type", "exception_class", "exception", "non_retryable", "timeout_kind")

_ENDS = {
    "completed": ("ChildRunCompleted", "succeeded"),
    "failed": ("ChildRunFailed", "failed"),
    "cancelled": ("ChildRunCancelled", "failed"),
    "terminated": ("ChildRunTerminated", "failed"),
}
"""How a child ended → event, task state."""


def start(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    """Record that a workflow starts a child, and have it started once that is on disk."""
    run = turn.state.run
    child = Child(
        sequence, ids.child_workflow_id(run.run_id, sequence), ids.child_run_id(turn.now, run.run_id, sequence, 1),
        command["workflow_type"], command.get("queue") or run.task_queue, run.history_length + 1, turn.now,
        options={key: command[key] for key in OPTION_KEYS if command.get(key) is not None}, group=group,
    )  # fmt: skip
    identity = _identity(child)
    scheduled = {**identity, "queue": child.queue, "payload_codec": "avro"}
    if command.get("arguments") is not None:
        scheduled["arguments"] = command["arguments"]
    turn.emit("ChildWorkflowScheduled", scheduled)
    turn.emit("ChildRunStarted", identity)
    turn.own.children[sequence] = child
    turn.step.new_task(
        ids.CYCLE, child.name, "running", submit_num=1,
        detail={"kind": "child", "title": child.workflow_type, "platform": f"queue:{child.queue}"},
        data={"child": child.to_data()},
    )  # fmt: skip
    depth = _depth(turn) + 1
    if depth > turn.settings.max_child_depth:
        message = f"children of children are {depth} deep; the limit is engines.durable.max_child_depth"
        conclude(turn, child, "failed", {"message": message, "exception_type": "ChildDepthLimit"})
        return
    begin(turn, child)


def begin(turn: Turn, child: Child) -> None:
    """Have the child's present attempt started, or found."""
    key = (ids.CYCLE, child.name, child.attempt)
    if key not in turn.state.jobs:
        run_id = ids.child_run_id(child.scheduled, turn.run_id, child.sequence, child.attempt)
        turn.step.new_job(*key, "running", platform=f"queue:{child.queue}", job_id=run_id, submitted=turn.now, started=turn.now)
    turn.step.effect(StartChild(turn.run_id, reference(turn, child), _start_command(turn, child)))


def _start_command(turn: Turn, child: Child) -> StartChildRun:
    run, detail = turn.state.run, turn.state.detail
    choice = engine_of(child.workflow_type)
    options = {key: detail.options[key] for key in ("priority", "fairness_key", "fairness_weight") if key in detail.options}
    if (run_s := child.options.get("run_timeout_seconds")) is not None:
        options["run_timeout_s"] = run_s
    if (execution_s := child.options.get("execution_timeout_seconds")) is not None:
        options["execution_timeout_s"] = execution_s
        if child.attempt > 1:
            options["execution_deadline"] = child.scheduled + execution_s
    parent = {
        "namespace": run.namespace, "workflow_id": run.workflow_id, "run_id": run.run_id, "sequence": child.sequence,
        "attempt": child.attempt, "depth": _depth(turn) + 1, "policy": child.policy,
    }  # fmt: skip
    payload = turn.state.history[child.event_seq - 1].data.get(service_calls.PAYLOAD_KEY if child.is_call else "arguments")
    return StartChildRun(
        namespace=child.namespace or run.namespace,
        workflow_id=child.workflow_id,
        run_id=ids.child_run_id(child.scheduled, run.run_id, child.sequence, child.attempt),
        engine=choice.engine,
        workflow_type=choice.name,
        task_queue=child.queue if choice.engine == "durable" else "",
        input=service_calls.as_input(payload) if child.is_call else payload,
        source=choice.source,
        options=options,
        duplicate_policy=DuplicatePolicy.USE_EXISTING if child.is_call else DuplicatePolicy.ALLOW,
        parent=parent,
    )


def reference(turn: Turn, child: Child) -> ChildRef:
    """The child as its effects name it."""
    run = turn.state.run
    return ChildRef(
        run.namespace, run.workflow_id, run.run_id, child.sequence, child.attempt, child.namespace or run.namespace,
        child.workflow_id, child.is_call,
    )  # fmt: skip


def closed(turn: Turn, command: ChildClosed) -> None:
    """A child's present attempt is over, or could not be started; told twice it is heard once."""
    if command.parent_run_id != turn.run_id:
        if turn.own.inherited.pop(command.child_workflow_id, None) is not None:
            turn.touch()
        return
    child = turn.own.children.get(command.sequence)
    if child is None or child.attempt != command.attempt:
        return
    ending = dict(command.ending)
    status = ending.get("status", "failed")
    if status == "completed" and not child.silent:
        try:
            ending["output"] = as_envelope(ending.get("output"), turn.settings.max_payload_bytes, "the child's result")
        except GatewayError as error:
            status, ending = "failed", {"message": error.message, "exception_type": "InvalidPayload"}
    if status == "failed" and not child.ending and _retry(turn, child, ending):
        return
    conclude(turn, child, status, ending)


def _retry(turn: Turn, child: Child, ending: dict[str, Any]) -> bool:
    """Plan the child's next attempt, if its policy has one."""
    kind, non_retryable = str(ending.get("exception_type") or ""), ending.get("non_retryable") is True
    wait_s = wait_before_next(child.options.get("retry_policy"), child.attempt, kind, non_retryable)
    if wait_s is None:
        return False
    execution_s = child.options.get("execution_timeout_seconds")
    if execution_s is not None and turn.now + wait_s >= child.scheduled + execution_s:
        return False
    _end_job(turn, child, "failed")
    child.attempt += 1
    child.phase, child.due = "backoff", turn.now + wait_s
    if wait_s > 0 or child.held:
        _store(turn, child, "waiting")
        watch(turn, child)
    else:
        _go_on(turn, child)
    return True


def _go_on(turn: Turn, child: Child) -> None:
    child.phase, child.due = "running", 0.0
    _store(turn, child, "running", submit_num=child.attempt)
    begin(turn, child)


def conclude(turn: Turn, child: Child, status: str, ending: dict[str, Any]) -> None:
    """The child is over, once, whatever comes later."""
    del turn.own.children[child.sequence]
    turn.step.clear_timer(f"{CHILD_TIMER}{child.sequence}")
    event, state = _ENDS[status]
    _end_job(turn, child, state)
    _store(turn, child, state, data={})
    if child.silent:
        return
    if child.is_call:
        event, data = service_calls.ended(child, status, ending)
    elif status == "completed":
        data = {**_identity(child), "result": ending["output"], "payload_codec": "avro"}
    else:
        data = {**_identity(child), "failure_category": "child_workflow", "message": _message(child, status, ending)}
        data |= {key: ending[key] for key in FAILURE_KEYS if ending.get(key) is not None}
        data.setdefault("exception_type", f"ChildWorkflow{status.capitalize()}")
        data.setdefault("exception_class", data["exception_type"])
    turn.receive(turn.happening(event, data, group=barrier_of(child.group)))
    if turn.own.cancellation is not None and turn.own.cancellation.waits:
        # A cancellation that waited for it can be delivered now, whatever else its group waits for.
        turn.own.cancellation.waits = False
        turn.wake()
    turn.issue_next()


def _message(child: Child, status: str, ending: dict[str, Any]) -> str:
    given = ending.get("message") or ending.get("reason")
    return str(given) if given and given != status else f"child workflow {child.workflow_type} {status}"


# ---- endings from the parent's side --------------------------------------------------------------------------------------


def end(turn: Turn, child: Child, how: str, reason: str, silent: bool) -> None:
    """Have an open child cancelled or terminated.

    Args:
        silent: the workflow is told by no event of the child's own (its selection's cancellation says it).
        how: `request_cancel`, `request_cancellation` or `terminate`.
    """
    child.ending, child.silent = how, silent
    if child.phase == "backoff":
        conclude(turn, child, "terminated" if how == TERMINATE else "cancelled", {"message": reason})
        return
    _store(turn, child, "running")
    turn.step.effect(EndChild(turn.run_id, reference(turn, child), how, reason))


def let_go(turn: Turn, child: Child) -> None:
    """The workflow does not wait for it any more; it goes on by itself."""
    child.silent = True
    _store(turn, child, "running" if child.phase == "running" else "waiting")


def end_with_run(turn: Turn) -> None:
    """The run closed: each open child, and those of the runs before it in its chain, gets what its policy says."""
    run = turn.state.run
    reason = f"the parent workflow {run.workflow_id} closed ({run.status})"
    for child in turn.own.children.values():
        how = child.ending or child.policy
        if how != ABANDON and child.phase == "running":
            turn.step.effect(EndChild(turn.run_id, reference(turn, child), how, reason))
        _leave(turn, child, "expired" if how == ABANDON else "failed")
    for workflow_id, (how, run_id, sequence, attempt) in turn.own.inherited.items():
        ref = ChildRef(run.namespace, run.workflow_id, run_id, sequence, attempt, run.namespace, workflow_id, False)
        turn.step.effect(EndChild(turn.run_id, ref, how, reason))
    turn.own.children, turn.own.inherited = {}, {}


def hand_over(turn: Turn) -> list[list[Any]]:
    """The run continues as the next of its chain: what that one must know of children to end them when the chain ends."""
    handed = [[workflow_id, *link] for workflow_id, link in turn.own.inherited.items()]
    for child in turn.own.children.values():
        how = child.ending or child.policy
        if how != ABANDON and child.phase == "running":
            handed.append([child.workflow_id, how, turn.run_id, child.sequence, child.attempt])
        _leave(turn, child, "expired")
    turn.own.children, turn.own.inherited = {}, {}
    return handed


def _leave(turn: Turn, child: Child, state: str) -> None:
    _end_job(turn, child, "failed")
    _store(turn, child, state, data={})


# ---- alarms, restarts ----------------------------------------------------------------------------------------------------


def watch(turn: Turn, child: Child) -> None:
    """Set the child's alarm, where it waits for a time; in memory only, `recover` sets it again."""
    if child.due:
        turn.arm(f"{CHILD_TIMER}{child.sequence}", child.due, durable=False)


def alarm(turn: Turn, sequence: int) -> None:
    """A child's wait is over: its next attempt begins, or the patience with a service operation has ended."""
    turn.step.clear_timer(f"{CHILD_TIMER}{sequence}")
    child = turn.own.children.get(sequence)
    if child is None or not child.due:
        return
    if turn.now < child.due:
        watch(turn, child)
    elif child.phase == "backoff":
        if not child.held:
            _go_on(turn, child)
    else:
        conclude(turn, child, "failed", service_calls.timed_out(child))


def trigger(turn: Turn, child: Child) -> None:
    """Begin an attempt that waits, now."""
    if child.phase == "backoff":
        child.held = False
        turn.step.clear_timer(f"{CHILD_TIMER}{child.sequence}")
        _go_on(turn, child)


def set_held(turn: Turn, child: Child, held: bool) -> None:
    """Have no further attempt begun, or let it begin; the run that there is goes on."""
    child.held = held
    _store(turn, child, "waiting" if child.phase == "backoff" else "running", is_held=held)
    if not held and child.phase == "backoff":
        alarm(turn, child.sequence)


def recover(turn: Turn, child: Child) -> None:
    """After a restart: start the child if nobody did, hear of its closing if it has closed, and end it if that was asked."""
    watch(turn, child)
    if child.ending:
        turn.step.effect(EndChild(turn.run_id, reference(turn, child), child.ending, "the parent workflow ended it"))
    elif child.phase == "running":
        begin(turn, child)


# ---- within --------------------------------------------------------------------------------------------------------------


def _depth(turn: Turn) -> int:
    parent = turn.state.detail.parent
    return int(parent.get("depth", 1)) if parent is not None else 0


def _identity(child: Child) -> dict[str, Any]:
    """What all events of a child repeat; the run id is that of its first run, whatever runs follow. Source: contract 5.5."""
    return {
        "sequence": child.sequence,
        "child_workflow_instance_id": child.workflow_id,
        "child_workflow_run_id": child.run_id,
        "child_workflow_type": child.workflow_type,
        **{key: child.options[key] for key in POLICY_KEYS if key in child.options},
        **child.group,
    }


def _store(turn: Turn, child: Child, state: str, **changes: Any) -> None:
    task = turn.state.tasks[(ids.CYCLE, child.name)]
    changes.setdefault("data", {"child": child.to_data()})
    if state in FINAL_TASK_STATES:
        changes["is_held"] = False
    elif not child.held and task.is_held:
        changes["is_held"] = False
    turn.step.put_task(evolve(task, state=state, **changes))


def _end_job(turn: Turn, child: Child, state: str) -> None:
    job = turn.state.jobs.get((ids.CYCLE, child.name, child.attempt))
    if job is not None and job.finished is None:
        turn.step.put_job(evolve(job, state=state, finished=turn.now))

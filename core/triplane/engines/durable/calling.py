"""The command by which a workflow calls a service operation."""

from typing import Any

from triplane.engines.durable import children, ids, service_calls
from triplane.engines.durable.state import Child
from triplane.engines.durable.turn import Turn
from triplane.errors import GatewayError
from triplane.operations.mapping import OperationNotFound, OperationTarget, operation_workflow_id


def start(turn: Turn, command: dict[str, Any], sequence: int, group: dict[str, Any]) -> None:
    """Record the call and have its run started; where the config names none, the call has failed."""
    run = turn.state.run
    names = (command["endpoint_name"], command["service_name"], command["operation_name"])
    key = command.get("idempotency_key") or f"{run.run_id}-{sequence}"
    workflow_id = operation_workflow_id(run.namespace, *names, key)
    caller = {"caller_workflow_instance_id": run.workflow_id, "caller_workflow_run_id": run.run_id}
    data = {**service_calls.call_data(command, sequence, caller, workflow_id, key), **group}
    try:
        target = _target(turn, names, command.get("namespace"))
    except GatewayError as error:
        refused = service_calls.with_status(data, "failed", "rejected", reason=error.code, message=error.message)
        refused |= {"message": error.message, "exception_type": "OperationNotFound"}
        turn.emit("ServiceCallFailed", refused)
        turn.wake()
        return
    # An accepted call goes on by itself: the workflow has its answer as soon as the call is recorded.
    accepted = data["operation_mode"] == "async" or data["wait_for"] == "accepted"
    wait_s = command.get("wait_timeout_seconds")
    options: dict[str, Any] = {"call": data}
    due = 0.0
    if wait_s is not None and not accepted:
        options["wait_timeout_seconds"] = wait_s
        due = turn.now + wait_s
    child = Child(
        sequence, workflow_id, ids.child_run_id(turn.now, run.run_id, sequence, 1), target.workflow_type, target.task_queue,
        run.history_length + 1, turn.now, due=due, silent=accepted,
        namespace=target.namespace or "", kind="call", options=options, group=group,
    )  # fmt: skip
    started = service_calls.with_status(data, "accepted" if accepted else "started", "accepted")
    turn.emit("ServiceCallStarted", {**started, service_calls.PAYLOAD_KEY: command[service_calls.PAYLOAD_KEY]})
    turn.own.children[sequence] = child
    turn.step.new_task(
        ids.CYCLE, child.name, "running", submit_num=1,
        detail={"kind": "operation", "title": "/".join(names), "platform": f"queue:{child.queue}"},
        data={"child": child.to_data()},
    )  # fmt: skip
    children.begin(turn, child)
    children.watch(turn, child)
    if accepted:
        turn.wake()


def _target(turn: Turn, names: tuple[str, str, str], namespace: str | None) -> OperationTarget:
    if turn.operations is None:
        raise OperationNotFound("this gateway has no service operations")
    target = turn.operations.find(*names)
    if namespace is not None and namespace != (target.namespace or turn.state.run.namespace):
        raise OperationNotFound(f"operation {names[2]!r} is not carried out in namespace {namespace!r}")
    return target

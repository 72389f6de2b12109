"""Service operations a workflow calls: a run of whatever carries the operation out, told as `ServiceCall…`. Source: contract durable 5.1.

Which workflow that is, the config says. The run's id follows from the idempotency key, so the same call made again, from
anywhere in the namespace, is the same run.
"""

from collections.abc import Mapping
from typing import Any

from triplane.engines.durable.state import Child

PAYLOAD_KEY = "request_payload"

_STATUS_OF = {"completed": "completed", "failed": "failed", "cancelled": "cancelled", "terminated": "failed"}
_EVENT_OF = {"completed": "ServiceCallCompleted", "failed": "ServiceCallFailed", "cancelled": "ServiceCallCancelled"}


def as_input(payload: Any) -> Any:
    """A request's payload as a workflow's input: bare blobs get their envelope."""
    return {"codec": "avro", "blob": payload} if isinstance(payload, str) else payload


def call_data(command: Mapping[str, Any], sequence: int, caller: Mapping[str, str], service_call_id: str, key: str) -> dict[str, Any]:
    """What all events of a call repeat, without the call's own status.

    Args:
        caller: `caller_workflow_instance_id` and `caller_workflow_run_id`.
    """
    names = {name: command[name] for name in ("endpoint_name", "service_name", "operation_name")}
    service_call = {"service_call_id": service_call_id, **names, "idempotency_key": key, **caller}
    if command.get("namespace") is not None:
        service_call["target_namespace"] = command["namespace"]
    return {
        "sequence": sequence, "service_call": service_call, **names, **caller, "payload_codec": "avro",
        "operation_mode": command.get("mode_override") or "sync", "wait_for": command.get("wait_for") or "completed",
    }  # fmt: skip


def with_status(data: Mapping[str, Any], status: str, outcome: str, **said: Any) -> dict[str, Any]:
    """The data of one event of a call."""
    return {**data, "service_call": {**data["service_call"], "status": status, "outcome": outcome, **said}}


def ended(child: Child, status: str, ending: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Event and data of a call whose run is over."""
    told = _STATUS_OF[status]
    if told == "completed":
        data = with_status(child.options["call"], told, "completed")
        output = ending["output"]
        data["response_payload"] = output["blob"] if output.get("codec") == "avro" and "blob" in output else output
        return _EVENT_OF[told], data
    outcome = ending.get("outcome") or ("handler_failed" if told == "failed" else told)
    message = str(ending.get("message") or ending.get("reason") or f"the operation's workflow {status}")
    data = with_status(child.options["call"], ending.get("call_status") or told, str(outcome), message=message)
    data["message"] = message
    data["exception_type"] = str(ending.get("exception_type") or f"Operation{status.capitalize()}")
    return _EVENT_OF[told], data


def timed_out(child: Child) -> dict[str, Any]:
    """How a call ends whose caller has waited long enough; its run goes on."""
    wait_s = child.options["wait_timeout_seconds"]
    return {
        "message": f"the operation was not completed within {wait_s} s", "exception_type": "OperationTimedOut",
        "outcome": "timed_out", "call_status": "timed_out",
    }  # fmt: skip
